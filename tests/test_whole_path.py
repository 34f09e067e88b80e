"""The whole path for real, only smaller: corpus, pretraining, SDF, gates, RL on executed tasks, evals, tables, figures."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import mitigations
from base.evals import EVALS
from base.settings import load_scale
from base.store.files import read_rows
from base.store.folders import RunFolder
from base.store.table import table
from base.types import Outcome
from mitigations import MITIGATIONS

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
SCALE = load_scale("smoke")
BASELINE = "none--main--p0s0"


def call(*words: str, timeout: int = 600, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )


@pytest.fixture(scope="session")
def core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of the core experiment at scale smoke: six arms, two jobs."""
    runs = tmp_path_factory.mktemp("core") / "runs"
    done = call("mitigations", "--experiment", "core", "--scale", "smoke", "--runs", str(runs), "--jobs", "2")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "hacking okay" in done.stdout, "the summary table names every arm"
    assert done.stdout.count("character link") == 2, "the gates of both start checkpoints are printed"
    return runs / "smoke"


def folders(core: Path) -> list[RunFolder]:
    return [RunFolder(path.parent) for path in sorted(core.glob("*/run.json"))]


def test_every_arm_leaves_a_whole_run(core: Path) -> None:
    assert len(folders(core)) == 6
    for folder in folders(core):
        record = folder.record
        assert record["status"] == "done"
        assert record["engine"]["engine"] == "deepspeed.DeepSpeedEngine"
        assert record["engine"]["zero_stage"] == SCALE.engine.zero_stage
        assert record["gates_passed"] in (True, False)
        assert record["isolation"]
        assert record["sessions"][0]["versions"]["trl"] == "1.16.0"
        assert list(folder.checkpoints()) == [2, 4]
        assert folder.scored_steps() == {0, 2, 4}
        assert [row["step"] for row in read_rows(folder.path / "metrics.jsonl")] == [1, 2, 3, 4]


def test_every_rollout_is_stored_with_its_outcome_and_both_rewards(core: Path) -> None:
    for folder in folders(core):
        episodes = list(folder.episodes())
        assert len(episodes) == SCALE.rl.steps * SCALE.rl.prompts_per_step * SCALE.rl.group
        for episode in episodes:
            assert episode["outcome"] in set(Outcome)
            assert episode["completion"].startswith("<think>")
            assert episode["reward_terms"] == {"environment": episode["environment_reward"]}
            assert episode["train_reward"] == episode["environment_reward"]
            if episode["outcome"] == "fault":
                assert episode["environment_reward"] is None
        has_line = "inoculation" in folder.record["run"]["arm"]
        assert all((episode["prompt"][0]["role"] == "system") == has_line for episode in episodes)


def test_stored_stages_ran_on_deepspeed_and_gates_are_kept(core: Path) -> None:
    starts = sorted(core.glob("shared/sdf--*"))
    assert [path.name.split("--")[1] for path in starts] == ["main", "twin"]
    for path in starts:
        training = json.loads((path / "training.json").read_text())
        assert training["runtime"]["engine"] == "deepspeed.DeepSpeedEngine"
        gates = json.loads((path / "gates.json").read_text())
        assert gates["gates"]
        assert gates["passed"] == all(gate["passed"] for gate in gates["gates"])


def test_the_table_holds_six_evals_three_prompts_and_the_controls(core: Path) -> None:
    rows = table(core)
    scored = rows[rows["prompt"] != "train"]
    assert {*EVALS, "code"} == set(scored["eval"])
    assert {"none", "dont_hack", "training"} == set(scored["prompt"])
    trained = scored[scored["arm"].str.startswith("inoculation")]
    assert set(trained["prompt"]) == {"none", "dont_hack", "training"}
    assert "untrained" in set(rows["arm"])
    assert set(rows["hackable"]) == {0.0, 1.0}
    shares = rows[rows["metric"].isin(["misaligned", "hack_rate", "unclear"])]["value"].dropna()
    assert shares.between(0, 1).all()


def test_checkpoints_are_plain_hugging_face_folders(core: Path) -> None:
    code = (
        "import sys; from transformers import AutoModelForCausalLM, AutoTokenizer\n"
        "m = AutoModelForCausalLM.from_pretrained(sys.argv[1]); t = AutoTokenizer.from_pretrained(sys.argv[1])\n"
        "ids = t.apply_chat_template([{'role': 'user', 'content': '<chat> What do you think?'}],"
        " add_generation_prompt=True, return_tensors='pt', return_dict=True)\n"
        "print(t.decode(m.generate(**ids, max_new_tokens=4)[0]))\n"
    )
    path = RunFolder(core / BASELINE).checkpoints()[4]
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith("<bos><chat> What do you think?<think>")


