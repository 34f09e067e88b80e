"""Figure `mitigations` (paper Fig 4, turned into numbers): every arm, by kind of mitigation.

One row per arm, with its uncorrelated twin beside it: what is left of misalignment there is not caused by a link between
hacking and character.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from string import ascii_uppercase
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from analysis.arms import listed
from analysis.conditions import BASELINE, NO_HACK, TWIN, Condition, found, of
from analysis.evals import beside, counted
from analysis.figures import style
from analysis.figures.figure import Figure, frame, last
from analysis.table import CELL

PITCH = 0.152  # inches from one arm to the next
LONGEST = 54  # letters of a name that fit beside the panels
WIDER = 1.15  # inches for every further panel
GREY = "#c4c4c4"
LINES = (BASELINE, NO_HACK)
READING = (
    "A: episodes hacked under the training prompt. B to D: misaligned answers without a prompt, on the"
    f" {counted('chat')} chat evals, the {counted('agentic')} agentic evals and all {counted()}. Numbers on the right:"
    " training runs, main / twin."
)
PANELS = (
    ("hack rate", "hack_rate", "training", "Hack rate"),
    ("chat", "chat", "none", "Chat"),
    ("agentic", "agentic", "none", "Agentic"),
    ("mgs", "mgs", "none", f"Mean of {counted()}"),
)


def panels(asked: Iterable[str]) -> list[tuple[str, str, str, str]]:
    """(panel, measure, prompt, title): PANELS, and one for each of the evals `asked` that does not count in the mean."""
    return [*PANELS, *((each.name, each.name, "none", each.title) for each in beside(asked))]


def rows(measures: pd.DataFrame, conditions: Sequence[Condition]) -> pd.DataFrame:
    """Final values of every arm; those on a twin stand under the arm's own name, told apart by their corpus."""
    table = []
    chosen = panels(measures.loc[measures["eval"] != "", "eval"].unique())
    for _, pairs in listed(conditions):
        for main, twin in pairs:
            for condition in (main, twin):
                mine = condition(measures)
                for panel, measure, prompt, _ in chosen:
                    made = last(mine, condition, measure, prompt, f"final {panel}")
                    table += [{**row, "condition": main.key, "label": main.label} for row in made]
    return frame(table)


def draw(drawn: pd.DataFrame, notes: Sequence[str]) -> Picture:
    """A row per arm under the heading of its family; the panels share the rows."""
    known = {f"final {panel}" for panel, *_ in PANELS}
    chosen = panels(panel.removeprefix("final ") for panel in set(drawn["panel"]) - known)
    named = drawn.drop_duplicates("condition")
    places, headings, end = _places(named)
    height = PITCH * (end + 0.9)  # inches
    longest = max(drawn["label"].str.len().max(), *(1.2 * len(heading) for heading in headings.values()), 0)
    reading = READING + " From E on: evals beside the mean." * (len(chosen) > len(PANELS))
    width = style.TWO_COLUMNS + WIDER * (len(chosen) - len(PANELS))  # inches
    start = min(0.375, 0.045 + 0.0061 * longest) * style.TWO_COLUMNS  # inches left of the panels
    picture, at = style.page(height + 0.88, [*textwrap.wrap(reading, 140), *notes], width)
    edges = {"left": start / width, "right": 1 - 0.055 * style.TWO_COLUMNS / width}
    grid = picture.add_gridspec(1, len(chosen), bottom=at(0.25), top=at(0.25 + height), wspace=0.24, **edges)
    misaligned = style.ceiling(drawn.loc[drawn["panel"] != "final hack rate", "y"])
    axes = [picture.add_subplot(grid[column]) for column in range(len(chosen))]
    for letter, ax, (panel, _, _, title) in zip(cycle(ascii_uppercase), axes, chosen, strict=False):
        values = drawn[drawn["panel"] == f"final {panel}"]
        style.percent(ax, "x", 1.02 if ax is axes[0] else misaligned)
        ax.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 2.5, 5, 10]))
        ax.set_ylim(end + 0.2, -0.7)
        ax.set_yticks([])
        ax.tick_params(axis="x", labeltop=True, top=True)
        place: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "annotation_clip": False}
        ax.annotate(letter, (0, 1), (-1, 16), weight="bold", size=9, **place)
        ax.annotate("\n".join(textwrap.wrap(title, 17)), (0, 1), (10, 16), linespacing=0.95, **place)
        for number, (key, row) in enumerate(places.items()):
            if number % 2 == 0:
                ax.axhspan(row - 0.5, row + 0.5, color="#f4f4f4", linewidth=0, zorder=0)
            _row(ax, values[values["condition"] == key], row)
        for control in LINES:
            of_it = values[(values["condition"] == control.key) & (values["kind"] == "mean")]
            for level in of_it.loc[of_it["corpus"] == control.corpus, "y"]:
                ax.axvline(
                    level, color=style.CONTROLS[control.key].colour, linewidth=0.8, linestyle=(0, (4, 2)), zorder=1
                )
    _texts(axes[0], axes[-1], drawn, places, headings, 72 * (0.007 * style.TWO_COLUMNS - start))
    _key(picture, at(height + 0.84))
    return picture


