"""The rows that figures draw: a measure over RL, its final value, one measure against another, what the paper prints.

`kind` of a row: `seed` is one run; `mean` is over runs, with its 95% interval across seeds; `answers` is the one run of an
arm with the sampling error of its answers; `paper` is what the paper prints (`low` to `high`) or says (`text`); `words`
says `text`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pandas as pd

from analysis import paper
from analysis.conditions import Condition
from analysis.measured import Measured, Values, units
from analysis.stats import Seed, Summary, summary
from analysis.table import CELL

COLUMNS = (
    *("panel", "condition", "label", *CELL, "measure", "prompt", "series", "kind"),
    *("run", "step", "x", "y", "low", "high", "seeds", "text"),
)
WINDOW = 4  # RL steps that a point of a rollout curve is the mean of
Row = dict[str, Any]
Points = list[tuple[str, float, float]]  # run, x, y


def frame(entries: Iterable[Row]) -> pd.DataFrame:
    """The table a figure draws, with all its columns."""
    made = pd.DataFrame(list(entries), columns=list(COLUMNS))
    words = [*COLUMNS[: COLUMNS.index("run")], "text"]
    return made.assign(**{name: made[name].fillna("") for name in words if name != "hackable"})


def records(drawn: pd.DataFrame) -> list[Row]:
    """The rows of a drawn table, one by one."""
    return [{str(name): value for name, value in row.items()} for row in drawn.to_dict("records")]


def entry(panel: str, condition: Condition, measure: str, prompt: str) -> Row:
    """What every row of a panel's condition shares."""
    named = {"panel": panel, "condition": condition.key, "label": condition.label}
    return {**named, **dict(zip(CELL, condition.cell, strict=True)), "measure": measure, "prompt": prompt}


def interval(whole: Summary) -> Row:
    """The columns of a mean over runs."""
    return {"y": whole.mean, "low": whole.low, "high": whole.high, "seeds": whole.seeds}


def line(
    measured: Measured, condition: Condition, measure: str, prompt: str, panel: str, forks: Mapping[str, int]
) -> list[Row]:
    """A measure over RL: of the rollouts in windows, of evaluations by checkpoint."""
    if measure.startswith("train:"):
        return windows(measured, condition, measure, panel, forks)
    return curve(measured, condition, measure, prompt, panel, forks)


def curve(
    measured: Measured, condition: Condition, measure: str, prompt: str, panel: str, forks: Mapping[str, int]
) -> list[Row]:
    """A measure over RL steps: one row per run and checkpoint, and the mean where every run has a value.

    `forks`: run -> the step of its parent that it went on from, at which its line begins (`x`; its own count is `step`).
    """
    points = measured.over_steps(condition, measure, prompt).dropna(subset=["value"]).rename(columns={"value": "y"})
    begun = [forks.get(str(run), 0) for run in points["run"]]
    return _runs_and_mean(points.assign(x=points["step"] + begun), entry(panel, condition, measure, prompt), interval)


def windows(measured: Measured, condition: Condition, measure: str, panel: str, forks: Mapping[str, int]) -> list[Row]:
    """A rollout measure over RL, in means of WINDOW steps (those without a value say nothing), one row a run and window.

    `step`: the middle of the window; `forks`: as for `curve`.
    """
    points = measured.over_steps(condition, measure, "train").dropna(subset=["value"])
    if points.empty:
        return []
    window = (points["step"].astype(int) - 1) // WINDOW
    single = points.assign(step=(window + 0.5) * WINDOW).groupby(["run", "step"], observed=True)["value"].mean()
    made = single.rename("y").reset_index()
    begun = [forks.get(str(run), 0) for run in made["run"]]
    return _runs_and_mean(made.assign(x=made["step"] + begun), entry(panel, condition, measure, "train"), interval)


def path(measured: Measured, condition: Condition, x: tuple[str, str], y: tuple[str, str], panel: str) -> list[Row]:
    """One measure (with its prompt) against another over RL: one row per run and checkpoint, and the mean of the runs."""
    keys = ["run", "pretrain_seed", "seed", "step"]
    across = measured.over_steps(condition, *x).rename(columns={"value": "x"})
    up = measured.over_steps(condition, *y).rename(columns={"value": "y"})
    points = across.merge(up, on=keys).dropna(subset=["x", "y"])
    base = entry(panel, condition, f"{y[0]} against {x[0]}", y[1])
    return _runs_and_mean(points, base, lambda whole: {"y": whole.mean, "seeds": whole.seeds})


