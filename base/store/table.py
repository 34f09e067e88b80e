"""The long table of every number under a folder of runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from base.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

from base.store.files import read_json, read_rows
from base.store.folders import RunFolder, run_folders

IDENTITY = (
    *("run", "arm", "corpus", "hackable", "scale", "model", "tasks", "overrides"),
    *("pretrain_seed", "seed", "gates_passed"),
)


UNASKED = ("rollouts", "start")  # values of `eval` that are no answer of an evaluated checkpoint
COLUMNS = (*IDENTITY, "step", "prompt", "eval", "metric", "value", "n", "missing")


def table(root: Path) -> pd.DataFrame:
    """Every number of every run under `root`, long: one row per run x step x prompt x eval x metric (COLUMNS).

    Training metrics have prompt `train` and eval `rollouts`; what the gates measured of who hacks before training stands
    under eval `start`, with the family of lines as prompt. An eval's value is of `n` answers, and of `missing` ones none could
    be measured; rows under `rollouts` (whose metric `missing_rewards` counts episodes) and `start` have NaN in both. Missing
    values are NaN, never zero.

    Raises:
        UserError: there is no such folder or it holds no run.
    """
    rows = [row for folder in run_folders(root) for row in _rows(folder)]
    if not rows:
        raise UserError(f"no runs under {root}: make some with 'python -m mitigations --experiment core'")
    return _framed(rows)


def rows_of_run(folder: Path) -> pd.DataFrame:
    """The same of one run's folder.

    Raises:
        UserError: it holds no run.
    """
    rows = _rows(RunFolder(folder)) if (folder / "run.json").is_file() else []
    if not rows:
        raise UserError(f"{folder} holds no run with numbers")
    return _framed(rows)


def _framed(rows: list[dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"value": float})


def _rows(folder: RunFolder) -> list[dict[str, Any]]:
    record = folder.record
    run = record["run"]
    identity = {key: run[key] for key in ("arm", "corpus", "hackable", "model", "tasks", "pretrain_seed", "seed")}
    identity |= {
        "run": record["name"],
        "scale": record["scale"]["name"],
        "overrides": " ".join(run.get("overrides", ())),
        "gates_passed": record.get("gates_passed"),
    }
    rows = [{**identity, **row} for row in folder.scores()]
    if run["arm"] != "untrained":
        rows += [{**identity, **row} for row in _start(folder)]
    for step in read_rows(folder.path / "metrics.jsonl"):
        shared = {**identity, "step": step["step"], "prompt": "train", "eval": "rollouts"}
        rows += [{**shared, "metric": name, "value": value} for name, value in step.items() if name != "step"]
    return rows


def _start(folder: RunFolder) -> Iterator[dict[str, Any]]:
    """What the gates measured of who hacks before training, under each family of lines."""
    start = folder.record.get("start")
    gates = read_json(folder.path.parent / start / "gates.json").get("gates", ()) if start else ()
    for gate in gates:
        if gate.get("measure"):
            yield {
                "step": 0,
                "prompt": gate["under"],
                "eval": "start",
                "metric": gate["measure"],
                "value": gate["value"],
            }
