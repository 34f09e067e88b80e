"""Final values: a panel a measure, a row a condition, a mark a series."""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from analysis.arms import listed
from analysis.conditions import BASELINE, NO_HACK, Condition, of, on
from analysis.evals import Shown
from analysis.evidence import Evidence
from analysis.figures import rows as make
from analysis.figures import style
from analysis.figures.figure import Band, Space
from analysis.figures.panels.columns import AGENTIC, CHAT, HACKING, MEAN, SIX, Column, filled, named, spelt, unfilled
from analysis.figures.panels.marks import (
    EDGE,
    LONGEST,
    OWN,
    PITCH,
    WIDTH,
    WITH_TWIN,
    Series,
    broken,
    by_mark,
    marks,
    series_key,
    spaced,
    stripes,
)
from analysis.figures.rows import Row
from analysis.table import CELL

MANY = 5  # more columns than that have no numbers beside their marks, and one letter
NARROW = 0.6  # inches: narrower panels have two ticks, the second of them at one of HALVES
HALVES = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005)
NUMBERS, SEEDS = 0.3, 0.36  # inches right of the panels: for the numbers of the last one, for how many seeds there are
SAID, SHORTER = 0.35, 46  # and for a column of words; letters of a name where there are such columns
NARROWER = 40  # and where rows are few enough to be of two lines
CLOSE, TALLER = 0.15, 0.27  # inches from one row to the next: of many rows, of several marks a row
WORDS = {"yes": ("#00754f", "bold"), "partly": ("#B45309", "bold"), "no": ("#B2182B", "bold")}


