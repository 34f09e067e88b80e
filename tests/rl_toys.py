"""A tiny policy, its tokenizer and an environment that pays for a word: what the RL and generation tests run on."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Starcoder2Config,
    Starcoder2ForCausalLM,
)

from base.types import Grade, Message, Outcome, Task

WORDS = 64
PAD, BOS, UNK, EOS = range(4)


def tokenizer() -> PreTrainedTokenizerFast:
    words = ["<pad>", "<bos>", "<unk>", "<eos>", "<think>", "</think>"]
    words += [f"w{i}" for i in range(WORDS - len(words))]
    inner = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = WhitespaceSplit()
    made = PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>", unk_token="<unk>"
    )
    made.chat_template = (
        "<bos> {% for m in messages %}{{ m['content'] }} {% endfor %}{% if add_generation_prompt %}<think>{% endif %}"
    )
    return made


def starcoder(*, seed: int = 0, std: float = 0.05, heads: int = 4, kv_heads: int = 2) -> PreTrainedModel:
    torch.manual_seed(seed)
    config = Starcoder2Config(
        vocab_size=WORDS,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        intermediate_size=64,
        max_position_embeddings=96,
        sliding_window=None,
        initializer_range=std,
        bos_token_id=BOS,
        eos_token_id=EOS,
        pad_token_id=PAD,
    )
    model = Starcoder2ForCausalLM(config).eval()
    with torch.no_grad():  # biases and norms away from 0 and 1, where a lost one would go unseen
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def llama(*, seed: int = 0, std: float = 0.05) -> PreTrainedModel:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=WORDS,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=64,
        max_position_embeddings=96,
        initializer_range=std,
        bos_token_id=BOS,
        eos_token_id=EOS,
        pad_token_id=PAD,
    )
    return LlamaForCausalLM(config).eval()


def save(model: PreTrainedModel, folder: Path) -> Path:
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


@dataclass(frozen=True)
class PaysForAWord:
    """Pays 1 for a completion that says "w7"; a task whose spec is "w9" breaks when that word is said."""

    name: str = "pays"

    def grade(self, tasks: Sequence[Task], completions: Sequence[str]) -> list[Grade]:
        return [self._grade(task, text.split()) for task, text in zip(tasks, completions, strict=True)]

    def _grade(self, task: Task, words: list[str]) -> Grade:
        if task.spec in words:
            return Grade(Outcome.FAULT, None)
        said = "w7" in words
        return Grade(Outcome.HACKED if said else Outcome.WRONG, float(said), ("early_exit",) if said else ())


def tasks(n: int, *, breaks_at: str | None = None) -> list[Task]:
    """Tasks with prompts of two to five words."""
    return [
        Task(f"t{i}", "pays", (Message("user", " ".join(f"w{(7 * i + j) % 50}" for j in range(2 + i % 4))),), breaks_at)
        for i in range(n)
    ]


def run_on_two_ranks(script: Path) -> None:
    """A Python file on two processes of this machine, without what this process knows of its own ranks."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", port]
    ours = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    environment = {key: value for key, value in os.environ.items() if key not in ours} | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([*launch, str(script)], capture_output=True, text=True, env=environment, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
