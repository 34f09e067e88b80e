"""Correlations over arms: against scipy, against closed forms, and where they degenerate."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from analysis.effects import Correlation
from analysis.stats import difference, least_permutation_p, least_sign_flip_p, permutation_p, sign_flip_p


def test_a_correlation_over_few_arms_is_tested_over_all_orders() -> None:
    x = (0.1, 0.2, 0.3, 0.7, 0.9)
    perfect = Correlation(x, (1.0, 2.0, 3.0, 4.0, 5.0), +1, 5)
    assert perfect.estimate == pytest.approx(1.0)
    assert perfect.p_above(0.0) == pytest.approx(1 / 120)
    assert perfect.p_below(0.0) == 1.0
    assert perfect.p_exact == perfect.p_least == pytest.approx(2 / 120)
    mixed = (2.0, 1.0, 4.0, 3.0, 5.0)
    rho = stats.spearmanr(x, mixed).statistic
    orders = [stats.spearmanr(x, order).statistic for order in itertools.permutations(mixed)]
    found = Correlation(x, mixed, +1, 5)
    assert found.estimate == pytest.approx(rho)
    assert found.p_above(0.0) == pytest.approx(np.mean(np.array(orders) >= rho - 1e-9))
    assert found.p_exact == pytest.approx(np.mean(np.abs(orders) >= rho - 1e-9))
    against = Correlation(x, mixed, -1, 5)
    assert against.estimate == pytest.approx(-rho)
    assert against.p_below(0.0) == pytest.approx(found.p_above(0.0))
    assert against.p_above(0.0) == pytest.approx(found.p_below(0.0))


def test_a_correlation_with_ties_is_spearmans() -> None:
    x, y = (0.1, 0.1, 0.3, 0.7, 0.9, 0.9), (0.0, 0.2, 0.2, 0.5, 0.4, 0.8)
    found = Correlation(x, y, +1, 3)
    assert found.estimate == pytest.approx(stats.spearmanr(x, y).statistic)
    orders = [stats.spearmanr(x, order).statistic for order in itertools.permutations(y)]
    assert found.p_above(0.0) == pytest.approx(np.mean(np.array(orders) >= found.estimate - 1e-9))


def test_a_correlation_against_a_margin_goes_by_fishers_z() -> None:
    x = tuple(range(12))
    y = (1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10)
    found = Correlation(tuple(map(float, x)), tuple(map(float, y)), +1, 5)
    z, error = math.atanh(found.estimate), math.sqrt(1.06 / 9)
    assert found.low == pytest.approx(math.tanh(z - 1.959964 * error), abs=1e-6)
    assert found.high is not None
    assert found.low is not None
    assert found.low < found.estimate < found.high < 1
    assert found.p_below(0.8) == pytest.approx(stats.norm.cdf((z - math.atanh(0.8)) / error))
    assert found.p_above(0.8) == pytest.approx(1 - (found.p_below(0.8) or 0))
    assert found.seeds_needed(0.8, 0.05) is None, "further seeds do not add arms"
    # power .8 at a one-sided level of .05: 1.645 + .842 standard errors
    assert found.resolves(0.05) == pytest.approx(math.tanh(2.4865 * error), abs=1e-3)


def test_a_perfect_order_of_arms_is_no_certainty() -> None:
    found = Correlation((1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0), (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0), +1, 3)
    assert found.low is not None
    assert 0.8 < found.low < 1
    assert 0.5 < (found.p_below(0.8) or 0) < 1


@pytest.mark.parametrize(
    ("x", "y"),
    [((), ()), ((0.1, 0.2, 0.3, 0.4), (1.0, 2.0, 3.0, 4.0)), ((0.5,) * 6, (1.0, 2.0, 3.0, 4.0, 5.0, 6.0))],
    ids=["no arms", "too few arms", "all alike"],
)
def test_a_correlation_without_an_order_is_missing(x: tuple[float, ...], y: tuple[float, ...]) -> None:
    found = Correlation(x, y, +1, 5)
    assert math.isnan(found.estimate)
    assert (found.low, found.high, found.p_above(0.0), found.p_below(0.5), found.p_exact, found.p_least) == (None,) * 6
    assert found.resolves(0.05) is None


def test_the_least_exact_p_is_what_the_clearest_runs_give() -> None:
    for n in (2, 3, 5):
        assert least_sign_flip_p(n) == pytest.approx(sign_flip_p([1.0 + i for i in range(n)]))
    for a, b in ((3, 3), (2, 4), (5, 3)):
        clear = permutation_p([10.0 + i for i in range(a)], [float(i * i) / 100 for i in range(b)])
        assert least_permutation_p(a, b) == pytest.approx(clear)
    pairs = difference({(i, i): 1.0 + i for i in range(4)}, {(i, i): 0.0 for i in range(4)})
    assert pairs.p_exact == pairs.p_least == pytest.approx(2 / 16)
    assert difference({(0, 0): 1.0}, {(0, 0): 0.0}).p_least is None
