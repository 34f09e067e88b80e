"""How figures look: sizes of a two-column paper, one colour-blind-safe colour per condition, direct labels.

Colours are those of Okabe and Ito (2008); lines also differ by dash, points by marker, so that grey print still reads.
"""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from analysis import labels
from analysis.conditions import BASELINE, NO_HACK, PRE_RL, TWIN, UNTRAINED
from analysis.paper import LISTED
from analysis.table import CELL
from mitigations.experiments import PROMPTED

TWO_COLUMNS = 6.9  # inches
INK, FAINT = "#222222", "#8a8a8a"
DOTTED, ALONE = (0, (1, 1.6)), 0.9  # dash of lines between points far apart, width of the mean of one run
SPARE = (  # none like those of the controls
    *("#6A3D9A", "#8C510A", "#B2182B", "#4D4D9F", "#7A7A00"),
    *("#A6007C", "#2F4858", "#5F6B7A", "#9C6BB5", "#4A2C2A"),
)
FAMILIES = tuple(  # colour and marker of kinds of mitigations, none of them that of a control
    zip(
        ("#CC79A7", "#6A3D9A", "#1B7F7A", "#E69F00", "#8C510A", "#56B4E9", "#4D4D4D", "#7A7A00"),
        ("D", "v", "p", "P", "X", "o", "*", "<"),
        strict=True,
    )
)
ROUND = (0.01, 0.02, 0.05, 0.1)  # ends of axes of small shares
PROMPTS = {"training": ("#222222", "o"), "none": ("#0072B2", "s"), "dont_hack": ("#E69F00", "D")}
MARKERS = ("D", "v", "P", "X", "<", ">", "h", "*", "p", "d")
RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: a picture looks the same on every machine
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.titlepad": 5,
    "axes.labelsize": 7,
    "axes.labelpad": 2.5,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.5,
    "svg.hashsalt": "edmund",  # equal tables, equal files
    "savefig.dpi": 200,
}


@dataclass(frozen=True)
class Label:
    """A direct label of the point (x, y), in data units."""

    x: float
    y: float
    text: str
    colour: str


@dataclass(frozen=True)
class Look:
    """How a condition is drawn: `colour`, the marker of its points, the dash of its lines."""

    colour: str
    marker: str = "o"
    dash: Any = "-"

    @property
    def ink(self) -> str:
        """The colour for text: darker where the colour itself is too light to read on white."""
        red, green, blue = to_rgb(self.colour)
        light = 0.2126 * red + 0.7152 * green + 0.0722 * blue
        keep = min(1.0, 0.42 / light) if light > 0 else 1.0
        return to_hex((red * keep, green * keep, blue * keep))


CONTROLS = {
    BASELINE.key: Look("#D55E00"),
    NO_HACK.key: Look("#0072B2", "s"),
    TWIN.key: Look("#009E73", "^"),
    PRE_RL.key: Look("#222222", dash=(0, (4, 2))),
    UNTRAINED.key: Look("#8a8a8a", dash=(0, (1, 1.5))),
}


def looks(drawn: pd.DataFrame) -> dict[str, Look]:
    """The look of every condition of a drawn table by its key.

    Colours are the same in every figure: that of the control, that of the arm's plug-in, or one that follows from the key,
    the next free one if two keys of a figure ask for the same; before and after training an arm has one, and so has a line with
    the hacks listed in the prompt, where that without the list is not drawn. Markers of arms follow from their order in the table.
    """
    found: dict[str, Look] = {}
    markers = itertools.cycle(MARKERS)
    free = list(SPARE)
    tints: dict[tuple[Any, ...], str] = {}
    cells = drawn.drop_duplicates("condition")[["condition", *CELL]]
    there = set(cells["arm"])
    for key, *cell in cells.itertuples(index=False):
        known = CONTROLS.get(key) or (CONTROLS[PRE_RL.key] if key.startswith(PRE_RL.key) else None)
        tint = tints.get(tuple(cell)) or _claimed(cell, there)
        if not known and not tint:
            start = zlib.crc32(key.encode()) % len(SPARE)
            tint = next((each for each in (*SPARE[start:], *SPARE[:start]) if each in free), SPARE[start])
            free = [each for each in free if each != tint]
        found[key] = known or Look(tint, next(markers))
        tints.setdefault(tuple(cell), found[key].colour)
    return found


def _claimed(cell: Sequence[Any], there: set[str]) -> str:
    """The colour that an arm's plug-in claims, empty where it claims none; `there`: the arms that a figure draws."""
    arm, *where = cell
    if tuple(where) == BASELINE.cell[1:]:
        return labels.colour(arm)
    line = arm.removesuffix(f",{LISTED}")
    listed = tuple(where) == (PROMPTED, *BASELINE.cell[2:]) and line != arm
    return labels.colour(line) if listed and line not in there else ""


def letter(ax: Axes, text: str, title: str, left: float = 0.36) -> None:
    """Title, and the panel letter on its line, `left` inches left of the axes."""
    ax.set_title(title, loc="left")
    place: dict[str, Any] = {"xytext": (-72 * left, RC["axes.titlepad"]), "textcoords": "offset points"}
    ax.annotate(text, (0, 1), xycoords="axes fraction", weight="bold", size=9, annotation_clip=False, **place)


def percent(ax: Axes, axis: str = "y", top: float = 1.0) -> None:
    """Shows shares as per cent, from zero."""
    chosen = ax.yaxis if axis == "y" else ax.xaxis
    chosen.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.4g}%"))
    chosen.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    (ax.set_ylim if axis == "y" else ax.set_xlim)(0, top)
    ax.grid(True, axis="y" if axis == "y" else "x")


