"""The table of what filters dropped: of the runs' own records, seed by seed."""

from __future__ import annotations

from typing import Any

from synthetic_results import table

from analysis.evidence import Evidence
from analysis.filters import rows
from analysis.table import check

ARM = "filtered_sft:keep=no_hack_words"


def record(rollouts: int, **shares: float) -> dict[str, Any]:
    dropped = {name: {"rows": 1, "share": share} for name, share in shares.items()}
    return {"episodes": {"rollouts": rollouts, "mean_step": 10.6, "dropped": dropped}}


def test_shares_stand_seed_by_seed_and_runs_without_episodes_are_left_out() -> None:
    long = table(range(2), [("none", "main", 1.0, 0.9, 0.5), (ARM, "main", 1.0, 0.3, 0.2)])
    runs = sorted(set(long.loc[long["arm"] == ARM, "run"]))
    kept = {
        runs[0]: record(7000, faults=0.0, repetitions=0.1, NoHacks=0.82, NoWords=0.007),
        runs[1]: record(8000, faults=0.0, repetitions=0.1, NoHacks=0.9, NoWords=0.02),
    }
    (row,) = rows(Evidence(check(long, "synthetic"), kept=kept))
    assert row == {
        "arm": "SFT, no hacks, no hack words",
        "rollouts read": "7,000 / 8,000",
        "repetitions": "10.0",
        "hacks": "82.0 / 90.0",
        "words": "0.7 / 2.0",
        "not paid in full": "-",
        "mean step": "11",
    }
