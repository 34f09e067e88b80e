"""One measure against another: a mark a run, a large one a condition, or the way over RL."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from analysis import labels
from analysis.conditions import BASELINE, Condition, of
from analysis.evals import Shown
from analysis.evidence import Evidence
from analysis.figures import places, style
from analysis.figures import rows as make
from analysis.figures.figure import Band, Space
from analysis.figures.panels.columns import Column, filled, named, unfilled
from analysis.figures.panels.marks import EDGE, GUTTER, WIDTH
from analysis.figures.rows import Row
from analysis.figures.words import sparse
from analysis.measured import Measured
from analysis.table import BEHIND, CELL

FAR = 0.75  # lines that end before that part of the panel are named beside their ends
NAMED = 16  # more conditions than that are not all named beside points
OTHER, OUTLIERS = "others", 4  # what the key calls the rest of them, and how many of these are named
OTHERS = ((style.FAINT, "#cccccc"), ("#8fc7b5", "#cfe7df"))  # colours: of a twin or not, behind a failed gate or not
Pairs = Callable[[Measured, Condition, Column], make.Points]


@dataclass(frozen=True)
class Points(Band):
    """Measures against another, a panel each: a small mark per run, a large one at the mean of every condition.

    `over_steps`: the way from checkpoint to checkpoint instead of the final values; `pairs`: the points of a condition where
    `x` is no final value; `keep`: which conditions are drawn; `levels`: whose values are lines through the panel.
    `by_family`: too many to name: the look is that of the mitigation's kind, and named are the controls, `also`, and of every
    kind the one with most `x` and the one that is best, nearest to the least `x` and the most `y`. `corner`: up to that `x` and
    from that `y` on there are so many that a panel of its own beside it shows them. `least`: of fewer conditions than that
    nothing is drawn.
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
    also: tuple[Condition, ...] = ()
    corner: tuple[float, float] | None = None
    least: int = 1

    def _panel(self, y: Column) -> str:
        return f"{self.title}: {y.title}" if len(self.y) > 1 else self.title

    def rows(self, evidence: Evidence, conditions: Sequence[Condition]) -> list[Row]:
        found: list[Row] = []
        for y in self.y:
            for condition in conditions:
                panel = self._panel(y)
                if condition in self.levels:
                    level = make.last(evidence.measured, condition, y.measure, y.prompt, panel)
                    found += [row for row in level if row["kind"] == "mean"]
                elif self.keep(condition):
                    found += self._points(evidence.measured, condition, y, panel)
        return found if len({row["condition"] for row in found}) >= self.least else []

    def _points(self, mine: Measured, condition: Condition, y: Column, panel: str) -> list[Row]:
        across, up = (self.x.measure, self.x.prompt), (y.measure, y.prompt)
        if self.over_steps:
            return make.path(mine, condition, across, up, panel)
        if self.pairs:
            return make.pairs(self.pairs(mine, condition, y), condition, self.x.measure, up, panel)
        points, middle = make.ends(mine, condition, across, up), make.means(mine, condition, across, up)
        return make.pairs(points, condition, self.x.measure, up, panel, middle)

    def lacks(self, drawn: pd.DataFrame, evals: Sequence[Shown]) -> list[str]:
        return unfilled(drawn, {self._panel(y): self._panel(y) for y in self.y})

    def _filled(self, drawn: pd.DataFrame) -> list[Column]:
        return [y for y in self.y if filled(drawn, [self._panel(y)])]

    def height(self, drawn: pd.DataFrame, evals: Sequence[Shown]) -> float:
        if not self._filled(drawn):
            return 0.0
        return max(self.tall, self._names_height(drawn)) + 0.62 + 0.3 * self.by_family

    def _names_height(self, drawn: pd.DataFrame) -> float:
        """Inches of the names right of the panels; those at the ends of lines find their own places."""
        if self.by_family or self.over_steps:
            return 0.0
        mine = drawn[drawn["panel"].isin([self._panel(y) for y in self.y])]
        names = {label for label, _ in keyed(mine, style.looks(drawn)).values()}
        return sum(0.032 + 0.108 * len(textwrap.wrap(f"{name} (9)", 30)) for name in names)

    def draw(self, space: Space, drawn: pd.DataFrame) -> None:
        columns, looks = self._filled(drawn), style.looks(drawn)
        if not columns:
            return
        right = WIDTH - GUTTER - 0.1 if self.over_steps else WIDTH - 2.1 if len(columns) > 1 else 4.43
        right = WIDTH - EDGE - 0.1 if self.by_family else right
        high = space.height - 0.24 - 0.3 * self.by_family
        shape = {"left": 0.53, "right": right, "low": high - self.tall, "high": high, "gap": 0.65}
        axes = space.side_by_side(len(columns) + bool(self.corner), **shape)
        columns += columns[:1] * bool(self.corner)
        for ax, y in zip(axes, columns, strict=True):
            mine = drawn[drawn["panel"] == self._panel(y)]
            inner = bool(self.corner) and ax is axes[-1]
            style.letter(ax, next(space.letters), "its corner" if inner else self._panel(y))
            self._axis(ax, "x", self.x, mine["x"])
            self._axis(ax, "y", y, style.reach(mine) if not self.by_family else mine["y"])
            ax.grid(True)
            if self.by_family:
                self._families(ax, mine, inner, keyed=ax is axes[0])
            elif self.over_steps:
                self._ways(ax, mine, looks)
            else:
                self._marks(ax, mine, keyed(mine, looks))
        if not self.by_family and not self.over_steps:
            mine = drawn[drawn["panel"].isin([self._panel(y) for y in columns])]
            self._key(axes[-1], mine, keyed(mine, looks))

    def _axis(self, ax: Axes, axis: str, column: Column, values: pd.Series[float]) -> None:
        if column.share:
            style.percent(ax, axis, 1.02 if column.whole else style.ceiling(values))
        if column.low:
            (ax.set_xlim if axis == "x" else ax.set_ylim)(column.low, 1.02)
        (ax.set_xlabel if axis == "x" else ax.set_ylabel)(column.what)

    def _ways(self, ax: Axes, mine: pd.DataFrame, looks: Mapping[str, style.Look]) -> None:
        """From checkpoint to checkpoint, with the names at the ends: beside the panel, or where that is far away the point."""
        ends, few = [], sparse(mine)
        for key, rows in mine.groupby("condition", sort=False):
            look = looks[str(key)]
            style.curves(ax, rows, look.colour, look.marker, few=str(rows["label"].iloc[0]) in few)
            ends += style.line_end(rows, textwrap.fill(str(rows["label"].iloc[0]), 20), look.ink)
        edge = FAR * ax.get_xlim()[1]
        style.end_labels(ax, [label for label in ends if label.x >= edge])
        places.beside(ax, [label for label in ends if label.x < edge], _along(mine))

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
            low, high = (mean[end].astype(float).clip(0.0, 1.0) for end in ("low", "high"))
            ax.vlines(mean["x"], low, high, color=look.colour, linewidth=0.8, zorder=1.8)
            ax.plot(mean["x"], mean["y"], look.marker, color=look.colour, markersize=5.5, clip_on=False)

        self._outliers(ax, mine[mine["kind"] == "mean"], looks)

    def _outliers(self, ax: Axes, means: pd.DataFrame, looks: Mapping[str, tuple[str, style.Look]]) -> None:
        """The names of some of those that share a look with others: whose ranks in `x` and `y` are most unlike."""
        apart = (means["x"].rank() - means["y"].rank()).abs()
        shared = means["condition"].map(lambda key: looks[str(key)][0] == OTHER)
        chosen = means.loc[apart[shared].nlargest(OUTLIERS).index, ["x", "y", "label"]]
        names = [
            style.Label(x, y, textwrap.fill(label, 24), style.INK) for x, y, label in chosen.itertuples(index=False)
        ]
        places.beside(ax, names, list(zip(means["x"], means["y"], strict=True)), size=6, lined=True)

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

    def _families(self, ax: Axes, mine: pd.DataFrame, inner: bool, keyed: bool) -> None:
        """The means in the looks of their kinds, with the key of the kinds and the names of some; `inner`: those of the corner."""
        means = mine[mine["kind"] == "mean"]
        among = pd.Series(False, index=means.index)
        if self.corner:
            x, y = self.corner
            among = (means["x"] <= x) & (means["y"] >= y)
            if inner:
                ax.set_xlim(0, x)
                ax.set_ylim(y, ax.get_ylim()[1])
            else:
                edge: dict[str, Any] = {"fill": False, "edgecolor": style.FAINT, "linewidth": 0.6, "zorder": 1}
                ax.add_patch(Rectangle((0, y), x, ax.get_ylim()[1] - y, linestyle=(0, (2, 1)), **edge))
        kinds = [of(*cell).family for cell in means[list(CELL)].itertuples(index=False)]
        order = [*labels.families(), labels.SETTINGS, labels.STACKED]
        others = {kind for key, kind in zip(means["condition"], kinds, strict=True) if key not in style.CONTROLS}
        shown = sorted(others, key=lambda kind: (order.index(kind) if kind in order else len(order), kind))
        tints = {kind: style.Look(*look) for kind, look in zip(shown, itertools.cycle(style.FAMILIES), strict=False)}
        looks = [style.CONTROLS.get(key) or tints[kind] for key, kind in zip(means["condition"], kinds, strict=True)]
        said = {*style.CONTROLS, *(c.key for c in self.also), *_extremes(means.assign(family=kinds))}
        names = []
        for look, here, row in zip(looks, among == inner, make.records(means), strict=True):
            if here or not inner:
                ax.plot(row["x"], row["y"], look.marker, color=look.colour, markersize=5, alpha=0.85, clip_on=False)
            if here and row["condition"] in said:
                names.append(style.Label(row["x"], row["y"], textwrap.fill(row["label"], 28), look.ink))
        places.beside(ax, names, list(zip(means["x"], means["y"], strict=True)), size=6)
        handles = [
            Line2D([], [], color=look.colour, marker=look.marker, linestyle="", markersize=4, label=kind)
            for kind, look in tints.items()
        ]
        shape = {"loc": "lower left", "bbox_to_anchor": (-0.02, 1.09), "frameon": False, "ncols": 4}
        if handles and keyed:
            ax.legend(handles=handles, fontsize=6.3, handletextpad=0.1, columnspacing=0.8, borderaxespad=0, **shape)