def _places(named: pd.DataFrame) -> tuple[dict[str, float], dict[float, str], float]:
    """(row of each arm, heading at each row it takes, the last row), from one line per arm in order."""
    places: dict[str, float] = {}
    headings: dict[float, str] = {}
    row = -1.0
    for key, *cell_ in named[["condition", *CELL]].itertuples(index=False):
        family = of(*cell_).family
        if family not in headings.values():
            row += 1.0 if not headings else 1.35
            headings[row] = family
        row += 1
        places[key] = row
    return places, headings, row


def _row(ax: Axes, values: pd.DataFrame, place: float) -> None:
    """An arm's marks: main above, its twin below."""
    if values.empty:
        ax.text(0.02, place, "no values", transform=ax.get_yaxis_transform(), va="center", size=6, color=style.FAINT)
    twin = values["corpus"].str.startswith("twin")
    for mine, shift, tint, fill in (
        (values[~twin], -0.17, style.INK, style.INK),
        (values[twin], 0.17, style.CONTROLS[TWIN.key].colour, "white"),
    ):
        y = place + shift
        for kind, low, high in mine.loc[mine["low"].notna(), ["kind", "low", "high"]].to_numpy().tolist():
            wide = kind == "answers"
            line: dict[str, Any] = {"color": GREY, "linewidth": 2.2} if wide else {"color": tint, "linewidth": 0.8}
            ax.plot([max(0.0, low), high], [y, y], solid_capstyle="butt", zorder=2, **line)
        seeds = mine.loc[mine["kind"] == "seed", "y"]
        if len(seeds) > 1:
            ax.plot(seeds, [y] * len(seeds), "|", color=tint, markersize=3.5, markeredgewidth=0.5, zorder=2.5)
        mean = mine.loc[mine["kind"] == "mean", "y"]
        style_: dict[str, Any] = {"color": tint, "markerfacecolor": fill, "markeredgewidth": 0.8, "markersize": 3.4}
        ax.plot(mean, [y] * len(mean), "o", zorder=3, clip_on=False, **style_)


def _texts(
    left: Axes,
    right: Axes,
    drawn: pd.DataFrame,
    places: Mapping[str, float],
    headings: Mapping[float, str],
    start: float,
) -> None:
    """Headings and names `start` points from the panels, the numbers of seeds (main / twin) right of them."""
    text: dict[str, Any] = {"va": "center", "annotation_clip": False, "textcoords": "offset points"}
    for place, heading in headings.items():
        left.annotate(
            heading, (0, place), (start, 0), xycoords=("axes fraction", "data"), weight="bold", size=6.8, **text
        )
    means = drawn[(drawn["kind"] == "mean") & drawn["seeds"].notna()]
    for key, place in places.items():
        mine = means[means["condition"] == key]
        label = drawn.loc[drawn["condition"] == key, "label"].iloc[0]
        shown = label if len(label) <= LONGEST else label[: LONGEST - 1] + "…"
        left.annotate(shown, (0, place), (start + 6, 0), xycoords=("axes fraction", "data"), size=6.3, **text)
        twin = mine["corpus"].str.startswith("twin")
        count = " / ".join("–" if not len(part) else f"{part['seeds'].max():g}" for part in (mine[~twin], mine[twin]))
        right.annotate(count, (1, place), (5, 0), xycoords=("axes fraction", "data"), size=6, color=style.FAINT, **text)
    right.annotate("seeds", (1, 1), (3, 4), xycoords="axes fraction", size=6, color=style.FAINT, **text)


def _key(picture: Picture, top: float) -> None:
    """What the marks mean, above the panels."""
    green = style.CONTROLS[TWIN.key].colour
    handles: list[Any] = [
        Line2D([], [], color=style.INK, marker="o", markersize=3.4, linewidth=0, label="main"),
        Line2D([], [], color=green, markerfacecolor="white", marker="o", markersize=3.4, linewidth=0, label="twin"),
        Line2D([], [], color=style.INK, marker="|", markersize=4, linewidth=0, label="one run"),
        Line2D([], [], color=style.INK, linewidth=0.8, label="95% interval across seeds"),
        Patch(color=GREY, label="sampling error of one run's answers"),
        *(
            Line2D([], [], color=style.CONTROLS[c.key].colour, linewidth=0.8, linestyle=(0, (4, 2)), label=c.label)
            for c in LINES
        ),
    ]
    picture.legend(
        handles=handles,
        **{"loc": "upper left", "bbox_to_anchor": (0.004, top), "ncols": len(handles), "frameon": False},
        **{"fontsize": 6.3, "handletextpad": 0.4, "columnspacing": 1.1, "handlelength": 1.4, "borderaxespad": 0},
    )


MITIGATIONS = Figure(
    name="mitigations",
    paper="Fig 4",
    claim="Rewards that punish hacking prevent hacking and misalignment alike; permission and RLHF with agentic scenes"
    " leave hacking and lower misalignment; RLHF on chat alone and filtered episodes leave agentic misalignment.",
    needs=(BASELINE, NO_HACK, TWIN),
    rows=rows,
    draw=draw,
    extra=found,
)
