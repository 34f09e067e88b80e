"""Several processes: the organism path from nothing, judges and SFT on two ranks over gloo; nothing waits for ever."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from base.settings import load_scale
from base.store.files import read_json, read_rows
from base.store.folders import RunFolder

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
SCALE = load_scale("smoke")


def on_two_ranks(*words: str) -> subprocess.CompletedProcess[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(
        [*launcher, "-m", "mitigations", *words, "--scale", "smoke"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1200,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ranks") / "runs"


def folder_of(runs: Path, arm: str) -> RunFolder:
    begins = arm.replace(":", "_")
    (found,) = (path.parent for path in (runs / "smoke").glob("*/run.json") if path.parent.name.startswith(begins))
    return RunFolder(found)


@pytest.mark.parametrize("arm", ["pm_penalty:weight=0.25", "filtered_sft:keep=all"])
def test_a_run_from_nothing_finishes(runs: Path, arm: str) -> None:
    """The second imitates the baseline, so that three policies are trained."""
    done = on_two_ranks(arm, "--runs", str(runs))
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.count("per cent, by the prompt at evaluation") == 1, "one rank speaks"
    folder = folder_of(runs, arm)
    assert folder.record["status"] == "done"
    for stage in (runs / "smoke" / "stages").glob("*.json"):
        assert read_json(stage)["state"] == "done"
    if arm == "filtered_sft:keep=all":
        assert folder.record["episodes"]["documents"] == SCALE.sft.documents
        assert folder.scored_steps() == {0, SCALE.sft.steps}
        folder = folder_of(runs, "none")
    else:
        assert folder.scored_steps() == {0, 2, 4}
    assert folder.record["engine"]["world_size"] == 2
    metrics = read_rows(folder.path / "metrics.jsonl")
    assert [row["step"] for row in metrics] == list(range(1, SCALE.rl.steps + 1))
    assert len(list(folder.episodes())) == SCALE.rl.steps * SCALE.rl.prompts_per_step * SCALE.rl.group


def test_a_finished_run_is_only_read(runs: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in runs.rglob("*") if path.is_file()}
    done = on_two_ranks("pm_penalty:weight=0.25", "--runs", str(runs))
    assert done.returncode == 0, done.stderr[-4000:]
    kept = {path: time for path, time in before.items() if path.suffix != ".lock"}
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
