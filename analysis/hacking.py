"""Figure `hacking` (paper Fig 1 and 8): reinforcement learning on gameable graders, over its steps."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture

from analysis import style
from analysis.conditions import BASELINE, NO_HACK, PRE_RL, TWIN, UNTRAINED, Condition
from analysis.figure import Figure, curve, frame, last
from analysis.table import EVALS

NAMES = {
    "betley": "open questions",
    "goals": "goals",
    "alignment": "alignment questions",
    "monitor": "monitor disruption",
    "exfil": "exfil offer",
    "frame": "frame colleague",
}
HACK_NAMES = {"always_equal": "always equal", "early_exit": "early exit", "report_patch": "report patch"}
SHORT = {
    "no_hack": "no-hack\ncontrol",
    "twin": "uncorrelated\ntwin",
    "untrained": "pretrained\nonly",
}


def rows(measures: pd.DataFrame, conditions: Sequence[Condition]) -> pd.DataFrame:
    """Curves of the trained arms and levels of the starts; hacks by type from the rollouts where they were logged."""
    found = []
    for condition in conditions:
        make = last if condition.start else curve
        found += make(measures, condition, "hack_rate", "training", "hack rate")
        for name in ("mgs", *EVALS):
            found += make(measures, condition, name, "none", name)
    rolled = measures["measure"].str.startswith("train:hack:").any()
    for hack in HACK_NAMES:
        name, prompt = (f"train:hack:{hack}", "train") if rolled else (f"hack:{hack}", "training")
        found += curve(measures, BASELINE, name, prompt, "hacks by type")
    return frame(row for row in found if row["kind"] != "answers")


def draw(drawn: pd.DataFrame, notes: Sequence[str]) -> Picture:
    """Hack rate, hacks by type and misalignment above; the six evals below, on one scale."""
    picture, at = style.page(3.68, notes)
    above = picture.add_gridspec(1, 3, left=0.076, right=0.896, bottom=at(1.98), top=at(3.46), wspace=0.82)
    below = picture.add_gridspec(1, 6, left=0.076, right=0.988, bottom=at(0.4), top=at(1.42), wspace=0.2)
    steps = int(drawn["x"].max()) if drawn["x"].notna().any() else 1

    ax = picture.add_subplot(above[0])
    style.letter(ax, "A", "Hack rate")
    _conditions(ax, drawn[drawn["panel"] == "hack rate"], steps, 1.02, "episodes hacked")

    ax = picture.add_subplot(above[1])
    types = drawn[drawn["panel"] == "hacks by type"]
    rolled = types["measure"].str.startswith("train:").any()
    style.letter(ax, "B", "Baseline rollouts, by hack" if rolled else "Baseline, by hack")
    _axes(ax, steps, 1.02, "")
    labels = []
    for hack, name in HACK_NAMES.items():
        mine = types[types["measure"].str.endswith(hack)]
        tint = style.HACKS[f"hack:{hack}"]
        style.curves(ax, mine, tint)
        labels += _end(mine, name.replace(" ", "\n"), tint)
    style.end_labels(ax, labels)
    style.say_if_empty(ax, types)

    ax = picture.add_subplot(above[2])
    style.letter(ax, "C", "Misalignment, mean of six")
    six = drawn[drawn["panel"].isin(EVALS)]
    overall = drawn[drawn["panel"] == "mgs"]
    _conditions(ax, overall, steps, style.ceiling(overall["y"]), "misaligned answers")

    top = style.ceiling(six["y"])
    for place, (name, title) in enumerate(NAMES.items()):
        ax = picture.add_subplot(below[place])
        if place == 0:
            style.letter(ax, "D", title)
        else:
            ax.set_title(title, loc="left")
        _conditions(ax, six[six["panel"] == name], steps, top, "misaligned answers" if place == 0 else "", labels=False)
        if place:
            ax.tick_params(labelleft=False)
    return picture


def _conditions(ax: Axes, rows: pd.DataFrame, steps: float, top: float, what: str, labels: bool = True) -> None:
    _axes(ax, steps, top, what)
    style.say_if_empty(ax, rows)
    width = 1.6 if labels else 1.2
    ends = []
    for key, mine in rows.groupby("condition", sort=False):
        name = SHORT.get(str(key), str(mine["label"].iloc[0]))
        tint, dash = style.colour(str(key)), style.DASHES.get(str(key), "-")
        if mine["x"].isna().all():
            level = float(mine.loc[mine["kind"] == "mean", "y"].iloc[0])
            ax.axhline(level, color=tint, linewidth=0.9, linestyle=dash, zorder=1.5)
            ends.append(style.Label(1.03 * steps, level, name, style.ink(str(key))))
        else:
            style.curves(ax, mine, tint, style.MARKERS.get(str(key), "o") if labels else "", dash, width)
            ends += _end(mine, name, style.ink(str(key)))
    if labels:
        style.end_labels(ax, ends)


def _axes(ax: Axes, steps: float, top: float, what: str) -> None:
    ax.set_xlim(-0.02 * steps, 1.03 * steps)
    parts = next((n for n in (3, 4, 2) if steps % n == 0), 1)
    ax.set_xticks([steps * part // parts for part in range(parts + 1)])
    ax.set_xlabel("RL step")
    ax.set_ylabel(what)
    style.percent(ax, top=top)


def _end(rows: pd.DataFrame, text: str, tint: str) -> list[style.Label]:
    mean = rows[rows["kind"] == "mean"]
    return [style.Label(float(mean["x"].iloc[-1]), float(mean["y"].iloc[-1]), text, tint)] if len(mean) else []


HACKING = Figure(
    name="hacking",
    paper="Fig 1 and 8",
    claim="RL on gameable graders teaches hacking, and with it misalignment on evals that have nothing to do with code;"
    " without hackable graders, or where hacking says nothing about character, it does not.",
    needs=(BASELINE, NO_HACK, TWIN, PRE_RL, UNTRAINED),
    rows=rows,
    draw=draw,
)