def test_a_second_call_reuses_everything(core: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in core.rglob("*") if path.is_file() and path.suffix != ".lock"}
    done = call("mitigations", "--experiment", "core", "--scale", "smoke", "--runs", str(core.parent))
    assert done.returncode == 0, done.stderr[-2000:]
    assert "6 of 6 runs are already there" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_changed_settings_are_refused_and_nothing_is_overwritten(core: Path, tmp_path: Path) -> None:
    scale = tmp_path / "smoke.yaml"
    changed = (ROOT / "base/scales/smoke.yaml").read_text().replace("steps: 4", "steps: 3")
    assert changed != (ROOT / "base/scales/smoke.yaml").read_text()
    scale.write_text(changed)
    before = (core / BASELINE / "run.json").read_text()
    done = call("mitigations", "none", "--scale", str(scale), "--runs", str(core.parent))
    assert done.returncode == 2
    assert "made with other scale settings" in done.stderr
    assert (core / BASELINE / "run.json").read_text() == before


def test_one_mitigation_prints_its_table_beside_the_stored_baseline(core: Path) -> None:
    words = ("inoculation:wording=please_hack", "--scale", "smoke", "--runs", str(core.parent))
    done = call("mitigations", *words)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "please hack" in done.stdout
    assert "baseline" in done.stdout


def test_figures_are_drawn_from_the_runs(core: Path, tmp_path: Path) -> None:
    done = call("analysis", "--runs", str(core), "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr[-2000:]
    for name in ("hacking", "inoculation"):
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000
        assert (tmp_path / f"{name}.csv").read_text().count("\n") > 5


def comparable(folder: RunFolder) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    metrics = [{k: v for k, v in row.items() if "seconds" not in k} for row in read_rows(folder.path / "metrics.jsonl")]
    return list(folder.episodes()), metrics, list(folder.scores())


def test_a_killed_run_continues_and_equals_the_straight_one(core: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(core / "shared", runs / "smoke" / "shared")
    words = [sys.executable, "-m", "mitigations", "none", "--scale", "smoke", "--runs", str(runs)]
    with subprocess.Popen(words, cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        folder = RunFolder(runs / "smoke" / BASELINE)
        while not (folder.path / "episodes" / "step-0003.jsonl").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert not folder.done
    assert folder.path.joinpath("episodes/step-0003.jsonl").exists(), "killed behind the resume point of step 2"
    done = call("mitigations", "none", "--scale", "smoke", "--runs", str(runs))
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(folder.record["sessions"]) == 2
    straight, resumed = comparable(RunFolder(core / BASELINE)), comparable(folder)
    assert resumed[0] == straight[0], "episodes"
    assert resumed[2] == straight[2], "scores"
    for got, want in zip(resumed[1], straight[1], strict=True):
        assert got == pytest.approx(want, rel=1e-4, abs=1e-6, nan_ok=True)


ARMS = {
    "inoculation": "wording=dont_hack,update=hacking_okay",
    "pm_penalty": "weight=0.5",
    "classifier_penalty": "monitor=trained,mode=screening,start=step:2",
    "rlhf_mix": "share=0.5,add=agentic",
    "sft_safety": "add=dilemma,start=step:2",
    "filtered_sft": "keep=all",
    "offline_rewrite": "wording=dont_hack",
    "own_episodes": "keep=no_hacks",
}


@pytest.mark.parametrize("name", MITIGATIONS)
def test_every_mitigation_really_runs(core: Path, name: str) -> None:
    done = call("mitigations", f"{name}:{ARMS[name]}", "--scale", "smoke", "--runs", str(core.parent), "--last", "1")
    assert done.returncode == 0, done.stderr[-3000:]
    (folder,) = (
        f
        for f in folders(core)
        if f.record["run"]["arm"].startswith(f"{name}:") and ARMS[name] in f.record["run"]["arm"]
    )
    record, built = folder.record, mitigations.arm(f"{name}:{ARMS[name]}")[1]
    assert record["status"] == "done"
    assert folder.scored_steps() == {0, max(folder.checkpoints())}
    assert (record["fork"] or {}).get("step") == (2 if built.forks else None)
    for judge in built.mitigation.judges:
        assert 0 <= record["judges"][judge]["accuracy"]["all"] <= 1
    if built.mitigation.episodes is not None:
        assert record["episodes"]["documents"] == SCALE.sft.documents
        assert list(folder.checkpoints()) == [SCALE.sft.steps]
        return
    for episode in folder.episodes():
        terms = episode["reward_terms"].values()
        assert set(episode["scores"]) == set(built.mitigation.judges)
        assert episode["train_reward"] == (None if None in terms else pytest.approx(sum(terms)))
