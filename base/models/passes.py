"""How many rows a forward pass of training takes: what it keeps for its backward pass has to fit into memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from base.engine.trainer import divide

FP32 = 4  # bytes
LOGITS = 4  # copies of a token's logits that are there at once, gradients among them
CPU_BYTES = 2e9  # that a pass may keep on CPUs
GPU_SHARE = 0.25  # of a GPU's memory


def kept(config: Any, head: bool = True) -> int:
    """Bytes that a token of a pass keeps, in fp32: norms, projections and products of every layer of a dense transformer, and with
    `head` its logits and what their gradient takes. 2.6 MB for SmolLM2-135M, of which steps of 6,144 tokens at most were seen
    to keep 16 GB.
    """
    text = config.get_text_config()
    width, inner = text.hidden_size, getattr(text, "intermediate_size", None) or 4 * text.hidden_size
    return int(FP32 * (text.num_hidden_layers * (10 * width + 6 * inner) + (LOGITS * text.vocab_size if head else 0)))


def room(device: str) -> float:
    """Bytes that a pass may keep."""
    if device == "cpu":
        return CPU_BYTES
    return GPU_SHARE * float(torch.cuda.get_device_properties(torch.device(device)).total_memory)


def rows_a_pass(rows: int, bytes_a_row: float, device: str) -> int:
    """The largest part of `rows` that divides them and fits; one row may be too large itself."""
    fit = max(int(room(device) // bytes_a_row), 1)
    return next(rows // count for count in range(1, rows + 1) if rows % count == 0 and rows // count <= fit)


def batches(
    setting: str, per_step: int, trainer: Mapping[str, Any], ranks: int, bytes_a_row: float, device: str
) -> dict[str, Any]:
    """TRL's settings for steps of `per_step` rows, the value of `setting`: over ranks, and as passes that fit unless `trainer` says
    how many. Where one row does not fit, layers are computed again in the backward pass.

    Raises:
        UserError: the rows do not divide.
    """
    rows = divide(setting, per_step, trainer, ranks)
    given = trainer.get("gradient_accumulation_steps")
    each = rows if given else rows_a_pass(rows, bytes_a_row, device)
    return {
        "per_device_train_batch_size": each,
        "gradient_accumulation_steps": given or rows // each,
        "gradient_checkpointing": bytes_a_row > room(device),
    }
