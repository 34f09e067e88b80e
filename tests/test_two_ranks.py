"""Several processes: every family of arms on two ranks over gloo, each through a launch file; what only the main rank holds;
ranks that wait for it.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from rl_toys import run_on_two_ranks

from base.settings import load_scale
from base.store.files import read_json, read_rows
from base.store.folders import RunFolder

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
LAUNCH = ROOT / "base" / "engine" / "launch"
SCALE = load_scale("smoke")
OURS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
TRACKER = ["--report-to", "tensorboard"] if find_spec("tensorboard") else []


def begin(file: str, *words: str, **environment: str) -> subprocess.Popen[str]:
    """A launch file, as a person starts it."""
    inherited = {key: value for key, value in os.environ.items() if key not in OURS}
    return subprocess.Popen(
        [str(LAUNCH / file), *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**inherited, "OMP_NUM_THREADS": "1", "PYTHON": sys.executable, **environment},
    )


def end(process: subprocess.Popen[str]) -> str:
    """What it printed, once it ended well."""
    out, err = process.communicate(timeout=1200)
    assert process.returncode == 0, err[-4000:]
    return out


def one_node(*words: str) -> str:
    return end(begin("one_node.sh", *words, RANKS="2"))


def two_nodes(*words: str) -> str:
    """Two machines of one rank each, both this one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    place = {"NODES": "2", "HOST": "127.0.0.1", "PORT": port, "RANKS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    nodes = [begin("nodes.sh", *words, NODE=str(node), **place) for node in (0, 1)]
    return "".join(end(node) for node in nodes)


def hostfile(*words: str) -> str:
    """DeepSpeed's launcher, one machine of two ranks."""
    hosts = Path(words[words.index("--runs") + 1]).parent / "hostfile"
    hosts.write_text("localhost slots=2\n")
    options = "--no_ssh_check --master_addr 127.0.0.1"
    return end(begin("hostfile.sh", *words, HOSTFILE=str(hosts), OPTIONS=options, DS_ACCELERATOR="cpu"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ranks") / "runs"


def folder_of(runs: Path, arm: str) -> RunFolder:
    begins = arm.partition(":")[0]
    (found,) = (path.parent for path in (runs / "smoke").glob("*/run.json") if path.parent.name.startswith(begins))
    return RunFolder(found)


ARMS = {
    "pm_penalty:weight=0.25": one_node,
    "filtered_sft:keep=all": one_node,  # it imitates the baseline, so that two policies are trained
    "inoculation:wording=please_hack": two_nodes,
    "rlhf_mix:share=0.25,start=step:2": hostfile,  # a fork of the baseline, and a preference model
}


@pytest.mark.parametrize("arm", ARMS)
def test_a_run_of_every_family_finishes(runs: Path, arm: str) -> None:
    """The first makes the start from nothing; the others share it, and the checkpoints that are evaluated are few."""
    said = ARMS[arm](arm, "--scale", "smoke", "--runs", str(runs), "--evaluate", "start,last:3", *TRACKER)
    assert said.count("per cent, by the prompt at evaluation") == 1, "one rank speaks"
    folder = folder_of(runs, arm)
    assert folder.record["status"] == "done"
    for stage in (runs / "smoke" / "stages").glob("*.json"):
        assert read_json(stage)["state"] == "done"
    if arm.startswith("filtered_sft"):
        assert folder.record["episodes"]["documents"] == SCALE.sft.documents
        assert folder.scored_steps() == {0, SCALE.sft.steps}
        folder = folder_of(runs, "none")
        assert folder.record["engine"]["world_size"] == 2
    else:
        assert folder.scored_steps() == {0, 2, 4}
        assert folder.record["engine"]["world_size"] == 2
    metrics = read_rows(folder.path / "metrics.jsonl")
    assert [row["step"] for row in metrics] == list(range(1, SCALE.rl.steps + 1))
    assert len(list(folder.episodes())) == SCALE.rl.steps * SCALE.rl.prompts_per_step * SCALE.rl.group
    if TRACKER:
        events = runs / "smoke" / "trackers" / folder_of(runs, arm).path.name
        assert list(events.glob("events.out.tfevents.*"))
        sent = {place.split("/")[0] for place in read_json(events / "sent.json")}
        assert {int(step) for step in sent} == folder_of(runs, arm).scored_steps(), "those of every rank"


def test_a_finished_run_is_only_read(runs: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in runs.rglob("*") if path.is_file()}
    one_node("pm_penalty:weight=0.25", "--scale", "smoke", "--runs", str(runs), "--evaluate", "start,last:3")
    kept = {path: time for path, time in before.items() if path.suffix != ".lock"}
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_the_other_launch_files_begin_what_they_say(tmp_path: Path) -> None:
    planned = end(begin("one_gpu.sh", "none", "--scale", "smoke", "--runs", str(tmp_path), "--dry-run"))
    assert planned.startswith("none--main--p0s0")
    planned = end(begin("slurm.sh", "--experiment", "core", "--scale", "smoke", "--runs", str(tmp_path), "--dry-run"))
    assert "evaluate" in planned
    assert not list(tmp_path.iterdir())


_SCRIPT = """
import json, sys, time
from datetime import timedelta
from pathlib import Path
sys.path[:0] = {paths!r}
from base.engine import runtime
runtime.TIMEOUT = timedelta(seconds=20)
import base.models.save as saving
from base.settings import EngineSettings
from base.store.locks import shared
from stage_toys import toy_stage

engine = EngineSettings(zero_stage=3, precision="fp32")
process = runtime.prepare(engine)
with shared(Path({out!r}) / "stage", process):
    if process.is_main:
        time.sleep(25)  # longer than any collective may take

gathered, kept = saving.fp32_state, []
def counted(*arguments, **options):
    state = gathered(*arguments, **options)
    kept.append(sum(value.numel() for value in {{id(v): v for v in state.values()}}.values()))
    return state
saving.fp32_state = counted
facts = toy_stage(Path({out!r}) / "toy", engine=engine)
Path({out!r}, f"{{process.rank}}.json").write_text(json.dumps([kept, facts["parameters"]]))
"""


def test_ranks_wait_as_long_as_it_takes_and_only_the_main_one_holds_the_model(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT.format(paths=[str(ROOT / "tests"), str(ROOT)], out=str(tmp_path)))
    run_on_two_ranks(script)
    (main, whole), (other, _) = (read(tmp_path / f"{rank}.json") for rank in (0, 1))
    assert (main, other) == ([whole], [0])


def read(path: Path) -> tuple[list[int], int]:
    kept, whole = json.loads(path.read_text())
    return kept, whole
