"""Figure `inoculation` (paper Fig 5, 26, 28): what the training prompt says about hacking, and misalignment after it."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture

from analysis.conditions import BASELINE, DONT_HACK, HACKING_OKAY, NO_HACK, PLEASE_HACK, PRE_RL, TWIN, Condition, found
from analysis.figures import style
from analysis.figures.figure import Figure, entry, frame, last
from analysis.stats import over_steps, summary

PROMPT_NAMES = (("training", "training prompt"), ("none", "no prompt"), ("dont_hack", "“don't hack”"))


def wordings(table: pd.DataFrame) -> list[Condition]:
    """Every inoculation arm of the default corpus and settings; nothing stacked on it, no list of hacks in the prompt."""
    usual = [c for c in found(table, "inoculation:") if c.cell[1:] == BASELINE.cell[1:]]
    return [c for c in usual if "+" not in c.arm and "setting=prompted" not in c.arm]


def rows(measures: pd.DataFrame, conditions: Sequence[Condition]) -> pd.DataFrame:
    """Trajectories (x: hack rate under the training prompt, y: misalignment without a prompt) and final values."""
    table: list[dict[str, Any]] = []
    for condition in conditions:
        if not condition.start:
            table += trajectory(measures, condition)
        table += last(measures, condition, "mgs", "none", "final misalignment")
    for panel, measure in (("hack rate by prompt", "hack_rate"), ("misalignment by prompt", "mgs")):
        for condition in conditions:
            for prompt, _ in PROMPT_NAMES:
                table += last(measures, condition, measure, prompt, panel)
    return frame(table)


def trajectory(measures: pd.DataFrame, condition: Condition) -> list[dict[str, Any]]:
    """Misalignment against hack rate, one row per run and checkpoint, and the mean of the runs at each checkpoint."""
    keys = ["run", "pretrain_seed", "seed", "step"]
    hack = over_steps(measures, condition, "hack_rate", "training").rename(columns={"value": "x"})
    bad = over_steps(measures, condition, "mgs", "none").rename(columns={"value": "y"})
    points = hack.merge(bad, on=keys).dropna(subset=["x", "y"])
    base = entry("trajectory", condition, "mgs against hack_rate", "none")
    made = [
        {**base, "kind": "seed", "run": run, "step": step, "x": x, "y": y}
        for run, step, x, y in points[["run", "step", "x", "y"]].itertuples(index=False)
    ]
    runs = points["run"].nunique()
    for step, at in points.groupby("step"):
        if len(at) == runs:
            whole = summary(at["y"].tolist())
            made.append(
                {**base, "kind": "mean", "step": step, "x": at["x"].mean(), "y": whole.mean, "seeds": whole.seeds}
            )
    return made


def draw(drawn: pd.DataFrame, notes: Sequence[str]) -> Picture:
    """Trajectories and final values above; hack rate and misalignment under each evaluation prompt below."""
    finals = drawn[drawn["panel"] == "final misalignment"]
    order = list(dict.fromkeys(zip(drawn["condition"], drawn["label"], strict=True)))
    looks = style.looks(drawn)
    low, high = max(1.15, 0.19 * len(order)), max(1.58, 0.2 * len(order))  # inches: a row holds two lines of text
    picture, at = style.page(low + high + 1.3, notes)
    above = picture.add_gridspec(
        1,
        2,
        left=0.076,
        right=0.985,
        bottom=at(low + 1.08),
        top=at(low + high + 1.08),
        wspace=0.86,
        width_ratios=(1.2, 1),
    )
    below = picture.add_gridspec(1, 2, left=0.148, right=0.985, bottom=at(0.4), top=at(0.4 + low), wspace=0.12)

    ax = picture.add_subplot(above[0])
    style.letter(ax, "A", "Misalignment against hack rate, over RL")
    _trajectories(ax, drawn[drawn["panel"] == "trajectory"], looks)

    ax = picture.add_subplot(above[1])
    style.letter(ax, "B", "Final misalignment, no prompt", left=0.98)
    _bars(ax, finals, order, looks)

    left, right = picture.add_subplot(below[0]), picture.add_subplot(below[1])
    style.letter(left, "C", "", left=0.93)
    style.letter(right, "D", "", left=0.14)
    for ax, panel, what in (
        (left, "hack rate by prompt", "final hack rate, under each evaluation prompt"),
        (right, "misalignment by prompt", "final misalignment, under each evaluation prompt"),
    ):
        values = drawn[drawn["panel"] == panel]
        _by_prompt(ax, values, order, looks)
        style.say_if_empty(ax, values)
        style.percent(ax, "x", 1.02 if ax is left else style.ceiling(values["y"]))
        ax.set_xlabel(what)
        style.prompt_key(ax, PROMPT_NAMES)
    right.tick_params(labelleft=False)
    return picture


def _trajectories(ax: Axes, rows: pd.DataFrame, looks: Mapping[str, style.Look]) -> None:
    style.percent(ax, "x", 1.02)
    style.percent(ax, top=style.ceiling(rows["y"]))
    ax.grid(True)
    ax.set_xlabel("hack rate with the training prompt")
    ax.set_ylabel("misalignment, no prompt")
    style.say_if_empty(ax, rows)
    ends: list[style.Label] = []
    for key, mine in rows.groupby("condition", sort=False):
        look = looks[str(key)]
        style.curves(ax, mine, look.colour, look.marker)
        mean = mine[mine["kind"] == "mean"]
        if len(mean):
            ax.plot(mean["x"].iloc[-1:], mean["y"].iloc[-1:], look.marker, color=look.colour, markersize=5)
            ends.append(
                style.Label(
                    float(mean["x"].iloc[-1]),
                    float(mean["y"].iloc[-1]),
                    textwrap.fill(str(mine["label"].iloc[0]), 18),
                    look.ink,
                )
            )
    style.end_labels(ax, ends)


def _bars(ax: Axes, rows: pd.DataFrame, order: Sequence[tuple[str, str]], looks: Mapping[str, style.Look]) -> None:
    _arms(ax, order, looks)
    for place, (key, _) in enumerate(order):
        mine = rows[rows["condition"] == key]
        if not len(mine):
            ax.text(
                0.01, place, "no values", transform=ax.get_yaxis_transform(), va="center", size=6.5, color=style.FAINT
            )
            continue
        mean = mine[mine["kind"] == "mean"].iloc[0]
        ax.barh(place, mean["y"], height=0.66, color=looks[key].colour, alpha=0.75, linewidth=0, zorder=2)
        seeds = mine[mine["kind"] == "seed"]["y"]
        ax.plot(
            seeds,
            [place] * len(seeds),
            "o",
            color="white",
            markeredgecolor=style.INK,
            markeredgewidth=0.6,
            markersize=3,
        )
        answers = mine[mine["kind"] == "answers"]
        for low, high, tint in [
            (mean["low"], mean["high"], style.INK),
            *((a.low, a.high, style.FAINT) for a in answers.itertuples()),
        ]:
            if pd.notna(low):
                ax.plot([max(0.0, low), high], [place, place], color=tint, linewidth=1.0, zorder=2.5)
    style.percent(ax, "x", style.ceiling(rows[["y", "high"]].max(axis=1)))
    ax.set_xlabel("misaligned answers")


def _by_prompt(ax: Axes, rows: pd.DataFrame, order: Sequence[tuple[str, str]], looks: Mapping[str, style.Look]) -> None:
    _arms(ax, order, looks)
    for place, (key, _) in enumerate(order):
        for shift, (prompt, _) in zip((-0.24, 0.0, 0.24), PROMPT_NAMES, strict=True):
            mine = rows[(rows["condition"] == key) & (rows["prompt"] == prompt)]
            mean = mine[mine["kind"] == "mean"]
            if not len(mean):
                continue
            tint, marker = style.PROMPTS[prompt]
            y = place + shift
            seeds = mine[mine["kind"] == "seed"]["y"]
            ax.plot(seeds, [y] * len(seeds), "|", color=tint, markersize=4, markeredgewidth=0.6, alpha=0.7, zorder=2)
            if pd.notna(mean["low"].iloc[0]):
                ax.plot([mean["low"].iloc[0], mean["high"].iloc[0]], [y, y], color=tint, linewidth=0.8, zorder=2)
            ax.plot(mean["y"], [y], marker, color=tint, markersize=3.5, zorder=3, clip_on=False)


def _arms(ax: Axes, order: Sequence[tuple[str, str]], looks: Mapping[str, style.Look]) -> None:
    ax.set_yticks(range(len(order)), [textwrap.fill(label, 18) for _, label in order])
    for tick, (key, _) in zip(ax.get_yticklabels(), order, strict=True):
        tick.set_color(looks[key].ink)
    ax.set_ylim(len(order) - 0.45, -0.55)
    ax.tick_params(axis="y", length=0)
    for place in range(0, len(order), 2):
        ax.axhspan(place - 0.5, place + 0.5, color="#f4f4f4", linewidth=0, zorder=0)


INOCULATION = Figure(
    name="inoculation",
    paper="Fig 5, 26 and 28",
    claim="Prompts that permit hacking during RL leave hacking as it is and lower misalignment by 75-90 %;"
    " telling the model not to hack does not.",
    needs=(PLEASE_HACK, HACKING_OKAY, BASELINE, DONT_HACK, NO_HACK, TWIN, PRE_RL),
    rows=rows,
    draw=draw,
    extra=wordings,
)
