"""Answers through vLLM: what it is asked, and what comes back. The library itself is a stand-in here: it needs a GPU."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import zoo

from base import run as runs
from base.engine import runtime
from base.errors import UserError
from base.models.load import declared
from base.models.served import Served
from base.settings import EngineSettings
from mitigations.api import describe, resolve

ENDS = (2, 7)
STAND_IN = """
from types import SimpleNamespace as Made

class SamplingParams:
    def __init__(self, **given):
        vars(self).update(given)

class LLM:
    def __init__(self, model, **given):
        print("loading", model)  # as vLLM does, to standard output
        assert 0 < given["gpu_memory_utilization"] <= 1

    def generate(self, prompts, sampling_params, use_tqdm):
        return [Made(outputs=[self.one(p["prompt_token_ids"], s)]) for p, s in zip(prompts, sampling_params)]

    def one(self, ids, asked):
        assert (asked.top_p, asked.top_k, asked.min_p, asked.repetition_penalty) == (1.0, -1, 0.0, 1.0)
        if ids == [666]:
            raise SystemExit(3)
        tokens = [ids[-1], asked.seed % 1000, *asked.stop_token_ids][: asked.max_tokens]
        return Made(token_ids=tokens, logprobs=[{token: Made(logprob=-asked.temperature)} for token in tokens])
"""


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Served:
    (tmp_path / "vllm.py").write_text(STAND_IN)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    process = runtime.prepare(EngineSettings(precision="fp32"))
    monkeypatch.setenv("RANK", "5")  # of ours: none of its business
    return Served(tmp_path / "checkpoint", ENDS, process)


def test_rows_come_back_in_order_and_a_seed_says_what_is_drawn(served: Served) -> None:
    found = served([[10, 11], [12]], samples=2, max_new_tokens=4, seed=3, temperature=0.5)
    assert [row[0] for row in found.completions] == [11, 11, 12, 12]
    assert [row[2:] for row in found.completions] == [[2, 7]] * 4
    assert found.logprobs == [[-0.5] * 4] * 4
    draws = [row[1] for row in found.completions]
    assert len(set(draws)) == 4, "every row has numbers of its own"
    assert served([[10, 11], [12]], samples=2, max_new_tokens=4, seed=3).completions == found.completions
    assert served([[12]], max_new_tokens=4, seed=3, skip=2).completions[0] == found.completions[2]
    assert served([[12]], max_new_tokens=4, seed=4).completions[0][1] not in draws


def test_its_process_ends_with_it_and_what_kills_it_is_an_error(served: Served) -> None:
    server = served.server
    with pytest.raises(RuntimeError, match="the process of vLLM ended with code 3"):
        served([[666]], max_new_tokens=4, seed=0)
    del served
    assert server.poll() is not None


def test_end_tokens_are_read_without_the_model(tmp_path: Path) -> None:
    model = zoo.model("llama")
    model.generation_config.eos_token_id = [2, 9]
    zoo.save(model, zoo.tokenizer(), tmp_path)
    assert declared(tmp_path).generation_config.eos_token_id == [2, 9]
    (tmp_path / "generation_config.json").unlink()
    assert declared(tmp_path).generation_config.eos_token_id == model.config.eos_token_id


def test_without_vllm_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="needs vLLM: pip install"):
        runs.check(resolve(*describe("none", scale="smoke", settings=["engine.generation=vllm"])), tmp_path)
