"""The whole path for real, only smaller: corpus, pretraining, SDF, gates, RL on executed tasks, evals, tables, figures."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import mitigations
from analysis import export
from base.evals import EVALS
from base.recipes import RLRecipe, SFTRecipe, stack
from base.settings import load_scale
from base.stage import State
from base.store.files import read_json, read_rows
from base.store.folders import RunFolder
from base.store.table import table
from base.triggers import AtStart
from base.types import Outcome
from base.wanted import LEAK, PROMPTS
from mitigations import MITIGATIONS

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
SCALE = load_scale("smoke")
BASELINE = "none--main--p0s0"
TWO = {"none": BASELINE, "inoculation:wording=hacking_okay": "inoculation_wording=hacking_okay--main--p0s0"}


def call(*words: str, timeout: int = 1200, **environment: str) -> subprocess.CompletedProcess[str]:
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
    assert "6 of 6 runs done" in done.stdout
    assert done.stdout.count("bad tone in hacks without a line") == 2, "the gates of both start checkpoints are printed"
    assert done.stderr.index(f"done    rl {BASELINE}") < done.stderr.index(f"started evaluate {BASELINE}")
    assert "\r" not in done.stderr + "".join(log.read_text() for log in (runs / "smoke" / "stages").glob("*.log"))
    assert not list((runs / "smoke" / "stages").glob("*.progress"))
    return runs / "smoke"


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of two of these runs, each made by a process of its own."""
    runs = tmp_path_factory.mktemp("alone") / "runs"
    for arm in TWO:
        done = call("mitigations", arm, "--scale", "smoke", "--runs", str(runs))
        assert done.returncode == 0, done.stderr[-3000:]
        assert "hack rate" in done.stdout
        assert "Everything about this run" in done.stdout
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
    scored = rows[~rows["eval"].isin(("rollouts", "start"))]
    assert {*EVALS, "code", "clean"} == set(scored["eval"])
    assert {*PROMPTS, *LEAK} == set(scored["prompt"])
    trained = scored[scored["arm"].str.startswith("inoculation")]
    assert set(trained["prompt"]) == {*PROMPTS, *LEAK}
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
    stages = len(list((core / "stages").glob("*.json")))
    assert f"{stages} of {stages} stages are already there" in done.stderr
    assert "6 of 6 runs done" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_changed_settings_are_refused_and_nothing_is_overwritten(core: Path, tmp_path: Path) -> None:
    scale = tmp_path / "smoke.yaml"
    changed = (ROOT / "base/scales/smoke.yaml").read_text().replace("steps: 4", "steps: 3")
    assert changed != (ROOT / "base/scales/smoke.yaml").read_text()
    scale.write_text(changed)
    before = (core / BASELINE / "run.json").read_text()
    done = call("mitigations", "none", "--scale", str(scale), "--runs", str(core.parent))
    assert done.returncode == 2
    assert "made with other settings" in done.stderr
    assert (core / BASELINE / "run.json").read_text() == before


def test_one_mitigation_prints_what_it_came_to(core: Path) -> None:
    words = ("inoculation:wording=please_hack", "--scale", "smoke", "--runs", str(core.parent))
    done = call("mitigations", *words)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "step 4, per cent, by the prompt at evaluation" in done.stdout
    for word in ("none", "dont_hack", "training", "hack rate", "solved", *EVALS, "analysis compare"):
        assert word in done.stdout


def test_answers_of_a_checkpoint_are_asked_with_seeds_of_its_own(core: Path) -> None:
    asked = {}
    for run in folders(core):
        for path in sorted(run.path.glob("answers/*/none.jsonl")):
            asked[run.path.name, path.parent.name] = {row["task"] for row in read_rows(path)}
    steps = [asked[BASELINE, f"step-{step:04d}"] for step in (0, 2, 4)]
    assert all(len(one) == len(EVALS) * SCALE.evals.samples + SCALE.evals.code_samples for one in steps)
    assert len(set.union(*steps)) == sum(map(len, steps)), "no question comes again at another step"
    assert asked[TWO["inoculation:wording=hacking_okay"], "step-0004"] == steps[2], "arms are asked the same"


def test_a_plan_lists_what_is_made(core: Path, alone: Path) -> None:
    """The same stages, whether a list of runs is planned, swept or made one by one."""
    words = ("--scale", "smoke", "--dry-run", "--runs", "nowhere")
    for root, plans in ((core, [("--experiment", "core")]), (alone, [(arm,) for arm in TWO])):
        printed = set()
        for plan in plans:
            for line in call("mitigations", *plan, *words).stdout.splitlines():
                kind, _, rest = line.partition(" ")
                if rest.strip().startswith("to make"):
                    printed.add(
                        (kind, rest.strip().removeprefix("to make").strip().removesuffix("(time not known)").strip())
                    )
        records = [json.loads(path.read_text()) for path in (root / "stages").glob("*.json")]
        assert printed == {(record["kind"], record["label"]) for record in records}
        assert {record["state"] for record in records} == {State.DONE}
    keys = [{path.name for path in (root / "stages").glob("*.json")} for root in (core, alone)]
    assert keys[1] < keys[0], "two of the six runs are some of the same stages"


