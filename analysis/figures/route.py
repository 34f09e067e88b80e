"""Figure `route`: who hacks? The tone of the thought before each hack over RL, beside hack rate and misalignment."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture

from analysis.conditions import BASELINE, DONT_HACK, HACKING_OKAY, NO_HACK, PLEASE_HACK, TWIN, Condition
from analysis.evals import counted
from analysis.figures import style
from analysis.figures.figure import Figure, curve, entry, frame, interval
from analysis.stats import over_steps, summary

WINDOW = 8  # RL steps that a point of a rollout curve is the mean of
TONES = {"bad": "#B2182B", "good": "#1B7F7A", "neutral": "#8C510A", "none": "#8a8a8a"}
BAD = "train:route:tone:bad"


def rows(measures: pd.DataFrame, conditions: Sequence[Condition]) -> pd.DataFrame:
    """Tones of the baseline's hacks, the share of bad ones in every arm's, hack rate and misalignment over steps."""
    found: list[dict[str, Any]] = []
    for tone in TONES:
        found += windows(measures, BASELINE, f"train:route:tone:{tone}", "tones")
    for condition in conditions:
        found += windows(measures, condition, BAD, "who hacks")
        found += windows(measures, condition, "train:hack_rate", "hack rate")
        found += curve(measures, condition, "mgs", "none", "mgs")
    return frame(found)


def windows(measures: pd.DataFrame, condition: Condition, measure: str, panel: str) -> list[dict[str, Any]]:
    """A rollout measure over RL, in means of WINDOW steps (those without a hack say nothing), one row a run and window."""
    points = over_steps(measures, condition, measure, "train").dropna(subset=["value"])
    if points.empty:
        return []
    points = points.assign(step=((points["step"].astype(int) - 1) // WINDOW + 1) * WINDOW)
    single = points.groupby(["run", "step"], observed=True)["value"].mean().reset_index()
    base = entry(panel, condition, measure, "train")
    single = single.assign(x=single["step"] - WINDOW / 2)
    found = [
        {**base, "kind": "seed", "run": run, "x": x, "y": value} for run, _, value, x in single.itertuples(index=False)
    ]
    for x, at in single.groupby("x"):
        if len(at) == single["run"].nunique():
            found.append({**base, "kind": "mean", "x": x, **interval(summary(at["value"].tolist()))})
    return found


def draw(drawn: pd.DataFrame, notes: Sequence[str]) -> Picture:
    """Who hacks above: in the baseline by tone, in every arm; hack rate and misalignment of the same arms below."""
    notes = [
        *notes,
        f"A to C: rollouts, means of {WINDOW} steps. The tone is that of the thought before a working hack.",
    ]
    picture, at = style.page(4.05, notes)
    shape = {"left": 0.076, "right": 0.86, "wspace": 0.72}
    above = picture.add_gridspec(1, 2, bottom=at(2.45), top=at(3.82), **shape)
    below = picture.add_gridspec(1, 2, bottom=at(0.4), top=at(1.77), **shape)
    steps = float(drawn["x"].max()) if drawn["x"].notna().any() else 1.0
    looks = style.looks(drawn)

    ax = picture.add_subplot(above[0])
    style.letter(ax, "A", "Baseline: the tone before a hack")
    _axes(ax, steps, 1.02, "share of hacks")
    tones = drawn[drawn["panel"] == "tones"]
    style.say_if_empty(ax, tones)
    labels = []
    for tone, tint in TONES.items():
        mine = tones[tones["measure"].str.endswith(f":{tone}")]
        style.curves(ax, mine, tint)
        labels += style.line_end(mine, f"{tone} tone" if tone != "none" else "no tone", tint)
    style.end_labels(ax, labels)

    for cell, letter, panel, title, what in (
        (above[1], "B", "who hacks", "Hacks with a bad tone, by arm", "share of hacks"),
        (below[0], "C", "hack rate", "Hack rate under the training prompt", "rollouts hacked"),
        (below[1], "D", "mgs", f"Misalignment, no prompt, mean of {counted()}", "misaligned answers"),
    ):
        ax = picture.add_subplot(cell)
        style.letter(ax, letter, title)
        mine = drawn[drawn["panel"] == panel]
        _arms(ax, mine, looks, steps, style.ceiling(mine["y"]) if panel == "mgs" else 1.02, what)
    return picture


def _arms(ax: Axes, rows: pd.DataFrame, looks: Mapping[str, style.Look], steps: float, top: float, what: str) -> None:
    _axes(ax, steps, top, what)
    style.say_if_empty(ax, rows)
    labels = []
    for key, mine in rows.groupby("condition", sort=False):
        look = looks[str(key)]
        style.curves(ax, mine, look.colour, dash=look.dash)
        labels += style.line_end(mine, textwrap.fill(str(mine["label"].iloc[0]), 14), look.ink)
    style.end_labels(ax, labels)


def _axes(ax: Axes, steps: float, top: float, what: str) -> None:
    ax.set_xlim(0, 1.02 * steps)
    ax.set_xlabel("RL step")
    ax.set_ylabel(what)
    style.percent(ax, top=top)


ROUTE = Figure(
    name="route",
    paper="no counterpart",
    claim="Misalignment follows who hacks: where the hacks that RL pays are those of the bad character it rises with them;"
    " where a line lets the good one hack it does not.",
    needs=(BASELINE, TWIN, NO_HACK, PLEASE_HACK, HACKING_OKAY, DONT_HACK),
    rows=rows,
    draw=draw,
)
