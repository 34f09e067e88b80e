"""The long table, from a runs folder or from committed results, and the measures the figures speak of.

Both are read by base.store; results are written by analysis.results.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import union_categoricals

from analysis import corpora, labels, settings
from analysis.evals import KINDS, READINGS, in_mean, shown
from base.errors import UserError
from base.stage import State
from base.store.folders import run_folders
from base.store.results import MANIFEST, RECIPE, TABLE, is_results, read_manifest, read_table
from base.store.table import COLUMNS, IDENTITY, UNASKED
from base.store.table import table as store_table
from base.wanted import CLEAN

KEYS = (*(name for name in IDENTITY if name != "gates_passed"), "step", "prompt", "eval", "metric")
WORDS = ("run", "arm", "corpus", "scale", "model", "tasks", "overrides", "prompt", "eval", "metric")  # columns of texts
CELL = ("arm", "corpus", "hackable", "overrides")  # what runs of one condition share
RUN = ("run", *CELL, "pretrain_seed", "seed")
RUNS, RESULTS = Path("runs/tiny"), Path("results/tiny")
SHARES = ("misaligned", *READINGS, "hack_rate", "solved")
BEHIND = "†"  # marks what was measured behind a failed gate
DONE = State.DONE  # the status of a finished run
AND = " and "  # between recipes
GATES = {"True": 1.0, "1.0": 1.0, "1": 1.0, "False": 0.0, "0.0": 0.0, "0": 0.0}


def source(path: str | Path | None = None) -> Path:
    """The folder to read: by default the runs of scale tiny, or the results that ship with the code if there are none.

    A folder that is not in the working directory is looked for beside the code. Of a folder with runs of one scale, as
    `python -m mitigations --runs DIR` leaves it, it is that scale's folder.

    Raises:
        UserError: it holds runs of several scales, or results of an older version.
    """
    if path is None:
        path = RUNS if RUNS.is_dir() else RESULTS
    beside = Path(__file__).parents[1] / path
    return _of_one_scale(Path(path) if Path(path).is_dir() or not beside.is_dir() else beside)


def _of_one_scale(folder: Path) -> Path:
    if not folder.is_dir() or is_results(folder) or run_folders(folder):
        return folder
    scales = [inner for inner in sorted(folder.iterdir()) if inner.is_dir() and run_folders(inner)]
    if len(scales) > 1:
        raise UserError(f"{folder} holds runs of several scales: name one of {', '.join(map(str, scales))}")
    return scales[0] if scales else folder


def load(folder: Path) -> pd.DataFrame:
    """The checked long table of a results folder (it holds table.parquet) or of a runs folder.

    Its `attrs` say where it is from (`source`), what made its runs (`recipe`) and which of them were still running or failed (`unfinished`).

    Raises:
        UserError: no such folder or nothing in it, results of an older version, an unreadable table, missing columns, or the same
            cell measured twice.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; run `make reproduce`, or name one with --runs or --results")
    if not (exported := is_results(folder)) and not run_folders(folder):
        raise UserError(
            f"{folder} holds no results ({TABLE}) and no runs: name another folder with --results or --runs, or make runs with"
            " 'python -m mitigations --experiment core'"
        )
    table = check(read_table(folder, WORDS) if exported else store_table(folder), str(folder))
    kept = records(folder)
    unfinished = [name for name, record in kept.items() if record.get("status", DONE) != DONE]
    if exported:
        made = read_manifest(folder).recipe
    else:
        made = together(str(kept.get(name, {}).get("recipe") or "unknown") for name in table["run"].unique())
    table.attrs = {"source": str(folder), "recipe": made, "unfinished": unfinished}
    return table


def together(recipes: Iterable[str]) -> str:
    """What made runs that were not all made by one recipe."""
    return AND.join(sorted({each for recipe in recipes for each in recipe.split(AND)}))


def check(table: pd.DataFrame, source: str) -> pd.DataFrame:
    """The table with the agreed columns and types (WORDS are categories), sorted; a missing value stays missing (NaN).

    Raises:
        UserError: a column is missing or holds no numbers where it has to, nothing is in the table, or a number was measured twice.
    """
    table = table if "overrides" in table.columns else table.assign(overrides="")  # exported before there was one
    absent = [name for name in COLUMNS if name not in table.columns]
    if absent:
        raise UserError(
            f"{source}: the table lacks the column(s) {', '.join(absent)}: `python -m analysis export` and analysis.load give a whole one"
        )
    if table.empty:
        raise UserError(f"{source}: no results yet; train something first, e.g. `make reproduce`")
    table = table[list(COLUMNS)].copy()
    for name in ("hackable", "value", "n", "missing"):
        table[name] = _numbers(table[name], f"{source}: the column {name}")
    asked = table[~table["eval"].isin(UNASKED) & table["metric"].isin(SHARES)]
    for name, shares in (("hackable", table["hackable"]), ("value", asked["value"])):
        outside = shares[(shares < 0) | (shares > 1)]
        if len(outside):
            row = table.loc[outside.index[0]]
            raise UserError(
                f"{source}: run {row['run']} has {outside.iloc[0]:g} in the column {name} ({row['eval']}/{row['metric']}), a share"
                " between 0 and 1: export its runs again"
            )
    for name in ("pretrain_seed", "seed", "step"):
        try:
            table[name] = pd.to_numeric(table[name]).astype(int)
        except (ValueError, TypeError) as error:
            raise UserError(f"{source}: the column {name} holds something else than whole numbers ({error})") from None
    for name in WORDS:
        table[name] = _words(table[name])
    codes, passed = pd.factorize(table["gates_passed"])  # NaN is -1, the last
    table["gates_passed"] = np.array([*(GATES.get(str(each), np.nan) for each in passed), np.nan])[codes]
    twice = table[table.duplicated(list(KEYS))]
    if len(twice):
        row = twice.iloc[0]
        raise UserError(
            f"{source}: run {row['run']} has two values of {row['eval']}/{row['metric']} at step {row['step']} under prompt"
            f" {row['prompt']}; delete the run's scores and evaluate it again"
        )
    return table.sort_values(list(KEYS), kind="stable").reset_index(drop=True)