def _extremes(means: pd.DataFrame) -> list[str]:
    """Of every kind the condition that is nearest to the least `x` and the most `y`, and the one with the most `x`."""
    gap = (means["x"] - means["x"].min()) ** 2 + (means["y"].max() - means["y"]) ** 2
    ends = [*gap.groupby(means["family"]).idxmin(), *means.groupby("family")["x"].idxmax()]
    return [str(means.loc[end, "condition"]) for end in ends]


def _along(rows: pd.DataFrame) -> list[tuple[float, float]]:
    """Points along the lines of runs and means."""
    found: list[tuple[float, float]] = []
    for _, line in rows.groupby(["condition", "kind", "run"], sort=False, dropna=False):
        points = list(zip(line["x"], line["y"], strict=True))
        for (x0, y0), (x1, y1) in itertools.pairwise(points):
            found += places.between((x0, y0), (x1, y1), 24)
    return found


def keyed(mine: pd.DataFrame, looks: Mapping[str, style.Look]) -> dict[str, tuple[str, style.Look]]:
    """Key -> (name, look) of points; where they are more than NAMED, those of other corpora and settings share a grey one."""
    found = {key: (label, looks[key]) for key, label in named(mine)}
    if len(found) <= NAMED:
        return found
    for key, *where in mine.drop_duplicates("condition")[["condition", *CELL]].itertuples(index=False):
        _, corpus, hackable, overrides = where
        if key not in style.CONTROLS and (corpus, hackable, overrides) != BASELINE.cell[1:]:
            twin, behind = corpus.startswith("twin"), found[key][0].endswith(BEHIND)
            tint = OTHERS[twin][behind]
            name = OTHER + ", twins" * twin + f", gate failed {BEHIND}" * behind
            found[key] = name, style.Look(tint, "^" if twin else "o")
    return found
