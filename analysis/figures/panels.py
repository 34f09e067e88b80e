"""The kinds of panels that figures are made of: lines over RL, final values by arm, kinds of answers, points.

Every kind is a band (analysis.figures.figure.Band): it makes the rows it draws, says how tall it is, and draws them.
"""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from analysis.arms import listed
from analysis.conditions import BASELINE, NO_HACK, PRE_RL, TWIN, UNTRAINED, Condition, of, on
from analysis.evals import Shown, counted
from analysis.figures import rows as make
from analysis.figures import style
from analysis.figures.figure import Evidence, Space
from analysis.figures.rows import Row
from analysis.table import CELL
from base.evals import EVALS

CONTROLS = (BASELINE, NO_HACK, TWIN, PRE_RL, UNTRAINED)
WIDTH, EDGE = style.TWO_COLUMNS, 0.09  # inches: of a page, and of what stays white at its right
GUTTER = 1.2  # inches for names at the ends of lines
MANY = 5  # more columns than that have no numbers beside their marks, one letter, and two ticks
NAMED = 16  # more conditions than that are not all named beside points
LONGEST = 54  # letters of an arm's name that fit beside panels
CLOSE, PITCH, TALLER = 0.15, 0.19, 0.21  # inches from one row to the next: of many rows, of few, of several marks
MISALIGNED = "misaligned answers"


@dataclass(frozen=True)
class Column:
    """A measure under a prompt as a panel shows it; `whole`: its axis goes to 100 %, from `low`; not `share`: it is no share."""

    title: str
    measure: str
    prompt: str = "none"
    what: str = MISALIGNED
    whole: bool = False
    share: bool = True
    low: float = 0.0

    @property
    def final(self) -> str:
        """The name of the panel of its final values."""
        return f"final {self.title}"


HACKING = Column("hack rate", "hack_rate", "training", "episodes hacked", whole=True)
MEAN = Column(f"mean of {counted()}", "mgs")
MISALIGNMENT = Column(f"misalignment, mean of {counted()}", "mgs")
CHAT, AGENTIC = Column("chat", "chat"), Column("agentic", "agentic")
SIX, BESIDE = Column("the evals that count", ""), Column("the evals beside them", "")  # stand for what was asked


def spelt(columns: Iterable[Column], evals: Sequence[Shown]) -> list[Column]:
    """The columns, with the evals themselves in the place of SIX and BESIDE."""
    made: list[Column] = []
    for column in columns:
        if column in (SIX, BESIDE):
            made += [Column(each.title, each.name) for each in evals if each.in_mean == (column == SIX)]
        else:
            made.append(column)
    return made


def named(drawn: pd.DataFrame) -> list[tuple[str, str]]:
    """(key, label) of the conditions of a drawn table, in its order."""
    return list(dict.fromkeys(zip(drawn["condition"], drawn["label"], strict=True)))


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


def hollow(ax: Axes, x: float, y: float, low: float, high: float, colour: str, upright: bool = False) -> None:
    """The paper's value: a hollow diamond, with a line from end to end where it is a range. `upright`: the value is y."""
    span = ([x, x], [low, high]) if upright else ([low, high], [y, y])
    if high > low:
        ax.plot(*span, color=colour, linewidth=0.7, linestyle=(0, (1, 1)), zorder=3.5, clip_on=False)
    mark: dict[str, Any] = {"markerfacecolor": "white", "markeredgecolor": colour, "markeredgewidth": 0.8}
    ax.plot(x, y, "D", markersize=3.6, zorder=4, clip_on=False, **mark)


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


@dataclass(frozen=True)
class Series:
    """Marks that stand in every row: under another `prompt` than the column's, or on another corpus (`twin`)."""

    name: str
    colour: str
    marker: str = "o"
    filled: bool = True
    prompt: str = ""
    corpus: str = ""


