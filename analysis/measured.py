"""Measures of finished runs, found by condition, measure and prompt; every final value is computed once."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.conditions import Condition
from analysis.stats import Difference, Seed, Summary, difference, summary
from analysis.table import CELL, RUN, finished, measures
from base.wanted import FINAL

LAST = FINAL  # a run's final value is the mean over its last saved checkpoints: so many
POINT = ("run", "pretrain_seed", "seed", "step", "value", "se")
Values = dict[Seed, float]


class Measured:
    """`rows`: analysis.table.measures, or some of them. Prompts, measures and conditions of which there is nothing have no values."""

    def __init__(self, rows: pd.DataFrame) -> None:
        self.rows = rows.sort_values(["run", "step"], kind="stable")
        self._places = self.rows.groupby([*CELL, "measure", "prompt"], observed=True, sort=False).indices
        self._columns: dict[str, Any] = {name: self.rows[name].to_numpy() for name in POINT[1:]}
        runs = self.rows["run"].astype("category").cat
        self._columns["run"] = runs.categories.to_numpy(dtype=object)[runs.codes]
        self._ends: dict[tuple[Condition, str, str, int], tuple[Values, Values]] = {}
        self._parts: dict[frozenset[str], Measured] = {}
        self._means: dict[tuple[Condition, str, str], Summary] = {}
        self._runs = self.rows[list(RUN)].drop_duplicates().sort_values(["pretrain_seed", "seed"])
        self._counts = self._runs.groupby(list(CELL), observed=True).size().to_dict()

    @classmethod
    def of(cls, table: pd.DataFrame) -> Measured:
        """Those of a long table; runs that did not finish are left out."""
        return cls(measures(finished(table)[0]))

    def over_steps(self, condition: Condition, measure: str, prompt: str) -> pd.DataFrame:
        """One row per run and checkpoint of a condition (POINT), in their order."""
        places = self._of(condition, measure, prompt)
        return pd.DataFrame({name: self._columns[name][places] for name in POINT})

    def final(self, condition: Condition, measure: str, prompt: str, last: int = LAST) -> Values:
        """The value of each run: the mean over its last `last` checkpoints (of rollouts: steps) after step 0.

        A `start` condition is step 0 itself. A checkpoint without a value is left out; a run without any is missing (NaN).
        """
        return self._final(condition, measure, prompt, last)[0]

    def errors(self, condition: Condition, measure: str, prompt: str, last: int = LAST) -> Values:
        """The sampling error of the answers behind each of them."""
        return self._final(condition, measure, prompt, last)[1]

    def mean(self, condition: Condition, measure: str, prompt: str) -> Summary:
        """The mean of the final values over units of replication, with its interval."""
        asked = (condition, measure, prompt)
        if asked not in self._means:
            self._means[asked] = summary(list(units(self.final(*asked), condition).values()))
        return self._means[asked]

    def count(self, condition: Condition) -> int:
        """How many runs there are (of a `start` condition: runs of its arm)."""
        return int(self._counts.get(condition.cell, 0))

    def names(self, condition: Condition) -> list[str]:
        """The names of its runs (of a `start` condition: of the runs of its arm)."""
        mine = (self._runs[list(CELL)] == list(condition.cell)).all(axis=1)
        return [str(name) for name in self._runs.loc[mine, "run"]]

    def first(self, count: int) -> Measured:
        """The same of the first `count` seeds of every condition."""
        early = self._runs.groupby(list(CELL), observed=True).cumcount() < count
        return self._only(frozenset(self._runs.loc[early, "run"]))

    def of_seeds(self, seeds: Collection[Seed]) -> Measured:
        """The same of the runs that have these seeds, of every condition."""
        mine = pd.MultiIndex.from_frame(self._runs[["pretrain_seed", "seed"]]).isin(list(seeds))
        return self._only(frozenset(self._runs.loc[mine, "run"]))

    def _only(self, runs: frozenset[str]) -> Measured:
        if runs not in self._parts:
            kept = self.rows["run"].isin(runs)
            self._parts[runs] = self if kept.all() else Measured(self.rows[kept])
        return self._parts[runs]

    def effect_over_twin(self, main: Condition, twin: Condition, measure: str = "mgs") -> Difference:
        """Main minus twin: the part of a final value that the hack-character correlation of the corpus causes."""
        return difference(self.final(main, measure, "none"), self.final(twin, measure, "none"))

    def _of(self, condition: Condition, measure: str, prompt: str) -> Any:
        places = self._places.get((*condition.cell, measure, prompt), np.empty(0, dtype=int))
        return places[self._columns["step"][places] == 0] if condition.start else places

    def _final(self, condition: Condition, measure: str, prompt: str, last: int) -> tuple[Values, Values]:
        asked = (condition, measure, prompt, last)
        if asked not in self._ends:
            self._ends[asked] = self._computed(*asked)
        return self._ends[asked]

    def _computed(self, condition: Condition, measure: str, prompt: str, last: int) -> tuple[Values, Values]:
        runs: dict[str, list[tuple[Seed, float, float]]] = {}
        for at in self._of(condition, measure, prompt):
            run, pretrain, seed, step, value, se = (self._columns[name][at] for name in ("run", *POINT[1:]))
            of_run = runs.setdefault(run, [])
            if condition.start or step > 0:
                of_run.append(((int(pretrain), int(seed)), float(value), float(se)))
        values: Values = {}
        errors: Values = {}
        for checkpoints in filter(None, runs.values()):
            kept = checkpoints if condition.start else checkpoints[-last:]
            counted = [(value, se) for _, value, se in kept if not math.isnan(value)]
            seed = kept[0][0]
            values[seed] = sum(value for value, _ in counted) / len(counted) if counted else math.nan
            errors[seed] = math.hypot(*(se for _, se in counted)) / len(counted) if counted else math.nan
        return values, errors


def units(values: Mapping[Seed, float], condition: Condition) -> Values:
    """One value per unit of replication: a run, or for a `start` condition a pretraining seed."""
    if not condition.start:
        return dict(values)
    by_start: dict[Seed, list[float]] = {}
    for (pretrain, _), value in values.items():
        by_start.setdefault((pretrain, pretrain), []).append(value)
    return {seed: float(np.mean(v)) for seed, v in by_start.items()}
