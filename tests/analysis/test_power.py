"""How many seeds a claim needs: against known numbers and against made-up runs."""

import math

import numpy as np
import pytest
from scipy import stats

from analysis.power import MOST_SEEDS, POWER, power, resolvable, seeds_needed
from analysis.stats import difference


def test_known_sample_sizes() -> None:
    # Cohen (1988), one-sided .05, power .8: half a standard deviation, paired; .8 of one, two groups of equal spread
    assert seeds_needed(0.5, 1.0, 1, 0.05) == 27
    assert seeds_needed(0.8, math.sqrt(2), 2, 0.05) == 21


def test_power_is_how_often_the_test_finds_it() -> None:
    rng = np.random.default_rng(0)
    gaps = rng.normal(1.0, 0.8, size=(20_000, 5))
    found = np.mean(stats.ttest_1samp(gaps, 0.0, axis=1, alternative="greater").pvalue < 0.01)
    assert power(1.0 * math.sqrt(5) / 0.8, 4, 0.01) == pytest.approx(found, abs=0.01)


def test_no_effect_is_found_as_often_as_the_level_says() -> None:
    for df in (1.3, 2, 8, math.inf):
        assert power(0.0, df, 0.05) == pytest.approx(0.05)


def test_what_is_resolved_is_what_would_need_these_seeds() -> None:
    for seeds in (3, 5, 10):
        gap = resolvable(0.1 / math.sqrt(seeds), seeds - 1, 0.002)
        assert power(gap * math.sqrt(seeds) / 0.1, seeds - 1, 0.002) == pytest.approx(POWER)
        assert seeds_needed(gap * 1.001, 0.1, 1, 0.002) == seeds
        assert seeds_needed(gap * 0.999, 0.1, 1, 0.002) == seeds + 1


def test_runs_without_spread_need_no_more_and_no_effect_cannot_be_found() -> None:
    assert seeds_needed(0.1, 0.0, 1, 0.05) == 2
    assert resolvable(0.0, 2, 0.05) == 0.0
    assert seeds_needed(0.1, 1e-9, 1, 0.05) == 2
    assert seeds_needed(0.0, 0.1, 1, 0.05) is None
    assert seeds_needed(-0.1, 0.1, 1, 0.05) is None
    assert seeds_needed(1e-4, 1.0, 1, 0.05) is None, f"more than {MOST_SEEDS}"


def test_a_difference_plans_with_its_own_spread() -> None:
    pairs = difference({(i, i): v for i, v in enumerate((0.5, 0.7, 0.6))}, {(i, i): 0.1 for i in range(3)})
    assert pairs.seeds_needed(0.1, 0.05) == seeds_needed(0.1, 0.1, 1, 0.05)
    assert pairs.resolves(0.05) == pytest.approx(resolvable(0.1 / math.sqrt(3), 2, 0.05))
    apart = difference(
        {(i, i): v for i, v in enumerate((0.5, 0.7, 0.6))}, {(i, i + 9): v for i, v in enumerate((1, 3, 2))}
    )
    assert apart.seeds_needed(1.0, 0.05) == seeds_needed(1.0, math.sqrt(1.01), 1.01**2 / (1 + 0.0001), 0.05)
    assert apart.resolves(0.05) == pytest.approx(resolvable(math.sqrt(1.01 / 3), apart.df or 0, 0.05))
    single = difference({(0, 0): 0.5}, {(0, 0): 0.1})
    assert single.seeds_needed(0.1, 0.05) is None
    assert single.resolves(0.05) is None