OWN = (Series("", ""),)  # one mark a row, in the colour of its condition
WITH_TWIN = (
    Series("main corpus", style.INK),
    Series("uncorrelated twin", style.CONTROLS[TWIN.key].colour, filled=False, corpus="twin"),
)
SWITCH = tuple(
    Series(name, *style.PROMPTS[prompt], prompt=prompt)
    for prompt, name in (("training", "training prompt"), ("none", "no prompt"), ("dont_hack", "“don't hack”"))
)


@dataclass(frozen=True)
class Dots:
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
    numbers: bool = True

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
        made = make.last(evidence.of(there, column.measure, prompt), there, column.measure, prompt, column.final)
        return make.shown_as(
            [*made, *make.printed(there, column.measure, prompt, column.final)], condition, series.name
        )

    def _mine(self, drawn: pd.DataFrame, evals: Sequence[Shown]) -> tuple[list[Column], pd.DataFrame]:
        columns = spelt(self.columns, evals)
        panels = [column.final for column in columns]
        names = [series.name for series in self.series]
        return columns, drawn[drawn["panel"].isin(panels) & drawn["series"].isin(names)]

    def _pitch(self) -> float:
        if self.headings and self.series == OWN:
            return CLOSE
        return PITCH if len(self.series) < 3 else TALLER + 0.05 * (len(self.series) - 3)

    def height(self, drawn: pd.DataFrame, evals: Sequence[Shown]) -> float:
        _, mine = self._mine(drawn, evals)
        _, _, end = places(mine, self.headings)
        return self._pitch() * (end + 1.1) + 0.42 + self._head(evals)

    def _head(self, evals: Sequence[Shown]) -> float:
        """Inches above the panels: titles and the key."""
        lines = max(len(title) for title in self._titles(evals))
        return 0.1 + 0.11 * lines + 0.17 * bool(self._keyed())

    def _titles(self, evals: Sequence[Shown]) -> list[list[str]]:
        columns = spelt(self.columns, evals)
        letters = max(10, 62 // len(columns))
        return [textwrap.wrap(column.title, letters, break_long_words=False) or [""] for column in columns]

    def _keyed(self) -> bool:
        return len(self.series) > 1

    def draw(self, space: Space, drawn: pd.DataFrame) -> None:
        columns, mine = self._mine(drawn, space.evals)
        looks = style.looks(drawn)
        if self.headings:  # too many arms for a colour each
            looks = {key: look if key in style.CONTROLS else style.Look(style.INK) for key, look in looks.items()}
        rows, headings, end = places(mine, self.headings)
        longest = max(
            [4, *(len(short(label)) for _, label in named(mine)), *(1.15 * len(h) for h in headings.values())]
        )
        left = min(2.6, 0.2 + 0.0445 * longest)
        numbers = self.numbers and len(columns) <= MANY and len(self.series) <= 2
        right = WIDTH - EDGE - 0.4 * len(self.words) - (0.3 if numbers else 0.32 * (len(self.series) < 3))
        top = space.height - self._head(space.evals)
        gap = 0.36 if numbers else 0.17
        axes = space.side_by_side(len(columns), left=left, right=right, low=0.34, high=top, gap=gap)
        partial = [c.final for c in columns if c.share and not c.whole]
        shared = style.ceiling(mine.loc[mine["panel"].isin(partial), "y"])
        for ax, column, title in zip(axes, columns, self._titles(space.evals), strict=True):
            letter = next(space.letters) if len(columns) <= MANY or ax is axes[0] else ""
            style.letter(ax, letter, "\n".join(title), 0.13)
            values = mine[mine["panel"] == column.final]
            self._axis(ax, column, values, shared, end)
            if len(columns) > 3:
                ax.set_xlabel("")
                ax.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 2.5, 5, 10]))
            if len(columns) > MANY:
                ax.set_title(ax.get_title(loc="left"), loc="left", size=6.2)
                ax.set_xticks([0, next((half for half in (0.5, 0.2) if ax.get_xlim()[1] > 1.4 * half), 0.05)])
            stripes(ax, rows.values())
            marked = by_mark(values)
            for key, row in rows.items():
                for series, shift in zip(self.series, spaced(len(self.series)), strict=True):
                    drawn_marks = marked.get((key, series.name), [])
                    marks(ax, drawn_marks, row + shift, series.colour or looks[key].colour, series)
                    if numbers:
                        self._number(ax, drawn_marks, row + 1.4 * shift, column, series)
            self._levels(ax, values)
        self._names(axes[0], mine, rows, headings, left, looks)
        if not numbers and len(self.series) < 3:
            self._seeds(axes[-1], mine, rows)
        self._words(axes[-1], drawn, rows, 0.3 if numbers else 0.32)
        if self._keyed():
            series_key(axes[0], self.series, space.height - 0.02, space)

    def _axis(self, ax: Axes, column: Column, values: pd.DataFrame, shared: float, end: float) -> None:
        if column.share:
            style.percent(ax, "x", 1.02 if column.whole else shared)
        else:
            ax.grid(True, axis="x")
            ax.set_xlim(0, max(1e-9, 1.1 * float(values["y"].max())) if values["y"].notna().any() else 1)
        ax.set_ylim(end + 0.6, -0.6)
        ax.set_yticks([])
        ax.set_xlabel(column.what)
        style.say_if_empty(ax, values)

    def _number(self, ax: Axes, mine: Sequence[Row], place: float, column: Column, series: Series) -> None:
        text: dict[str, Any] = {"size": 5.5, "va": "center", "ha": "right", "annotation_clip": False}
        text |= {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
        for value in (row["y"] for row in mine if row["kind"] == "mean"):
            said = f"{100 * value:.1f}" if column.share else f"{value:.3g}"
            colour = "#555555" if series is self.series[0] else series.colour
            ax.annotate(said, (1, place), (21, 0), color=colour, **text)

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
            ax.annotate(short(label), (0, rows[name]), (indent, 0), size=6.3, color=colour, **text)

    def _seeds(self, ax: Axes, mine: pd.DataFrame, rows: Mapping[str, float]) -> None:
        text: dict[str, Any] = {"va": "center", "annotation_clip": False, "textcoords": "offset points", "size": 5.8}
        means = mine[(mine["kind"] == "mean") & mine["seeds"].notna()]
        for name, place in rows.items():
            of_row = means[means["condition"] == name]
            counts = [of_row.loc[of_row["series"] == series.name, "seeds"].max() for series in self.series]
            said = " / ".join("–" if count != count else f"{count:g}" for count in counts)
            ax.annotate(said, (1, place), (5, 0), xycoords=("axes fraction", "data"), color=style.FAINT, **text)
        ax.annotate("seeds", (1, 1), (3, 5), xycoords="axes fraction", color=style.FAINT, **text)

    def _words(self, ax: Axes, drawn: pd.DataFrame, rows: Mapping[str, float], offset: float) -> None:
        said = drawn[drawn["kind"] == "words"]
        text: dict[str, Any] = {"annotation_clip": False, "textcoords": "offset points", "ha": "center"}
        for number, heading in enumerate(self.words):
            x = 72 * (offset + 0.4 * number + 0.2)
            title = "\n".join(textwrap.wrap(heading, 9))
            ax.annotate(
                title, (1, 1), (x, 5), xycoords="axes fraction", size=5.8, va="bottom", linespacing=0.95, **text
            )
            for key, word in said.loc[said["series"] == heading, ["condition", "text"]].itertuples(index=False):
                if key in rows:
                    colour, weight = WORDS.get(word, (style.FAINT, "normal"))
                    look: dict[str, Any] = {"color": colour, "weight": weight, "size": 6, "va": "center"}
                    ax.annotate(word, (1, rows[key]), (x, 0), xycoords=("axes fraction", "data"), **look, **text)


WORDS = {"yes": ("#00754f", "bold"), "partly": ("#B45309", "bold"), "no": ("#B2182B", "bold")}


def short(label: str) -> str:
    """A name that fits beside the panels."""
    return label if len(label) <= LONGEST else label[: LONGEST - 1] + "…"


def spaced(count: int) -> list[float]:
    """Where the marks of one row stand, in rows from its middle."""
    step = 0.34 if count < 3 else 0.72 / count
    return [step * (place - (count - 1) / 2) for place in range(count)]


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


def stripes(ax: Axes, rows: Iterable[float]) -> None:
    """Every other row on grey."""
    for number, row in enumerate(rows):
        if number % 2 == 0:
            ax.axhspan(row - 0.5, row + 0.5, color="#f4f4f4", linewidth=0, zorder=0)


def by_mark(values: pd.DataFrame) -> dict[tuple[str, str], list[Row]]:
    """(condition, series) -> its rows."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in make.records(values):
        found.setdefault((row["condition"], row["series"]), []).append(row)
    return found


def marks(ax: Axes, mine: Sequence[Row], y: float, colour: str, series: Series) -> None:
    """One condition's final value: its runs, its interval, its mean, and the paper's value."""
    seeds = [row["y"] for row in mine if row["kind"] == "seed"]
    if len(seeds) > 1:
        ax.plot(seeds, [y] * len(seeds), "|", color=colour, markersize=4, markeredgewidth=0.6, alpha=0.75, zorder=2.5)
    look: dict[str, Any] = {"color": colour, "markeredgewidth": 0.8, "markersize": 3.8}
    look |= {"markerfacecolor": colour if series.filled else "white"}
    for row in mine:
        ends = [max(0.0, row["low"]), row["high"]]
        if row["kind"] == "paper":
            hollow(ax, row["y"], y, row["low"], row["high"], colour)
        elif row["kind"] == "answers" and row["low"] == row["low"]:
            ax.plot(ends, [y, y], color="#c9c9c9", linewidth=2.4, solid_capstyle="butt", zorder=2)
        elif row["kind"] == "mean":
            if row["seeds"] >= style.BAND_SEEDS:
                ax.plot(ends, [y, y], color=colour, linewidth=0.8, solid_capstyle="butt", zorder=2)
            ax.plot(row["y"], y, series.marker, zorder=3, clip_on=False, **look)


def series_key(ax: Axes, series: Sequence[Series], top: float, space: Space) -> None:
    """A one-line key of the series, `top` inches above the bottom of the band."""
    handles = []
    for each in series:
        look: dict[str, Any] = {"color": each.colour, "marker": each.marker, "linestyle": "", "markersize": 3.8}
        look["markerfacecolor"] = each.colour if each.filled else "white"
        handles.append(Line2D([], [], label=each.name, **look))
    width, whole = space.picture.get_size_inches()
    ax.legend(
        handles=handles,
        **{"loc": "upper left", "bbox_to_anchor": (ax.get_position().x0 - 0.1 / width, (space.bottom + top) / whole)},
        **{"bbox_transform": space.picture.transFigure, "ncols": len(handles), "frameon": False, "fontsize": 6.5},
        **{"handletextpad": 0.1, "columnspacing": 1.0, "borderaxespad": 0, "borderpad": 0},
    )


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
class Categories:
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
            for category in group.categories:
                for condition in group.only or conditions:
                    mine = evidence.of(condition, category.measure, category.prompt)
                    made = make.last(mine, condition, category.measure, category.prompt, panel)
                    made += make.printed(condition, category.measure, category.prompt, panel)
                    found += make.shown_as(made, condition, category.name)
        return found

    def _mine(self, drawn: pd.DataFrame) -> pd.DataFrame:
        return drawn[drawn["panel"].isin([self._panel(group) for group in self.groups])]

    def _most(self, drawn: pd.DataFrame) -> int:
        """Marks of the fullest row."""
        counts = self._mine(drawn).groupby("panel")["condition"].nunique()
        return max(2, int(counts.max())) if len(counts) else 2

    def height(self, drawn: pd.DataFrame, evals: Sequence[Shown]) -> float:
        rows = len(self.groups[0].categories) * max(PITCH, 0.075 * self._most(drawn) + 0.05)
        return rows + 0.74 + 0.11 * max(len(title) for title in self._titles())

    def _titles(self) -> list[list[str]]:
        return [textwrap.wrap(group.title, 80 // len(self.groups)) for group in self.groups]

    def draw(self, space: Space, drawn: pd.DataFrame) -> None:
        mine, looks = self._mine(drawn), style.looks(drawn)
        titles = self._titles()
        rows = [category.name for category in self.groups[0].categories]
        left = 0.25 + 0.048 * max(len(row) for row in rows)
        shape = {"left": left, "right": WIDTH - EDGE - 0.1, "low": 0.36, "gap": 0.22}
        shape["high"] = space.height - 0.31 - 0.11 * max(len(title) for title in titles)
        axes = space.side_by_side(len(self.groups), **shape)
        top = 1.02 if self.whole else style.ceiling(mine["y"])
        for ax, group, title in zip(axes, self.groups, titles, strict=True):
            values = mine[mine["panel"] == self._panel(group)]
            style.letter(ax, next(space.letters), "\n".join(title), 0.13)
            style.percent(ax, "x", top)
            if len(axes) > 3:
                ax.xaxis.set_major_locator(MaxNLocator(2, steps=[1, 2, 5, 10]))
            ax.set_ylim(len(rows) - 0.4, -0.6)
            ax.set_yticks(range(len(rows)), rows if ax is axes[0] else [])
            ax.tick_params(axis="y", length=0)
            ax.set_xlabel(self.what if len(axes) < 4 or ax is axes[0] else "")
            style.say_if_empty(ax, values)
            order = named(values)
            stripes(ax, range(len(rows)))
            marked = by_mark(values)
            for place, category in enumerate(group.categories):
                for (key, label), shift in zip(order, spaced(len(order)), strict=True):
                    mine_here = marked.get((key, category.name), [])
                    marks(ax, mine_here, place + shift, looks[key].colour, self._look(key, label, looks))
        shown_in = self.keyed or tuple(self._look(key, label, looks) for key, label in named(mine))
        series_key(axes[0], shown_in, space.height - 0.02, space)

    def _look(self, key: str, label: str, looks: Mapping[str, style.Look]) -> Series:
        marker = "o" if self.keyed else looks[key].marker
        return Series(label, looks[key].colour, marker, filled=not key.startswith("before"))


def keyed(mine: pd.DataFrame, looks: Mapping[str, style.Look]) -> dict[str, tuple[str, style.Look]]:
    """Key -> (name, look) of points; where they are more than NAMED, those of other corpora and settings share a grey one."""
    found = {key: (label, looks[key]) for key, label in named(mine)}
    if len(found) <= NAMED:
        return found
    for key, *where in mine.drop_duplicates("condition")[["condition", *CELL]].itertuples(index=False):
        _, corpus, hackable, overrides = where
        if key not in style.CONTROLS and (corpus, hackable, overrides) != BASELINE.cell[1:]:
            twin = corpus.startswith("twin")
            found[key] = ("others, twins", style.Look("#8fc7b5", "^")) if twin else ("others", style.Look(style.FAINT))
    return found


Pairs = Callable[[pd.DataFrame, Condition, Column], make.Points]


@dataclass(frozen=True)
class Points:
    """Measures against another, a panel each: a small mark per run, a large one at the mean of every condition.

    `over_steps`: the way from checkpoint to checkpoint instead of the final values; `pairs`: the points of a condition where
    `x` is no final value; `keep`: which conditions are drawn; `levels`: whose values are lines through the panel.
    `by_family`: too many to name: the colour is that of the mitigation's kind, and named are the controls and those that no
    other is better than, lower in `x` and higher in `y`.
    """

    title: str
    x: Column
    y: tuple[Column, ...]
    over_steps: bool = False
    pairs: Pairs | None = None
    keep: Callable[[Condition], bool] = lambda condition: not condition.start
    levels: tuple[Condition, ...] = ()
    tall: float = 2.45
    by_family: bool = False

    def _panel(self, y: Column) -> str:
        return f"{self.title}: {y.title}" if len(self.y) > 1 else self.title

    def rows(self, evidence: Evidence, conditions: Sequence[Condition]) -> list[Row]:
        found: list[Row] = []
        for y in self.y:
            for condition in conditions:
                panel = self._panel(y)
                if condition in self.levels:
                    mine = evidence.of(condition, y.measure, y.prompt)
                    level = make.last(mine, condition, y.measure, y.prompt, panel)
                    found += [row for row in level if row["kind"] == "mean"]
                elif self.keep(condition):
                    found += self._points(condition(evidence.measures), condition, y, panel)
        return found

    def _points(self, mine: pd.DataFrame, condition: Condition, y: Column, panel: str) -> list[Row]:
        across, up = (self.x.measure, self.x.prompt), (y.measure, y.prompt)
        if self.over_steps:
            return make.path(mine, condition, across, up, panel)
        points = self.pairs(mine, condition, y) if self.pairs else make.ends(mine, condition, across, up)
        return make.pairs(points, condition, self.x.measure, up, panel)

    def height(self, drawn: pd.DataFrame, evals: Sequence[Shown]) -> float:
        return max(self.tall, self._names_height(drawn)) + 0.62 + 0.3 * self.by_family

    def _names_height(self, drawn: pd.DataFrame) -> float:
        """Inches of the names right of the panels; those at the ends of lines find their own places."""
        if self.by_family or self.over_steps:
            return 0.0
        mine = drawn[drawn["panel"].isin([self._panel(y) for y in self.y])]
        names = {label for label, _ in keyed(mine, style.looks(drawn)).values()}
        return sum(0.032 + 0.108 * len(textwrap.wrap(f"{name} (9)", 30)) for name in names)

    def draw(self, space: Space, drawn: pd.DataFrame) -> None:
        looks = style.looks(drawn)
        right = WIDTH - GUTTER - 0.1 if self.over_steps else WIDTH - 2.1 if len(self.y) > 1 else 4.43
        high = space.height - 0.24 - 0.3 * self.by_family
        shape = {"left": 0.53, "right": right, "low": high - self.tall, "high": high, "gap": 0.65}
        axes = space.side_by_side(len(self.y), **shape)
        for ax, y in zip(axes, self.y, strict=True):
            mine = drawn[drawn["panel"] == self._panel(y)]
            style.letter(ax, next(space.letters), self._panel(y))
            self._axis(ax, "x", self.x, mine["x"])
            self._axis(ax, "y", y, mine["y"])
            ax.grid(True)
            style.say_if_empty(ax, mine)
            if self.by_family:
                self._families(ax, mine)
            elif self.over_steps:
                self._ways(ax, mine, looks)
            else:
                self._marks(ax, mine, keyed(mine, looks))
        if not self.by_family and not self.over_steps:
            mine = drawn[drawn["panel"].isin([self._panel(y) for y in self.y])]
            self._key(axes[-1], mine, keyed(mine, looks))

    def _axis(self, ax: Axes, axis: str, column: Column, values: pd.Series[float]) -> None:
        if column.share:
            style.percent(ax, axis, 1.02 if column.whole else style.ceiling(values))
        if column.low:
            (ax.set_xlim if axis == "x" else ax.set_ylim)(column.low, 1.02)
        (ax.set_xlabel if axis == "x" else ax.set_ylabel)(column.what)

    def _ways(self, ax: Axes, mine: pd.DataFrame, looks: Mapping[str, style.Look]) -> None:
        """From checkpoint to checkpoint, with the names at the ends."""
        labels = []
        for key, rows in mine.groupby("condition", sort=False):
            look = looks[str(key)]
            style.curves(ax, rows, look.colour, look.marker)
            labels += style.line_end(rows, textwrap.fill(str(rows["label"].iloc[0]), 20), look.ink)
        style.end_labels(ax, labels)

    def _marks(self, ax: Axes, mine: pd.DataFrame, looks: Mapping[str, tuple[str, style.Look]]) -> None:
        """Runs and means; what has no `x` is a line."""
        for key, rows in mine.groupby("condition", sort=False):
            (_, look), seeds, mean = looks[str(key)], rows[rows["kind"] == "seed"], rows[rows["kind"] == "mean"]
            if rows["x"].isna().all():
                ax.axhline(
                    float(mean["y"].iloc[0]), color=look.colour, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1.5
                )
                continue
            ax.plot(seeds["x"], seeds["y"], look.marker, color=look.colour, markersize=2.5, alpha=0.5, clip_on=False)
            ax.plot(mean["x"], mean["y"], look.marker, color=look.colour, markersize=5.5, clip_on=False)

    def _key(self, ax: Axes, mine: pd.DataFrame, looks: Mapping[str, tuple[str, style.Look]]) -> None:
        """Every name with its number of runs, right of the panels."""
        names = mine["condition"].map(lambda key: looks[str(key)][0])
        handles = []
        for name, rows in mine.groupby(names, sort=False):
            look, level = looks[str(rows["condition"].iloc[0])][1], rows["x"].isna().all()
            runs = rows[rows["kind"] == "seed"].drop_duplicates(["condition", "run"])
            count = rows["seeds"].max() if level else len(runs)
            shape = {"linestyle": (0, (4, 2)), "linewidth": 0.9} if level else {"linestyle": "", "marker": look.marker}
            text = textwrap.fill(f"{name} ({count:g})", 30)
            handles.append(Line2D([], [], label=text, color=look.colour, markersize=4, **shape))
        shape = {"loc": "upper left", "bbox_to_anchor": (1.03, 1.02), "frameon": False, "fontsize": 6.5}
        if handles:
            spacing = {"handletextpad": 0.4, "labelspacing": 0.35, "borderaxespad": 0, "handlelength": 1.3}
            ax.legend(handles=handles, **shape, **spacing)

    def _families(self, ax: Axes, mine: pd.DataFrame) -> None:
        """The means, coloured by kind, with the key of the kinds and the names of the best."""
        means = mine[mine["kind"] == "mean"]
        families = [of(*cell).family for cell in means[list(CELL)].itertuples(index=False)]
        tints = dict(zip(dict.fromkeys(families), itertools.cycle(style.FAMILIES), strict=False))
        labels = []
        for family, row in zip(families, make.records(means), strict=True):
            own, x, y = style.CONTROLS.get(row["condition"]), row["x"], row["y"]
            better = (means["x"] <= x) & (means["y"] >= y) & ((means["x"] < x) | (means["y"] > y))
            look = own or style.Look(tints[family])
            ax.plot(x, y, look.marker, color=look.colour, markersize=5, alpha=0.9, clip_on=False)
            if own or not better.any():
                labels.append(style.Label(x, y, short(row["label"]), look.ink))
        style.end_labels(ax, labels, size=6)
        kinds = [
            Line2D([], [], color=tint, marker="o", linestyle="", markersize=4, label=family)
            for family, tint in tints.items()
        ]
        shape = {"loc": "lower left", "bbox_to_anchor": (-0.02, 1.09), "frameon": False, "ncols": 5}
        if kinds:
            ax.legend(handles=kinds, fontsize=6.3, handletextpad=0.1, columnspacing=0.8, borderaxespad=0, **shape)
