"""What a figure is: a claim, the conditions it needs, the table it draws, and a drawing of that table alone."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.figure import Figure as Picture

from analysis.conditions import Condition, missing
from analysis.figures import style
from analysis.stats import LAST, Summary, final, over_steps, summary, units
from analysis.table import CELL, finished, measures
from base.errors import UserError

LISTED = 12  # the small print counts the seeds of up to so many conditions one by one
COLUMNS = (
    *("panel", "condition", "label", *CELL, "measure", "prompt", "kind"),
    *("run", "step", "x", "y", "low", "high", "seeds"),
)


@dataclass(frozen=True)
class Drawing:
    """A drawn figure: `table` is what it shows (COLUMNS), `figure` the matplotlib figure; a notebook shows the picture."""

    name: str
    table: pd.DataFrame
    figure: Picture

    def save(self, folder: Path | str = "figures") -> list[Path]:
        """Writes NAME.csv, NAME.png and NAME.svg into a folder, which is made if needed; returns their paths."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        csv, png, svg = (folder / f"{self.name}.{kind}" for kind in ("csv", "png", "svg"))
        self.table.to_csv(csv, index=False, lineterminator="\n", encoding="utf-8")
        with matplotlib.rc_context(style.RC):
            self.figure.savefig(png)
            self.figure.savefig(svg, metadata={"Date": None})
        return [csv, png, svg]

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        with matplotlib.rc_context(style.RC):
            self.figure.savefig(file, format="png")
        return file.getvalue()


@dataclass(frozen=True)
class Figure:
    """Calling it with the long table draws it.

    `rows` makes the table that is drawn (COLUMNS; kind: seed = one run, mean = over runs with its interval across
    seeds, answers = the one run of an arm with the sampling error of its answers) from the measures and the
    conditions that are there; `draw` sees that table and the small print, nothing else.
    """

    name: str
    paper: str
    claim: str
    needs: tuple[Condition, ...]
    rows: Callable[[pd.DataFrame, Sequence[Condition]], pd.DataFrame]
    draw: Callable[[pd.DataFrame, Sequence[str]], Picture]
    extra: Callable[[pd.DataFrame], Sequence[Condition]] = lambda table: ()

    def __call__(self, table: pd.DataFrame) -> Drawing:
        """Draws the long table (analysis.table.check).

        Raises:
            UserError: none of the conditions has a run.
        """
        table, notes = finished(table)
        gone = missing(self.needs, table)
        here = [c for c in self.needs if c not in gone]
        if not any(not c.start for c in here):
            names = ", ".join(c.label for c in self.needs)
            raise UserError(f"figure {self.name}: no run of any of its arms ({names}); run `make reproduce`")
        here += [c for c in self.extra(table) if c not in here]
        drawn = self.rows(measures(table), here)
        if gone:
            notes = [*notes, "missing runs: " + ", ".join(c.label for c in gone)]
        with matplotlib.rc_context(style.RC):
            return Drawing(self.name, drawn, self.draw(drawn, [*small_print(drawn), *notes]))


def curve(rows: pd.DataFrame, condition: Condition, measure: str, prompt: str, panel: str) -> list[dict[str, Any]]:
    """A measure over RL steps: one row per run and checkpoint, and the mean where every run has a value."""
    points = over_steps(rows, condition, measure, prompt).dropna(subset=["value"])
    base = entry(panel, condition, measure, prompt)
    found = [
        {**base, "kind": "seed", "run": run, "step": step, "x": step, "y": value}
        for run, step, value in zip(points["run"], points["step"], points["value"], strict=True)
    ]
    runs = points["run"].nunique()
    for step, at in points.groupby("step"):
        if len(at) == runs:
            found.append({**base, "kind": "mean", "step": step, "x": step, **interval(summary(at["value"].tolist()))})
    return found


