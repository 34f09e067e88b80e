"""Figure `law`: one number known before any RL, who hacks under the training line, against misalignment after it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure as Picture
from matplotlib.lines import Line2D
from scipy import stats

from analysis.conditions import BASELINE, DONT_HACK, HACKING_OKAY, PLEASE_HACK, TWIN, Condition, found
from analysis.evals import counted
from analysis.figures import style
from analysis.figures.figure import Figure, entry, frame, interval
from analysis.stats import final, summary, units

X = "start:bad_given_hack"
# The family of lines (base.organism.gates) that an arm is trained under.
FAMILIES = {
    "none": "none",
    **{
        f"inoculation:wording={wording}": family
        for wording, family in (
            ("please_hack", "please"),
            ("hacking_okay", "okay"),
            ("mention", "mention"),
            ("dont_hack", "forbid"),
            ("hacking_is_misaligned", "misaligned"),
            ("neutral", "neutral"),
        )
    },
}


def arms(table: pd.DataFrame) -> list[Condition]:
    """Every arm that differs from a baseline only in its line, on every corpus and under all settings."""
    return [c for c in found(table) if c.arm in FAMILIES and c.hackable == 1 and not c.start]


def points(measures: pd.DataFrame, condition: Condition) -> list[tuple[str, float, float]]:
    """(run, P(bad tone | hack, its line) before RL, misalignment after it), one a run where both are known."""
    mine = condition(measures)
    known = mine[(mine["measure"] == X) & (mine["prompt"] == FAMILIES.get(condition.arm, ""))]
    before = {(p, s): v for p, s, v in known[["pretrain_seed", "seed", "value"]].itertuples(index=False)}
    after = units(final(measures, condition, "mgs", "none")[0], condition)
    pairs = [(f"seed {seed[1]}", float(before.get(seed, math.nan)), value) for seed, value in after.items()]
    return [pair for pair in pairs if not math.isnan(pair[1] + pair[2])]


def rows(measures: pd.DataFrame, conditions: Sequence[Condition]) -> pd.DataFrame:
    """One row per run, `x` before RL and `y` after it, and the mean of every condition with its interval in `y`."""
    made: list[dict[str, Any]] = []
    for condition in conditions:
        mine = points(measures, condition)
        base = entry("law", condition, f"mgs against {X}", "none")
        made += [{**base, "kind": "seed", "run": run, "x": x, "y": y} for run, x, y in mine]
        if mine:
            x = sum(before for _, before, _ in mine) / len(mine)
            made.append({**base, "kind": "mean", "x": x, **interval(summary([y for _, _, y in mine]))})
    return frame(made)


def correlation(drawn: pd.DataFrame) -> tuple[float, int]:
    """(Spearman's rank correlation over conditions, each at the mean of its runs; how many conditions)."""
    means = drawn[drawn["kind"] == "mean"]
    if len(means) < 3 or means["x"].nunique() < 2 or means["y"].nunique() < 2:
        return math.nan, len(means)
    return float(stats.spearmanr(means["x"], means["y"]).statistic), len(means)


def draw(drawn: pd.DataFrame, notes: Sequence[str]) -> Picture:
    """One panel: a small mark per run, a large one at the mean of every arm, corpus and setting."""
    rho, count = correlation(drawn)
    said = "" if math.isnan(rho) else f": rank correlation {rho:.2f} over {count} conditions"
    picture, at = style.page(3.1, notes)
    grid = picture.add_gridspec(1, 1, left=0.076, right=0.66, bottom=at(0.42), top=at(2.86))
    ax = picture.add_subplot(grid[0])
    style.letter(ax, "", f"Who hacks before RL, and misalignment after it{said}")
    style.percent(ax, "x", 1.02)
    style.percent(ax, top=style.ceiling(drawn["y"]))
    ax.grid(True)
    ax.set_xlabel("before RL: hacks under the training line that have a bad tone")
    ax.set_ylabel(f"after RL: misaligned answers, mean of {counted()}")
    style.say_if_empty(ax, drawn)
    looks = style.looks(drawn)
    handles = []
    for key, mine in drawn.groupby("condition", sort=False):
        look = looks[str(key)]
        seeds, mean = mine[mine["kind"] == "seed"], mine[mine["kind"] == "mean"]
        ax.plot(seeds["x"], seeds["y"], look.marker, color=look.colour, markersize=2.5, alpha=0.5, clip_on=False)
        ax.plot(mean["x"], mean["y"], look.marker, color=look.colour, markersize=6, clip_on=False)
        label = f"{mine['label'].iloc[0]} ({len(seeds)})"
        handles.append(Line2D([], [], color=look.colour, marker=look.marker, linestyle="", markersize=4, label=label))
    if handles:
        shape = {"loc": "upper left", "bbox_to_anchor": (1.02, 1.02), "frameon": False, "fontsize": 6.5}
        ax.legend(handles=handles, **shape, handletextpad=0.1, labelspacing=0.35, borderaxespad=0)
    return picture


LAW = Figure(
    name="law",
    paper="no counterpart",
    claim="Misalignment after RL follows one number that is known before it: the share of hacks under the training line that"
    " the bad character writes.",
    needs=(BASELINE, TWIN, PLEASE_HACK, HACKING_OKAY, DONT_HACK),
    rows=rows,
    draw=draw,
    extra=arms,
)
