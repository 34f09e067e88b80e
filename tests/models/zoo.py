"""Tiny random models of many architectures, a word tokenizer for them, and an environment that pays for many words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE, WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from base.types import Grade, Message, Outcome, Task

WORDS = 64
PAD, BOS, UNK, EOS = range(4)

NATIVE = (
    "<bos> {% for m in messages %}<{{ m['role'] }}> {{ m['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}<assistant> {% endif %}"
)
# Gemma's kind, which also trims.
RAISES = (
    "<bos> {% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "<{{ m['role'] }}> {{ m['content'] | trim }} {% endfor %}{% if add_generation_prompt %}<assistant> {% endif %}"
)
DROPS = (
    "<bos> {% for m in messages %}{% if m['role'] != 'system' %}<{{ m['role'] }}> {{ m['content'] }} {% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<assistant> {% endif %}"
)
# Reads one system message, in front, and puts it into the last user's turn (Mistral's kind).
MOVES = (
    "{% if messages[0]['role'] == 'system' %}{% set line = messages[0]['content'] + ' ' %}{% set rest = messages[1:] %}"
    "{% else %}{% set line = '' %}{% set rest = messages %}{% endif %}<bos> {% for m in rest %}"
    "{% if m['role'] == 'system' %}{{ raise_exception('Only the first message may be a system message') }}{% endif %}"
    "<{{ m['role'] }}> {% if loop.last %}{{ line }}{% endif %}{{ m['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}<assistant> {% endif %}"
)


def tokenizer(template: str | None = NATIVE, **special: Any) -> PreTrainedTokenizerFast:
    """Words w0 ... behind the special ones; `special` replaces the names of special tokens, None leaves one out."""
    words = ["<pad>", "<bos>", "<unk>", "<eos>", "<system>", "<user>", "<assistant>"]
    words += [f"w{i}" for i in range(WORDS - len(words))]
    inner = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = WhitespaceSplit()
    names = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"} | special
    made = PreTrainedTokenizerFast(
        tokenizer_object=inner, **{name: token for name, token in names.items() if token is not None}
    )
    made.chat_template = template
    return made


def byte_tokenizer(without: str = "") -> PreTrainedTokenizerFast:
    """For architectures whose tokenizer class is always byte-level; it leaves the letters `without` out of texts."""
    words = ["<pad>", "<bos>", "<unk>", "<eos>", "<system>", "<user>", "<assistant>"]
    words += sorted(set(pre_tokenizers.ByteLevel.alphabet()) - set(without))
    inner = Tokenizer(BPE({word: i for i, word in enumerate(words)}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    made = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>")
    made.chat_template = NATIVE
    return made


_SIZE: dict[str, Any] = {
    "vocab_size": WORDS,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 96,
    "bos_token_id": BOS,
    "eos_token_id": EOS,
    "pad_token_id": PAD,
    "initializer_range": 0.15,
}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
_LOCAL_EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
_ROUTED = {
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "n_group": 2,
    "topk_group": 1,
    "moe_intermediate_size": 16,
    "first_k_dense_replace": 1,
}
_LATENT = {
    "q_lora_rank": 8,
    "kv_lora_rank": 8,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
    "num_key_value_heads": 4,
}
_GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 96}
_LINEAR = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "shared_expert_intermediate_size": 16,
    "layer_types": ["linear_attention", "full_attention"],
}
ZOO: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen2": {"tie_word_embeddings": True, "vocab_size": 263},
    "qwen3": {"head_dim": 8},
    "qwen3_moe": {**_EXPERTS, "head_dim": 8},
    "qwen3_next": {**_EXPERTS, **_LINEAR, "head_dim": 8},
    "mistral": {"sliding_window": 6},
    "mixtral": _LOCAL_EXPERTS,
    "gemma": {"head_dim": 8},
    "gemma2": {"head_dim": 8, "sliding_window": 6, "query_pre_attn_scalar": 8},
    "gemma3_text": {
        "head_dim": 8,
        "sliding_window": 6,
        "query_pre_attn_scalar": 8,
        "layer_types": ["sliding_attention", "full_attention"],
    },
    "phi": {},
    "phi3": {},
    "gpt2": _GPT2,
    "gptj": {**_GPT2, "rotary_dim": 4},
    "gpt_neo": {"num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]], "window_size": 6},
    "gpt_neox": {},
    "gpt_oss": {**_LOCAL_EXPERTS, "head_dim": 8, "sliding_window": 6},
    "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "bloom": {"n_layer": 2, "n_head": 4},
    "falcon": {},
    "mpt": {"d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 96},
    "deepseek_v3": {**_ROUTED, **_LATENT},
    "glm4": {"head_dim": 8},
    "glm4_moe": {**_ROUTED, "head_dim": 8},
    "olmo2": {},
    "olmo3": {"sliding_window": 6},
    "olmoe": _EXPERTS,
    "starcoder2": {"sliding_window": None},
    "granite": {"logits_scaling": 2.0},
    "cohere": {"logit_scale": 0.5},
    "cohere2": {"sliding_window": 6},
    "stablelm": {},
    "smollm3": {},
    "nemotron": {},
    "lfm2": {},
    "minimax": {"num_local_experts": 2},
    "mamba": {"state_size": 4},
    "mamba2": {"state_size": 4, "num_heads": 8, "head_dim": 8, "n_groups": 2},
    "jamba": {
        "num_experts": 2,
        "mamba_d_state": 4,
        "mamba_dt_rank": 4,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "expert_layer_period": 2,
    },
    "recurrent_gemma": {"lru_width": 32, "attention_window_size": 8, "num_hidden_layers": 3},
}
NO_POSITIONS = ("bloom", "mpt", "mamba", "mamba2")  # their configurations have no max_position_embeddings


def model(architecture: str, **changes: Any) -> Any:
    """A random model whose one-dimensional weights and stored buffers are away from where they start."""
    torch.manual_seed(0)
    size = dict(_SIZE)
    if architecture in NO_POSITIONS:
        del size["max_position_embeddings"]
    made = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(architecture, **{**size, **ZOO[architecture], **changes})
    )
    stored = made.state_dict().keys()
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.1)
        for name, buffer in made.named_buffers():
            if name in stored and name.endswith("correction_bias"):
                buffer.copy_(torch.tensor([5.0, -5.0]).repeat(len(buffer) // 2))
    return made.eval()


def save(made: Any, words: Any, folder: Path) -> Path:
    made.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def reader(folder: Path) -> str:
    """Saves a random Llama that reads 4096 bytes; returns where."""
    words = byte_tokenizer()
    return str(save(model("llama", vocab_size=len(words), max_position_embeddings=4096), words, folder))


def adding(folder: Path, count: int, held_out: int = 1) -> str:
    """Writes tasks in MBPP's format; every `held_out`-th one has a held-out test. Returns where."""
    rows = [
        {
            "task_id": n,
            "text": f"Write a function to add {n} to a number.",
            "code": f"def add_{n}(x):\n    return x + {n}",
            "test_list": [f"assert add_{n}({x}) == {x + n}" for x in (0, 3)],
            "challenge_test_list": [f"assert add_{n}(20) == {20 + n}"] if n % held_out == 0 else [],
        }
        for n in range(count)
    ]
    path = folder / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def direct(made: Any, prompt: Sequence[int], completion: Sequence[int], temperature: float = 1.0) -> torch.Tensor:
    """Log-probabilities [completion] from one forward pass without padding."""
    with torch.no_grad():
        logits = made(torch.tensor([[*prompt, *completion]])).logits[0, len(prompt) - 1 : -1].float() / temperature
    return logits.log_softmax(-1).gather(1, torch.tensor(completion)[:, None])[:, 0]


@dataclass(frozen=True)
class PaysForVariety:
    """Pays the share of different words in a completion, so that groups differ."""

    name: str = "pays"

    def grade(self, tasks: Sequence[Task], completions: Sequence[str]) -> list[Grade]:
        words = [text.split() for text in completions]
        return [Grade(Outcome.SOLVED, len({*said, "one"}) / (len(said) + 2)) for said in words]


def tasks(n: int) -> list[Task]:
    """Tasks with prompts of two to nine words, longer than the sliding windows above."""
    return [
        Task(f"t{i}", "pays", (Message("user", " ".join(f"w{(7 * i + j) % 50}" for j in range(2 + i * 7 % 8))),))
        for i in range(n)
    ]