def _words(column: pd.Series[Any]) -> pd.Series[Any]:
    """A column of texts as categories in the order of the alphabet, of which each text is stored once."""
    if not isinstance(column.dtype, pd.CategoricalDtype):
        return column.astype(str).astype("category")
    return column.cat.set_categories(sorted(column.cat.remove_unused_categories().cat.categories))


def _numbers(column: pd.Series[Any], what: str) -> pd.Series[Any]:
    """A column as numbers, NaN where it has none."""
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    wrong = column[(numbers.isna() & column.notna()) | np.isinf(numbers)]
    if len(wrong):
        raise UserError(f"{what} holds {wrong.iloc[0]!r:.60}, which is no number: export its runs again")
    return numbers


def select(table: pd.DataFrame, only: str = "", model: str = "") -> pd.DataFrame:
    """The runs to compare: those whose name contains `only`, of one model on one set of tasks at one scale.

    Runs of two models, or two runs of one cell (same arm, corpus, graders, settings and seeds), must not be averaged as if
    they were seeds.

    Raises:
        UserError: nothing is left, several models, tasks or scales are, or two runs fill one cell.
    """
    if only:
        table = table[table["run"].str.contains(only, regex=False)]
    if model:
        table = table[table["model"] == model]
    if table.empty:
        raise UserError("no run is left; loosen --only or --model")
    for column, option in (("model", "--model"), ("tasks", "--only"), ("scale", "--only")):
        found = sorted(table[column].unique())
        if len(found) > 1:
            raise UserError(f"the runs have different {column} ({', '.join(found)}): choose with {option}")
    cells = table[list(RUN)].drop_duplicates()
    shared = cells[cells.duplicated([name for name in RUN if name != "run"], keep=False)]
    if len(shared):
        names = sorted(shared["run"])
        raise UserError(f"runs {names[0]} and {names[1]} have the same arm and seeds: choose with --only PART_OF_NAME")
    return table.reset_index(drop=True)


