"""Statistics over training runs: average inside a run, interval and tests across seeds.

Intervals are Student t intervals across runs, from MIN_SEEDS of them on: those of two are wider than any scale that is measured
here, and a bootstrap over a few seeds is far too narrow. Two arms are
compared pair by pair where at least two of their runs share (pretraining seed, RL seed), and by Welch otherwise.
The exact permutation p value is given beside the t test, which decides: with n pairs the exact test (two-sided) cannot
go below 2**(1 - n), so below seven seeds it could never pass a correction for several claims.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import special, stats

from analysis import power

LEVEL = 0.95
DIGITS = 12  # values that differ less are the same number: sums in another order differ in the last digit
MIN_SEEDS = 3  # runs (a side) from which on there is an interval, and a claim can have a verdict
RESAMPLES = 200_000  # beyond so many regroupings a permutation test draws them
Seed = tuple[int, int]  # pretraining seed, RL seed
Side = Literal["two-sided", "greater", "less"]


@dataclass(frozen=True)
class Summary:
    """Mean over `seeds` runs and its interval; no interval (None) from fewer than MIN_SEEDS runs."""

    mean: float
    low: float | None
    high: float | None
    seeds: int


@dataclass(frozen=True)
class Difference:
    """Mean of a minus mean of b, with its t interval and the exact two-sided permutation p value; without them (None) where a
    side has fewer than MIN_SEEDS runs.

    `a`, `b`: one value a run; if `paired`, those of the runs that share their seeds, in the same order.
    """

    a: tuple[float, ...]
    b: tuple[float, ...]
    paired: bool
    estimate: float = math.nan
    low: float | None = None
    high: float | None = None
    df: float | None = None
    p_exact: float | None = None
    note: str = ""  # what a reader of the number must know

    @property
    def seeds_a(self) -> int:
        return len(self.a)

    @property
    def seeds_b(self) -> int:
        return len(self.b)

    def p_above(self, bound: float) -> float | None:
        """One-sided p value against `difference <= bound`."""
        return None if self.df is None else self._p(bound, "greater")

    def p_below(self, bound: float) -> float | None:
        """One-sided p value against `difference >= bound`."""
        return None if self.df is None else self._p(bound, "less")

    @property
    def p_least(self) -> float | None:
        """The smallest `p_exact` that so many runs can reach, whatever their values."""
        if self.df is None:
            return None
        return least_sign_flip_p(self.seeds_a) if self.paired else least_permutation_p(self.seeds_a, self.seeds_b)

    def seeds_needed(self, gap: float, level: float) -> int | None:
        """Seeds a side with which `gap` above a bound is found at `level` (analysis.power), at the spread of these runs."""
        if self.df is None:
            return None
        return power.seeds_needed(gap, math.sqrt(sum(self._variances)), self._df_per_seed, level)

    def resolves(self, level: float) -> float | None:
        """The smallest gap above a bound that these runs would find at `level` (analysis.power), at their own spread."""
        if self.df is None:
            return None
        sides = zip(self._variances, (self.seeds_a, self.seeds_b), strict=False)
        return power.resolvable(math.sqrt(sum(v / n for v, n in sides)), self.df, level)

    @property
    def _variances(self) -> tuple[float, ...]:
        """Of the gaps of pairs, or of both sides."""
        x, y = np.asarray(self.a), np.asarray(self.b)
        parts = (x - y,) if self.paired else (x, y)
        return tuple(float(np.var(np.round(part, DIGITS), ddof=1)) for part in parts)

    @property
    def _df_per_seed(self) -> float:
        """Degrees of freedom for each seed a side after the first (Welch-Satterthwaite at equal numbers)."""
        squares = sum(v * v for v in self._variances)
        return sum(self._variances) ** 2 / squares if squares else float(len(self._variances))

    def _p(self, bound: float, side: Side) -> float:
        return t_p(self.a, self.b, self.paired, bound, side)


def summary(values: Sequence[float], level: float = LEVEL) -> Summary:
    """Mean and t interval of one value per run; missing values (NaN) are left out and not counted."""
    x = [v for v in values if not math.isnan(v)]
    mean = float(np.mean(x)) if x else math.nan
    if len(x) < MIN_SEEDS:
        return Summary(mean, None, None, len(x))
    half = float(special.stdtrit(len(x) - 1, (1 + level) / 2) * np.std(x, ddof=1) / math.sqrt(len(x)))
    return Summary(mean, mean - half, mean + half, len(x))


def difference(a: Mapping[Seed, float], b: Mapping[Seed, float], level: float = LEVEL) -> Difference:
    """Compares one value per run of two arms, keyed by (pretraining seed, RL seed)."""
    x, y, paired = matched(a, b)
    if not x or not y:
        return Difference(x, y, paired)
    estimate = float(np.mean(x) - np.mean(y))
    if min(len(x), len(y)) < MIN_SEEDS:
        return Difference(x, y, paired, estimate)
    test = _t_test(x, y, paired)
    low, high = _interval(test, estimate, level)
    exact = sign_flip_p([p - q for p, q in zip(x, y, strict=True)]) if paired else permutation_p(x, y)
    return Difference(x, y, paired, estimate, low, high, float(test.df), exact)


def matched(a: Mapping[Seed, float], b: Mapping[Seed, float]) -> tuple[tuple[float, ...], tuple[float, ...], bool]:
    """(values of a, of b, whether they are pairs): pairs where two runs or more share their seeds, or the only one of a side
    has its like on the other; missing ones left out.
    """
    left, right = known(a), known(b)
    pairs = sorted(left.keys() & right.keys())
    if pairs and len(pairs) >= min(2, len(left), len(right)):
        return tuple(left[seed] for seed in pairs), tuple(right[seed] for seed in pairs), True
    return tuple(left.values()), tuple(right.values()), False


def known(values: Mapping[Seed, float]) -> dict[Seed, float]:
    """Without missing ones (NaN)."""
    return {seed: value for seed, value in values.items() if not math.isnan(value)}


def t_p(a: Sequence[float], b: Sequence[float], paired: bool, bound: float, side: Side) -> float:
    """p value of a t test of `mean of a - mean of b = bound`; runs that all lie exactly at the bound say nothing: 1."""
    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float) + bound
    if paired:
        x, y = x - y, np.zeros_like(y)
    p = float(_t_test(np.round(x, DIGITS), np.round(y, DIGITS), paired, side).pvalue)
    return 1.0 if math.isnan(p) else p


def sign_flip_p(gaps: Sequence[float]) -> float:
    """Two-sided exact p value of paired differences: the share of sign assignments with as large a mean."""

    def size(x: Any, axis: int) -> Any:
        return np.round(np.abs(np.mean(x, axis=axis)), DIGITS)  # sums in another order differ in the last digit

    return _permutation((gaps,), size, "samples")


def permutation_p(a: Sequence[float], b: Sequence[float]) -> float:
    """Two-sided exact p value of the difference of two means: the share of regroupings with as large a difference."""

    def size(x: Any, y: Any, axis: int) -> Any:
        return np.round(np.abs(np.mean(x, axis=axis) - np.mean(y, axis=axis)), DIGITS)

    return _permutation((a, b), size, "independent")


def orders_p(x: Sequence[float], y: Sequence[float], side: Side) -> float:
    """Exact p value of Spearman's rank correlation: the share of orders of y with one as large (in size, if two-sided)."""
    centred = stats.rankdata(y) - (len(y) + 1) / 2

    def size(order: Any, axis: int) -> Any:
        sums = np.sum(order * centred, axis=axis)
        return np.round({"greater": sums, "less": -sums, "two-sided": np.abs(sums)}[side], DIGITS)

    return _permutation((stats.rankdata(x),), size, "pairings")


