"""What figures, claims and tables are made from: the finished runs of a long table and their measures, computed once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import settings
from analysis.claims import Claim, Finding, judge
from analysis.commands import Maker
from analysis.conditions import Condition
from analysis.evals import Shown, shown
from analysis.measured import Measured
from analysis.table import BEHIND, CELL, behind_gates, finished, measures, records

Records = Mapping[str, Mapping[str, Any]]
OUTLINE = (*CELL, "run", "pretrain_seed", "seed", "step", "gates_passed")


class Evidence:
    """`loaded`: the long table as it was given; `table`: its rows of finished runs, as figures name their corpora and settings;
    `notes`: what was left out, and what is to be known of the rest; `outline`: their runs and checkpoints, without numbers
    (OUTLINE); `settings`: what all runs have in common (their `overrides` are without it); `corpora`: name of a corpus -> what
    runs store, where that is another name; `maker`: what can be run with their model, and how; `source`: the folder the table is
    from, if it says so.
    """

    def __init__(self, table: pd.DataFrame, claims: Sequence[Claim] = (), kept: Records | None = None) -> None:
        self.loaded = table
        self.table, self._noted = finished(table)
        self.outline = self.table[list(OUTLINE)].drop_duplicates()
        self.notes = [*self._noted, *filter(None, [behind_gates(self.outline)])]
        self.settings = str(self.table.attrs["settings"])
        self.corpora: Mapping[str, str] = self.table.attrs["corpora"]
        self.maker = Maker.of(self.table)
        self.source = Path(table.attrs["source"]) if "source" in table.attrs else None
        self._claims, self._kept = claims, kept

    @cached_property
    def measured(self) -> Measured:
        """Measures of the finished runs."""
        return Measured(measures(self.table))

    @cached_property
    def findings(self) -> list[Finding]:
        """What the runs say about the claims, which are judged together: p values are corrected over all of them."""
        failed = self.outline.loc[self.outline["gates_passed"] == 0, "run"]
        return judge(self.measured, self._claims, set(failed))

    def notes_on(self, cells: Iterable[tuple[Any, ...]]) -> tuple[list[str], set[tuple[Any, ...]]]:
        """(the notes as far as they are about some cells (CELL), those of the cells that have runs behind a failed gate)."""
        mine = self.outline[pd.MultiIndex.from_frame(self.outline[list(CELL)]).isin(list(cells))]
        failed = mine[mine["gates_passed"] == 0]
        notes = [*self._noted, *(f"{BEHIND} {note}" for note in filter(None, [behind_gates(mine)]))]
        return notes, set(failed[list(CELL)].itertuples(index=False, name=None))

    @cached_property
    def records(self) -> Records:
        """What every run wrote down (run.json), finished or not: `kept`, or that of the folder that the table is from."""
        return self._kept or (records(self.source) if self.source else {})

    def stored(self, condition: Condition) -> dict[str, Any]:
        """What runs of a condition store of it (CELL)."""
        common = settings.of_arm(condition.arm, self.settings)
        own = {"corpus": self.corpora.get(condition.corpus, condition.corpus)}
        cell = dict(zip(CELL, condition.cell, strict=True))
        return {**cell, **own, "overrides": settings.together(condition.overrides, common)}

    @cached_property
    def forks(self) -> dict[str, int]:
        """Run -> the step at which it went on from another run."""
        return {name: int(record["fork"]["step"]) for name, record in self.records.items() if record.get("fork")}

    @cached_property
    def evals(self) -> tuple[Shown, ...]:
        """The evals of misalignment that were asked."""
        return tuple(shown(self.table.loc[self.table["metric"] == "misaligned", "eval"].unique()))
