"""What a claim may be about beside a difference of means (analysis.stats): a ratio of means, two shares of runs, a rank
correlation over arms. All are counted in the claimed direction, so that a positive effect speaks for the claim.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy import optimize, stats

from analysis import power
from analysis.stats import LEVEL, Difference, Seed, Side, difference, least_of_orders, orders_p, t_p

FEWEST_ARMS = 5  # a rank correlation over fewer says nothing
_SHARES = np.linspace(0, 1, 401)  # the unknown share of the exact test of two shares runs over these


class Effect(Protocol):
    """An estimate with its 95% interval (None from too few runs), one-sided tests, and what would be needed to say more.

    `p_exact`: two-sided exact p value against no effect; `p_least`: the smallest it can be with so many runs.
    """

    @property
    def estimate(self) -> float: ...
    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...
    @property
    def seeds_a(self) -> int: ...
    @property
    def seeds_b(self) -> int: ...
    @property
    def paired(self) -> bool: ...
    @property
    def note(self) -> str: ...
    @property
    def p_exact(self) -> float | None: ...
    @property
    def p_least(self) -> float | None: ...

    def p_above(self, bound: float) -> float | None:
        """Against `effect <= bound`."""

    def p_below(self, bound: float) -> float | None:
        """Against `effect >= bound`."""

    def seeds_needed(self, gap: float, level: float) -> int | None:
        """Seeds a side with which `gap` above a bound is found at `level` with analysis.power.POWER; None: not known."""

    def resolves(self, level: float) -> float | None:
        """The smallest gap above a bound that is found so with these runs; None: not known."""


class TwoEnds(ABC):
    """What the effects below share: one rule for both ends of the interval; runs are not paired, if they do not say so."""

    @property
    def low(self) -> float | None:
        return self._end(-1)

    @property
    def high(self) -> float | None:
        return self._end(+1)

    @property
    def paired(self) -> bool:
        return False

    @abstractmethod
    def _end(self, way: int) -> float | None:
        """The lower (-1) or the upper (+1) end of the interval."""


@dataclass(frozen=True)
class Ratio(TwoEnds):
    """`sign` times (mean of a / mean of b - 1), with Fieller's interval; tested as a - (1 + sign bound) b, run by run.

    No interval where b may be zero; no estimate where its mean is.
    """

    a: Mapping[Seed, float]
    b: Mapping[Seed, float]
    sign: int
    note: str = ""

    @property
    def estimate(self) -> float:
        a, b = self._means
        return self.sign * (a / b - 1) if b > 0 else math.nan

    @property
    def seeds_a(self) -> int:
        return self._plain.seeds_a

    @property
    def seeds_b(self) -> int:
        return self._plain.seeds_b

    @property
    def paired(self) -> bool:
        return self._plain.paired

    @property
    def p_exact(self) -> float | None:
        return self._plain.p_exact

    @property
    def p_least(self) -> float | None:
        return self._plain.p_least

    def p_above(self, bound: float) -> float | None:
        return None if self._plain.df is None else self._p(bound, "greater")

    def p_below(self, bound: float) -> float | None:
        return None if self._plain.df is None else self._p(bound, "less")

    def seeds_needed(self, gap: float, level: float) -> int | None:
        _, b = self._means
        return self._at_estimate.seeds_needed(gap * b, level) if b > 0 else None

    def resolves(self, level: float) -> float | None:
        _, b = self._means
        gap = self._at_estimate.resolves(level)
        return gap / b if gap is not None and b > 0 else None

    @cached_property
    def _plain(self) -> Difference:
        return difference(self.a, self.b)

    @cached_property
    def _at_estimate(self) -> Difference:
        """a minus the estimated ratio of b: its spread, over the mean of b, is that of the ratio (delta method)."""
        a, b = self._means
        scaled = {seed: value * a / b for seed, value in self.b.items()} if b > 0 else self.b
        return difference(self.a, scaled)

    @property
    def _means(self) -> tuple[float, float]:
        x, y = self._plain.a, self._plain.b
        return (float(np.mean(x)), float(np.mean(y))) if x and y else (math.nan, math.nan)

    def _p(self, bound: float, side: Side) -> float:
        x, y = np.asarray(self._plain.a), np.asarray(self._plain.b)
        return t_p((self.sign * x).tolist(), (self.sign * (1 + self.sign * bound) * y).tolist(), self.paired, 0.0, side)

    def _end(self, way: int) -> float | None:
        """Where the one-sided test away from the estimate just fails; None if it never does."""
        if self._plain.df is None or math.isnan(self.estimate):
            return None
        level = (1 - LEVEL) / 2
        side: Side = "less" if way > 0 else "greater"
        step, far = 1e-6, self.estimate
        while self._p(far, side) > level:
            far, step = self.estimate + way * step, 2 * step
            if step > 1e6:
                return None
        if far == self.estimate:
            return far
        return float(optimize.brentq(lambda bound: self._p(bound, side) - level, self.estimate, far))


@dataclass(frozen=True)
class Shares(TwoEnds):
    """`sign` times (share of runs of one side - of the other): `hits` of `runs`, (a, b).

    Exact tests without fixed margins (Barnard 1947): the largest chance, over all pairs of true shares at the bound, of a
    table at least as far from it; tables are ordered by, and the interval is that of, Agresti and Caffo (2000).
    """

    hits: tuple[int, int]
    runs: tuple[int, int]
    sign: int

    @property
    def estimate(self) -> float:
        (x, y), (m, n) = self.hits, self.runs
        return self.sign * (x / m - y / n) if m and n else math.nan

    @property
    def seeds_a(self) -> int:
        return self.runs[0]

    @property
    def seeds_b(self) -> int:
        return self.runs[1]

    @property
    def note(self) -> str:
        return f"{self.hits[0]} of {self.runs[0]} runs against {self.hits[1]} of {self.runs[1]}"

    @property
    def p_exact(self) -> float | None:
        one, other = self.p_above(0.0), self.p_below(0.0)
        return None if one is None or other is None else min(1.0, 2 * min(one, other))

    @property
    def p_least(self) -> float | None:
        return Shares((self.runs[0], 0), self.runs, 1).p_exact

    def p_above(self, bound: float) -> float | None:
        hits, runs = (self.hits, self.runs) if self.sign > 0 else (self.hits[::-1], self.runs[::-1])
        return shares_p(hits, runs, bound) if min(runs) else None

    def p_below(self, bound: float) -> float | None:
        return Shares(self.hits, self.runs, -self.sign).p_above(-bound)

    def seeds_needed(self, gap: float, level: float) -> int | None:
        return power.seeds_needed(gap, math.sqrt(sum(self._variances)), math.inf, level) if min(self.runs) else None

    def resolves(self, level: float) -> float | None:
        return power.resolvable(self._error, math.inf, level) if min(self.runs) else None

    @property
    def _variances(self) -> list[float]:
        """Of one run, two hits and two misses added over both sides: never 0."""
        shares = [(hits + 1) / (runs + 2) for hits, runs in zip(self.hits, self.runs, strict=True)]
        return [share * (1 - share) for share in shares]

    @property
    def _error(self) -> float:
        return math.sqrt(sum(v / (n + 2) for v, n in zip(self._variances, self.runs, strict=True)))

    def _end(self, way: int) -> float | None:
        if not min(self.runs):
            return None
        x, y = ((hits + 1) / (runs + 2) for hits, runs in zip(self.hits, self.runs, strict=True))
        return max(-1.0, min(1.0, self.sign * (x - y) + way * float(stats.norm.isf((1 - LEVEL) / 2)) * self._error))


def shares_p(hits: Sequence[int], runs: Sequence[int], bound: float) -> float:
    """Exact p value against `first share - second share <= bound`, as in Shares."""
    m, n = runs
    x, y = np.arange(m + 1)[:, None], np.arange(n + 1)[None, :]
    p, q = (x + 1) / (m + 2), (y + 1) / (n + 2)
    z = (p - q - bound) / np.sqrt(p * (1 - p) / (m + 2) + q * (1 - q) / (n + 2))
    as_far = z >= z[hits[0], hits[1]] - 1e-9
    second = _SHARES[(_SHARES + bound >= 0) & (_SHARES + bound <= 1)]
    first = np.clip(second + bound, 0, 1)
    chances_a = stats.binom.pmf(x, m, first[None, :])
    chances_b = stats.binom.pmf(y.T, n, second[None, :])
    return float(min(1.0, np.max(np.einsum("xg,xy,yg->g", chances_a, as_far, chances_b), initial=0.0)))


@dataclass(frozen=True)
class Correlation(TwoEnds):
    """`sign` times Spearman's rank correlation of x and y, one number each an arm; `seeds`: of the arm that has fewest.

    Against 0 the exact permutation test decides, against other bounds Fisher's z (variance 1.06 / (arms - 3), Fieller et
    al. 1957), which also gives the interval. A perfect order counts there as if half of two neighbours were swapped.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    sign: int
    seeds: int
    note: str = ""

    @cached_property
    def estimate(self) -> float:
        if len(self.x) < FEWEST_ARMS or min(len(set(self.x)), len(set(self.y))) < 2:
            return math.nan
        return self.sign * float(stats.spearmanr(self.x, self.y).statistic)

    @property
    def seeds_a(self) -> int:
        return self.seeds

    @property
    def seeds_b(self) -> int:
        return self.seeds

    @property
    def p_exact(self) -> float | None:
        return None if math.isnan(self.estimate) else orders_p(self.x, self.y, "two-sided")

    @property
    def p_least(self) -> float | None:
        return None if math.isnan(self.estimate) else least_of_orders(len(self.x))

    def p_above(self, bound: float) -> float | None:
        if math.isnan(self.estimate):
            return None
        if bound == 0:
            return orders_p(self.x, tuple(self.sign * value for value in self.y), "greater")
        return float(stats.norm.sf((self._z(self.estimate) - self._z(bound)) / self._error))

    def p_below(self, bound: float) -> float | None:
        return Correlation(self.x, self.y, -self.sign, self.seeds).p_above(-bound)

    def seeds_needed(self, gap: float, level: float) -> int | None:
        """None: further seeds do not add arms."""
        return None

    def resolves(self, level: float) -> float | None:
        if math.isnan(self.estimate):
            return None
        return math.tanh(power.resolvable(self._error, math.inf, level))

    @property
    def _error(self) -> float:
        return math.sqrt(1.06 / (len(self.x) - 3))

    def _z(self, rho: float) -> float:
        most = 1 - 6 / (len(self.x) ** 3 - len(self.x))
        return math.atanh(max(-most, min(most, rho)))

    def _end(self, way: int) -> float | None:
        if math.isnan(self.estimate):
            return None
        return math.tanh(self._z(self.estimate) + way * float(stats.norm.isf((1 - LEVEL) / 2)) * self._error)
