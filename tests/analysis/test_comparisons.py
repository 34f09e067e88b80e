"""How a claim gets its effect: on small tables of measures whose answers are known by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd
import pytest

from analysis.comparisons import (
    ENDS,
    AtEqualRate,
    Comparison,
    GivenHacking,
    OverArms,
    crossing,
)
from analysis.conditions import BASELINE, DONT_HACK, HACKING_OKAY, NO_HACK, PLEASE_HACK, PRE_RL, TWIN, Condition, of, on
from analysis.measured import Measured
from analysis.stats import Seed
from analysis.table import CELL

Curve = Sequence[tuple[float, float]]  # hack rate and misalignment at steps 0, 10, 20, ...
OKAY = Comparison(HACKING_OKAY, BASELINE, "mgs", "none", -1)


def runs(curves: Mapping[Condition, Sequence[Curve]]) -> Measured:
    return Measured(measured(curves))


def measured(runs: Mapping[Condition, Sequence[Curve]], first: int = 1) -> pd.DataFrame:
    """The measures of runs with seeds from `first` on."""
    made = []
    for condition, curves in runs.items():
        for seed, curve in enumerate(curves, first):
            run = dict(zip(CELL, condition.cell, strict=True))
            run |= {"run": f"{condition.key}-s{seed}", "pretrain_seed": seed, "seed": seed, "se": 0.01}
            for place, (rate, bad) in enumerate(curve):
                made += [
                    {**run, "step": 10 * place, "measure": name, "prompt": prompt, "value": value}
                    for name, prompt, value in (("hack_rate", "training", rate), ("mgs", "none", bad))
                ]
    return pd.DataFrame(made)


def flat(rate: float, bad: float) -> Curve:
    return [(0.0, 0.0), (rate, bad), (rate, bad)]


def test_crossing_is_read_on_the_line_at_the_first_time() -> None:
    curve = [(0.0, 0.1), (0.4, 0.2), (0.8, 0.6), (0.3, 0.9), (1.0, 1.0)]
    assert crossing(curve, 0.6) == pytest.approx(0.4)
    assert crossing(curve, 0.8) == pytest.approx(0.6)
    assert crossing(curve, 0.9) == pytest.approx(0.9 + 0.1 * 0.6 / 0.7)
    late = [(0.6, 0.3), (0.9, 0.5), (1.0, 0.7)]
    assert all(math.isnan(crossing(late, rate)) for rate in (0.5, 0.6)), "what it begins with is not its own"
    assert crossing(late, 0.9) == pytest.approx(0.5)
    assert math.isnan(crossing([(0.0, 0.0), (1.0, 1.0)], 0.6)), "a start and an end are no curve"
    assert math.isnan(crossing(curve[:2], 0.6))
    assert math.isnan(crossing([], 0.6))
    assert math.isnan(crossing(curve, math.nan))


def test_equal_rate_is_the_highest_that_every_hacking_run_reaches() -> None:
    known = runs(
        {
            BASELINE: [[(0.0, 0.0), (0.4, 0.4), (0.9, 0.8)], *[[(0.0, 0.1), (1.0, 0.9), (1.0, 0.9)]] * 2],
            HACKING_OKAY: [[(0.0, 0.0), (0.8, 0.2), (0.7, 0.1)], *[[(0.0, 0.0), (1.0, 0.1), (1.0, 0.3)]] * 2],
        }
    )
    found = AtEqualRate()(known, OKAY)
    assert found.seeds_a == 3
    # at .8: .4 + .4 * .4 / .5 = .72 and .1 + .8 * .8 = .74 against .2 and .08; the ends would say .8 and .9 against .1 and .3
    assert found.estimate == pytest.approx((0.72 + 2 * 0.74) / 3 - (0.2 + 2 * 0.08) / 3)
    assert found.note == "at a hack rate of 80 %, which 3 of 3 and 3 of 3 runs reach"


def test_at_equal_rate_both_sides_are_read_at_the_checkpoints_that_both_have() -> None:
    fine = [(0.0, 0.0), (0.2, 0.1), (0.4, 0.8), (0.7, 0.8), (0.8, 0.8)]
    rows = measured({BASELINE: [fine] * 3, HACKING_OKAY: [fine] * 3})
    thinned = rows[(rows["arm"] == BASELINE.arm) | rows["step"].isin((0, 30, 40))]
    assert AtEqualRate()(Measured(thinned), OKAY).estimate == pytest.approx(0.0), "the same curves"
    ends = rows[(rows["arm"] == BASELINE.arm) | rows["step"].isin((0, 40))]
    assert math.isnan(AtEqualRate()(Measured(ends), OKAY).estimate)


def test_pairs_that_lose_one_side_each_are_not_compared_as_strangers() -> None:
    learns, never = [(0.0, 0.0), (0.5, 0.4), (0.9, 0.8)], [(0.0, 0.0), (0.1, 0.0), (0.1, 0.0)]
    known = runs({BASELINE: [learns] * 4 + [never] * 4, HACKING_OKAY: [never] * 4 + [learns] * 4})
    assert all(math.isnan(statistic(known, OKAY).estimate) for statistic in (AtEqualRate(), GivenHacking()))


@pytest.mark.parametrize(
    ("options", "compared"), [("start=success", False), ("start=step:8", False), ("start=start", True)]
)
def test_nothing_is_read_along_the_curve_of_a_fork(options: str, compared: bool) -> None:
    mix = of(f"rlhf_mix:share=0.25,{options}")
    known = runs({BASELINE: [flat(0.9, 0.8)] * 3, mix: [flat(0.9, 0.1)] * 3})
    found = AtEqualRate()(known, replace(OKAY, treated=mix))
    assert math.isnan(found.estimate) != compared


def test_a_run_is_not_compared_at_the_rate_it_begins_with() -> None:
    late = [(0.6, 0.5), (0.1, 0.1), (0.0, 0.0)]
    found = AtEqualRate()(runs({BASELINE: [[(0.0, 0.0), (0.7, 0.6), (0.9, 0.8)]] * 3, HACKING_OKAY: [late] * 3}), OKAY)
    assert found.seeds_a == 0, "after it began none reaches half"


def test_runs_that_never_hack_are_left_out_at_equal_rate_and_counted() -> None:
    known = runs(
        {BASELINE: [flat(0.9, 0.8)] * 4, HACKING_OKAY: [flat(0.9, 0.1), flat(0.2, 0.0), *[flat(0.9, 0.1)] * 2]}
    )
    found = AtEqualRate()(known, OKAY)
    assert found.estimate == pytest.approx(0.7)
    assert (found.seeds_a, found.seeds_b) == (3, 3), "pairs alone"
    assert "3 of 4 and 4 of 4" in found.note
    none = AtEqualRate()(runs({BASELINE: [flat(0.9, 0.8)] * 3, HACKING_OKAY: [flat(0.2, 0.0)] * 3}), OKAY)
    assert none.seeds_a == 0
    assert math.isnan(none.estimate)
    assert math.isnan(AtEqualRate()(runs({BASELINE: [flat(0.1, 0.0)] * 3}), OKAY).estimate)


def test_misalignment_given_hacking_leaves_the_other_runs_out() -> None:
    curves = [flat(0.9, 0.8), flat(0.1, 0.0), flat(0.9, 0.6), flat(0.9, 0.7)]
    known = runs({BASELINE: curves, HACKING_OKAY: [flat(0.9, 0.1)] * 4})
    found = GivenHacking()(known, OKAY)
    assert ENDS(known, OKAY).estimate == pytest.approx(2.1 / 4 - 0.1)
    assert found.estimate == pytest.approx(0.7 - 0.1)
    assert found.note == "runs that hack: 4 of 4 against 3 of 4"
    two = runs({BASELINE: curves[:3], HACKING_OKAY: [flat(0.9, 0.1)] * 3})
    assert math.isnan(GivenHacking()(two, OKAY).estimate), "two runs say nothing of those that hack"
    assert GivenHacking()(runs({BASELINE: [flat(0.1, 0)] * 3, HACKING_OKAY: [flat(0.9, 0)] * 3}), OKAY).seeds_b == 0


def test_over_arms_ranks_the_means_of_arms() -> None:
    arms = (BASELINE, PLEASE_HACK, HACKING_OKAY, DONT_HACK, NO_HACK, TWIN)
    before = dict(zip(arms, (0.9, 0.1, 0.2, 0.8, 0.3, 0.05), strict=True))
    after = dict(zip(arms, (0.7, 0.03, 0.02, 0.6, 0.3, 0.01), strict=True))
    rows = measured({arm: [flat(0.9, after[arm] + shift) for shift in (-0.01, 0.0, 0.01)] for arm in arms})

    def known(rows: pd.DataFrame, condition: Condition) -> dict[Seed, float]:
        return dict.fromkeys(rows.final(condition, "mgs", "none"), before[condition])

    law = OverArms(known, arms[2:])
    asked = Comparison(BASELINE, PLEASE_HACK, "mgs", "none", +1)
    found = law(Measured(rows), asked)
    # ranks before 6 2 3 5 4 1, after 6 3 2 5 4 1: two neighbours swapped
    assert found.estimate == pytest.approx(1 - 6 * 2 / (6 * 35))
    assert found.seeds_a == 3
    assert found.note == "6 of 6 arms"
    short = rows[~((rows["arm"] == DONT_HACK.arm) & (rows["seed"] == 3))]
    assert law(Measured(short), asked).note == "5 of 6 arms", "an arm with two seeds does not count"
    assert math.isnan(law(Measured(rows[rows["seed"] < 3]), asked).estimate)
    assert law.on_twin(asked) is None, "the twin is one of the arms"
    there = OverArms(known, arms[2:5]).on_twin(asked)
    assert there is not None
    assert there[0] == OverArms(known, tuple(on(arm, "twin") for arm in arms[2:5]))
    assert there[1].sides == (TWIN, on(PLEASE_HACK, "twin"))


def test_the_twin_of_a_comparison() -> None:
    assert OKAY.on_twin() == Comparison(on(HACKING_OKAY, "twin"), TWIN, "mgs", "none", -1)
    assert Comparison(BASELINE, TWIN, "mgs", "none", 1).on_twin() is None
    start = Comparison(BASELINE, PRE_RL, "mgs", "none", 1).on_twin()
    assert start is not None
    assert start.reference.start
    assert start.reference.corpus == "twin"
    half = of("none", "main:sdf_share=0.1", 0.5)
    assert Comparison(half, BASELINE, "mgs", "none", 1).on_twin() == Comparison(
        of("none", "twin:sdf_share=0.1", 0.5), TWIN, "mgs", "none", 1
    )


def test_the_first_seeds_are_those_of_each_condition() -> None:
    rows = pd.concat([measured({BASELINE: [flat(0.9, 0.8)] * 7}), measured({TWIN: [flat(0.9, 0.0)] * 4}, first=3)])
    kept = Measured(rows).first(5).rows
    assert sorted(kept[kept["corpus"] == "main"]["seed"].unique()) == [1, 2, 3, 4, 5]
    assert sorted(kept[kept["corpus"] == "twin"]["seed"].unique()) == [3, 4, 5, 6]