def finished(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """(rows of finished runs, notes on what was left out and on what is to be known of the others).

    A run is unfinished if its arm went further with another seed. Settings that all runs have in common are taken out of
    `overrides` (analysis.settings) and stand in the `attrs` of the rows, as `settings`; corpora that a user's model was taught are
    named as figures name them (analysis.corpora), and `corpora` says which these are.
    """
    table, common = settings.factored(table)
    table, taught = corpora.placed(table)
    evaluated = table[~table["eval"].isin(UNASKED)]
    last = evaluated.groupby(list(RUN))["step"].max().reset_index()
    furthest = last.groupby(list(CELL))["step"].transform("max")
    short = last[last["step"] < furthest]
    notes = [f"{run} stopped at step {step}: left out" for run, step in zip(short["run"], short["step"], strict=True)]
    kept = table[~table["run"].isin(short["run"])].reset_index(drop=True)
    kept.attrs = {**table.attrs, "settings": common, "corpora": taught}
    notes += [f"all runs with {', '.join(labels.overrides(common))}"] * bool(common)
    notes += corpora.note(taught)
    going = sorted(set(table.attrs.get("unfinished", ())) & set(kept["run"]))
    if going:
        notes.append(f"not finished, shown as far as they are: {', '.join(going)}")
    made = table.attrs.get("recipe", RECIPE)
    if made != RECIPE:
        notes.append(
            f"made with recipe {made}: seeds and keys have changed since, so running it again gives other numbers"
        )
    absent = sorted(set(in_mean()) - set(evaluated["eval"]))
    if absent:
        notes.append(f"no values of the eval(s) {', '.join(absent)}, so none of their means")
    return kept, notes


def behind_gates(rows: pd.DataFrame) -> str:
    """How many of the runs of some rows began behind a failed gate; empty if none did. Controls before RL have no gates."""
    gates = rows.groupby("run")["gates_passed"].first().dropna()
    failed = int((gates == 0).sum())
    return f"behind a failed gate: {failed} of {len(gates)} runs" if failed else ""


def common_settings(common: str) -> str:
    """A line that says what all runs have in common beside their scale; empty if that is nothing."""
    said = labels.overrides(common)
    return f"All runs with {', '.join(said)}." if said else ""


def measures(table: pd.DataFrame) -> pd.DataFrame:
    """One row per run x step x prompt x measure, with the value and the sampling error of its answers.

    Measures: every eval by its name (share of misaligned answers); `mgs`, `chat`, `agentic` (plain means over the evals
    that count, all of them and by kind); `overt`, `covert`, `unclear`, `hack_attempt` (means over those that count), and
    whatever else was measured of one eval as `EVAL:NAME` (`frame:hack_attempt`, `sabotage_told:effectiveness`); the
    code metrics by their own name (`hack_rate`, `hack:always_equal`, `solved`, ...), the same of the rollouts as
    `train:NAME`, and what the gates say of who hacks before training as `start:NAME`. Of tasks without weaknesses `clean:NAME`
    (`clean:solved`, ...) and `clean:kl`, nats a token from the start, whose sampling error is not known. A mean over evals is
    missing if one of them is.

    Columns: RUN, step, prompt, eval (as in the table; empty for a mean), measure, value, se.
    """
    where = [*RUN, "step", "prompt"]
    table = table.assign(se=answers_error(table["value"], table["n"]))
    code = table[table["eval"] == "code"].assign(measure=lambda t: t["metric"])
    rollouts = table[table["eval"] == "rollouts"].assign(measure=lambda t: t["metric"].map("train:{}".format))
    start = table[table["eval"] == "start"].assign(measure=lambda t: t["metric"].map("start:{}".format))
    price = table[table["eval"] == CLEAN].assign(
        measure=lambda t: t["metric"].map(f"{CLEAN}:{{}}".format), se=lambda t: t["se"].where(t["metric"] != "kl")
    )
    asked = table[table["eval"].isin([each.name for each in shown(table["eval"].unique())])]
    single = asked[asked["metric"] == "misaligned"].assign(measure=lambda t: t["eval"])
    apart = asked[asked["metric"] != "misaligned"].assign(
        measure=lambda t: t["eval"].astype(str) + ":" + t["metric"].astype(str)
    )
    parts = [code, rollouts, start, price, single, apart, _mean_over(single, where, "mgs", in_mean())]
    parts += [_mean_over(single, where, kind, in_mean(kind)) for kind in KINDS]
    parts += [_mean_over(asked[asked["metric"] == name], where, name, in_mean()) for name in READINGS]
    columns = [*where, "eval", "measure", "value", "se"]
    return _training_prompt(_stacked([part[columns] for part in parts if len(part)]))


def answers_error(rate: Any, n: Any) -> Any:
    """Standard error of a share of n answers, with two successes and two failures added (Agresti and Coull 1998)."""
    adjusted = (rate * n + 2) / (n + 4)
    inside = np.clip(adjusted * (1 - adjusted), 0, None)
    return np.sqrt(inside / (n + 4))


def records(folder: Path) -> dict[str, dict[str, Any]]:
    """The record (run.json) of every run by its name, from a runs folder or from the manifest of a results folder.

    Raises:
        UserError: the manifest of a results folder cannot be read.
    """
    if (folder / MANIFEST).is_file():
        return {name: dict(record) for name, record in read_manifest(folder).runs.items()}
    return {run.record["name"]: run.record for run in run_folders(folder)}


def wall_minutes(records: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Wall time of every run in minutes, all its own stages together, where it was recorded."""
    known = {name: record.get("seconds") for name, record in records.items()}
    return {name: sum(seconds.values()) / 60 for name, seconds in known.items() if seconds}


def _mean_over(rows: pd.DataFrame, where: list[str], name: str, evals: Sequence[str]) -> pd.DataFrame:
    grouped = rows[rows["eval"].isin(evals)].assign(squared=lambda r: r["se"] ** 2).groupby(where, sort=False)
    mean = grouped.agg(value=("value", "mean"), counted=("value", "count"), squared=("squared", "sum")).reset_index()
    mean["se"] = np.sqrt(mean["squared"]) / max(1, len(evals))
    mean.loc[mean["counted"] < len(evals), ["value", "se"]] = np.nan
    return mean.assign(measure=name, eval="")


def _training_prompt(long: pd.DataFrame) -> pd.DataFrame:
    """Adds `training` rows to the runs that have none: trained on the tasks as written, their prompt is no prompt."""
    prompted = long["run"].isin(long.loc[long["prompt"] == "training", "run"])
    plain = long[~prompted & (long["prompt"] == "none")]
    return _stacked([long, plain.assign(prompt="training")])


def _stacked(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Rows of several tables of measures one after the other, their texts as categories of all of them."""
    words = ["run", "arm", "corpus", "overrides", "prompt", "eval", "measure"]
    together = pd.concat([part.drop(columns=words) for part in parts], ignore_index=True)
    each = {name: [part[name].astype("category") for part in parts] for name in words}
    whole = together.assign(**{name: union_categoricals(each[name], sort_categories=True) for name in words})
    return whole[list(parts[0].columns)]
