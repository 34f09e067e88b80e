"""Saving: fp32 Hugging Face checkpoints, written whole, with LoRA merged, and read back to see that they are the model."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from base.models.arithmetic import Bf16Linear
from base.models.checks import embedding_rows
from base.models.load import plain_generation

_TOKENS = 8  # of the text whose logits are compared
_TOLERANCE = 1e-3  # of the largest logit: merging LoRA and the order of sums change the last bits


def save(model: Any, tokenizer: PreTrainedTokenizerBase | None, folder: Path, *, main: bool = True) -> None:
    """Writes an fp32 Hugging Face checkpoint with LoRA merged; an interrupted write leaves no `folder`.

    Under ZeRO every rank calls it (gathering weights is collective) and only the `main` one writes. The checkpoint's
    generation settings are its special tokens alone: it is sampled as it was trained.

    Raises:
        RuntimeError: what was written is not the model; names the tensors, or the difference of the logits.
    """
    state = fp32_state(model, keep=main)
    if not main:
        return
    temporary = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        _write(model, state, temporary)
        if tokenizer is not None:
            tokenizer.save_pretrained(temporary)
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write(model: Any, state: dict[str, Tensor], folder: Path) -> None:
    """The checkpoint but for its tokenizer, checked; `state` is used up."""
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
        copy.load_state_dict(state)
        state.clear()  # a large model in fp32
        if hasattr(model, "peft_config"):
            copy = copy.merge_and_unload()
        copy.generation_config = None if plain.generation_config is None else plain_generation(plain)
        copy.save_pretrained(folder)
        _check(model, copy.eval(), folder)


def fp32_state(model: nn.Module, *, keep: bool = True) -> dict[str, Tensor]:
    """Every parameter and persistent buffer by name, on the CPU, floating point numbers in fp32. Collective under ZeRO: all
    ranks gather one tensor after the other, and those that do not `keep` them have no more than one at a time.

    Parameters come from the optimiser's master copy where there is one.
    """
    import deepspeed
    from deepspeed.utils import safe_get_full_fp32_param

    found: dict[int, Tensor] = {}
    names = model.state_dict(keep_vars=True)
    for live in {id(live): live for live in names.values()}.values():  # tied ones are gathered once
        value = safe_get_full_fp32_param(live) if isinstance(live, nn.Parameter) and live.requires_grad else None
        with deepspeed.zero.GatheredParameters([live], enabled=value is None and hasattr(live, "ds_id")):
            if keep:
                value = live if value is None else value
                dtype = torch.float32 if value.is_floating_point() else value.dtype
                found[id(live)] = value.detach().to("cpu", dtype, copy=True)
    return {name: found[id(live)] for name, live in names.items()} if keep else {}


def _check(model: Any, copy: Any, folder: Path) -> None:
    """Raises RuntimeError unless `folder` holds `copy` and, where that can be computed, `copy` the live model's logits.

    A sharded model cannot read text on one rank, and bf16 rounds its weights: there the tensors' names and values, which
    `load_state_dict` and the comparison with the file go through, have to do.
    """
    from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled

    if is_deepspeed_zero3_enabled():  # what is loaded now would be sharded
        return
    written = type(copy).from_pretrained(folder, dtype=torch.float32).state_dict()
    wrong = [name for name, value in copy.state_dict().items() if not _same(value, written.get(name))]
    if wrong:
        raise RuntimeError(f"the checkpoint does not hold the trained model: {_names(wrong)} differ after writing")
    if any(parameter.dtype != torch.float32 or hasattr(parameter, "ds_id") for parameter in model.parameters()):
        return
    with _exact(model), torch.no_grad():
        device = next(model.parameters()).device
        ids = torch.arange(1, _TOKENS + 1)[None] * 7 % embedding_rows(copy)
        live = model(input_ids=ids.to(device), use_cache=False).logits.float().cpu()
        saved = copy(input_ids=ids, use_cache=False).logits.float()
    scale, off = live.abs().max().item(), (saved - live).abs().max().item()
    if off > _TOLERANCE * scale:
        buffers = dict(copy.named_buffers())
        base = model.get_base_model() if hasattr(model, "peft_config") else model
        odd = [name for name, value in base.named_buffers() if not _same(value.cpu(), buffers.get(name))]
        raise RuntimeError(
            f"the saved model is not the trained one: its logits are off by {off:.2g} of {scale:.2g}"
            + (f"; other buffers: {_names(odd)}" if odd else "")
        )


@contextmanager
def _exact(model: Any) -> Iterator[None]:
    """The live model in evaluation mode, with fp32 products."""
    training, rounded = model.training, [module for module in model.modules() if type(module) is Bf16Linear]
    for module in rounded:
        module.__class__ = nn.Linear  # type: ignore[assignment]
    model.eval()
    try:
        yield
    finally:
        model.train(training)
        for module in rounded:
            module.__class__ = Bf16Linear


def _same(value: Tensor, other: Tensor | None) -> bool:
    return other is not None and value.shape == other.shape and torch.equal(value.to(other.dtype), other)


def _names(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
