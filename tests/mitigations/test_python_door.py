"""The door for scripts and notebooks: the same run as the command line's, as objects."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

import mitigations
from base.errors import UserError
from base.recipes import RLRecipe
from base.settings import load_scale
from base.stage import State
from base.store.files import read_json
from base.store.table import COLUMNS
from mitigations.api import dry_run
from mitigations.pm_penalty.pm_penalty import PMPenalty

ROOT = Path(__file__).parents[2]
ARM = "pm_penalty:weight=0.25"


@pytest.mark.slow
def test_a_run_from_python_is_the_command_lines(tmp_path: Path) -> None:
    planned = dry_run(ARM, scale="smoke", seed=1, runs_folder=tmp_path)
    assert not list(tmp_path.iterdir()), "a plan makes nothing"
    result = mitigations.run(ARM, scale="smoke", seed=1, runs_folder=tmp_path)
    assert str(result.run.arm) == ARM
    assert result.folder == tmp_path / "smoke" / result.run.name
    assert isinstance(result.rows, pd.DataFrame)
    assert tuple(result.rows.columns) == COLUMNS
    assert {"rollouts", "code", "goals"} <= set(result.rows["eval"])
    assert set(result.rows["arm"]) == {ARM}
    assert set(result.rows["seed"]) == set(result.rows["pretrain_seed"]) == {1}
    rl = load_scale("smoke").rl
    episodes = list(result.episodes())
    assert len(episodes) == rl.steps * rl.prompts_per_step * rl.group
    assert set(episodes[0]["reward_terms"]) == {"environment", "preference"}
    assert (result.record["status"], result.record["run"]["arm"]) == ("done", ARM)
    root = tmp_path / "smoke"
    assert {stage.state(root) for stage in result.stages} == {State.DONE}
    assert {read_json(path)["key"] for path in (root / "stages").glob("*.json")} == {s.key for s in result.stages}
    name, *lines = planned.splitlines()
    assert name == result.run.name
    assert [line.split()[0] for line in lines[: len(result.stages)]] == [stage.kind for stage in result.stages]
    assert [line.split()[0] for line in lines[len(result.stages) :]] == ["time", "memory"]

    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    words = [ARM, "--scale", "smoke", "--seed", "1", "--runs", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "mitigations", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "nothing left to do" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in before} == before
    again = mitigations.run(ARM, scale="smoke", seed=1, runs_folder=tmp_path)
    pd.testing.assert_frame_equal(again.rows, result.rows)
    from_object = mitigations.run(mitigations.arm(ARM), scale="smoke", seed=1, runs_folder=tmp_path)
    assert from_object.folder == result.folder


def test_what_the_user_has_to_change_comes_before_anything_is_made(tmp_path: Path) -> None:
    for words in (
        *({"seed": -1}, {"seed": 2**32}, {"scale": "tinny"}, {"settings": ["rl.group=1"]}, {"corpus": "mian"}),
        *({"settings": "rl.steps=3"}, {"settings": None}, {"judges": "rule:words"}, {"hackable": None}, {"model": 3}),
        *({"evaluate": ["all"]}, {"prompts": ["none"]}, {"settings": ["rl.trainer.lernrate=3"]}),
    ):
        with pytest.raises(UserError):
            mitigations.run(ARM, **{"scale": "smoke", "runs_folder": tmp_path / "runs", **words})
    with pytest.raises(UserError, match="recipe for"):
        mitigations.run("filtered_sft+pm_penalty", scale="smoke", runs_folder=tmp_path / "runs")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        mitigations.run(ARM, scale="smoke", runs_folder=tmp_path / "file")
    assert not (tmp_path / "runs").exists()


@dataclass(frozen=True)
class ShorterAnswers:
    """A plug-in that no registry knows, as a notebook would hold it."""

    weight: float = 0.1

    def __call__(self) -> RLRecipe:
        return RLRecipe()


def test_paths_are_taken_as_their_texts(tmp_path: Path) -> None:
    named = dry_run(ARM, scale="smoke", runs_folder=tmp_path, fresh=True)
    yaml = Path(mitigations.__file__).parents[1] / "base" / "scales" / "smoke.yaml"
    assert dry_run(ARM, scale=yaml, runs_folder=tmp_path, fresh=True) == named


def test_a_plugin_itself_is_an_arm_under_the_name_of_its_class(tmp_path: Path) -> None:
    assert str(mitigations.arm(ShorterAnswers(weight=0.5))) == "shorter_answers:weight=0.5"
    assert mitigations.arm(PMPenalty(weight=0.25)) == mitigations.arm(ARM), (
        "a registered one has the name it is known by"
    )
    planned = dry_run(ShorterAnswers(), scale="smoke", runs_folder=tmp_path)
    assert "shorter_answers_weight=0.1--main--p0s0" in planned
    with pytest.raises(UserError, match="unknown mitigation"):
        mitigations.arm("shorter_answers")


def test_what_is_no_plugin_or_takes_the_name_of_another_is_refused() -> None:
    @dataclass
    class Thawed:
        def __call__(self) -> RLRecipe:
            return RLRecipe()

    @dataclass(frozen=True)
    class Inoculation:
        def __call__(self) -> RLRecipe:
            return RLRecipe()

    for plugin in (Thawed(), lambda: RLRecipe(), ShorterAnswers):
        with pytest.raises(UserError, match="frozen dataclass"):
            mitigations.arm(plugin)
    with pytest.raises(UserError, match="rename the class Inoculation"):
        mitigations.arm(Inoculation())
