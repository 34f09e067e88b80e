"""Final values by category (a goal, an eval, a prompt): a panel a group, a row a category, a mark a condition."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from analysis.conditions import Condition, alike
from analysis.evals import Shown
from analysis.evidence import Evidence
from analysis.figures import rows as make
from analysis.figures import style
from analysis.figures.figure import Band, Space
from analysis.figures.panels.columns import filled, named
from analysis.figures.panels.marks import EDGE, PITCH, WIDTH, Series, by_mark, marks, series_key, spaced, stripes
from analysis.figures.rows import Row
from base.evals import EVALS


@dataclass(frozen=True)
class Category:
    """A row of Categories: its name, and what is measured under which prompt."""

    name: str
    measure: str
    prompt: str = "none"


@dataclass(frozen=True)
class Group:
    """A panel of Categories; `only`: the conditions that it shows, by default all."""

    title: str
    categories: tuple[Category, ...]
    only: tuple[Condition, ...] = ()


def by_eval(title: str, metric: str, conditions: tuple[Condition, ...]) -> Group:
    """A metric of each eval that counts in the mean, of some conditions."""
    evals = tuple(Category(each.title, f"{name}:{metric}") for name, each in EVALS.items() if each.in_mean)
    return Group(title, evals, conditions)


@dataclass(frozen=True)
class Categories(Band):
    """Final values by category: a row per category, a panel per group, a mark per condition (hollow before RL).

    The categories of the first group name the rows of all. `keyed`: what the key says, by default every condition.
    """

    groups: tuple[Group, ...]
    what: str = "answers"
    whole: bool = False
    keyed: tuple[Series, ...] = ()

    def _panel(self, group: Group) -> str:
        return f"final {self.what}: {group.title}"

    def rows(self, evidence: Evidence, conditions: Sequence[Condition]) -> list[Row]:
        found: list[Row] = []
        for group in self.groups:
            panel = self._panel(group)
            varied = [c for c in conditions if c not in group.only and alike(c, group.only)]
            for category in group.categories:
                for condition in (*group.only, *varied) or conditions:
                    made = make.last(evidence.measured, condition, category.measure, category.prompt, panel)
                    made += make.printed(condition, category.measure, category.prompt, panel) if made else []
                    found += make.shown_as(made, condition, category.name)
        return found

    def lacks(self, drawn: pd.DataFrame, evals: Sequence[Shown]) -> list[str]:
        groups, rows = self._filled(drawn), self._rows(drawn)
        return [
            *(f"{self.what}: {group.title}" for group in self.groups if group not in groups),
            *(f"{self.what}: {each.name}" for each in self.groups[0].categories if groups and each.name not in rows),
        ]

    def _filled(self, drawn: pd.DataFrame) -> list[Group]:
        """The groups that have values."""
        return [group for group in self.groups if filled(drawn, [self._panel(group)])]

    def _rows(self, drawn: pd.DataFrame) -> list[str]:
        """The names of the categories that have values."""
        mine = drawn[drawn["panel"].isin(map(self._panel, self.groups)) & (drawn["kind"] != "paper")]
        known = set(mine.loc[mine["y"].notna(), "series"])
        return [category.name for category in self.groups[0].categories if category.name in known]

    def _row_height(self, drawn: pd.DataFrame) -> float:
        """Inches of a row: room for as many marks as the fullest one has."""
        panels = [self._panel(group) for group in self.groups]
        counts = drawn[drawn["panel"].isin(panels)].groupby("panel")["condition"].nunique()
        return max(PITCH, 0.075 * max(2, int(counts.max())) + 0.05)

    def height(self, drawn: pd.DataFrame, evals: Sequence[Shown]) -> float:
        groups = self._filled(drawn)
        if not groups:
            return 0.0
        rows = len(self._rows(drawn)) * self._row_height(drawn)
        return rows + 0.74 + 0.11 * max(len(title) for title in _titles(groups))

    def draw(self, space: Space, drawn: pd.DataFrame) -> None:
        groups, looks = self._filled(drawn), style.looks(drawn)
        if not groups:
            return
        mine = drawn[drawn["panel"].isin([self._panel(group) for group in groups])]
        titles = _titles(groups)
        rows = self._rows(drawn)
        left = 0.25 + 0.048 * max(len(row) for row in rows)
        shape = {"left": left, "right": WIDTH - EDGE - 0.1, "low": 0.36, "gap": 0.34}
        shape["high"] = space.height - 0.31 - 0.11 * max(len(title) for title in titles)
        axes = space.side_by_side(len(groups), **shape)
        top = 1.02 if self.whole else style.ceiling(mine["y"])
        for ax, group, title in zip(axes, groups, titles, strict=True):
            style.letter(ax, next(space.letters), "\n".join(title), 0.13)
            style.percent(ax, "x", top)
            if len(axes) > 3:
                ax.xaxis.set_major_locator(MaxNLocator(2, steps=[1, 2, 5, 10]))
            ax.set_ylim(len(rows) - 0.4, -0.6)
            ax.set_yticks(range(len(rows)), rows if ax is axes[0] else [])
            ax.tick_params(axis="y", length=0)
            ax.set_xlabel(self.what if len(axes) < 4 or ax is axes[0] else "")
            stripes(ax, range(len(rows)))
            self._marks_in(ax, rows, mine[mine["panel"] == self._panel(group)], looks)
        shown_in = self.keyed or tuple(self._look(key, label, looks) for key, label in named(mine))
        series_key(axes[0], shown_in, space.height - 0.02, space)

    def _marks_in(self, ax: Axes, rows: Sequence[str], values: pd.DataFrame, looks: Mapping[str, style.Look]) -> None:
        order, marked = named(values), by_mark(values)
        for place, category in enumerate(rows):
            for (key, label), shift in zip(order, spaced(len(order)), strict=True):
                mine = marked.get((key, category), [])
                marks(ax, mine, place + shift, looks[key].colour, self._look(key, label, looks))

    def _look(self, key: str, label: str, looks: Mapping[str, style.Look]) -> Series:
        marker = "o" if self.keyed else looks[key].marker
        return Series(label, looks[key].colour, marker, filled=not key.startswith("before"))


def _titles(groups: Sequence[Group]) -> list[list[str]]:
    return [textwrap.wrap(group.title, 80 // len(groups)) for group in groups]
