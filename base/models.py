"""Policies and tokenizers: the organism from its settings, or any Hugging Face causal LM; what is trained; saving."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Starcoder2Config,
    Starcoder2ForCausalLM,
)
from transformers.models.starcoder2.modeling_starcoder2 import Starcoder2MLP

from base.config import ModelSettings, UserError
from base.runtime import Arithmetic

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


def save(model: Any, tokenizer: PreTrainedTokenizerBase | None, folder: Path, *, main: bool = True) -> None:
    """Writes an fp32 Hugging Face checkpoint with LoRA merged; an interrupted write leaves no `folder`.

    Under ZeRO every rank calls it (gathering weights is collective) and only the `main` one writes.
    """
    weights = fp32_weights(model)
    if not main:
        return
    plain = model.get_base_model() if hasattr(model, "peft_config") else model
    config = deepcopy(plain.config)
    config.dtype = torch.float32
    # A fresh copy: the trained model may be sharded or in bf16, and must stay as it is for training to go on, random
    # numbers included.
    with torch.random.fork_rng(devices=[]):
        copy = type(plain)(config)  # not from_config, which would shard it under ZeRO-3
        if hasattr(model, "peft_config"):
            from peft import get_peft_model

            copy = get_peft_model(copy, model.peft_config["default"])
    copy.load_state_dict(weights, strict=False)
    if hasattr(model, "peft_config"):
        copy = copy.merge_and_unload()
    copy.generation_config = plain.generation_config
    temporary = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    copy.save_pretrained(temporary)
    if tokenizer is not None:
        tokenizer.save_pretrained(temporary)
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)


def fp32_weights(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter in fp32, from the optimiser's master copy where there is one. Collective under ZeRO."""
    import deepspeed
    from deepspeed.utils import safe_get_full_fp32_param

    weights = {}
    for name, parameter in model.named_parameters():
        master = safe_get_full_fp32_param(parameter) if parameter.requires_grad else None
        if master is None:
            with deepspeed.zero.GatheredParameters([parameter], enabled=hasattr(parameter, "ds_id")):
                master = parameter.detach().float()
        weights[name] = master.detach().to("cpu", torch.float32, copy=True)
    return weights


class _Bf16Product(torch.autograd.Function):
    """x (…, in) @ weight (out, in).T + bias, with the three matrix products on bf16 copies.

    The result is fp32, or bf16 if `keep_half`; the gradient of x has the type of x.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, keep_half: bool) -> Tensor:
        x16, weight16 = x.bfloat16(), weight.bfloat16()
        ctx.save_for_backward(x16, weight16)
        ctx.has_bias, ctx.dtype = bias is not None, x.dtype
        if keep_half:
            return F.linear(x16, weight16, None if bias is None else bias.bfloat16())
        y = F.linear(x16, weight16).float()
        return y if bias is None else y.add_(bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x16, weight16 = ctx.saved_tensors
        rows = gradient.flatten(0, -2)
        rows16 = rows.bfloat16()
        for_x, for_weight, for_bias = ctx.needs_input_grad[:3]
        return (
            (rows16 @ weight16).to(ctx.dtype).view(*gradient.shape[:-1], -1) if for_x else None,
            (rows16.t() @ x16.flatten(0, -2)).float() if for_weight else None,
            rows.sum(0, dtype=torch.float32) if for_bias and ctx.has_bias else None,
            None,
        )


class Bf16Linear(nn.Linear):
    """nn.Linear with fp32 parameters, bf16 matrix products and, without `keep_half`, fp32 results.

    torch.backends.mkldnn.matmul.fp32_precision = "bf16" promises this, but without AMX it computes in fp32.
    """

    keep_half = False  # leave the result in bf16, for an activation whose result the next product rounds to bf16 anyway

    def forward(self, x: Tensor) -> Tensor:
        product: Tensor = _Bf16Product.apply(x, self.weight, self.bias, self.keep_half)  # type: ignore[no-untyped-call]
        return product


def set_arithmetic(model: Any, arithmetic: Arithmetic) -> None:
    """Chooses the matrix products of every plain linear layer, LoRA included; the head stays fp32.

    bf16 logits would be off by up to 2^-8 of their size, too much for log-probability ratios and KL. What the MLP of a
    Starcoder2 passes through its activation stays in bf16.
    """
    wanted: type[nn.Linear] = Bf16Linear if arithmetic == "bf16_matmul" else nn.Linear
    head = model.get_output_embeddings()
    for module in model.modules():
        if type(module) in (nn.Linear, Bf16Linear):
            module.__class__ = nn.Linear if module is head else wanted
    for module in model.modules():
        if isinstance(module, Starcoder2MLP) and type(module.c_fc) is Bf16Linear:
            module.c_fc.keep_half = True
    model.arithmetic = arithmetic  # runtime.engine_facts reports it
