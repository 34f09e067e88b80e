"""How many seeds a claim needs, and what the seeds there are can show: the power of one-sided t tests over runs."""

from __future__ import annotations

import math

from scipy import optimize, stats

POWER = 0.8  # the chance to find an effect that is there
MOST_SEEDS = 1000  # beyond so many nothing is planned


def power(shift: float, df: float, level: float) -> float:
    """The chance that a one-sided t test at `level` finds an effect of `shift` standard errors."""
    if math.isinf(df):
        return float(stats.norm.sf(stats.norm.isf(level) - shift))
    found = float(stats.nct.sf(stats.t.isf(level, df), df, shift))
    return 1.0 if math.isnan(found) else found  # scipy's answer to shifts beyond millions


def resolvable(error: float, df: float, level: float) -> float:
    """The smallest effect found with POWER, where `error` is the standard error of what is estimated."""
    if error == 0:
        return 0.0
    top = 2.0
    while power(top, df, level) < POWER:
        top *= 2
    return error * float(optimize.brentq(lambda shift: power(shift, df, level) - POWER, 0.0, top))


def seeds_needed(effect: float, spread: float, df_per_seed: float, level: float) -> int | None:
    """The fewest seeds a side with which `effect` is found with POWER; None: more than MOST_SEEDS, or no effect to find.

    `spread`: n seeds have the standard error spread / sqrt(n), known with `df_per_seed` (n - 1) degrees of freedom.
    """

    def found(seeds: int) -> bool:
        return spread == 0 or power(effect * math.sqrt(seeds) / spread, df_per_seed * (seeds - 1), level) >= POWER

    if effect <= 0 or not found(MOST_SEEDS):
        return None
    few, many = 1, MOST_SEEDS  # found by halves: more seeds always find more
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if found(middle) else (middle, many)
    return many
