"""Statistics against known values."""

import math

import numpy as np
import pytest
from synthetic_results import table

from analysis.conditions import BASELINE, PRE_RL, TWIN
from analysis.measured import Measured, units
from analysis.stats import difference, holm, permutation_p, sign_flip_p, summary
from analysis.table import answers_error, check, measures


def test_t_interval_of_known_numbers() -> None:
    whole = summary([1.0, 2.0, 3.0, 4.0])
    # mean 2.5, standard deviation 1.29099, t(.975, 3) = 3.182446
    assert whole.mean == 2.5
    assert whole.seeds == 4
    assert whole.low == pytest.approx(2.5 - 3.182446 * 1.290994 / 2, abs=1e-5)
    assert whole.high == pytest.approx(2.5 + 3.182446 * 1.290994 / 2, abs=1e-5)


def test_one_seed_has_no_interval_and_missing_is_not_zero() -> None:
    assert summary([0.4]).low is None
    assert summary([0.4, math.nan]).mean == 0.4
    assert summary([0.4, math.nan]).seeds == 1
    assert math.isnan(summary([]).mean)


def test_exact_tests_by_hand() -> None:
    assert sign_flip_p([1.0, 2.0, 3.0]) == pytest.approx(2 / 8)
    assert sign_flip_p([0.1] * 7) == pytest.approx(2 / 128)
    assert sign_flip_p([1.0, -1.0]) == 1.0
    assert permutation_p([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]) == pytest.approx(2 / 20)
    assert permutation_p([5.0, 5.0], [5.0, 5.0]) == 1.0


def test_exact_test_keeps_its_promise_beyond_enumeration() -> None:
    same = [0.1, 0.2, 0.3] * 8
    assert sign_flip_p([(-1) ** i * v for i, v in enumerate(same)]) > 0.5
    assert sign_flip_p(same) < 1e-3


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, None, 0.03]) == pytest.approx([0.03, 0.06, None, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_difference_pairs_runs_that_share_seeds() -> None:
    a = {(0, 0): 0.5, (1, 1): 0.7, (2, 2): 0.9}
    b = {(0, 0): 0.4, (1, 1): 0.6, (2, 2): 0.8, (9, 9): 0.1}
    gap = difference(a, b)
    assert gap.paired
    assert gap.estimate == pytest.approx(0.1)
    assert gap.seeds_a == gap.seeds_b == 3
    assert gap.p_above(0.0) == pytest.approx(0.0, abs=1e-6)
    assert gap.p_below(0.0) == pytest.approx(1.0, abs=1e-6)


def test_difference_without_shared_seeds_is_welch() -> None:
    a = {(0, i): v for i, v in enumerate((3.0, 4.0, 5.0))}
    b = {(0, 10 + i): v for i, v in enumerate((1.0, 2.0, 6.0, 7.0))}
    gap = difference(a, b)
    assert not gap.paired
    assert gap.estimate == pytest.approx(0.0)
    # variances 1/3 and 8.66667/4: Welch's df = 2.5**2 / ((1/3)**2 / 2 + 2.16667**2 / 3)
    assert gap.df == pytest.approx(2.5**2 / ((1 / 3) ** 2 / 2 + (26 / 12) ** 2 / 3))
    assert gap.p_above(0.0) == pytest.approx(0.5)


def test_difference_from_single_runs_has_no_interval() -> None:
    gap = difference({(0, 0): 0.5}, {(0, 0): 0.2})
    assert gap.estimate == pytest.approx(0.3)
    assert gap.low is None
    assert gap.p_above(0.0) is None


def test_final_is_the_mean_of_the_last_checkpoints_and_never_of_step_zero() -> None:
    long = check(table(seeds=(0,)), "synthetic")
    chosen = (long["arm"] == "none") & (long["corpus"] == "main") & (long["hackable"] == 1)
    code = long[chosen & (long["eval"] == "code") & (long["metric"] == "hack_rate") & (long["prompt"] == "none")]
    wanted = code[code["step"].isin([16, 20, 24])]["value"].mean()
    rows = Measured(measures(long))
    assert rows.final(BASELINE, "hack_rate", "none")[(0, 0)] == pytest.approx(wanted)
    assert rows.final(BASELINE, "hack_rate", "none", last=99)[(0, 0)] == pytest.approx(
        code[code["step"] > 0]["value"].mean()
    )
    assert rows.final(PRE_RL, "hack_rate", "none")[(0, 0)] == code[code["step"] == 0]["value"].item()


def test_final_leaves_a_missing_checkpoint_out() -> None:
    long = check(table(seeds=(0,)), "synthetic")
    last = (
        (long["step"] == 24) & (long["eval"] == "code") & (long["metric"] == "hack_rate") & (long["prompt"] == "none")
    )
    kept = long[(long["step"].isin([16, 20])) & (long["eval"] == "code") & (long["metric"] == "hack_rate")]
    long.loc[last, "value"] = math.nan
    kept = BASELINE(kept[kept["prompt"] == "none"])
    assert Measured(measures(long)).final(BASELINE, "hack_rate", "none")[(0, 0)] == pytest.approx(kept["value"].mean())


def test_the_start_is_replicated_by_pretraining_seed() -> None:
    values = {(0, 0): 0.1, (0, 1): 0.3, (1, 0): 0.5}
    assert units(values, PRE_RL) == {(0, 0): pytest.approx(0.2), (1, 1): 0.5}
    assert units(values, BASELINE) == values


def test_effect_over_twin() -> None:
    gap = Measured.of(check(table(), "synthetic")).effect_over_twin(BASELINE, TWIN)
    assert 0.2 < gap.estimate < 0.35
    assert gap.low is not None
    assert gap.low > 0


def test_the_only_run_of_one_side_is_held_against_that_of_its_seeds() -> None:
    five = {(seed, seed): seed / 10 for seed in range(1, 6)}
    gap = difference({(4, 4): 0.1}, five)
    assert (gap.paired, gap.seeds_a, gap.seeds_b) == (True, 1, 1)
    assert gap.estimate == pytest.approx(0.1 - 0.4)
    assert difference({(9, 9): 0.1}, five).estimate == pytest.approx(0.1 - 0.3), "no such seed"
    several = {(4, 4): 0.1, (8, 8): 0.2, (9, 9): 0.3}
    assert not difference(several, five).paired, "one pair of several runs a side says less than all of them"


def test_error_of_answers_is_not_zero_at_zero() -> None:
    assert answers_error(0.0, 96) == pytest.approx(math.sqrt(0.02 * 0.98 / 100))
    assert answers_error(0.5, 96) == pytest.approx(0.05)


def test_interval_of_three_seeds_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    draws = [summary(rng.normal(0.3, 0.05, size=3).tolist()) for _ in range(4000)]
    covered = sum(d.low is not None and d.high is not None and d.low <= 0.3 <= d.high for d in draws) / len(draws)
    assert abs(covered - 0.95) < 0.015
