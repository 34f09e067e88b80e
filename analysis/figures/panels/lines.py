"""Measures over RL: a panel a measure, a line a condition."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes

from analysis.conditions import Condition
from analysis.evals import Shown
from analysis.figures import rows as make
from analysis.figures import style
from analysis.figures.figure import Evidence, Space
from analysis.figures.panels.columns import Column, spelt
from analysis.figures.panels.marks import EDGE, GUTTER, WIDTH, hollow
from analysis.figures.rows import Row


@dataclass(frozen=True)
class Lines:
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
                if not self.only or condition in self.only:
                    found += self._line(evidence, condition, column)
        return found

    def _line(self, evidence: Evidence, condition: Condition, column: Column) -> list[Row]:
        measure, prompt, panel = column.measure, column.prompt, column.title
        mine = evidence.of(condition, measure, prompt)
        if condition.start:
            return [row for row in make.last(mine, condition, measure, prompt, panel) if row["kind"] != "answers"]
        if measure.startswith("train:"):
            return make.windows(mine, condition, measure, panel)
        line = make.curve(mine, condition, measure, prompt, panel, evidence.forks)
        return [*line, *make.printed(condition, measure, prompt, panel)]

    def _grid(self, evals: Sequence[Shown]) -> tuple[list[Column], int, list[list[str]]]:
        """(columns, panels a row, wrapped titles)."""
        columns = spelt(self.columns, evals)
        most = 3 if self.names else 6
        lines = -(-len(columns) // most)
        across = max(1 if self.names else 4, -(-len(columns) // max(1, lines)))
        letters = 150 // across if self.names else 22
        return columns, across, [textwrap.wrap(column.title, letters) for column in columns]

    def _pitch(self, titles: Sequence[Sequence[str]]) -> float:
        tall = self.tall if self.names else 1.02
        return tall + 0.56 + 0.11 * (max((len(title) for title in titles), default=1) - 1)

    def height(self, drawn: pd.DataFrame, evals: Sequence[Shown]) -> float:
        columns, across, titles = self._grid(evals)
        return self._pitch(titles) * -(-len(columns) // across)

    def draw(self, space: Space, drawn: pd.DataFrame) -> None:
        columns, across, titles = self._grid(space.evals)
        pitch, tall = self._pitch(titles), self.tall if self.names else 1.02
        looks, steps = style.looks(drawn), furthest(drawn)
        if self.names:
            shape = {"left": 0.53, "right": WIDTH - GUTTER, "gap": GUTTER + 0.52}
        else:
            shape = {"left": 0.53, "right": WIDTH - EDGE, "gap": 0.2}
        of_each = [drawn[drawn["panel"] == column.title] for column in columns]
        partial = pd.concat(
            [mine["y"] for mine, c in zip(of_each, columns, strict=True) if not c.whole] or [drawn["y"]]
        )
        for place, (column, title, mine) in enumerate(zip(columns, titles, of_each, strict=True)):
            line, at = divmod(place, across)
            low = 0.36 + pitch * (-(-len(columns) // across) - 1 - line)
            ax = space.slot(at, across, low=low, high=low + tall, **shape)
            if self.names or place == 0:
                style.letter(ax, next(space.letters), "\n".join(title))
            else:
                ax.set_title("\n".join(title), loc="left")
            shared = partial if not self.names else mine["y"]
            along(ax, steps, 1.02 if column.whole else style.ceiling(shared), column.what * (self.names or at == 0))
            named_lines(ax, mine, looks, steps, self.names)
            ax.tick_params(labelleft=self.names or at == 0)


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
    """The line of every condition, or its level, with its name at the end; the paper's value at the right edge."""
    style.say_if_empty(ax, rows)
    labels = []
    for key, mine in rows[rows["kind"] != "paper"].groupby("condition", sort=False):
        name = textwrap.fill(str(mine["label"].iloc[0]), 20, break_on_hyphens=False)
        look = looks[str(key)]
        if mine["x"].isna().all():
            level = float(mine.loc[mine["kind"] == "mean", "y"].iloc[0])
            ax.axhline(level, color=look.colour, linewidth=0.9, linestyle=look.dash, zorder=1.5)
            labels.append(style.Label(1.03 * steps, level, name, look.ink))
        else:
            style.curves(ax, mine, look.colour, look.marker if names else "", look.dash, 1.6 if names else 1.2)
            labels += style.line_end(mine, name, look.ink)
    for row in make.records(rows[rows["kind"] == "paper"]):
        colour = looks[str(row["condition"])].colour
        hollow(ax, 1.03 * steps, row["y"], row["low"], row["high"], colour, upright=True)
    if names:
        style.end_labels(ax, labels)
