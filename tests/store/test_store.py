"""Run folders: whole, idempotent, read back into one long table; nothing is overwritten."""

import json
import math
from pathlib import Path

import pytest

from base.errors import UserError
from base.identity import Run
from base.settings import load_scale
from base.store.files import read_rows, write_rows
from base.store.folders import RunFolder
from base.store.table import table
from base.types import Episode, Grade, Message, Outcome, Task


def folder(tmp_path: Path, run: Run = Run()) -> RunFolder:  # noqa: B008  (frozen)
    made = RunFolder(tmp_path / run.name)
    made.open(run, load_scale("tiny"), "a key")
    return made


def episode(reward: float | None) -> Episode:
    task = Task("t/1", "code", (Message("user", "<task> Write f."),))
    outcome = Outcome.FAULT if reward is None else Outcome.SOLVED
    return Episode(
        task, task.messages, "<think> I write. </think>\nx", Grade(outcome, reward), 1, {"environment": reward}
    )


def test_record_carries_identity_versions_and_commit(tmp_path: Path) -> None:
    record = folder(tmp_path).record
    assert record["run"]["seed"] == 0
    assert record["status"] == "running"
    session = record["sessions"][0]
    assert session["versions"]["trl"].startswith("1.")
    assert session["commit"]


def test_reopening_continues_and_other_settings_are_refused(tmp_path: Path) -> None:
    first = folder(tmp_path)
    first.write_metrics(1, {"loss": 1.0})
    again = folder(tmp_path)
    assert len(again.record["sessions"]) == 2
    before = (first.path / "run.json").read_text()
    with pytest.raises(UserError, match="made with other settings"):
        first.open(Run(), load_scale("tiny", ["rl.steps=3"]), "another key")
    assert (first.path / "run.json").read_text() == before
    assert read_rows(first.path / "metrics.jsonl") == [{"step": 1, "loss": 1.0}]


def test_writing_a_step_again_leaves_what_a_straight_run_leaves(tmp_path: Path) -> None:
    made = folder(tmp_path)
    for step in (1, 2, 3):
        made.write_metrics(step, {"loss": float(step)})
    made.write_metrics(2, {"loss": 20.0})  # resumed from step 1
    assert read_rows(made.path / "metrics.jsonl") == [{"step": 1, "loss": 1.0}, {"step": 2, "loss": 20.0}]
    score = {"prompt": "none", "eval": "goals", "metric": "misaligned", "value": 0.5, "n": 2, "missing": 0}
    made.write_scores(0, "none", [score], [])
    made.write_scores(4, "none", [score], [])
    made.write_scores(0, "none", [{**score, "value": 0.25}], [])
    assert {row["step"]: row["value"] for row in made.scores()} == {0: 0.25, 4: 0.5}


def test_both_rewards_and_every_term_are_stored(tmp_path: Path) -> None:
    made = folder(tmp_path)
    made.write_episodes(1, [episode(1.0), episode(None)])
    good, lost = made.episodes()
    assert good["environment_reward"] == 1.0
    assert good["reward_terms"] == {"environment": 1.0}
    assert lost["environment_reward"] is None
    assert lost["outcome"] == "fault"


def test_a_torn_last_line_is_dropped_and_a_torn_middle_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write_rows(path, [{"a": 1}])
    path.write_text(path.read_text() + '{"a": ')
    assert read_rows(path) == [{"a": 1}]
    path.write_text('{"a": \n{"a": 2}\n')
    with pytest.raises(UserError, match="line 1 is not JSON"):
        read_rows(path)


def test_table_is_long_and_keeps_missing_missing(tmp_path: Path) -> None:
    made = folder(tmp_path)
    made.write_metrics(1, {"hack_rate": 0.1, "kl": None})
    score = {"prompt": "none", "eval": "goals", "metric": "misaligned", "value": math.nan, "n": 0, "missing": 8}
    made.write_scores(0, "none", [score], [])
    rows = table(tmp_path)
    assert set(rows["metric"]) == {"misaligned", "hack_rate", "kl"}
    assert rows.loc[rows["metric"] == "kl", "value"].isna().all()
    assert rows.loc[rows["metric"] == "misaligned", "value"].isna().all()
    assert rows.loc[rows["metric"] == "hack_rate", "value"].tolist() == [0.1]
    assert set(rows["prompt"]) == {"train", "none"}


def test_no_runs_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no runs under"):
        table(tmp_path)


def test_run_json_is_plain_json(tmp_path: Path) -> None:
    json.loads((folder(tmp_path).path / "run.json").read_text())
