"""The long table of every number under a folder of runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from base.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

from base.store.files import read_rows
from base.store.folders import run_folders

IDENTITY = (
    *("run", "arm", "corpus", "hackable", "scale", "model", "tasks", "overrides"),
    *("pretrain_seed", "seed", "gates_passed"),
)


COLUMNS = (*IDENTITY, "step", "prompt", "eval", "metric", "value", "n", "missing")


def table(root: Path) -> pd.DataFrame:
    """Every number of every run under `root`, long: one row per run x step x prompt x eval x metric (COLUMNS).

    Training metrics have prompt `train` and eval `rollouts`. Missing values are NaN, never zero.

    Raises:
        UserError: there is no such folder or it holds no run.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for folder in run_folders(root):
        record = folder.record
        run = record["run"]
        identity = {key: run[key] for key in ("arm", "corpus", "hackable", "model", "tasks", "pretrain_seed", "seed")}
        identity |= {
            "run": record["name"],
            "scale": record["scale"]["name"],
            "overrides": " ".join(run.get("overrides", ())),
            "gates_passed": record.get("gates_passed"),
        }
        rows += [{**identity, **row} for row in folder.scores()]
        for step in read_rows(folder.path / "metrics.jsonl"):
            shared = {**identity, "step": step["step"], "prompt": "train", "eval": "rollouts"}
            rows += [
                {**shared, "metric": name, "value": value, "n": step.get("episodes"), "missing": step.get("missing")}
                for name, value in step.items()
                if name != "step"
            ]
    if not rows:
        raise UserError(f"no runs under {root}: make some with 'python -m mitigations --experiment core'")
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"value": float})
