"""One arm beside its baseline: which baseline, of which seeds, and what is said of both."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import pandas as pd
import pytest
from synthetic_results import table

from analysis.evidence import Evidence
from analysis.table import check, load
from analysis.versus import compare, with_baseline
from base.errors import UserError
from base.store.results import SHIPPED

PLEASE = "inoculation:wording=please_hack"
LISTED = "main:sdf_variant=prompted"
TOLD = "inoculation:wording=please_hack,setting=prompted"


@cache
def ships() -> pd.DataFrame:
    return load(SHIPPED / "tiny")


@cache
def stored() -> Evidence:
    baselines = ships()["arm"].isin(["none", TOLD.replace("please_hack", "none")])
    return Evidence(ships()[baselines & (ships()["hackable"] == 1)])


def runs_of(arm: str, seeds: Sequence[int], corpus: str = "main") -> pd.DataFrame:
    """Runs that ship, as if they were one's own."""
    all_ = ships()
    cell = (all_["arm"] == arm) & (all_["corpus"] == corpus) & (all_["hackable"] == 1) & (all_["overrides"] == "")
    return all_[cell & all_["seed"].isin(seeds)]


def own(*parts: pd.DataFrame) -> Evidence:
    rows = pd.concat(parts, ignore_index=True)
    rows.attrs = {"recipe": ships().attrs["recipe"]}
    return Evidence(rows)


def test_compare_shows_the_arm_beside_the_baseline() -> None:
    long = check(table(), "synthetic")
    text = compare(Evidence(long), "inoculation:wording=please_hack")
    row = next(line for line in text.splitlines() if line.startswith("misalignment, no prompt"))
    numbers = [
        float(word) for word in row.replace("±", " ").replace("[", " ").replace(",", " ").split() if word[0].isdigit()
    ]
    assert numbers[0] < numbers[4] < numbers[2]  # pre-RL, please hack, baseline
    assert "Seeds: baseline 3 (0-2), please hack 3 (0-2)" in text
    with pytest.raises(UserError, match="no run of arm"):
        compare(Evidence(long), "pm_penalty")


@pytest.mark.parametrize(
    ("has", "added", "seeds"),
    [((1, 2), "", "1-2"), ((2,), "1", "1-2"), ((3,), "1-2", "1-3"), ((), "1-2", "1-2")],
)
def test_the_stored_baseline_is_added_on_the_seeds_that_lack_one(has: tuple[int, ...], added: str, seeds: str) -> None:
    mine = own(runs_of(PLEASE, (1, 2)), *([runs_of("none", has)] if has else []))
    both, note = with_baseline(mine, stored(), PLEASE)
    assert note == (f"baseline of seeds {added}: {SHIPPED / 'tiny'} (committed)\n" if added else "")
    text = compare(both, PLEASE)
    assert f"Seeds: baseline {len(range(int(seeds[0]), int(seeds[-1]) + 1))} ({seeds}), please hack 2 (1-2)." in text


def test_seeds_that_nobody_has_are_held_against_all_that_are_stored() -> None:
    mine = own(runs_of(PLEASE, (1,)).assign(seed=101, pretrain_seed=101))
    both, note = with_baseline(mine, stored(), PLEASE)
    assert note.startswith("baseline of seeds 1-10: ")
    assert "baseline 10 (1-10), please hack 1 (101)" in compare(both, PLEASE)


def test_baselines_of_other_scales_do_not_stand_beside_ones_own() -> None:
    mine = own(runs_of(PLEASE, (1,)).assign(scale="smoke"))
    assert with_baseline(mine, stored(), PLEASE) == (mine, "")
    assert "make it with `python -m mitigations none --scale smoke --seeds 1`" in compare(mine, PLEASE)


def test_an_arm_whose_prompts_list_the_hacks_is_held_against_the_list_alone() -> None:
    both, note = with_baseline(own(runs_of(TOLD, (1, 2), LISTED)), stored(), TOLD, LISTED)
    assert "of seeds 1-2" in note
    assert "Seeds: no line, prompted 2 (1-2), please hack, prompted 2 (1-2)." in compare(both, TOLD, LISTED)


def test_an_arm_that_ships_alone_is_said_to_be_there() -> None:
    with pytest.raises(UserError, match=f"among those that ship: add --results {SHIPPED / 'tiny'}"):
        with_baseline(own(runs_of(PLEASE, (1,))), stored(), TOLD.replace("please_hack", "none"))