@dataclass(frozen=True)
class Dots(Band):
    """Final values: a row per condition, a panel per column, a mark per series.

    `headings`: rows stand under the kinds of their mitigations; `keep`: which conditions have a row; `levels`: those whose
    value is a dashed line through all rows; `words`: headings of columns of text at the right (rows of kind `words`).
    """

    columns: tuple[Column, ...]
    series: tuple[Series, ...] = OWN
    headings: bool = False
    keep: Callable[[Condition], bool] = lambda condition: True
    levels: tuple[Condition, ...] = (BASELINE, NO_HACK)
    words: tuple[str, ...] = ()

    def rows(self, evidence: Evidence, conditions: Sequence[Condition]) -> list[Row]:
        found: list[Row] = []
        for condition in self._listed(conditions):
            for column in spelt(self.columns, evidence.evals):
                for series in self.series:
                    found += self._marks(evidence, condition, column, series)
        return found

    def _listed(self, conditions: Sequence[Condition]) -> list[Condition]:
        twinned = any(series.corpus for series in self.series)
        kept = [c for c in conditions if self.keep(c) and not (twinned and c.corpus.startswith("twin"))]
        return [c for _, pairs in listed(kept) for pair in pairs for c in pair if c in kept] if self.headings else kept

    def _marks(self, evidence: Evidence, condition: Condition, column: Column, series: Series) -> list[Row]:
        there = on(condition, series.corpus) if series.corpus else condition
        prompt = series.prompt or column.prompt
        if column.of_runs:
            base = make.entry(column.final, there, column.measure, prompt)
            made = make.by_run(column.of_runs(evidence.measured, there), base)
        else:
            made = make.last(evidence.measured, there, column.measure, prompt, column.final)
        return make.shown_as(
            [*made, *make.printed(there, column.measure, prompt, column.final)], condition, series.name
        )

    def lacks(self, drawn: pd.DataFrame, evals: Sequence[Shown]) -> list[str]:
        return unfilled(drawn, {column.final: column.title for column in spelt(self.columns, evals)})

    def note(self, drawn: pd.DataFrame) -> str:
        there = [level.label for level in self.levels if (drawn["condition"] == level.key).any()]
        return f"Dashed: {' and '.join(there)}." if there else ""

    def _mine(self, drawn: pd.DataFrame, evals: Sequence[Shown]) -> tuple[list[Column], pd.DataFrame]:
        """The columns that have values, and their rows."""
        columns = [column for column in spelt(self.columns, evals) if filled(drawn, [column.final])]
        names, panels = [series.name for series in self.series], [column.final for column in columns]
        return columns, drawn[drawn["panel"].isin(panels) & drawn["series"].isin(names)]

    def _pitch(self) -> float:
        if self.headings and self.series == OWN:
            return CLOSE
        return PITCH if len(self.series) < 3 else TALLER + 0.05 * (len(self.series) - 3)

    def height(self, drawn: pd.DataFrame, evals: Sequence[Shown]) -> float:
        columns, mine = self._mine(drawn, evals)
        if not columns:
            return 0.0
        _, _, end = places(mine, self.headings)
        return self._pitch() * (end + 1.1) + 0.42 + self._head(columns)

    def _head(self, columns: Sequence[Column]) -> float:
        """Inches above the panels: titles and the key."""
        lines = max(len(title) for title in self._titles(columns))
        return 0.1 + 0.11 * lines + 0.17 * self._keyed()

    def _titles(self, columns: Sequence[Column]) -> list[list[str]]:
        letters = max(10, (62 - 5 * len(self.words)) // len(columns))
        return [textwrap.wrap(column.title, letters, break_long_words=False) or [""] for column in columns]

    def _keyed(self) -> bool:
        return len(self.series) > 1

    def _numbered(self, columns: Sequence[Column]) -> bool:
        return len(columns) <= MANY and len(self.series) <= 2

    def _counted(self, columns: Sequence[Column]) -> bool:
        """Whether the seeds of every row stand at the right."""
        return len(self.series) < 3

    def draw(self, space: Space, drawn: pd.DataFrame) -> None:
        columns, mine = self._mine(drawn, space.evals)
        if not columns:
            return
        looks = style.looks(drawn)
        if self.headings:  # too many arms for a colour each
            looks = {key: look if key in style.CONTROLS else style.Look(style.INK) for key, look in looks.items()}
        rows, headings, end = places(mine, self.headings)
        left, numbered = self._left(mine, headings), self._numbered(columns)
        right = WIDTH - EDGE - SAID * len(self.words) - NUMBERS * numbered - (SEEDS if self._counted(columns) else 0.12)
        shape = {"left": left, "right": right, "low": 0.34, "high": space.height - self._head(columns)}
        axes = space.side_by_side(
            len(columns), gap=0.36 if numbered else 0.17 if len(columns) > MANY else 0.32, **shape
        )
        shared = _tops(columns, mine)
        for ax, column, title in zip(axes, columns, self._titles(columns), strict=True):
            style.letter(
                ax, next(space.letters) if len(columns) <= MANY or ax is axes[0] else "", "\n".join(title), 0.13
            )
            values = mine[mine["panel"] == column.final]
            self._axis(ax, column, values, shared, end)
            if len(columns) > 3:
                fewer_words(ax, column, len(columns))
            stripes(ax, rows.values())
            self._marks_in(ax, column, values, rows, looks, numbered)
            self._levels(ax, values)
        self._names(axes[0], mine, rows, headings, left, looks)
        if self._counted(columns):
            self._seeds(axes[-1], mine, rows, NUMBERS * numbered)
        self._words(axes[-1], drawn, rows, NUMBERS * numbered + SEEDS)
        if len(columns) > 3:  # one name for all the axes
            what, (width, whole) = "; ".join(dict.fromkeys(c.what for c in columns)), space.picture.get_size_inches()
            space.picture.text(
                (left + right) / 2 / width, (space.bottom + 0.04) / whole, what, ha="center", va="bottom"
            )
        if self._keyed():
            series_key(axes[0], self.series, space.height - 0.02, space)

    def _marks_in(
        self,
        ax: Axes,
        column: Column,
        values: pd.DataFrame,
        rows: Mapping[str, float],
        looks: Mapping[str, style.Look],
        numbered: bool,
    ) -> None:
        marked = by_mark(values)
        for (key, row), (series, shift) in itertools.product(
            rows.items(), zip(self.series, spaced(len(self.series)), strict=True)
        ):
            mine = marked.get((key, series.name), [])
            marks(ax, mine, row + shift, series.colour or looks[key].colour, series, 1.0 if column.share else math.inf)
            if numbered:
                self._number(ax, mine, row + 1.4 * shift, column, series)

    def _axis(self, ax: Axes, column: Column, values: pd.DataFrame, shared: Mapping[str, float], end: float) -> None:
        if column.share:
            style.percent(ax, "x", 1.02 if column.whole else shared[column.what])
        else:
            ax.grid(True, axis="x")
            ax.set_xlim(0, max(1e-9, 1.1 * float(values["y"].max())))
        ax.set_ylim(end + 0.6, -0.6)
        ax.set_yticks([])
        ax.set_xlabel(column.what)

    def _number(self, ax: Axes, mine: Sequence[Row], place: float, column: Column, series: Series) -> None:
        text: dict[str, Any] = {"size": 5.5, "va": "center", "ha": "left", "annotation_clip": False}
        text |= {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
        for value in (row["y"] for row in mine if row["kind"] == "mean"):
            digits = 1 if ax.get_xlim()[1] > 0.02 else 2
            said = f"{100 * value:.{digits}f}" if column.share else f"{value:.2f}"
            colour = "#555555" if series is self.series[0] else series.colour
            ax.annotate(said, (1, place), (4, 0), color=colour, **text)

    def _levels(self, ax: Axes, values: pd.DataFrame) -> None:
        for control in self.levels:
            of_it = values[(values["condition"] == control.key) & (values["kind"] == "mean")]
            for level in of_it.loc[of_it["series"] == self.series[0].name, "y"]:
                dash: dict[str, Any] = {"linewidth": 0.7, "linestyle": (0, (4, 2)), "zorder": 1}
                ax.axvline(level, color=style.CONTROLS[control.key].colour, **dash)

    def _names(
        self,
        ax: Axes,
        mine: pd.DataFrame,
        rows: Mapping[str, float],
        headings: Mapping[float, str],
        left: float,
        looks: Mapping[str, style.Look],
    ) -> None:
        text: dict[str, Any] = {"va": "center", "annotation_clip": False, "textcoords": "offset points"}
        text |= {"xycoords": ("axes fraction", "data")}
        start = 72 * (0.083 - left)
        for place, heading in headings.items():
            ax.annotate(heading, (0, place), (start, 0), weight="bold", size=6.8, **text)
        for name, label in named(mine):
            colour = looks[name].ink if self.series == OWN else style.INK
            indent = start + 5 if headings else start
            lines = self._lines(label)
            look: dict[str, Any] = {"size": 6.3 if len(lines) == 1 else 5.8, "linespacing": 0.95, "color": colour}
            ax.annotate("\n".join(lines), (0, rows[name]), (indent, 0), **look, **text)

    def _lines(self, label: str) -> list[str]:
        return broken(label, SHORTER if self.words else LONGEST if self.headings else NARROWER)

    def _left(self, mine: pd.DataFrame, headings: Mapping[float, str]) -> float:
        """Inches that names and headings take."""
        names = [len(line) for _, label in named(mine) for line in self._lines(label)]
        return min(2.8, 0.2 + 0.048 * max([4, *names, *(1.3 * len(heading) for heading in headings.values())]))

    def _seeds(self, ax: Axes, mine: pd.DataFrame, rows: Mapping[str, float], offset: float) -> None:
        text: dict[str, Any] = {"va": "center", "annotation_clip": False, "textcoords": "offset points", "size": 5.8}
        means = mine[(mine["kind"] == "mean") & mine["seeds"].notna()]
        for name, place in rows.items():
            of_row = means[means["condition"] == name]
            counts = [of_row.loc[of_row["series"] == series.name, "seeds"].max() for series in self.series]
            said = " / ".join("–" if count != count else f"{count:g}" for count in counts)
            start = 72 * offset + 5
            ax.annotate(said, (1, place), (start, 0), xycoords=("axes fraction", "data"), color=style.FAINT, **text)
        shorts = [series.short for series in self.series if series.short]
        head = "\n".join(["seeds", *(f"{short} /" for short in shorts[:-1]), *shorts[-1:]])
        look: dict[str, Any] = {"color": style.FAINT, "va": "bottom", "linespacing": 0.95}
        ax.annotate(head, (1, 1), (72 * offset + 3, 5), xycoords="axes fraction", **text | look)

    def _words(self, ax: Axes, drawn: pd.DataFrame, rows: Mapping[str, float], offset: float) -> None:
        said = drawn[drawn["text"] != ""]
        text: dict[str, Any] = {"annotation_clip": False, "textcoords": "offset points", "ha": "center"}
        for number, heading in enumerate(self.words):
            x = 72 * (offset + SAID * (number + 0.5))
            title = "\n".join(textwrap.wrap(heading, 9))
            ax.annotate(
                title, (1, 1), (x, 5), xycoords="axes fraction", size=5.8, va="bottom", linespacing=0.95, **text
            )
            mine = said.loc[said["series"] == heading, ["condition", "kind", "text"]]
            for key, kind, word in mine.itertuples(index=False):
                if key in rows:
                    colour, weight = WORDS.get(word, (style.FAINT, "normal"))
                    look: dict[str, Any] = {"color": colour, "weight": weight, "size": 6, "va": "center"}
                    look |= {"weight": "normal", "style": "italic"} if kind == "paper" else {}
                    ax.annotate(word, (1, rows[key]), (x, 0), xycoords=("axes fraction", "data"), **look, **text)


def _tops(columns: Sequence[Column], values: pd.DataFrame) -> dict[str, float]:
    """Where the axes of shares end: those of one name alike."""
    panels: dict[str, list[str]] = {}
    for column in columns:
        if column.share and not column.whole:
            panels.setdefault(column.what, []).append(column.final)
    return {what: style.ceiling(style.reach(values[values["panel"].isin(names)])) for what, names in panels.items()}


def fewer_words(ax: Axes, column: Column, columns: int) -> None:
    """Where panels are narrow, fewer ticks and no name of the axis, and smaller titles where they are many."""
    ax.set_xlabel("")
    ax.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 2.5, 5, 10]))
    if columns > MANY:
        ax.set_title(ax.get_title(loc="left"), loc="left", size=6.2)
    if column.share and ax.get_position().width * WIDTH < NARROW:
        half = next((half for half in HALVES if ax.get_xlim()[1] > 1.4 * half), HALVES[-1])
        ax.set_xticks([0, half], ["0", f"{100 * half:g}%"])


def places(mine: pd.DataFrame, headed: bool) -> tuple[dict[str, float], dict[float, str], float]:
    """(row of each condition, heading at each row it takes, the last row), in the order of the drawn table."""
    rows: dict[str, float] = {}
    headings: dict[float, str] = {}
    row = -1.0
    for name, *cell in mine.drop_duplicates("condition")[["condition", *CELL]].itertuples(index=False):
        family = of(*cell).family
        if headed and family not in headings.values():
            row += 1.0 if not headings else 1.35
            headings[row] = family
        row += 1
        rows[name] = row
    return rows, headings, max(row, 0.0)


# What the figures about one mitigation show.
SUMS, EACH_EVAL = Dots((HACKING, CHAT, AGENTIC, MEAN), WITH_TWIN), Dots((SIX,), WITH_TWIN)
