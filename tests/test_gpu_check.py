"""The check of a machine with a GPU, at toy size on CPUs: every part runs, and what it found is in one file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks import gpu
from benchmarks.rl_step import ENGINES, ON_GPUS, VARIANTS


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_it_says_so_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(["--out", str(tmp_path / "found.json")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: no GPU")
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_part_that_fails_leaves_its_error() -> None:
    def broken() -> dict[str, object]:
        raise RuntimeError("no kernel")

    found = gpu.outcome(broken)
    assert found["error"] == "RuntimeError: no kernel"
    assert gpu.verdict(found) == "failed"
    assert gpu.verdict({"ours": found, "took": 1.0}) == "failed"
    assert gpu.verdict({"ours": {"skipped": "vllm is not installed"}, "took": 1.0}) == "ran"


def test_what_is_compared_on_gpus_differs_in_the_decoder_and_the_trainer_alone() -> None:
    assert set(VARIANTS) | set(ON_GPUS) == set(ENGINES)
    assert {ENGINES[name].precision for name in ON_GPUS} == {"bf16"}
    assert {ENGINES[name].generation for name in ON_GPUS if "vllm" in name} == {"vllm"}
    assert sorted(name.partition(" ")[2] for name in ON_GPUS) == ["bf16", "bf16", "bf16 vllm", "bf16 vllm"]


@pytest.mark.slow
def test_every_part_runs_at_toy_size(tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    assert gpu.main(["--out", str(out), "--device", "cpu", "--toy"]) == 0, out.read_text()
    found = json.loads(out.read_text())
    assert found["versions"]["trl"]
    assert found["card"]["name"] == "cpu"
    parts = found["parts"]
    assert list(parts) == list(gpu.PARTS)
    for name in ("organism", "model"):
        assert parts[name]["engine"]["device"] == "cpu"
        assert parts[name]["rl_step"]["seconds"] > 0
        assert parts[name]["rl_tokens_per_second"] > 0
    assert parts["organism"]["pretrain_tokens_per_second"] > 0
    assert parts["speed"]["ours fp32"]["tokens_per_second"] > 0
    assert parts["speed"]["stock fp32"]["seconds"]["update"] > 0