def last(rows: pd.DataFrame, condition: Condition, measure: str, prompt: str, panel: str) -> list[dict[str, Any]]:
    """Final values: one row per unit of replication, the mean, and for a single one its answers' sampling error."""
    values, errors = final(rows, condition, measure, prompt)
    single = units(values, condition)
    base = entry(panel, condition, measure, prompt)
    found: list[dict[str, Any]] = [
        {**base, "kind": "seed", "run": f"seed {seed}", "y": value}
        for (_, seed), value in single.items()
        if value == value
    ]
    if not found:
        return []
    whole = summary(list(single.values()))
    found.append({**base, "kind": "mean", **interval(whole)})
    if whole.seeds == 1:
        half = 1.96 * max(errors.values())
        found.append({**base, "kind": "answers", "y": whole.mean, "low": whole.mean - half, "high": whole.mean + half})
    return found


def entry(panel: str, condition: Condition, measure: str, prompt: str) -> dict[str, Any]:
    """What every row of a panel's condition shares."""
    named = {"panel": panel, "condition": condition.key, "label": condition.label}
    return {**named, **dict(zip(CELL, condition.cell, strict=True)), "measure": measure, "prompt": prompt}


def frame(entries: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """The table a figure draws, with all its columns."""
    return pd.DataFrame(list(entries), columns=list(COLUMNS))


def small_print(drawn: pd.DataFrame) -> list[str]:
    """How to read the lines, and how many runs stand behind each condition."""
    means = drawn[(drawn["kind"] == "mean") & drawn["seeds"].notna()]
    counts = means.groupby("label", sort=False)["seeds"].max().astype(int)
    several = bool(counts.max() > 1)
    curves = drawn["x"].notna().any()
    marks = (
        "Thin lines, small marks: single training runs; bold" if curves else "Small marks: single training runs; large"
    )
    bands = "bar, and band from 3 seeds" if curves else "line"
    how = f"{marks}: their mean; {bands}: 95% t interval across seeds." * several
    if counts.nunique() == 1:
        runs = f"{counts.max()} seed{'s' * several} per arm" + ("." if several else ": no interval across seeds.")
    else:
        each = ", ".join(f"{label} {n}" for label, n in counts.items())
        listed = each if len(counts) <= LISTED else f"{counts.min()} to {counts.max()} per arm"
        runs = f"Seeds: {listed} (from one: no interval)."
    if (drawn["kind"] == "answers").any():
        runs += " Grey bar: sampling error of one run's answers."
    finals = (
        f" Final values: mean of up to {LAST} last checkpoints." if any(drawn["panel"].str.startswith("final")) else ""
    )
    few = ", ".join(f"{label} {n} of {saved}" for label, (n, saved) in sparse(drawn).items())
    seldom = f" Evaluated at few checkpoints, lines join them: {few}." if few else ""
    return textwrap.wrap(f"{how} {runs}{finals}{seldom}".strip(), 140, break_on_hyphens=False)


def sparse(drawn: pd.DataFrame) -> dict[str, tuple[int, int]]:
    """Label -> (checkpoints evaluated, checkpoints saved) of curves that lack some, step 0 included.

    The last three saved checkpoints of a run are always evaluated (base.wanted), so two of them tell how often it saved.
    """
    points = drawn[(drawn["kind"] == "seed") & drawn["x"].notna() & ~drawn["measure"].str.startswith("train:")]
    found: dict[str, tuple[int, int]] = {}
    for (label, _), mine in points.groupby(["label", "run"], sort=False):
        steps = sorted({0, *mine["x"].astype(int)})
        saved = 2 + steps[-2] // (steps[-2] - steps[-3]) if len(steps) > 3 else len(steps)
        if len(steps) < saved:
            found[str(label)] = min(found.get(str(label), (saved, saved)), (len(steps), saved))
    return found


def interval(whole: Summary) -> dict[str, Any]:
    """The columns of a mean over runs."""
    return {"y": whole.mean, "low": whole.low, "high": whole.high, "seeds": whole.seeds}
