"""Saving: fp32 Hugging Face checkpoints, written whole, with LoRA merged."""

from __future__ import annotations

import shutil
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    PreTrainedTokenizerBase,
)


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
