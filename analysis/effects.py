"""What a claim is about: an effect, counted in the claimed direction, so that a positive one speaks for the claim. Beside a
difference of means (analysis.stats) it is a rank correlation over arms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from scipy import stats

from analysis import power
from analysis.stats import LEVEL, least_of_orders, orders_p

FEWEST_ARMS = 5  # a rank correlation over fewer says nothing


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


@dataclass(frozen=True)
class Correlation:
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
    def low(self) -> float | None:
        return self._end(-1)

    @property
    def high(self) -> float | None:
        return self._end(+1)

    @property
    def paired(self) -> bool:
        return False

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
