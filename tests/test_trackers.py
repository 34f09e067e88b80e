"""Trackers: what TensorBoard's own files hold of training and evals; what is refused; that no result depends on it."""

from __future__ import annotations

import math
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from rl_toys import PaysForAWord, save, starcoder, tasks
from stage_toys import toy_stage
from trl import GRPOConfig

from base import run as runs
from base.engine import trackers
from base.engine.trainer import DECIDED, check_trainer
from base.errors import UserError
from base.rl.job import RLJob
from base.rl.train import train_rl
from base.settings import EngineSettings, RLSettings
from base.stages.reported import report_scores
from base.store.folders import RunFolder
from mitigations.api import describe, resolve

needs_tensorboard = pytest.mark.skipif(find_spec("tensorboard") is None, reason="needs tensorboard (pip install)")
ROW = {"prompt": "none", "eval": "goals", "metric": "misaligned", "n": 4, "missing": 0}


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Tag -> (step, value) of the event files in a folder."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read: Any = EventAccumulator(str(folder))
    read.Reload()
    return {tag: [(event.step, event.value) for event in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


@needs_tensorboard
def test_rl_writes_hack_rate_outcomes_and_terms_at_their_steps(tmp_path: Path) -> None:
    seen: dict[int, dict[str, float]] = {}
    job = RLJob(
        start=save(starcoder(), tmp_path / "start"),
        reference=tmp_path / "start",
        tasks=tasks(40),
        environments={"pays": PaysForAWord()},
        settings=RLSettings(
            steps=2, prompts_per_step=2, group=4, max_completion_tokens=8, micro_batch=8, save_every=2, beta=0.0
        ),
        engine=EngineSettings(precision="fp32"),
        seed=0,
        folder=tmp_path / "run",
        on_episodes=lambda step, episodes: None,
        on_metrics=seen.__setitem__,
        terms={"length": lambda episodes: [-len(e.completion) / 100 for e in episodes]},
    )
    with trackers.tracking("tensorboard", tmp_path / "trackers" / "run"):
        train_rl(job)
    found = scalars(tmp_path / "trackers" / "run")
    assert {"hack_rate", "wrong", "term:length", "term:environment", "train_reward", "loss"} <= set(seen[1])
    for name in seen[1]:
        want = [(step, row[name]) for step, row in sorted(seen.items()) if math.isfinite(row[name])]
        assert found.get(f"train/run/{name}", []) == [(step, pytest.approx(value)) for step, value in want], name
    assert [step for step, _ in found["train/loss"]][:2] == [1, 2], "TRL's own"


@needs_tensorboard
def test_sft_writes_its_loss(tmp_path: Path) -> None:
    with trackers.tracking("tensorboard", tmp_path / "trackers" / "toy"):
        losses = toy_stage(tmp_path / "out")["losses"]
    found = scalars(tmp_path / "trackers" / "toy")["train/loss"]
    assert found == [(step, pytest.approx(loss, abs=1e-4)) for step, loss in enumerate(losses, 1)]


@needs_tensorboard
def test_scores_are_sent_once_and_again_where_they_changed(tmp_path: Path) -> None:
    """Judges come later and fill in what was missing; a missing number is never zero."""
    folder, place = RunFolder(tmp_path / "run"), tmp_path / "trackers" / "run"
    folder.write_scores(2, "none", [{**ROW, "value": math.nan}, {**ROW, "eval": "code", "value": 0.5}], [])
    for _ in range(2):
        with trackers.tracking("tensorboard", place):
            report_scores(folder)
    assert scalars(place) == {"eval/none/code/misaligned": [(2, 0.5)]}
    folder.write_scores(2, "none", [{**ROW, "value": 0.25}], [])
    folder.write_scores(4, "none", [{**ROW, "value": 0.75}], [])
    with trackers.tracking("tensorboard", place):
        report_scores(folder)
    assert scalars(place)["eval/none/goals/misaligned"] == [(2, 0.25), (4, 0.75)]


def test_nothing_is_written_where_nobody_asks(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.write_scores(2, "none", [{**ROW, "value": 0.25}], [])
    with trackers.tracking("none", tmp_path / "trackers"):
        report_scores(folder)
    report_scores(folder)
    assert not (tmp_path / "trackers").exists()


def test_no_key_and_no_name_depends_on_the_tracker() -> None:
    plain, watched = (describe("none", scale="smoke", settings=s) for s in ((), ("engine.report_to=tensorboard",)))
    assert plain[0] == watched[0]
    assert watched[1].engine == replace(plain[1].engine, report_to="tensorboard")
    assert [s.key for s in resolve(*plain)] == [s.key for s in resolve(*watched)]


def test_an_unknown_or_missing_tracker_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"engine\.report_to must be .*'tensorboard'.*, not 'tensorbord'"):
        describe("none", scale="smoke", settings=("engine.report_to=tensorbord",))
    with pytest.raises(UserError, match=r"rl\.trainer\.report_to cannot be set: it follows engine\.report_to"):
        check_trainer("rl.trainer", {"report_to": "wandb"}, GRPOConfig, DECIDED)
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    run, scale = describe("none", scale="smoke", settings=("engine.report_to=wandb",))
    with pytest.raises(UserError, match="needs the package wandb: pip install wandb"):
        runs.check(resolve(run, scale), tmp_path)
