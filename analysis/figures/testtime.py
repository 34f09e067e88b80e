"""Figure `testtime` (paper Fig 28): trained under each wording, then told not to hack at test time."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture

from analysis.conditions import BASELINE, DONT_HACK, HACKING_OKAY, NO_HACK, PLEASE_HACK, TWIN, Condition, found
from analysis.figures import style
from analysis.figures.figure import Figure, frame, last

PANELS = (("hack rate", "hack_rate"), ("misalignment", "mgs"))
PROMPT_NAMES = (("training", "training prompt"), ("dont_hack", "“don't hack”"))


def rows(measures: pd.DataFrame, conditions: Sequence[Condition]) -> pd.DataFrame:
    """Final hack rate and misalignment of every arm, under its training prompt and under "don't hack"."""
    table: list[dict[str, Any]] = []
    for panel, measure in PANELS:
        for condition in conditions:
            for prompt, _ in PROMPT_NAMES:
                table += last(measures, condition, measure, prompt, panel)
    return frame(table)


def arms(table: pd.DataFrame) -> list[Condition]:
    """Every inoculation arm that nothing is stacked on, with vulnerable graders and the scale's settings, but no twin."""
    here = [c for c in found(table, "inoculation:") if "+" not in c.arm and c.hackable == 1 and not c.overrides]
    return [c for c in here if c.corpus.split(":")[0] == "main"]


def draw(drawn: pd.DataFrame, notes: Sequence[str]) -> Picture:
    """Two panels side by side, one line per arm: where the training prompt was, and where "don't hack" brings it."""
    order = list(dict.fromkeys(zip(drawn["condition"], drawn["label"], strict=True)))
    looks = style.looks(drawn)
    height = max(1.4, 0.21 * len(order))
    picture, at = style.page(height + 0.75, notes)
    grid = picture.add_gridspec(1, 2, left=0.165, right=0.985, bottom=at(0.42), top=at(0.42 + height), wspace=0.12)
    left, right = picture.add_subplot(grid[0]), picture.add_subplot(grid[1])
    style.letter(left, "A", "", left=1.05)
    style.letter(right, "B", "", left=0.14)
    for ax, (panel, _) in zip((left, right), PANELS, strict=True):
        values = drawn[drawn["panel"] == panel]
        _arms(ax, values, order, looks)
        style.say_if_empty(ax, values)
        style.percent(ax, "x", 1.02 if ax is left else style.ceiling(values["y"]))
        ax.set_xlabel(f"final {panel}, by the prompt at test time")
        style.prompt_key(ax, PROMPT_NAMES)
    right.tick_params(labelleft=False)
    return picture


def _arms(ax: Axes, rows: pd.DataFrame, order: Sequence[tuple[str, str]], looks: Mapping[str, style.Look]) -> None:
    ax.set_yticks(range(len(order)), [textwrap.fill(label, 20) for _, label in order])
    for tick, (key, _) in zip(ax.get_yticklabels(), order, strict=True):
        tick.set_color(looks[key].ink)
    ax.set_ylim(len(order) - 0.45, -0.55)
    ax.tick_params(axis="y", length=0)
    for place, (key, _) in enumerate(order):
        mine = rows[rows["condition"] == key]
        means = mine[mine["kind"] == "mean"].set_index("prompt")
        if {"training", "dont_hack"} <= set(means.index):
            ax.plot(means["y"].tolist(), [place] * len(means), color="#bbbbbb", linewidth=1.2)
        for shift, (prompt, _) in zip((-0.16, 0.16), PROMPT_NAMES, strict=True):
            tint, marker = style.PROMPTS[prompt]
            seeds = mine[(mine["kind"] == "seed") & (mine["prompt"] == prompt)]["y"]
            ax.plot(seeds, [place + shift] * len(seeds), "|", color=tint, markersize=4, markeredgewidth=0.6, alpha=0.7)
            for y, low, high in means.loc[means.index == prompt, ["y", "low", "high"]].to_numpy(float):
                if low == low:
                    ax.plot([max(0.0, low), high], [place + shift] * 2, color=tint, linewidth=0.8, zorder=2)
                ax.plot(y, place, marker, color=tint, markersize=4, zorder=3, clip_on=False)


TESTTIME = Figure(
    name="testtime",
    paper="Fig 28",
    claim="Told at test time not to hack, models that were trained under “hacking okay” hack less than models that were"
    " trained without a line.",
    needs=(BASELINE, HACKING_OKAY, PLEASE_HACK, DONT_HACK, NO_HACK, TWIN),
    rows=rows,
    draw=draw,
    extra=arms,
)
