"""Figures, arms and prompts go by names that people use, and by one spelling in records."""

from __future__ import annotations

import pytest
from synthetic_results import ARMS, table

from analysis import figure
from analysis.conditions import PRE_RL, TWIN, found, of
from analysis.figures import FIGURES, named
from analysis.table import check
from base.errors import UserError
from mitigations.api import describe


def test_every_arm_has_a_readable_name_and_every_prompt_at_test_time() -> None:
    more = (
        ("inoculation:wording=none,setting=prompted", "main:sdf_variant=prompted", 1.0, 0.9, 0.2),
        ("inoculation:wording=dont_hack,update=hacking_okay", "main", 1.0, 0.8, 0.2),
        ("inoculation:wording=please_hack", "twin", 1.0, 0.9, 0.1),
    )
    csv = figure("fig28", check(table(seeds=(0,), arms=(*ARMS, *more)), "synthetic")).table
    labels = set(csv["label"])
    assert {"no line, prompted", "online, don't hack → hacking okay", "hacking okay"} <= labels
    assert not any("twin" in label and "please" in label for label in labels)
    means = csv[csv["kind"] == "mean"]
    for label, mine in means.groupby("label"):
        assert set(mine["prompt"]) == {"training", "none", "dont_hack"}, label
        assert len(mine) == 6, label
    drop = means[(means["measure"] == "hack_rate") & (means["label"] == "hacking okay")].set_index("prompt")["y"]
    assert drop["dont_hack"] == pytest.approx(0.75 * drop["training"], abs=0.12)  # as the table was made


def test_found_lists_every_cell_once() -> None:
    arms = [*ARMS, ("none", "twin", 0.0, 0.1, 0.1), ("none", "main", 0.5, 0.1, 0.1)]
    keys = [condition.key for condition in found(check(table(seeds=(0,), arms=arms), "synthetic"))]
    assert len(keys) == len(set(keys)) == len(arms) + 1  # and pre-RL
    assert PRE_RL.key in keys


@pytest.mark.parametrize(
    ("word", "name"),
    [("fig5", "fig05"), ("fig 05", "fig05"), ("5", "fig05"), ("18", "fig17"), ("Fig.17", "fig17"), ("law", "law")],
)
def test_figures_go_by_the_papers_numbers(word: str, name: str) -> None:
    assert named(word) == name


@pytest.mark.parametrize(
    ("word", "said"),
    [("fig2", "Fig 2 of the paper"), ("a1", "analysis claims"), ("rout", "did you mean 'route'")],
)
def test_names_of_nothing_say_where_to_look(word: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        named(word)


def test_names_of_unlisted_conditions() -> None:
    assert of("inoculation:wording=please_hack", "twin").label == "please hack, twin"
    assert of("none", "twin", 0.0).label == "baseline, twin, 0% hackable"
    assert of("untrained", "twin").label == "pretrained only, twin"
    assert of("none", "twin") is TWIN


def test_no_figure_asks_for_a_run_under_another_spelling_than_that_of_its_record() -> None:
    for each in FIGURES.values():
        for asked in (c for c in each.needs if not c.start):
            run, _ = describe(asked.arm, corpus=asked.corpus, hackable=asked.hackable)
            assert (str(run.arm), str(run.corpus)) == (asked.arm, asked.corpus), each.name
