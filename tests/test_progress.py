"""How far a stage is: a line now and then in a log, a file for a sweep, no bars where there is no terminal."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from base import progress
from base.engine import runtime
from base.environments.graders.code import CodeEnvironment
from base.progress import Progress, in_words, over, working_on
from base.settings import load_scale
from base.stage import Site, Stage, in_order, make_all
from mitigations.api import describe, resolve
from mitigations.sweep import View, how_far


class Clock:
    """Says what it is set to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "base")
    return caplog


def work(seconds: float, total: int, every: float, done: int = 0) -> None:
    clock = Clock()
    with working_on("rl baseline seed 1", every), Progress("step", total, done, clock=clock) as far:
        for _ in range(total - done):
            clock.now += seconds
            far.advance("hack 0.10")


def test_a_log_says_once_a_minute_how_far_and_how_long(said: pytest.LogCaptureFixture) -> None:
    work(0.8, 300, every=60.0)
    assert said.messages[0] == "[rl baseline seed 1] step 6/300, 0.8 s a step, about 3.9 min left, hack 0.10"
    assert len(said.messages) == 1 + int((300 * 0.8 - 5) // 60)
    assert {record.levelno for record in said.records} == {logging.INFO}


def test_what_takes_longer_than_a_minute_is_said_every_time(said: pytest.LogCaptureFixture) -> None:
    work(61.0, 5, every=60.0)
    assert [line.split(",")[0] for line in said.messages] == [f"[rl baseline seed 1] step {n}/5" for n in range(1, 6)]
    said.clear()
    work(40.0, 6, every=60.0)
    assert len(said.messages) == 6, "the next one would be more than a minute after"


def test_the_time_left_counts_this_process_alone(said: pytest.LogCaptureFixture) -> None:
    work(2.0, 96, every=0.0, done=90)
    assert said.messages[0].startswith("[rl baseline seed 1] step 91/96, 2.0 s a step, about 10 s left")
    assert said.messages[-1].startswith("[rl baseline seed 1] step 96/96, 2.0 s a step, about 0 s left")


def test_fast_work_is_said_by_its_speed_and_times_in_fitting_units(said: pytest.LogCaptureFixture) -> None:
    work(0.002, 10, every=0.0)
    assert "step 5/10, 500 steps a second, about 0 s left" in said.messages[4]
    assert [in_words(x) for x in (51.4, 89.0, 240.0, 7200.0)] == ["51 s", "89 s", "4.0 min", "2.0 h"]


def test_a_watched_stage_leaves_its_newest_line_in_a_file_while_it_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "WATCHED", 0.0)
    file = tmp_path / "stages" / "a.progress"
    with working_on("gates main", watched=file):
        assert file.read_text() == "[gates main] at work"
        for n, _ in enumerate(over("abc", "document", 3)):
            assert n == 0 or f"document {n}/3" in file.read_text()
    assert not file.exists()


def test_a_sweep_says_how_far_its_running_stages_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stages = resolve(*describe(scale="smoke"))
    with working_on(stages[0].title, watched=stages[0].progress_file(tmp_path)):
        view = View(tmp_path, 2, 5, every=0.0)
        view.show(stages[:2], lambda: "1 done, 1 running, 0 failed, 3 waiting; about 51 s left")
    assert how_far(stages[0], tmp_path) == "[pretrain main, seed 0] starting"
    err = capsys.readouterr().err
    assert "runs: 1 done, 1 running, 0 failed, 3 waiting; about 51 s left" in err
    assert "[pretrain main, seed 0] at work" in err
    assert re.search(r"\[control pretrained only, main, seed 0\] starting", err)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with CodeEnvironment() as environment:
        yield Site(tmp_path, environment, runtime.prepare(load_scale("smoke").engine), every=0.0)


@pytest.mark.slow
def test_every_stage_that_counts_says_how_far_it_is_and_draws_no_bar(
    site: Site, said: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    runs = [resolve(*describe(arm, scale="smoke")) for arm in ("pm_penalty", "own_episodes:keep=all")]
    stages: list[Stage] = in_order(stage for run in runs for stage in run)
    make_all(stages, site)
    counted = [stage for stage in stages if stage.kind in ("pretrain", "sdf", "preference", "rl", "sft", "evaluate")]
    assert {stage.kind for stage in counted} == {"pretrain", "sdf", "preference", "rl", "sft", "evaluate"}
    for stage in counted:
        unit = "evaluation" if stage.kind == "evaluate" else "step"
        last = [line for line in said.messages if line.startswith(f"[{stage.title}] {unit} ")][-1]
        assert re.search(rf"{unit} (\d+)/\1, .* a (step|evaluation|second), about 0 s left", last), last
    captured = capfd.readouterr()
    for bar in ("\r", "|##", "it/s", "step/s"):
        assert bar not in captured.out + captured.err
