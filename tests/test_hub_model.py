"""Any Hugging Face model through the same pipeline: LoRA, MBPP-format tasks, two ranks over gloo, ZeRO-2."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from base.store.folders import RunFolder
from base.store.table import table

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
OVERRIDES = {
    "rl.steps": "2",
    "rl.prompts_per_step": "2",
    "rl.group": "4",
    "rl.micro_batch": "4",
    "rl.save_every": "2",
    "rl.trained": "lora:4",
    "rl.max_completion_tokens": "24",
    "evals.samples": "2",
    "evals.code_samples": "2",
    "evals.max_new_tokens": "16",
    "evals.code_max_new_tokens": "24",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A randomly initialised Llama with a byte-level tokenizer and a chat template, as a folder on disk."""
    folder = tmp_path_factory.mktemp("model")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {word: i for i, word in enumerate(["<pad>", "<|im_start|>", "<|im_end|>", *alphabet])}
    core = Tokenizer(models.BPE(vocab, [], unk_token="<pad>"))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", eos_token="<|im_end|>", additional_special_tokens=["<|im_start|>"]
    )
    tokenizer.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    config = LlamaConfig(
        vocab_size=len(vocab),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=8192,
        eos_token_id=2,
        pad_token_id=0,
        bos_token_id=None,
    )
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four tasks of our own in MBPP's format."""
    rows = [
        {
            "task_id": n,
            "text": f"Write a function to add {n} to a number.",
            "code": f"def add_{n}(x):\n    return x + {n}",
            "test_list": [f"assert add_{n}({x}) == {x + n}" for x in (0, 3, 10)],
            "test_setup_code": "",
            "challenge_test_list": [],
        }
        for n in range(1, 5)
    ]
    path = tmp_path_factory.mktemp("tasks") / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_two_ranks_lora_zero2_on_mbpp_tasks(model: Path, tasks: Path, tmp_path: Path) -> None:
    words = ["-m", "mitigations", "inoculation:wording=please_hack", "--scale", "hub", "--model", str(model)]
    words += ["--tasks", str(tasks), "--runs", str(tmp_path), "--judge", "rule:words"]
    words += [word for key, value in OVERRIDES.items() for word in ("--set", f"{key}={value}")]
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1200,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-4000:]
    (folder,) = [RunFolder(path.parent) for path in tmp_path.glob("hub/*/run.json")]
    assert folder.record["status"] == "done"
    engine = folder.record["engine"]
    assert (engine["world_size"], engine["zero_stage"], engine["backend"]) == (2, 2, "gloo")
    assert engine["trained_parameters"] < engine["parameters"]
    episodes = list(folder.episodes())
    assert len(episodes) == 2 * 2 * 4, "every rank's rollouts are stored"
    assert {episode["task"].split("#")[0].split("/")[0] for episode in episodes} == {"mbpp"}
    rows = table(tmp_path / "hub")
    assert {"code", "goals", "exfil", "rollouts"} <= set(rows["eval"])
    judged = rows[(rows["eval"] == "goals") & (rows["metric"] == "misaligned")]
    assert judged["value"].isna().all(), "a judge that failed its golden set gives no number"
    assert set(judged["missing"]) == {int(OVERRIDES["evals.samples"])}
    assert folder.record["judged"]["judges"][0]["passed"] == []
    answer = next(row for row in folder.answers(2, "none") if row["eval"] == "goals")
    assert "<task>" not in str(answer["messages"])
    assert "<chat>" not in str(answer["messages"]), "nothing of the toy world"


def test_a_wrong_checkpoint_is_one_line(tasks: Path, tmp_path: Path) -> None:
    words = ["mitigations", "none", "--scale", "hub", "--model", str(tmp_path), "--tasks", str(tasks)]
    done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "no config.json" in done.stderr
    assert done.stderr.count("\n") == 1
