"""Ratios, shares of runs and correlations over arms: against scipy, against closed forms, and where they degenerate."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from analysis.effects import Correlation, Ratio, Shares, shares_p
from analysis.stats import difference, least_permutation_p, least_sign_flip_p, permutation_p, sign_flip_p

A = {(i, i): v for i, v in enumerate((0.05, 0.12, 0.08, 0.02))}
B = {(i, i): v for i, v in enumerate((0.70, 0.82, 0.60, 0.75))}


def test_a_ratio_of_pairs_has_fiellers_interval() -> None:
    found = Ratio(A, B, -1)
    x, y = np.array(list(A.values())), np.array(list(B.values()))
    assert found.estimate == pytest.approx(1 - x.mean() / y.mean())
    (vx, vxy), (_, vy) = np.cov(x, y) / len(x)
    t = stats.t.ppf(0.975, len(x) - 1) ** 2
    roots = np.roots([y.mean() ** 2 - t * vy, -2 * (x.mean() * y.mean() - t * vxy), x.mean() ** 2 - t * vx])
    assert (found.low, found.high) == pytest.approx((1 - max(roots), 1 - min(roots)), abs=1e-6)


def test_a_ratio_is_tested_as_a_difference_from_its_multiple() -> None:
    found = Ratio(A, B, -1)  # a margin of .75: at most a quarter
    x, y = np.array(list(A.values())), np.array(list(B.values()))
    assert found.p_above(0.75) == pytest.approx(stats.ttest_rel(x, 0.25 * y, alternative="less").pvalue)
    assert found.p_below(0.75) == pytest.approx(stats.ttest_rel(x, 0.25 * y, alternative="greater").pvalue)
    other = {(seed, 50 + seed): value for (seed, _), value in B.items()}
    apart = Ratio(A, other, +1)
    assert not apart.paired
    assert apart.p_below(-0.5) == pytest.approx(stats.ttest_ind(x, 0.5 * y, equal_var=False, alternative="less").pvalue)
    assert found.p_exact == sign_flip_p((x - y).tolist())
    assert found.seeds_a == found.seeds_b == 4


def test_a_ratio_to_nothing_is_missing_and_to_almost_nothing_has_no_interval() -> None:
    nothing = Ratio(A, dict.fromkeys(A, 0.0), +1)
    assert math.isnan(nothing.estimate)
    assert (nothing.low, nothing.high, nothing.resolves(0.05), nothing.seeds_needed(0.1, 0.05)) == (None,) * 4
    almost = Ratio(A, dict(zip(A, (0.0, 0.05, 0.0, 0.01), strict=True)), +1)
    assert almost.estimate > 3
    assert almost.high is None


def test_a_ratio_equal_in_every_run_is_a_point() -> None:
    found = Ratio({seed: value / 4 for seed, value in B.items()}, B, -1)
    assert (found.estimate, found.low, found.high) == pytest.approx((0.75, 0.75, 0.75), abs=1e-5)
    assert (found.p_above(0.0) or 1) < 1e-3
    assert found.p_above(0.75) == found.p_below(0.75) == 1.0, "exactly at the bound: nothing speaks against it"
    assert found.seeds_needed(0.1, 0.05) == 2


def test_a_ratio_of_single_runs_or_of_none_decides_nothing() -> None:
    one = Ratio({(0, 0): 0.1}, {(0, 0): 0.4}, -1)
    assert one.estimate == pytest.approx(0.75)
    assert (one.low, one.high, one.p_above(0.0), one.p_exact, one.p_least) == (None,) * 5
    none = Ratio({}, B, -1)
    assert math.isnan(none.estimate)
    assert none.seeds_a == 0


def test_shares_where_all_and_none_hack() -> None:
    found = Shares((5, 0), (5, 5), +1)
    assert found.estimate == 1.0
    assert found.p_above(0.0) == pytest.approx(0.5**10)  # five of one and none of the other, at its likeliest
    assert found.p_above(0.0) == pytest.approx(
        stats.barnard_exact([[5, 0], [0, 5]], alternative="greater").pvalue, abs=1e-6
    )
    assert found.p_exact == found.p_least == pytest.approx(2 * 0.5**10)
    assert found.p_below(0.0) == pytest.approx(1.0)
    assert found.high == 1.0
    assert found.note == "5 of 5 runs against 0 of 5"


def test_shares_that_are_equal_are_not_shown_to_be_equal_by_five_runs() -> None:
    for hits in (0, 5):
        found = Shares((hits, hits), (5, 5), +1)
        assert found.estimate == 0.0
        assert found.p_exact == 1.0
        assert found.p_above(-0.25) is not None
        assert found.p_above(-0.25) > 0.05
        assert found.low == pytest.approx(-stats.norm.ppf(0.975) * math.sqrt(2 * (6 / 7) * (1 / 7) / 7))
        assert found.high == pytest.approx(-found.low)
    assert (Shares((60, 60), (60, 60), +1).p_above(-0.25) or 1) < 1e-3


def test_shares_count_in_the_claimed_direction() -> None:
    up, down = Shares((4, 1), (5, 6), +1), Shares((1, 4), (6, 5), -1)
    assert up.estimate == pytest.approx(down.estimate)
    assert up.p_above(0.1) == pytest.approx(down.p_above(0.1))
    assert up.p_below(0.1) == pytest.approx(down.p_below(0.1))
    assert (up.low, up.high) == pytest.approx((down.low, down.high))
    assert Shares((0, 3), (0, 5), 1).p_above(0.0) is None
    assert math.isnan(Shares((0, 3), (0, 5), 1).estimate)


@pytest.mark.parametrize("runs", [(3, 3), (5, 5), (4, 7)])
@pytest.mark.parametrize("bound", [-0.5, 0.0, 0.25])
def test_the_exact_test_of_shares_keeps_its_level(runs: tuple[int, int], bound: float) -> None:
    tables = list(itertools.product(range(runs[0] + 1), range(runs[1] + 1)))
    p = {hits: shares_p(hits, runs, bound) for hits in tables}
    for second in np.linspace(0, 1, 41):
        for first in {
            min(second + bound, 1.0),
            min(second + bound, 1.0) / 2,
        }:  # at the bound, and deeper in what is tested
            if first < 0:
                continue
            chance = {
                (x, y): stats.binom.pmf(x, runs[0], first) * stats.binom.pmf(y, runs[1], second) for x, y in tables
            }
            for level in (0.01, 0.05, 0.2):
                assert sum(chance[hits] for hits in tables if p[hits] <= level) <= level + 1e-3


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
