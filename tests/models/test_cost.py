"""What runs of a user's model take is said before they are made: sizes, memory, disk, time."""

from __future__ import annotations

from pathlib import Path

import pytest

import base.engine
from base.engine.__main__ import sizes
from base.models import cost
from base.models.load import describe as counts
from base.models.load import load_policy
from base.settings import load_scale
from base.world.tasks import TaskSet
from mitigations.__main__ import main
from mitigations.api import dry_run


@pytest.mark.parametrize("trained", ["lora:4", "all", "biases"])
def test_sizes_are_counted_without_loading(trained: str, model: str) -> None:
    found = cost.size(model, trained)
    loaded = counts(load_policy(model, trained))
    assert (found.weights, found.trained) == (
        loaded["parameters"] - (found.trained if trained == "lora:4" else 0),
        loaded["trained_parameters"],
    )
    assert found.cached == 2 * 2 * 2 * 8 * 4  # keys and values, layers, key heads, their size, bytes


def test_memory_and_disk_follow_the_model_and_its_settings(model: str) -> None:
    scale = load_scale("laptop")
    small = cost.Size(100_000_000, 1_000_000, 50_000, 50_000, 1_500_000, True)
    large = cost.Size(7_000_000_000, 80_000_000, 150_000, 500_000, 16_000_000, True)

    def gigabytes(text: str) -> float:
        return float(text.split()[1])

    assert gigabytes(cost.memory(large, scale, 300)) > 10 * gigabytes(cost.memory(small, scale, 300)) > 0
    longer = load_scale("laptop", ["rl.max_completion_tokens=2048", "rl.micro_batch=32"])
    assert gigabytes(cost.memory(small, longer, 300)) > 10 * gigabytes(cost.memory(small, scale, 300))
    everything = load_scale("laptop", ["rl.trained=all", "rl.beta=0.1"])
    assert gigabytes(cost.memory(cost.Size(10**9, 10**9, 1000, 1000, 1000, True), everything, 9)) > 4 + 4 + 16
    assert gigabytes(cost.disk(large, 4)) == pytest.approx(5 * 28, rel=0.05)


def test_a_dry_run_times_the_model_and_says_what_it_takes(
    own: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["none", *own, "--runs", str(tmp_path), "--dry-run"]) == 0
    said = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()[1:]}
    assert "min" in said["time"]
    assert "measured just now" in said["speed"]
    assert "GB a process" in said["memory"]
    assert "4 checkpoints" in said["disk"]
    assert "no held-out tests" in said["tasks"]


def test_a_plan_from_python_is_timed_too_and_so_are_judges(model: str, tasks: str, tmp_path: Path) -> None:
    planned = dry_run(
        "none", scale="laptop", model=model, tasks=tasks, runs_folder=tmp_path, judges=["rule:words", f"hf:{model}"]
    )
    said = {line.split()[0]: line for line in planned.splitlines()[1:]}
    assert "measured just now" in said["speed"]
    assert "about" in said["golden"]
    assert "about" in said["verdicts"]
    assert "not known" not in said["time"]
    assert "GB a process" in said["memory"]
    asked = dry_run(
        "none", scale="laptop", model=model, tasks=tasks, runs_folder=tmp_path, judges=["openai:http://h/v1#m"]
    )
    known = {line.split()[0]: line for line in asked.splitlines()[1:]}
    assert "time not known" in known["golden"], "nobody pays for an estimate"
    assert "for the rest; not known: no stage of the kind golden or verdicts" in known["time"]


def test_a_plan_of_several_runs_says_what_they_take_too(
    own: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--experiment", "core", *own, "--runs", str(tmp_path), "--dry-run", "--jobs", "2"]) == 0
    said = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "not known" not in said["time"]
    assert "on 2 cores as busy as now" in said["time"]
    assert "GB a process" in said["memory"]
    assert "to train on" in said["tasks"]


def test_where_other_work_hides_what_a_token_takes_sampling_is_not_free(
    model: str, tasks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "_seconds", lambda work: (work(), 0.5)[1])
    asked = [task.messages for task in TaskSet(tasks, "script", ()).part("train")[:4]]
    found = cost.measure(model, load_scale("laptop"), asked, 11)
    assert found is not None
    assert 0 < found["tokens_sampled"] < float("inf")
    assert found["rl_step"] > 1


def test_memory_on_gpus_falls_with_what_is_divided_and_offloaded() -> None:
    found = cost.Size(7 * 10**9, 7 * 10**9, 150_000, 229_376, 16_000_000, True)

    def held(gpus: int, *changes: str) -> float:
        return cost.on_gpus(found, load_scale("hub", ["rl.trained=all", *changes]), 512, gpus)["held"]

    assert held(1, "engine.zero_stage=0") == pytest.approx(7 * (2 + 2 + 12))
    assert held(8) == pytest.approx(7 * (2 + (2 + 12) / 8))
    assert held(8, "engine.zero_stage=3") == pytest.approx(7 * (2 + 2 + 12) / 8)
    assert held(8, "engine.zero_stage=3", "engine.offload=optimizer") == pytest.approx(7 * (2 + 2) / 8)
    assert held(8, "engine.zero_stage=3", "engine.offload=parameters") == pytest.approx(7 * 2 / 8)
    assert held(8, "rl.beta=0.1") == pytest.approx(held(8) + 7 * 2), "the reference"
    said = cost.gpu_memory({"held": 15.4, "sampling": 4.71, "host": 61.0}, 8)
    assert said.startswith(
        "about 20 GB on each of 8 GPUs before activations: 15 all the time, 4.7 while sampling; 61 GB"
    )
    offloaded = load_scale("hub", ["rl.trained=all", "engine.zero_stage=3", "engine.offload=optimizer"])
    assert cost.on_gpus(found, offloaded, 512, 8)["host"] == pytest.approx(7 * 12 + 2 * 4 * 7)


def test_the_sizes_in_the_page_are_the_ones_computed() -> None:
    page = (Path(base.engine.__file__).parent / "README.md").read_text(encoding="utf-8")
    assert page.split("<!-- sizes -->")[1].split("<!-- /sizes -->")[0].strip().splitlines() == list(sizes())
