"""What several kinds of panels share: sizes, the series of marks in a row, the marks themselves and their key."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis.conditions import TWIN
from analysis.figures import rows as make
from analysis.figures import style
from analysis.figures.figure import TWINNED, UNTWINNED, Space
from analysis.figures.rows import Row

WIDTH, EDGE = style.TWO_COLUMNS, 0.09  # inches: of a page, and of what stays white at its right
GUTTER = 1.2  # inches for names at the ends of lines
PITCH = 0.19  # inches from one row of marks to the next
LONGEST = 54  # letters of an arm's name that fit on a line beside panels


@dataclass(frozen=True)
class Series:
    """Marks that stand in every row: under another `prompt` than the column's, or on another corpus (`twin`).

    `short`: its name above a column of numbers.
    """

    name: str
    colour: str
    marker: str = "o"
    filled: bool = True
    prompt: str = ""
    corpus: str = ""
    short: str = ""


OWN = (Series("", ""),)  # one mark a row, in the colour of its condition
WITH_TWIN = (
    Series(UNTWINNED, style.INK, short="main"),
    Series(TWINNED, style.CONTROLS[TWIN.key].colour, filled=False, corpus="twin", short="twin"),
)
SWITCH = tuple(
    Series(name, *style.PROMPTS[prompt], prompt=prompt)
    for prompt, name in (("training", "training prompt"), ("none", "no prompt"), ("dont_hack", "“don't hack”"))
)


def stripes(ax: Axes, rows: Iterable[float]) -> None:
    """Every other row on grey."""
    for number, row in enumerate(rows):
        if number % 2 == 0:
            ax.axhspan(row - 0.5, row + 0.5, color="#f4f4f4", linewidth=0, zorder=0)


def spaced(count: int) -> list[float]:
    """Where the marks of one row stand, in rows from its middle."""
    step = 0.34 if count < 3 else 0.72 / count
    return [step * (place - (count - 1) / 2) for place in range(count)]


def by_mark(values: pd.DataFrame) -> dict[tuple[str, str], list[Row]]:
    """(condition, series) -> its rows."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in make.records(values):
        found.setdefault((row["condition"], row["series"]), []).append(row)
    return found


def marks(ax: Axes, mine: Sequence[Row], y: float, colour: str, series: Series, most: float = 1.0) -> None:
    """One condition's final value: its runs, its interval as far as it is possible (0 to `most`), its mean, the paper's."""
    seeds = [row["y"] for row in mine if row["kind"] == "seed"]
    if len(seeds) > 1:
        ax.plot(seeds, [y] * len(seeds), "|", color=colour, markersize=4, markeredgewidth=0.6, alpha=0.75, zorder=2.5)
    look: dict[str, Any] = {"color": colour, "markeredgewidth": 0.8, "markersize": 3.8}
    look |= {"markerfacecolor": colour if series.filled else "white"}
    for row in mine:
        ends = [max(0.0, row["low"]), min(most, row["high"])]
        if row["kind"] == "paper":
            hollow(ax, row["y"], y, row["low"], row["high"], colour)
        elif row["kind"] == "answers" and row["low"] == row["low"]:
            ax.plot(ends, [y, y], color="#c9c9c9", linewidth=2.4, solid_capstyle="butt", zorder=2)
        elif row["kind"] == "mean":
            if row["low"] == row["low"]:
                ax.plot(ends, [y, y], color=colour, linewidth=0.8, solid_capstyle="butt", zorder=2)
            ax.plot(row["y"], y, series.marker, zorder=3, clip_on=False, **look)


def hollow(ax: Axes, x: float, y: float, low: float, high: float, colour: str, upright: bool = False) -> None:
    """The paper's value: a hollow diamond, with a line from end to end where it is a range. `upright`: the value is y."""
    span = ([x, x], [low, high]) if upright else ([low, high], [y, y])
    if high > low:
        ax.plot(*span, color=colour, linewidth=0.7, linestyle=(0, (1, 1)), zorder=3.5, clip_on=False)
    mark: dict[str, Any] = {"markerfacecolor": "white", "markeredgecolor": colour, "markeredgewidth": 0.8}
    ax.plot(x, y, "D", markersize=3.6, zorder=4, clip_on=False, **mark)


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


def broken(label: str, letters: int = LONGEST) -> list[str]:
    """A name as it stands beside the panels: on one line or two."""
    return textwrap.wrap(label, letters, break_on_hyphens=False, max_lines=2, placeholder=" …")
