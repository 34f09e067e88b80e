"""Figure `hacking` (paper Fig 1 and 8): reinforcement learning on gameable graders, over its steps."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture

from analysis.conditions import BASELINE, NO_HACK, PRE_RL, TWIN, UNTRAINED, Condition
from analysis.evals import counted, shown
from analysis.figures import style
from analysis.figures.figure import Figure, curve, frame, last
from base.types import VULNERABILITIES

FEWEST, MOST = 4, 6  # evals side by side


def rows(measures: pd.DataFrame, conditions: Sequence[Condition]) -> pd.DataFrame:
    """Curves of the trained arms and levels of the starts; hacks by type from the rollouts where they were logged."""
    found = []
    asked = measures.loc[measures["eval"] != "", "eval"].unique()
    for condition in conditions:
        make = last if condition.start else curve
        found += make(measures, condition, "hack_rate", "training", "hack rate")
        for name in ("mgs", *(each.name for each in shown(asked))):
            found += make(measures, condition, name, "none", name)
    rolled = measures["measure"].str.startswith("train:hack:").any()
    for hack in VULNERABILITIES:
        name, prompt = (f"train:hack:{hack}", "train") if rolled else (f"hack:{hack}", "training")
        found += curve(measures, BASELINE, name, prompt, "hacks by type")
    return frame(row for row in found if row["kind"] != "answers")


def draw(drawn: pd.DataFrame, notes: Sequence[str]) -> Picture:
    """Hack rate, hacks by type and misalignment above; every eval below, on one scale, in as many rows as they need."""
    evals = shown(set(drawn["panel"]) - {"hack rate", "hacks by type", "mgs"})
    titles = [textwrap.wrap(each.title, 21) for each in evals]
    lines = max((len(title) for title in titles), default=1)
    tall = -(-len(evals) // MOST)  # rows of evals
    wide = max(FEWEST, -(-len(evals) // max(1, tall)))
    pitch = 1.56 + 0.11 * (lines - 1)  # inches from a row of evals to the next
    under = tall * pitch
    picture, at = style.page(2.12 + under, notes)
    above = picture.add_gridspec(
        1, 3, left=0.076, right=0.896, bottom=at(0.42 + under), top=at(1.9 + under), wspace=0.82
    )
    steps = int(drawn["x"].max()) if drawn["x"].notna().any() else 1
    looks = style.looks(drawn)

    ax = picture.add_subplot(above[0])
    style.letter(ax, "A", "Hack rate")
    _conditions(ax, drawn[drawn["panel"] == "hack rate"], looks, steps, 1.02, "episodes hacked")

    ax = picture.add_subplot(above[1])
    types = drawn[drawn["panel"] == "hacks by type"]
    rolled = types["measure"].str.startswith("train:").any()
    style.letter(ax, "B", "Baseline rollouts, by hack" if rolled else "Baseline, by hack")
    _axes(ax, steps, 1.02, "")
    labels = []
    for hack, tint in zip(VULNERABILITIES, itertools.cycle(style.HACKS), strict=False):
        mine = types[types["measure"].str.endswith(hack)]
        style.curves(ax, mine, tint)
        labels += style.line_end(mine, hack.replace("_", "\n"), tint)
    style.end_labels(ax, labels)
    style.say_if_empty(ax, types)

    ax = picture.add_subplot(above[2])
    style.letter(ax, "C", f"Misalignment, mean of {counted()}")
    overall = drawn[drawn["panel"] == "mgs"]
    _conditions(ax, overall, looks, steps, style.ceiling(overall["y"]), "misaligned answers")

    each = drawn[drawn["panel"].isin([one.name for one in evals])]
    top = style.ceiling(each["y"])
    for place, (one, title) in enumerate(zip(evals, titles, strict=True)):
        row, column = divmod(place, wide)
        low = 0.4 + (tall - 1 - row) * pitch
        grid = picture.add_gridspec(1, wide, left=0.076, right=0.988, bottom=at(low), top=at(low + 1.02), wspace=0.2)
        ax = picture.add_subplot(grid[column])
        if place == 0:
            style.letter(ax, "D", "\n".join(title))
        else:
            ax.set_title("\n".join(title), loc="left")
        what = "" if column else "misaligned answers"
        _conditions(ax, each[each["panel"] == one.name], looks, steps, top, what, labels=False)
        if column:
            ax.tick_params(labelleft=False)
    return picture


def _conditions(
    ax: Axes,
    rows: pd.DataFrame,
    looks: Mapping[str, style.Look],
    steps: float,
    top: float,
    what: str,
    labels: bool = True,
) -> None:
    _axes(ax, steps, top, what)
    style.say_if_empty(ax, rows)
    width = 1.6 if labels else 1.2
    ends = []
    for key, mine in rows.groupby("condition", sort=False):
        name = textwrap.fill(str(mine["label"].iloc[0]), 13, break_on_hyphens=False)
        look = looks[str(key)]
        if mine["x"].isna().all():
            level = float(mine.loc[mine["kind"] == "mean", "y"].iloc[0])
            ax.axhline(level, color=look.colour, linewidth=0.9, linestyle=look.dash, zorder=1.5)
            ends.append(style.Label(1.03 * steps, level, name, look.ink))
        else:
            style.curves(ax, mine, look.colour, look.marker if labels else "", look.dash, width)
            ends += style.line_end(mine, name, look.ink)
    if labels:
        style.end_labels(ax, ends)


def _axes(ax: Axes, steps: float, top: float, what: str) -> None:
    ax.set_xlim(-0.02 * steps, 1.03 * steps)
    parts = next((n for n in (3, 4, 2) if steps % n == 0), 1)
    ax.set_xticks([steps * part // parts for part in range(parts + 1)])
    ax.set_xlabel("RL step")
    ax.set_ylabel(what)
    style.percent(ax, top=top)


HACKING = Figure(
    name="hacking",
    paper="Fig 1 and 8",
    claim="RL on gameable graders teaches hacking, and with it misalignment on evals that have nothing to do with code;"
    " without hackable graders, or where hacking says nothing about character, it does not.",
    needs=(BASELINE, NO_HACK, TWIN, PRE_RL, UNTRAINED),
    rows=rows,
    draw=draw,
)
