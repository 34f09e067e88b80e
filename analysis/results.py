"""Shipping: the finished runs of a folder are merged into a folder of results, as often as there are new ones.

So a grid that was begun on one machine goes on on another: each adds what it has finished, and what is there stays.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import transcripts
from analysis.table import DONE, KEYS, WORDS, check
from base.errors import UserError
from base.stage import State
from base.store.files import check_writable
from base.store.folders import run_folders
from base.store.results import (
    NUMBERS,
    RECIPE,
    TIMING,
    Manifest,
    as_shipped,
    is_results,
    read_manifest,
    read_table,
    write_results,
)
from base.store.table import COLUMNS
from base.store.table import table as store_table

FAILED = State.FAILED
PLACED = ("model", "tasks", "arm", "corpus", "overrides")  # columns of a run that may name files of this machine
PART = r"""[^/\s,;:'"()=]"""  # letters of a path in a text
FOLDERS = re.compile(rf"(?<![\w.:/~*<-])/(?:{PART}+/)*(?={PART})")  # of an absolute path
Records = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Shipment:
    """What an export did: names of runs that are new, that were there, that failed, and that are not finished."""

    path: Path
    new: tuple[str, ...]
    known: tuple[str, ...]
    failed: tuple[str, ...]
    unfinished: tuple[str, ...]

    def __str__(self) -> str:
        counts = f"{len(self.new)} new runs, {len(self.known)} that were there, {len(self.failed)} failed"
        lines = [f"wrote {self.path} and the manifest beside it: {counts}"]
        lines += [f"failed, shipped as an error row: {name}" for name in self.failed]
        lines += [f"not finished, left out: {name}" for name in self.unfinished]
        return "\n".join(lines)


def export(runs: Path, results: Path) -> Shipment:
    """Merges the runs of a folder that are done, and the error rows of those that failed, into a folder of results.

    Raises:
        UserError: no such folder, runs or results of another recipe or scale, results of an older version, a run that is in both
            with other numbers, or results that cannot be written to.
    """
    if not runs.is_dir():
        raise UserError(f"{runs}: no such folder; run `make reproduce`, or name one with --runs")
    check_writable(results, "--results")
    found = {name: _without_places(record, runs) for name, record in _records(runs).items()}
    if not found:
        raise UserError(f"no runs under {runs}: make some with 'python -m mitigations --experiment core'")
    new = {name: record for name, record in found.items() if record["status"] in (DONE, FAILED)}
    stored = _typed(read_table(results), results) if is_results(results) else _nothing()
    old = read_manifest(results)
    _check_recipes(new, old, results)
    done = {name for name, record in new.items() if record["status"] == DONE}
    made = _typed(as_shipped(_table_of(runs, done)), runs) if done else _nothing()
    records = merged_records(old.runs, new, Counter(made["run"]), Counter(stored["run"]))
    table = merged(stored, made, results, runs, old.runs, new)
    path = write_results(results, table, records)
    transcripts.write(runs, results)
    shipped = {name for name, record in old.runs.items() if record["status"] == DONE}
    return Shipment(
        path,
        tuple(sorted(done - shipped)),
        tuple(sorted(done & shipped)),
        tuple(sorted(name for name in new if records[name]["status"] == FAILED)),
        tuple(sorted(set(found) - set(new))),
    )


def merged(
    stored: pd.DataFrame, made: pd.DataFrame, results: Path, runs: Path, old: Records, new: Records
) -> pd.DataFrame:
    """The rows of both tables, each once.

    Raises:
        UserError: a number is in both and differs; times of training steps may.
    """
    if stored.empty or made.empty:
        return stored if made.empty else made
    both = stored.merge(made, on=list(KEYS), suffixes=("", " again"))
    both = both[~both["metric"].str.startswith(TIMING)]
    for name in NUMBERS:
        one, two = both[name], both[f"{name} again"]
        differ = both[(one != two) & ~(one.isna() & two.isna())]
        if len(differ):
            row = differ.iloc[0]
            where = f"{name} of {row['eval']}/{row['metric']} at step {row['step']} under prompt {row['prompt']}"
            made_on = " and ".join(_machine(records.get(row["run"], {})) for records in (old, new))
            raise UserError(
                f"run {row['run']} was measured twice with other numbers ({len(differ)} of {len(both)} differ): {where} is"
                f" {row[name]:g} in {results} and {row[f'{name} again']:g} in {runs} (made on {made_on}): a run ships once,"
                f" move its folder out of {runs}"
            )
    scales = sorted({*stored["scale"], *made["scale"]})
    if len(scales) > 1:
        raise UserError(f"{runs} and {results} are of different scales ({', '.join(scales)}): name another --results")
    return pd.concat([stored, made], ignore_index=True).drop_duplicates(list(KEYS), keep="first")


def merged_records(old: Records, new: Records, made: Counter[str], stored: Counter[str]) -> dict[str, Any]:
    """The record of every run: of one that is in both, the stored one, unless the new one measured more or the stored one failed.

    Raises:
        UserError: a run of the same name has other settings.
    """
    kept = {name: dict(record) for name, record in old.items()}
    for name, record in new.items():
        if name in old and old[name]["key"] != record["key"]:
            raise UserError(f"run {name} ships with other settings than it has here: name another --results")
        ships = name in old and old[name]["status"] == DONE
        if not ships or (record["status"] == DONE and made[name] > stored[name]):
            kept[name] = dict(record)
    return kept


def _records(runs: Path) -> dict[str, dict[str, Any]]:
    return {record["name"]: record for record in (folder.record for folder in run_folders(runs))}


def _check_recipes(new: Records, old: Manifest, results: Path) -> None:
    if old.runs and old.recipe != RECIPE:
        raise UserError(
            f"{results} was made by recipe {old.recipe}, this code is recipe {RECIPE}: name another --results"
        )
    for name, record in new.items():
        made = record.get("recipe", "that it does not say")
        if made != RECIPE:
            raise UserError(
                f"run {name} was made by recipe {made}, this code is recipe {RECIPE}: run it again, or move it away"
            )


def _table_of(runs: Path, names: set[str]) -> pd.DataFrame:
    table = store_table(runs)
    kept = table[table["run"].isin(names)]
    return kept.assign(**{name: kept[name].map(_without_folders) for name in PLACED})


def _typed(table: pd.DataFrame, source: Path) -> pd.DataFrame:
    return check(table, str(source)).astype(dict.fromkeys(WORDS, str))


def _nothing() -> pd.DataFrame:
    return pd.DataFrame(columns=list(COLUMNS))


def _machine(record: Mapping[str, Any]) -> str:
    return str(record.get("engine", {}).get("processor", "an unknown machine"))


def _without_places(record: Mapping[str, Any], runs: Path) -> dict[str, Any]:
    """A record without the folders of the machine that it was made on; what the run names, and all else that is absolute, by
    its last part, so that it is called as in the table.
    """
    text, named = json.dumps(record), FOLDERS.findall(json.dumps(record.get("run", {})))
    places = [f"{place}/" for place in (Path(__file__).parents[1], runs.resolve().parent.parent, Path.home())]
    for place in (*sorted(named, key=len, reverse=True), *places):
        text = text.replace(place, "") if place.strip("/") else text
    return dict(_without_folders(json.loads(text)))


def _without_folders(value: Any) -> Any:
    """Absolute paths in the texts of a value by their last part; hub ids and addresses stay as they are."""
    match value:
        case str():
            return FOLDERS.sub("", value)
        case dict():
            return {key: _without_folders(each) for key, each in value.items()}
        case list():
            return [_without_folders(each) for each in value]
    return value