def least_of_orders(count: int) -> float:
    """The smallest two-sided value of `orders_p`: the order itself and its mirror."""
    return 2 / math.factorial(count)


def least_sign_flip_p(pairs: int) -> float:
    """The smallest value of `sign_flip_p`: all gaps of one sign, and its mirror."""
    return 2.0 ** (1 - pairs)


def least_permutation_p(a: int, b: int) -> float:
    """The smallest value of `permutation_p` from so many runs a side; at equal numbers the mirror counts as well."""
    return (2 if a == b else 1) / math.comb(a + b, a)


def holm(p: Sequence[float | None]) -> list[float | None]:
    """p values corrected for the number of them (Holm 1979); None stays None and is not counted."""
    order = sorted((value, index) for index, value in enumerate(p) if value is not None)
    corrected: list[float | None] = [None] * len(p)
    running = 0.0
    for rank, (value, index) in enumerate(order):
        running = max(running, min(1.0, (len(order) - rank) * value))
        corrected[index] = running
    return corrected


def _t_test(a: Any, b: Any, paired: bool, side: Side = "two-sided") -> Any:
    """scipy's t test of `mean of a = mean of b`: of the pairs, or Welch's."""
    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all runs equal: the interval is a point, which is right
        if paired:
            return stats.ttest_1samp(x - y, 0.0, alternative=side)
        return stats.ttest_ind(x, y, equal_var=False, alternative=side)


def _interval(test: Any, estimate: float, level: float) -> tuple[float, float]:
    """The interval of a t test; a point where all runs are equal, which scipy answers with NaN."""
    ends = test.confidence_interval(level)
    return (estimate, estimate) if math.isnan(ends.low) else (float(ends.low), float(ends.high))


def _permutation(data: Any, size: Any, kind: str) -> float:
    """Share of regroupings whose statistic is at least the one measured; drawn with a fixed seed beyond RESAMPLES."""
    options: dict[str, Any] = {"permutation_type": kind, "alternative": "greater", "vectorized": True}
    drawn = {"n_resamples": RESAMPLES, "rng": np.random.default_rng(0), "batch": 10_000}
    return float(stats.permutation_test(data, size, **options, **drawn).pvalue)