def ceiling(values: pd.Series, least: float = 0.01) -> float:
    """A round upper limit that holds all values, in steps of 10 points, below 10 % the next of ROUND; never above 1 plus a
    hair's room.
    """
    known = values.dropna()
    highest = max(least, 1.05 * float(known.max()) if len(known) else 0.0)
    return min(1.02, next((top for top in ROUND if top >= highest), math.ceil(highest * 10) / 10))


def reach(rows: pd.DataFrame) -> pd.Series[float]:
    """What an axis of shares has to hold: the values, and the ends of their intervals as far as they are possible."""
    ends: pd.Series[float] = pd.concat([rows["y"], rows["high"].clip(upper=1.0)]).astype(float)
    return ends


def curves(
    ax: Axes,
    rows: pd.DataFrame,
    tint: str,
    marker: str = "",
    dash: Any = "-",
    width: float = 1.6,
    few: bool = False,
) -> None:
    """Every run as a thin line, the mean bold (of one run: thin), its interval as far as it is possible as a band.

    `few`: points that are few lie far apart: dotted lines join them, and intervals are bars. Rows: kind, run, x, y, low, high, seeds.
    """
    seeds, dash = rows[rows["kind"] == "seed"], DOTTED if few else dash
    for _, run in seeds.groupby("run"):
        ax.plot(run["x"], run["y"], color=tint, linewidth=0.5, alpha=0.55, linestyle=dash, zorder=2)
    mean = rows[rows["kind"] == "mean"]
    width = min(width, ALONE) if mean["seeds"].max() == 1 else width
    known = mean[mean["low"].notna()]
    low, high = (known[end].astype(float).clip(0.0, 1.0) for end in ("low", "high"))
    if few:
        ax.vlines(known["x"], low, high, color=tint, alpha=0.45, linewidth=0.9, zorder=2)
    elif len(known):
        ax.fill_between(known["x"], low, high, color=tint, alpha=0.13, linewidth=0, zorder=1)
    ax.plot(
        *(mean["x"], mean["y"]),
        **{
            "color": tint,
            "linewidth": width,
            "linestyle": dash,
            "zorder": 3,
            "marker": marker or ("." if few else None),
            "markersize": 3,
        },
    )


def line_end(rows: pd.DataFrame, text: str, tint: str) -> list[Label]:
    """The label of a mean curve at its last point; none where there is no mean."""
    mean = rows[rows["kind"] == "mean"]
    return [Label(float(mean["x"].iloc[-1]), float(mean["y"].iloc[-1]), text, tint)] if len(mean) else []


def end_labels(ax: Axes, labels: Sequence[Label], at: float = 1.03, size: float = 6.5) -> None:
    """Labels right of the axes at the heights of their line ends, pushed apart so that none overlaps."""
    if not labels:
        return
    assert isinstance(ax.figure, Figure)
    height = ax.get_position().height * ax.figure.get_figheight() * 72  # points
    bottom, top = ax.get_ylim()
    ordered = sorted(labels, key=lambda label: label.y)
    need = [size * 1.22 * (label.text.count("\n") + 1) / height for label in ordered]
    wanted = [min(max((label.y - bottom) / (top - bottom), 0.0), 1.0) for label in ordered]
    right = ax.get_xlim()[1]
    for label, y in zip(ordered, spread(wanted, need), strict=True):
        ax.annotate(
            label.text,
            xy=(min(label.x, right), min(label.y, top)),
            xytext=(at, y),
            textcoords=ax.transAxes,
            color=label.colour,
            size=size,
            va="center",
            ha="left",
            linespacing=0.95,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": label.colour,
                "linewidth": 0.4,
                "shrinkA": 0.5,
                "shrinkB": 1.5,
                "relpos": (0, 0.5),
            },
        )


def spread(wanted: Sequence[float], need: Sequence[float]) -> list[float]:
    """Centres closest to the ascending `wanted` ones such that intervals of widths `need` do not overlap.

    Neighbours that collide are merged into a block, which sits at the mean of what its members want, inside [0, 1].
    """
    blocks: list[tuple[list[int], float]] = []  # members, lower edge
    for index in range(len(wanted)):
        members = [index]
        edge = _edge(members, wanted, need)
        while blocks and blocks[-1][1] + sum(need[i] for i in blocks[-1][0]) > edge:
            members = [*blocks.pop()[0], *members]
            edge = _edge(members, wanted, need)
        blocks.append((members, edge))
    centres = [0.0] * len(wanted)
    for members, edge in blocks:
        for i in members:
            centres[i] = edge + need[i] / 2
            edge += need[i]
    return centres


def _edge(members: Sequence[int], wanted: Sequence[float], need: Sequence[float]) -> float:
    """Where a block of touching labels starts so that its members sit closest to where they want to."""
    offset, wishes = 0.0, []
    for i in members:
        wishes.append(wanted[i] - offset - need[i] / 2)
        offset += need[i]
    return max(0.0, min(sum(wishes) / len(wishes), 1.0 - offset))


def page(panels: float, notes: Sequence[str], width: float = TWO_COLUMNS) -> tuple[Figure, Callable[[float], float]]:
    """(figure `width` inches wide, inches above the small print -> figure fraction).

    `panels` is the height of everything but the small print at the bottom, which grows with its lines: how to read
    the figure, how many runs it shows, and what is missing.
    """
    print_height = 0.06 + 0.105 * len(notes)
    figure = Figure(figsize=(width, panels + print_height))
    whole = panels + print_height
    small: dict[str, Any] = {"size": 6, "color": "#555555", "va": "bottom", "ha": "left", "linespacing": 1.25}
    figure.text(0.083 / width, 0.03 / whole, "\n".join(notes), **small)
    return figure, lambda inches: (print_height + inches) / whole
