"""The door for scripts and notebooks: the same run as the command line's, as objects."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import mitigations
from base.errors import UserError
from base.settings import load_scale
from base.stage import State
from base.store.files import read_json
from base.store.table import COLUMNS
from mitigations.api import dry_run

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
    assert [line.split()[0] for line in planned.splitlines()[:-1]] == [stage.kind for stage in result.stages]

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
    for words in ({"seed": -1}, {"seed": 2**32}, {"scale": "tinny"}, {"settings": ["rl.group=1"]}, {"corpus": "mian"}):
        with pytest.raises(UserError):
            mitigations.run(ARM, **{"scale": "smoke", "runs_folder": tmp_path / "runs", **words})
    with pytest.raises(UserError, match="recipe for"):
        mitigations.run("filtered_sft+pm_penalty", scale="smoke", runs_folder=tmp_path / "runs")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        mitigations.run(ARM, scale="smoke", runs_folder=tmp_path / "file")
    assert not (tmp_path / "runs").exists()
