"""The rows that figures draw: a measure over RL, its final value, one measure against another, what the paper prints.

`kind` of a row: `seed` is one run; `mean` is over runs, with its 95% interval across seeds; `answers` is the one run of an
arm with the sampling error of its answers; `paper` is what the paper prints (`low` to `high`); `words` says `text`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from analysis import paper
from analysis.conditions import Condition
from analysis.stats import Seed, Summary, final, over_steps, summary, units
from analysis.table import CELL

COLUMNS = (
    *("panel", "condition", "label", *CELL, "measure", "prompt", "series", "kind"),
    *("run", "step", "x", "y", "low", "high", "seeds", "text"),
)
WINDOW = 8  # RL steps that a point of a rollout curve is the mean of
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


def curve(
    rows: pd.DataFrame, condition: Condition, measure: str, prompt: str, panel: str, forks: Mapping[str, int]
) -> list[Row]:
    """A measure over RL steps: one row per run and checkpoint, and the mean where every run has a value.

    `forks`: run -> the step of its parent that it went on from, at which its line begins (`x`; its own count is `step`).
    """
    points = over_steps(rows, condition, measure, prompt).dropna(subset=["value"])
    points = points.assign(
        x=[step + forks.get(str(run), 0) for run, step in zip(points["run"], points["step"], strict=True)]
    )
    base = entry(panel, condition, measure, prompt)
    found = [
        {**base, "kind": "seed", "run": run, "step": step, "x": x, "y": value}
        for run, step, x, value in points[["run", "step", "x", "value"]].itertuples(index=False)
    ]
    runs = points["run"].nunique()
    for step, at in points.groupby("step"):
        if len(at) == runs:
            whole = summary(at["value"].tolist())
            found.append({**base, "kind": "mean", "step": step, "x": at["x"].mean(), **interval(whole)})
    return found


def windows(rows: pd.DataFrame, condition: Condition, measure: str, panel: str) -> list[Row]:
    """A rollout measure over RL, in means of WINDOW steps (those without a value say nothing), one row a run and window."""
    points = over_steps(rows, condition, measure, "train").dropna(subset=["value"])
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


def last(rows: pd.DataFrame, condition: Condition, measure: str, prompt: str, panel: str) -> list[Row]:
    """Final values: one row per unit of replication, the mean, and for a single one its answers' sampling error."""
    values, errors = final(rows, condition, measure, prompt)
    single = units(values, condition)
    base = entry(panel, condition, measure, prompt)
    found: list[Row] = [
        {**base, "kind": "seed", "run": _name(seed), "y": value} for seed, value in single.items() if value == value
    ]
    if not found:
        return []
    whole = summary(list(single.values()))
    found.append({**base, "kind": "mean", **interval(whole)})
    if whole.seeds == 1:
        half = 1.96 * max(errors.values())
        found.append({**base, "kind": "answers", "y": whole.mean, "low": whole.mean - half, "high": whole.mean + half})
    return found


def printed(condition: Condition, measure: str, prompt: str, panel: str) -> list[Row]:
    """The paper's value of the same, if it prints one: the middle and the ends of its range."""
    value = paper.printed(condition, measure, prompt)
    if value is None:
        return []
    low, high = value
    return [
        {**entry(panel, condition, measure, prompt), "kind": "paper", "y": (low + high) / 2, "low": low, "high": high}
    ]


def path(rows: pd.DataFrame, condition: Condition, x: tuple[str, str], y: tuple[str, str], panel: str) -> list[Row]:
    """One measure (with its prompt) against another over RL: one row per run and checkpoint, and the mean of the runs."""
    keys = ["run", "pretrain_seed", "seed", "step"]
    across = over_steps(rows, condition, *x).rename(columns={"value": "x"})
    up = over_steps(rows, condition, *y).rename(columns={"value": "y"})
    points = across.merge(up, on=keys).dropna(subset=["x", "y"])
    base = entry(panel, condition, f"{y[0]} against {x[0]}", y[1])
    made = [
        {**base, "kind": "seed", "run": run, "step": step, "x": x, "y": y}
        for run, step, x, y in points[["run", "step", "x", "y"]].itertuples(index=False)
    ]
    runs = points["run"].nunique()
    for step, at in points.groupby("step"):
        if len(at) == runs:
            whole = summary(at["y"].tolist())
            middle = {"x": at["x"].mean(), "y": whole.mean, "seeds": whole.seeds}
            made.append({**base, "kind": "mean", "step": step, **middle})
    return made


def ends(rows: pd.DataFrame, condition: Condition, x: tuple[str, str], y: tuple[str, str]) -> Points:
    """Final values of two measures (with their prompts), one point a run where both are known."""
    across, up = (units(final(rows, condition, *each)[0], condition) for each in (x, y))
    both = [(_name(seed), across[seed], up[seed]) for seed in across if seed in up]
    return [point for point in both if point[1] + point[2] == point[1] + point[2]]


def pairs(points: Points, condition: Condition, x: str, y: tuple[str, str], panel: str) -> list[Row]:
    """A point per run, and one at the mean of both with the interval of `y`."""
    if not points:
        return []
    base = entry(panel, condition, f"{y[0]} against {x}", y[1])
    made = [{**base, "kind": "seed", "run": run, "x": across, "y": up} for run, across, up in points]
    middle = sum(across for _, across, _ in points) / len(points)
    return [*made, {**base, "kind": "mean", "x": middle, **interval(summary([up for *_, up in points]))}]


def shown_as(made: Iterable[Row], condition: Condition, series: str = "") -> list[Row]:
    """Rows that stand under another condition's name: those of a twin, of another prompt (`series` tells them apart)."""
    return [{**row, "condition": condition.key, "label": condition.label, "series": series} for row in made]


def _name(seed: Seed) -> str:
    return f"seed {seed[1]}"