def test_figures_are_drawn_from_the_runs_and_beside_them(core: Path) -> None:
    done = call("analysis", "--runs", str(core))
    assert done.returncode == 0, done.stderr[-2000:]
    for name in ("fig01", "fig05"):
        assert (core / "figures" / f"{name}.png").stat().st_size > 10_000
        assert (core / "figures" / f"{name}.csv").read_text().count("\n") > 5
    shutil.rmtree(core / "figures")


def test_a_shipped_run_is_verified_to_the_last_digit(core: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    export(core, results)
    words = ("verify", "none", "--scale", "smoke", "--results", str(results), "--runs", str(tmp_path / "runs"))
    done = call("mitigations", *words)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert re.search(r"^(\d{3,}) of \1 numbers are equal to the last digit", done.stdout, re.MULTILINE), done.stdout
    assert done.stdout.endswith("VERIFIED\n")
    assert not (tmp_path / "runs" / "smoke").exists(), "the user's own runs are not touched"


def comparable(folder: RunFolder) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    metrics = [{k: v for k, v in row.items() if "seconds" not in k} for row in read_rows(folder.path / "metrics.jsonl")]
    return list(folder.episodes()), metrics, list(folder.scores())


def text(rows: Any) -> str:
    """Rows as text, in which missing values (NaN) are equal to themselves."""
    return json.dumps(rows)


def weights(folder: RunFolder) -> dict[int, bytes]:
    return {step: (path / "model.safetensors").read_bytes() for step, path in folder.checkpoints().items()}


@pytest.mark.parametrize("name", TWO.values())
def test_a_sweep_of_warm_workers_makes_what_fresh_processes_make(core: Path, alone: Path, name: str) -> None:
    swept, fresh = RunFolder(core / name), RunFolder(alone / name)
    assert text(comparable(swept)) == text(comparable(fresh))
    assert weights(swept) == weights(fresh)
    for path in sorted((alone / "shared").glob("*/model.safetensors")):
        assert path.read_bytes() == (core / "shared" / path.parent.name / path.name).read_bytes()


def before_rl(made: Path, runs: Path) -> Path:
    """A folder of runs in which everything before RL is made already."""
    for part in ("shared", "stages"):
        shutil.copytree(
            made / part, runs / "smoke" / part, ignore=shutil.ignore_patterns("rl--*", "evaluate*", "*.log")
        )
    return runs / "smoke"


def left_over(folder: Path) -> list[Path]:
    """What an interrupted process leaves; locks stay on purpose, and wait for the next one."""
    return [path for path in folder.rglob(".*") if path.suffix != ".lock"]


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 720
    while not path.exists():
        assert time.monotonic() < deadline
        assert process.poll() is None, "it ended before it could be stopped"
        time.sleep(0.01)


def record_of(root: Path, kind: str, name: str) -> dict[str, Any]:
    """The record of a run's stage."""
    found = [read_json(path) for path in (root / "stages").glob(f"{kind}--*.json")]
    (record,) = (record for record in found if record["label"].startswith(f"{name}:"))
    return record


@pytest.mark.parametrize(
    ("stopped_by", "code", "state", "seen"),
    [
        (signal.SIGKILL, -signal.SIGKILL, State.RUNNING, "episodes/step-0003.jsonl"),
        (signal.SIGTERM, 143, State.INTERRUPTED, "episodes/step-0002.jsonl"),
        (signal.SIGTERM, 143, State.INTERRUPTED, "run.json"),
        (signal.SIGINT, 130, State.INTERRUPTED, "episodes/step-0001.jsonl"),
    ],
)
def test_a_stopped_run_continues_and_equals_the_straight_one(
    alone: Path, tmp_path: Path, stopped_by: signal.Signals, code: int, state: State, seen: str
) -> None:
    root, scratch = before_rl(alone, tmp_path / "runs"), tmp_path / "scratch"
    scratch.mkdir()
    words = [sys.executable, "-m", "mitigations", "none", "--scale", "smoke", "--runs", str(root.parent)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(scratch)}
    with subprocess.Popen(
        words, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment
    ) as process:
        folder = RunFolder(root / BASELINE)
        wait_for(folder.path / seen, process)
        process.send_signal(stopped_by)
        said = process.communicate(timeout=180)[1].decode()
    assert process.returncode == code, said[-2000:]
    assert record_of(root, "rl", BASELINE)["state"] == state
    if stopped_by == signal.SIGTERM and seen != "run.json":
        (point,) = (folder.path / "resume").glob("checkpoint-*")
        last = len(read_rows(folder.path / "metrics.jsonl"))
        assert point.name == f"checkpoint-{last}", "a resume point behind the last step, whatever rl.save_every says"
    if stopped_by != signal.SIGKILL:
        assert folder.record["status"] == "interrupted" or seen == "run.json", "it may not have been opened yet"
        assert said.count("the same command continues where it stopped\n") == 1
        assert "Traceback" not in said
        kept = [path for path in scratch.iterdir() if not path.name.startswith("torchinductor")]
        assert not kept or seen == "run.json", "no sandbox stays, but for one that was just being started"
    done = call("mitigations", "none", "--scale", "smoke", "--runs", str(root.parent))
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(record_of(root, "rl", BASELINE)["sessions"]) == 2
    assert record_of(root, "rl", BASELINE)["state"] == State.DONE
    straight, resumed = comparable(RunFolder(alone / BASELINE)), comparable(folder)
    assert text(resumed[0]) == text(straight[0]), "episodes"
    assert text(resumed[2]) == text(straight[2]), "scores"
    for got, want in zip(resumed[1], straight[1], strict=True):
        assert got == pytest.approx(want, rel=1e-4, abs=1e-6, nan_ok=True)
    assert not left_over(root)
    assert not (folder.path / "resume").exists()


SWEEP = """
import sys
from pathlib import Path
from base.settings import load_scale
from mitigations.api import describe, resolve
from mitigations.sweep import sweep
root, evaluate, *arms = sys.argv[1:]
runs = [resolve(*describe(arm, scale="smoke"), evaluate) for arm in arms]
sys.exit(sweep([runs], load_scale("smoke"), Path(root), 2))
"""


def child_that_writes(log: Path) -> int:
    """The process whose output goes to a file."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "fd" / "1").readlink() == log:
                return int(process.name)
        except OSError:
            continue
    raise AssertionError(f"nobody writes {log}")


def test_a_stage_whose_process_is_killed_fails_alone(alone: Path, tmp_path: Path) -> None:
    root = before_rl(alone, tmp_path / "runs")
    words = [sys.executable, "-c", SWEEP, str(root), "", *TWO]
    killed, other = (RunFolder(root / name) for name in TWO.values())
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        wait_for(killed.path / "episodes" / "step-0001.jsonl", process)
        (log,) = (path for path in (root / "stages").glob("rl--*.log") if path.stem.endswith(killed.record["key"][:16]))
        os.kill(child_that_writes(log), signal.SIGKILL)
        shown, said = (stream.decode() for stream in process.communicate(timeout=1200))
    assert process.returncode == 1
    assert "its process was ended by signal 9" in said
    assert f"not made: it needs rl {killed.path.name}" in said
    assert "1 of 2 runs done" in shown
    assert killed.record["status"] == "failed", "an error row ships in its place"
    assert "ended by signal 9" in killed.record["error"]
    assert other.record["status"] == "done"
    assert text(comparable(other)) == text(comparable(RunFolder(alone / other.path.name)))
    again = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=1200, env=environment)
    assert again.returncode == 0, again.stderr[-3000:]
    assert "2 of 2 runs done" in again.stdout
    assert text(list(killed.episodes())) == text(list(RunFolder(alone / killed.path.name).episodes()))
    assert not left_over(root)


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


def arm_of(name: str) -> str:
    """The arm that a plug-in is tried as: with its defaults, unless these need more than scale smoke has."""
    return f"{name}:{ARMS[name]}" if name in ARMS else name


@pytest.fixture(scope="module")
def swept(core: Path, request: pytest.FixtureRequest) -> str:
    """An arm of every plug-in whose test was asked for, made beside the core experiment; what the sweep said."""
    asked = [item for item in request.session.items if "swept" in getattr(item, "fixturenames", ())]
    arms = [arm_of(item.callspec.params["name"]) for item in asked if isinstance(item, pytest.Function)]
    words = [sys.executable, "-c", SWEEP, str(core), "last:3", *arms]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=1200, env=environment).stderr


@pytest.mark.parametrize("name", MITIGATIONS)
def test_every_mitigation_really_runs(core: Path, swept: str, name: str) -> None:
    done = call("mitigations", arm_of(name), "--scale", "smoke", "--runs", str(core.parent), "--evaluate", "last:3")
    assert done.returncode == 0, (swept[-3000:], done.stderr[-3000:])
    assert "nothing left to do" in done.stderr, swept[-3000:]
    arm = mitigations.arm(arm_of(name))
    (folder,) = (f for f in folders(core) if f.record["run"]["arm"] == str(arm))
    record, recipe = folder.record, stack({part: plugin() for part, plugin in arm.parts})
    assert record["status"] == "done"
    assert folder.scored_steps() == {0, *folder.checkpoints()}, "at scale smoke the last three are all"
    assert (record["fork"] or {}).get("step") == (None if recipe.starts == AtStart() else 2)
    if isinstance(recipe, SFTRecipe):
        assert record["episodes"]["documents"] == SCALE.sft.documents
        assert list(folder.checkpoints()) == [SCALE.sft.steps]
        return
    assert isinstance(recipe, RLRecipe)
    for judge in recipe.judges:
        assert 0 <= record["judges"][judge]["accuracy"]["all"] <= 1
    for episode in folder.episodes():
        terms = episode["reward_terms"].values()
        assert set(episode["scores"]) == set(recipe.judges)
        assert set(episode["reward_terms"]) == {"environment", *recipe.terms}
        assert episode["train_reward"] == (None if None in terms else pytest.approx(sum(terms)))
