"""Kinds of one thing over RL (of hacks, of tones): a panel a condition, a line a kind."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.conditions import Condition
from analysis.evals import Shown
from analysis.figures import rows as make
from analysis.figures import style
from analysis.figures.figure import Evidence, Space
from analysis.figures.panels.lines import along, furthest
from analysis.figures.panels.marks import GUTTER, WIDTH
from analysis.figures.rows import Row


@dataclass(frozen=True)
class Kind:
    """One of several measures that are drawn together: its name, the measure and its colour."""

    name: str
    measure: str
    colour: str


@dataclass(frozen=True)
class KindLines:
    """Several measures of one condition over RL in one panel, one panel a condition."""

    title: str
    kinds: tuple[Kind, ...]
    conditions: tuple[Condition, ...]
    prompt: str = "none"
    what: str = "rollouts"
    tall: float = 1.42

    def _panel(self, condition: Condition) -> str:
        return f"{self.title}: {condition.label}"

    def rows(self, evidence: Evidence, conditions: Sequence[Condition]) -> list[Row]:
        found: list[Row] = []
        for condition in self.conditions:
            for kind in self.kinds:
                panel = self._panel(condition)
                mine = evidence.of(condition, kind.measure, self.prompt)
                if kind.measure.startswith("train:"):
                    made = make.windows(mine, condition, kind.measure, panel)
                else:
                    made = make.curve(mine, condition, kind.measure, self.prompt, panel, evidence.forks)
                found += make.shown_as(made, condition, kind.name)
        return found

    def height(self, drawn: pd.DataFrame, evals: Sequence[Shown]) -> float:
        return self.tall + 0.56

    def draw(self, space: Space, drawn: pd.DataFrame) -> None:
        shape = {"left": 0.53, "right": WIDTH - GUTTER, "low": 0.36, "high": 0.36 + self.tall}
        shape["gap"] = GUTTER + 0.52
        axes = space.side_by_side(len(self.conditions), **shape)
        for ax, condition in zip(axes, self.conditions, strict=True):
            style.letter(ax, next(space.letters), self._panel(condition))
            mine = drawn[drawn["panel"] == self._panel(condition)]
            along(ax, furthest(drawn), 1.02, self.what if ax is axes[0] else "")
            style.say_if_empty(ax, mine)
            labels = []
            for kind in self.kinds:
                lines = mine[mine["series"] == kind.name]
                style.curves(ax, lines, kind.colour)
                labels += style.line_end(lines, textwrap.fill(kind.name, 14), kind.colour)
            style.end_labels(ax, labels)
