"""Policies and tokenizers: the organism from its settings, or any Hugging Face causal LM; what is trained; saving."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Starcoder2Config,
    Starcoder2ForCausalLM,
)

from base.errors import UserError
from base.settings import ModelSettings

SPECIAL = ("bos_token_id", "eos_token_id", "pad_token_id")


PathOrId = str | os.PathLike[str]


def build_organism(
    settings: ModelSettings, vocab_size: int, seed: int, special: Mapping[str, int] | None = None
) -> PreTrainedModel:
    """The from-scratch organism: a small Starcoder2 (LayerNorm, biases, grouped-query attention, tied embeddings).

    `special` holds the tokenizer's bos_token_id, eos_token_id and pad_token_id. Matrices start at N(0, 0.02), those
    that write to the residual stream divided by sqrt(2 layers) (Radford et al. 2019).
    """
    if settings.hidden_size % settings.heads or settings.heads % settings.kv_heads:
        raise UserError(
            f"model: heads ({settings.heads}) must divide hidden_size ({settings.hidden_size}) "
            f"and kv_heads ({settings.kv_heads}) must divide heads"
        )
    tokens: dict[str, Any] = {name: (special or {}).get(name) for name in SPECIAL}
    config = Starcoder2Config(
        vocab_size=vocab_size,
        hidden_size=settings.hidden_size,
        intermediate_size=settings.intermediate_size,
        hidden_act="gelu",  # on CPUs the tanh approximation costs four times the exact one
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.kv_heads,
        max_position_embeddings=settings.context,
        rope_parameters={"rope_type": "default", "rope_theta": 1000.0},  # contexts here are a few hundred tokens
        sliding_window=None,
        use_bias=True,
        tie_word_embeddings=True,
        **tokens,
    )
    model = Starcoder2ForCausalLM(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 2:
                writes_residual = name.endswith(("o_proj.weight", "c_proj.weight"))
                std = 0.02 / (math.sqrt(2 * settings.layers) if writes_residual else 1.0)
                parameter.normal_(0.0, std, generator=generator)
            elif name.endswith("bias"):
                parameter.zero_()
    model.generation_config.update(**tokens)
    return model


def load_policy(path_or_id: PathOrId, trained: str = "all", *, seed: int = 0, dtype: Any = torch.float32) -> Any:
    """A causal LM with the chosen parameters trainable: "all", "biases" (one-dimensional: biases, norms), "lora:RANK".

    LoRA covers every linear layer but the head; `seed` draws its start. Raises UserError if the checkpoint is wrong.
    """
    model = _load(AutoModelForCausalLM, path_or_id, "a causal language model checkpoint", dtype=dtype)
    return set_trained(model, trained, seed=seed)


def set_trained(model: PreTrainedModel, trained: str, *, seed: int = 0) -> Any:
    """Marks what the optimiser may change; returns the model, wrapped by PEFT for "lora:RANK"."""
    kind, _, rank = trained.partition(":")
    if kind == "lora" and rank.isdigit() and int(rank) > 0:
        from peft import LoraConfig, get_peft_model

        torch.manual_seed(seed)
        return get_peft_model(
            model, LoraConfig(r=int(rank), lora_alpha=2 * int(rank), target_modules="all-linear", task_type="CAUSAL_LM")
        )
    if trained not in ("all", "biases"):
        raise UserError(f"trained must be all, biases or lora:RANK (for example lora:8), not {trained!r}")
    for parameter in model.parameters():
        parameter.requires_grad_(trained == "all" or parameter.dim() == 1)
    return model


def load_tokenizer(path_or_id: PathOrId, *, chat: bool = True) -> PreTrainedTokenizerBase:
    """The tokenizer beside a checkpoint, padding on the left as generation needs; `chat`: it must have a template."""
    tokenizer: PreTrainedTokenizerBase = _load(AutoTokenizer, path_or_id, "a tokenizer")
    if chat and not tokenizer.chat_template:
        raise UserError(
            f"the tokenizer of {path_or_id} has no chat template: use a chat (instruct) model, or store one"
        )
    if tokenizer.eos_token_id is None:
        raise UserError(f"the tokenizer of {path_or_id} has no end-of-sequence token: set eos_token in its config")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "left"
    return tokenizer


def _load(loader: Any, path_or_id: PathOrId, what: str, **options: Any) -> Any:
    name = os.fspath(path_or_id)
    looks_local = name.startswith((".", "/", "~")) or Path(name).exists()
    source = str(Path(name).expanduser()) if looks_local else name
    if looks_local and not (Path(source) / "config.json").is_file() and loader is AutoModelForCausalLM:
        raise UserError(f"{name} is not {what}: it has no config.json")
    try:
        return loader.from_pretrained(source, **options)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"cannot load {what} from {name}: {reason[:200]}") from error


def describe(model: nn.Module) -> dict[str, int]:
    """Counts of all and of trained parameters (shared ones once)."""
    count = {id(p): (getattr(p, "ds_numel", p.numel()), p.requires_grad) for p in model.parameters()}
    return {
        "parameters": sum(n for n, _ in count.values()),
        "trained_parameters": sum(n for n, trained in count.values() if trained),
    }
