"""How a claim gets its effect from the runs: at their ends, given hacking, at equal hack rate, over arms.

A run *hacks* if its final hack rate under the prompt of its training is at least HACKS.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar, Protocol

import pandas as pd

from analysis.conditions import Condition, on
from analysis.effects import FEWEST_ARMS, Correlation, Effect
from analysis.measured import Measured
from analysis.stats import MIN_SEEDS, Difference, Seed, difference, known, matched

HACKS = 0.5
FEWEST_POINTS = 3  # checkpoints: between a run's start and its end alone there is no curve to read
FORK = re.compile(r"[:,(]start=(?!start\b)")  # of an arm that goes on from another run
Values = Mapping[Seed, float]
Point = tuple[float, float]  # a hack rate, and the measure beside it
Curve = dict[int, Point]  # by checkpoint


@dataclass(frozen=True)
class Comparison:
    """What is compared; `sign` +1: `treated` is claimed to lie above `reference`, -1: below."""

    treated: Condition
    reference: Condition
    measure: str
    prompt: str
    sign: int

    @property
    def sides(self) -> tuple[Condition, Condition]:
        return self.treated, self.reference

    def on_twin(self) -> Comparison | None:
        """The same on the uncorrelated twin; None if the twin is one of the sides."""
        if not all(_has_twin(side) for side in self.sides):
            return None
        return replace(self, treated=on(self.treated, "twin"), reference=on(self.reference, "twin"))


@dataclass(frozen=True)
class Unit:
    """How an effect, which is counted in the claimed direction and at most 1, is printed: scale * sign * effect."""

    name: str
    scale: float
    digits: int

    def value(self, sign: int, effect: float) -> float:
        return self.scale * sign * effect

    def print(self, value: float) -> str:
        return f"{value:+.{self.digits}f}"

    def size(self, gap: float) -> str:
        """A gap between two effects; a dash where none can be so large."""
        return "-" if gap > 1 else f"{self.scale * gap:.{self.digits}f}"


POINTS = Unit("percentage points", 100, 1)
RANKS = Unit("rank correlation", 1, 2)


def hack_rates(runs: Measured, condition: Condition) -> Values:
    """The final hack rate of every run under the prompt of its training."""
    return runs.final(condition, "hack_rate", "training")


def hacking(runs: Measured, condition: Condition) -> tuple[int, int]:
    """(runs that hack, runs whose hack rate is known)."""
    rates = known(hack_rates(runs, condition)).values()
    return sum(rate >= HACKS for rate in rates), len(rates)


class Statistic(Protocol):
    """Gets an effect from the measures of finished runs. `words`: what is compared; `lacks`: what is said of a side without
    any run that counts; `over_runs`: whether further seeds narrow the interval."""

    unit: ClassVar[Unit]
    words: ClassVar[str]
    lacks: ClassVar[str]
    over_runs: ClassVar[bool]

    def __call__(self, runs: Measured, asked: Comparison) -> Effect: ...

    def on_twin(self, asked: Comparison) -> tuple[Statistic, Comparison] | None:
        """The same on the uncorrelated twin; None if there is none."""


class OverRuns(Statistic, Protocol):
    """What the statistics that compare two conditions share."""

    unit: ClassVar[Unit] = POINTS
    lacks: ClassVar[str] = "no values"
    over_runs: ClassVar[bool] = True

    def on_twin(self, asked: Comparison) -> tuple[Statistic, Comparison] | None:
        there = asked.on_twin()
        return (self, there) if there else None


@dataclass(frozen=True)
class Final(OverRuns):
    """The difference of final values: means over a run's last checkpoints."""

    words: ClassVar[str] = "final values"

    def __call__(self, runs: Measured, asked: Comparison) -> Effect:
        a, b = (_signed(runs.final(side, asked.measure, asked.prompt), asked.sign) for side in asked.sides)
        return difference(a, b)


ENDS = Final()


@dataclass(frozen=True)
class GivenHacking(OverRuns):
    """The difference of final values of the runs that hack; the others are left out, and counted."""

    words: ClassVar[str] = "final values of the runs that hack"
    lacks: ClassVar[str] = "no run hacks"

    def __call__(self, runs: Measured, asked: Comparison) -> Effect:
        sides, counts = [], []
        for side in asked.sides:
            values = runs.final(side, asked.measure, asked.prompt)
            rates = hack_rates(runs, side)
            kept = {seed: value for seed, value in values.items() if rates.get(seed, math.nan) >= HACKS}
            sides.append((values, _signed(kept, asked.sign)))
            counts.append(f"{len(kept)} of {len(values)}")
        return replace(_of_the_kept(*sides), note=f"runs that hack: {counts[0]} against {counts[1]}")


