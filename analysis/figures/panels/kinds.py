"""Kinds of one thing over RL (of hacks, of tones): a panel a condition, a line a kind."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.conditions import Condition, alike
from analysis.evals import Shown
from analysis.evidence import Evidence
from analysis.figures import rows as make
from analysis.figures import style
from analysis.figures.figure import Band, Space
from analysis.figures.panels.columns import filled
from analysis.figures.panels.lines import along, furthest
from analysis.figures.panels.marks import GUTTER, WIDTH
from analysis.figures.rows import Row

ACROSS = 2  # panels beside each other


@dataclass(frozen=True)
class Kind:
    """One of several measures that are drawn together: its name, the measure and its colour."""

    name: str
    measure: str
    colour: str


@dataclass(frozen=True)
class KindLines(Band):
    """Several measures of one condition over RL in one panel; a panel for each of `conditions` that has values."""

    title: str
    kinds: tuple[Kind, ...]
    conditions: tuple[Condition, ...]
    prompt: str = "none"
    what: str = "rollouts"
    tall: float = 1.42

    def _panel(self, condition: Condition) -> str:
        return f"{self.title}: {condition.label}"

    def lacks(self, drawn: pd.DataFrame, evals: Sequence[Shown]) -> list[str]:
        return [] if self._filled(drawn) else [self.title]

    def _mine(self, conditions: Sequence[Condition]) -> list[Condition]:
        """Those of its conditions that are there, in its order, and the same under other settings."""
        own = [condition for condition in self.conditions if condition in conditions]
        return own + [c for c in conditions if c not in own and alike(c, self.conditions)]

    def rows(self, evidence: Evidence, conditions: Sequence[Condition]) -> list[Row]:
        found: list[Row] = []
        for condition in self._mine(conditions):
            for kind in self.kinds:
                of_it = (condition, kind.measure, self.prompt, self._panel(condition))
                made = make.line(evidence.measured, *of_it, evidence.forks)
                found += make.shown_as(made, condition, kind.name)
        return found

    def _filled(self, drawn: pd.DataFrame) -> list[str]:
        panels = drawn.loc[drawn["panel"].str.startswith(f"{self.title}: "), "panel"].unique()
        return filled(drawn, panels)

    def height(self, drawn: pd.DataFrame, evals: Sequence[Shown]) -> float:
        return (self.tall + 0.56) * -(-len(self._filled(drawn)) // ACROSS)

    def draw(self, space: Space, drawn: pd.DataFrame) -> None:
        shape = {"left": 0.53, "right": WIDTH - GUTTER, "gap": GUTTER + 0.52}
        for place, panel in enumerate(self._filled(drawn)):
            line, at = divmod(place, ACROSS)
            high = space.height - 0.2 - line * (self.tall + 0.56)
            ax = space.slot(at, ACROSS, low=high - self.tall, high=high, **shape)
            style.letter(ax, next(space.letters), panel)
            along(ax, furthest(drawn), 1.02, "" if at else self.what)
            mine, labels = drawn[drawn["panel"] == panel], []
            for kind in self.kinds:
                lines = mine[mine["series"] == kind.name]
                style.curves(ax, lines, kind.colour)
                labels += style.line_end(lines, textwrap.fill(kind.name, 14), kind.colour)
            style.end_labels(ax, labels)