def _runs_and_mean(points: pd.DataFrame, base: Row, mean: Callable[[Summary], Row]) -> list[Row]:
    """A row per run and point (columns run, step, x, y), and `mean` of the runs where every run has one.

    Points of different runs belong together at the same step. Where forks of different steps begin they are as unlike as what
    they are forks of, and their mean has no interval.
    """
    found = [
        {**base, "kind": "seed", "run": run, "step": step, "x": x, "y": y}
        for run, step, x, y in points[["run", "step", "x", "y"]].itertuples(index=False)
    ]
    runs = points["run"].nunique()
    for step, at in points.groupby("step"):
        if len(at) == runs:
            made = mean(summary(at["y"].tolist()))
            made |= {"low": None, "high": None} if step == 0 and at["x"].nunique() > 1 else {}
            found.append({**base, "kind": "mean", "step": step, "x": at["x"].mean(), **made})
    return found


def last(measured: Measured, condition: Condition, measure: str, prompt: str, panel: str) -> list[Row]:
    """Final values: one row per unit of replication, the mean, and for a single one its answers' sampling error."""
    base = entry(panel, condition, measure, prompt)
    found = by_run(units(measured.final(condition, measure, prompt), condition), base)
    errors = measured.errors(condition, measure, prompt).values()
    known = [error for error in errors if not math.isnan(error)]
    if found and found[-1]["seeds"] == 1 and known:
        mean, half = found[-1]["y"], 1.96 * max(known)
        found.append({**base, "kind": "answers", "y": mean, "low": mean - half, "high": mean + half})
    return found


def by_run(values: Values, base: Row) -> list[Row]:
    """One row per unit of replication and the mean; nothing where none of them has a value."""
    known = [(seed_name(seed), value) for seed, value in values.items() if not math.isnan(value)]
    found = [{**base, "kind": "seed", "run": run, "y": value} for run, value in known]
    return [*found, {**base, "kind": "mean", **interval(summary(list(values.values())))}] if found else []


def printed(condition: Condition, measure: str, prompt: str, panel: str) -> list[Row]:
    """The paper's value of the same, if it prints one: the middle and the ends of its range."""
    value = paper.printed(condition, measure, prompt)
    if value is None:
        return []
    low, high = value
    return [
        {**entry(panel, condition, measure, prompt), "kind": "paper", "y": (low + high) / 2, "low": low, "high": high}
    ]


def ends(measured: Measured, condition: Condition, x: tuple[str, str], y: tuple[str, str]) -> Points:
    """Final values of two measures (with their prompts), one point a run where both are known."""
    across, up = (units(measured.final(condition, *each), condition) for each in (x, y))
    both = [(seed_name(seed), across[seed], up[seed]) for seed in across if seed in up]
    return [point for point in both if not math.isnan(point[1] + point[2])]


def ends_at(place: float, measured: Measured, condition: Condition, y: tuple[str, str]) -> Points:
    """Final values of a measure (with its prompt) of a condition that has one place on the other axis."""
    values = measured.final(condition, *y)
    return [(seed_name(seed), place, value) for seed, value in values.items() if not math.isnan(value)]


def means(measured: Measured, condition: Condition, x: tuple[str, str], y: tuple[str, str]) -> tuple[Summary, Summary]:
    """The final values of two measures (with their prompts), each over all runs that have it."""
    across, up = (measured.mean(condition, *each) for each in (x, y))
    return across, up


def pairs(
    points: Points,
    condition: Condition,
    x: str,
    y: tuple[str, str],
    panel: str,
    middle: tuple[Summary, Summary] | None = None,
) -> list[Row]:
    """A point per run, and one at the mean of both with the interval of `y`; `middle`: at other means than those of the points."""
    if not points:
        return []
    base = entry(panel, condition, f"{y[0]} against {x}", y[1])
    made = [{**base, "kind": "seed", "run": run, "x": across, "y": up} for run, across, up in points]
    across, up = middle or (summary([x for _, x, _ in points]), summary([y for *_, y in points]))
    return [*made, {**base, "kind": "mean", "x": across.mean, **interval(up)}]


def shown_as(made: Iterable[Row], condition: Condition, series: str = "") -> list[Row]:
    """Rows that stand under another condition's name: those of a twin, of another prompt (`series` tells them apart)."""
    return [{**row, "condition": condition.key, "label": condition.label, "series": series} for row in made]


def seed_name(seed: Seed) -> str:
    """What a run is called among those of its condition."""
    return f"seed {seed[1]}"