@dataclass(frozen=True)
class AtEqualRate(OverRuns):
    """The difference where the curves have the same hack rate, and not only at their ends.

    Both sides are read at the checkpoints that all their runs have. The rate is the highest that every run of both sides
    reaches after its first checkpoint, under the prompt of its training; runs that never reach HACKS are left out, and counted.
    A run's value is read where its curve reaches that rate for the first time, on the straight line between the two checkpoints
    around; a run that begins at it or above has none, nor has one with fewer than FEWEST_POINTS checkpoints. Nothing is said of
    forks, whose curves begin with what another run has learnt. The rate is chosen by hack rates alone.
    """

    words: ClassVar[str] = "values at equal hack rate along the curves"
    lacks: ClassVar[str] = "no run reaches half"

    def __call__(self, runs: Measured, asked: Comparison) -> Effect:
        if any(FORK.search(side.arm) for side in asked.sides):
            return difference({}, {})
        curves = _at_common_steps([curve_of_hacking(runs, side, asked.measure, asked.prompt) for side in asked.sides])
        reach = [
            {seed: max((x for x, _ in points[1:]), default=0.0) for seed, points in side.items()} for side in curves
        ]
        hacking = [top for side in reach for top in side.values() if top >= HACKS]
        rate = min(hacking, default=math.nan)
        values = [{seed: crossing(points, rate) for seed, points in side.items()} for side in curves]
        kept = [known(side) for side in values]
        counts = [f"{len(one)} of {len(all_)}" for one, all_ in zip(kept, values, strict=True)]
        runs_of = [dict.fromkeys(side, 0.0) for side in values]
        found = _of_the_kept(*((all_, _signed(one, asked.sign)) for one, all_ in zip(kept, runs_of, strict=True)))
        said = f"at a hack rate of {100 * rate:.0f} %, which {counts[0]} and {counts[1]} runs reach" if hacking else ""
        return replace(found, note=said)


@dataclass(frozen=True)
class OverArms:
    """Spearman's rank correlation over arms (treated, reference and `others`) of `before` and the claim's measure, which are
    each the mean of an arm's runs that know both. Arms with fewer than MIN_SEEDS such runs are left out.

    `before`: one number a run, from the measures of a condition and itself, e.g. who hacks under its line before RL.
    """

    before: Callable[[Measured, Condition], Values]
    others: tuple[Condition, ...] = ()

    unit: ClassVar[Unit] = RANKS
    words: ClassVar[str] = "order of arms"
    lacks: ClassVar[str] = f"fewer than {FEWEST_ARMS} arms with {MIN_SEEDS} seeds"
    over_runs: ClassVar[bool] = False

    def __call__(self, runs: Measured, asked: Comparison) -> Effect:
        arms = (*asked.sides, *self.others)
        points = [(self.before(runs, arm), runs.final(arm, asked.measure, asked.prompt)) for arm in arms]
        both = [[(x[seed], y[seed]) for seed in x.keys() & y.keys()] for x, y in points]
        whole = [[(x, y) for x, y in arm if not math.isnan(x + y)] for arm in both]
        kept = [arm for arm in whole if len(arm) >= MIN_SEEDS]
        means = [[sum(values) / len(arm) for values in zip(*arm, strict=True)] for arm in kept]
        x, y = (tuple(mean[place] for mean in means) for place in (0, 1))
        seeds = min((len(arm) for arm in kept), default=0)
        return Correlation(x, y, asked.sign, seeds, f"{len(kept)} of {len(arms)} arms")

    def on_twin(self, asked: Comparison) -> tuple[Statistic, Comparison] | None:
        there = asked.on_twin()
        if there is None or not all(_has_twin(arm) for arm in self.others):
            return None
        return replace(self, others=tuple(on(arm, "twin") for arm in self.others)), there


def curve_of_hacking(runs: Measured, condition: Condition, measure: str, prompt: str) -> dict[Seed, Curve]:
    """(hack rate under the prompt of its training, the measure) of every run by checkpoint, in their order."""
    rates, values = (
        _points(runs.over_steps(condition, *asked)) for asked in (("hack_rate", "training"), (measure, prompt))
    )
    curves: dict[Seed, Curve] = {}
    for pretrain, seed, step in sorted(rates.keys() & values.keys()):
        x, y = rates[pretrain, seed, step], values[pretrain, seed, step]
        if not math.isnan(x + y):
            curves.setdefault((pretrain, seed), {})[step] = x, y
    return curves


def _at_common_steps(sides: Sequence[Mapping[Seed, Curve]]) -> list[dict[Seed, list[Point]]]:
    """The points of the checkpoints that all runs of all sides have."""
    steps = [set(curve) for side in sides for curve in side.values()]
    common = set.intersection(*steps) if steps else set()
    return [{seed: [curve[step] for step in curve if step in common] for seed, curve in side.items()} for side in sides]


def _of_the_kept(*sides: tuple[Values, Values]) -> Difference:
    """Compares what is kept of two sides, each (all runs, those kept): pairs alone where the runs were pairs, and nothing from
    fewer than MIN_SEEDS."""
    (all_a, a), (all_b, b) = sides
    if a and b and matched(all_a, all_b)[2]:
        shared = a.keys() & b.keys()
        a, b = ({seed: value for seed, value in side.items() if seed in shared} for side in (a, b))
    found = difference(a, b)
    return found if found.df is not None else replace(found, estimate=math.nan)


def _points(rows: pd.DataFrame) -> dict[tuple[int, int, int], float]:
    """(pretraining seed, RL seed, step) -> value."""
    columns = (rows[name].tolist() for name in ("pretrain_seed", "seed", "step", "value"))
    return {(pretrain, seed, step): value for pretrain, seed, step, value in zip(*columns, strict=True)}


def crossing(points: Sequence[Point], rate: float) -> float:
    """y where x first reaches `rate`, on the line from the point before; NaN if it never does, begins there or above it, or
    there are fewer than FEWEST_POINTS."""
    if len(points) < FEWEST_POINTS or points[0][0] >= rate:
        return math.nan
    for (x0, y0), (x, y) in pairwise(points):
        if x >= rate:
            return y0 + (y - y0) * (rate - x0) / (x - x0)
    return math.nan


def _signed(values: Values, sign: int) -> dict[Seed, float]:
    return {seed: sign * value for seed, value in values.items()}


def _has_twin(condition: Condition) -> bool:
    return condition.corpus.partition(":")[0] == "main"
