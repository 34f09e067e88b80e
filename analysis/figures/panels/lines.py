"""Measures over RL: a panel a measure, a line a condition."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes

from analysis.conditions import Condition, alike
from analysis.evals import Shown
from analysis.evidence import Evidence
from analysis.figures import rows as make
from analysis.figures import style
from analysis.figures.figure import Band, Space
from analysis.figures.panels.columns import Column, filled, spelt, unfilled
from analysis.figures.panels.marks import EDGE, GUTTER, WIDTH, hollow
from analysis.figures.rows import Row
from analysis.figures.words import sparse


@dataclass(frozen=True)
class Lines(Band):
    """Measures over RL, one panel each, with a line per condition and its name at the end; starts are levels.

    `names` False: small panels without names, as many beside each other as fit, for what is named above them.
    """

    columns: tuple[Column, ...]
    names: bool = True
    only: tuple[Condition, ...] = ()  # the conditions to draw; by default all
    tall: float = 1.42

    def rows(self, evidence: Evidence, conditions: Sequence[Condition]) -> list[Row]:
        found: list[Row] = []
        for column in spelt(self.columns, evidence.evals):
            for condition in conditions:
                if not self.only or alike(condition, self.only):
                    found += self._line(evidence, condition, column)
        return found

    def _line(self, evidence: Evidence, condition: Condition, column: Column) -> list[Row]:
        measure, prompt, panel = column.measure, column.prompt, column.title
        measured = evidence.measured
        if condition.start:
            level = [row for row in make.last(measured, condition, measure, prompt, panel) if row["kind"] != "answers"]
            return [*level, *make.printed(condition, measure, prompt, panel)]
        line = make.line(measured, condition, measure, prompt, panel, evidence.forks)
        return [*line, *make.printed(condition, measure, prompt, panel)]

    def lacks(self, drawn: pd.DataFrame, evals: Sequence[Shown]) -> list[str]:
        return unfilled(drawn, {column.title: column.title for column in spelt(self.columns, evals)})

    def _columns(self, drawn: pd.DataFrame, evals: Sequence[Shown]) -> list[Column]:
        return [column for column in spelt(self.columns, evals) if filled(drawn, [column.title])]

    def _across(self, count: int) -> int:
        """Panels beside each other."""
        lines = -(-count // (3 if self.names else 6))
        return max(1 if self.names else 4, -(-count // max(1, lines)))

    def _titles(self, columns: Sequence[Column]) -> list[list[str]]:
        letters = 150 // self._across(len(columns)) if self.names else 22
        return [textwrap.wrap(column.title, letters) for column in columns]

    def _panel_height(self) -> float:
        return self.tall if self.names else 1.02

    def _pitch(self, columns: Sequence[Column]) -> float:
        """Inches from one row of panels to the next."""
        most = max((len(title) for title in self._titles(columns)), default=1)
        return self._panel_height() + 0.56 + 0.11 * (most - 1)

    def height(self, drawn: pd.DataFrame, evals: Sequence[Shown]) -> float:
        columns = self._columns(drawn, evals)
        return self._pitch(columns) * -(-len(columns) // self._across(len(columns)))

    def draw(self, space: Space, drawn: pd.DataFrame) -> None:
        columns = self._columns(drawn, space.evals)
        across, pitch = self._across(len(columns)), self._pitch(columns)
        right, gap = (WIDTH - GUTTER, GUTTER + 0.52) if self.names else (WIDTH - EDGE, 0.2)
        shared = style.ceiling(style.reach(drawn[drawn["panel"].isin([c.title for c in columns if not c.whole])]))
        looks, steps = style.looks(drawn), furthest(drawn)
        for place, (column, title) in enumerate(zip(columns, self._titles(columns), strict=True)):
            line, at = divmod(place, across)
            low = 0.36 + pitch * (-(-len(columns) // across) - 1 - line)
            ax = space.slot(at, across, left=0.53, right=right, low=low, high=low + self._panel_height(), gap=gap)
            if self.names or place == 0:
                style.letter(ax, next(space.letters), "\n".join(title))
            else:
                ax.set_title("\n".join(title), loc="left")
            mine, alone = drawn[drawn["panel"] == column.title], self.names or at == 0
            top = style.ceiling(style.reach(mine)) if self.names else shared
            along(ax, steps, 1.02 if column.whole else top, column.what if alone else "")
            named_lines(ax, mine, looks, steps, self.names)
            ax.tick_params(labelleft=alone)


def furthest(drawn: pd.DataFrame) -> int:
    """The last RL step of a drawn table."""
    points = drawn[drawn["step"].notna()]
    windows = drawn.loc[drawn["measure"].str.startswith("train:"), "x"].max() + make.WINDOW / 2
    return int(max([1, *(float(x) for x in (points["x"].max(), windows) if x == x)]))


def along(ax: Axes, steps: int, top: float, what: str) -> None:
    """The axes of lines over RL steps."""
    ax.set_xlim(-0.02 * steps, 1.03 * steps)
    parts = next((n for n in (3, 4, 2) if steps % n == 0), 1)
    ax.set_xticks([steps * part // parts for part in range(parts + 1)])
    ax.set_xlabel("RL step")
    ax.set_ylabel(what)
    style.percent(ax, top=top)


def named_lines(ax: Axes, rows: pd.DataFrame, looks: Mapping[str, style.Look], steps: int, names: bool) -> None:
    """The line of every condition, or its level, with its name at the end; the paper's value right of where the line ends, of a
    start at the left edge.
    """
    labels, few, ends = [], sparse(rows), {}
    several = rows["seeds"].max() > 1
    for key, mine in rows[rows["kind"] != "paper"].groupby("condition", sort=False):
        label, alone = str(mine["label"].iloc[0]), several and mine["seeds"].max() == 1
        name = textwrap.fill(label + " (1 seed)" * bool(alone), 20, break_on_hyphens=False)
        look, ends[str(key)] = looks[str(key)], mine["x"].max()
        if mine["x"].isna().all():
            level = float(mine.loc[mine["kind"] == "mean", "y"].iloc[0])
            ax.axhline(level, color=look.colour, linewidth=0.9, linestyle=look.dash, zorder=1.5)
            labels.append(style.Label(1.03 * steps, level, name, look.ink))
        else:
            marker, width = look.marker if names else "", 1.6 if names else 1.2
            style.curves(ax, mine, look.colour, marker, look.dash, width, label in few)
            labels += style.line_end(mine, name, look.ink)
    near, placed = 0.04 * ax.get_ylim()[1], list[tuple[float, float]]()
    for row in make.records(rows[rows["kind"] == "paper"].sort_values("y", kind="stable")):
        end = ends.get(row["condition"], steps)
        x = end + 0.03 * steps if end == end else 0.0
        x -= 0.035 * steps * sum(abs(row["y"] - y) < near and abs(x - other) < 0.1 * steps for other, y in placed)
        placed.append((x, row["y"]))
        hollow(ax, x, row["y"], row["low"], row["high"], looks[row["condition"]].colour, upright=True)
    if names:
        inches = ax.get_position().width * WIDTH
        style.end_labels(ax, labels, at=1 + min(0.05, 0.12 / inches))  # right of the paper's values
