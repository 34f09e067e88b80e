"""How likely a model goes on with each of a few short texts (labels): whole texts, token by token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

Tokens = tuple[int, ...]


@torch.no_grad()
def label_logprobs(
    model: Any, prompts: Sequence[Sequence[int]], labels: Sequence[Tokens], batch: int, pad: int
) -> Tensor:
    """[prompts, labels] log-probabilities of every label behind every prompt: the sum over all of its tokens.

    A prompt goes through the model once for each distinct beginning of a label (once, where labels are single tokens).
    """
    beginnings = sorted({label[:end] for label in labels for end in range(len(label))})
    rows = [(at, beginning) for at in range(len(prompts)) for beginning in beginnings]
    rows.sort(key=lambda row: len(prompts[row[0]]))  # rows of a batch are about as long: little padding
    wanted = sorted({token for label in labels for token in label})
    column = {token: at for at, token in enumerate(wanted)}
    found = torch.zeros(len(prompts), len(beginnings), len(wanted), dtype=torch.float64)
    place = {beginning: at for at, beginning in enumerate(beginnings)}
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        last = _last_logprobs(model, [[*prompts[at], *beginning] for at, beginning in part], pad)[:, wanted]
        for (at, beginning), values in zip(part, last.double().cpu(), strict=True):
            found[at, place[beginning]] = values
    sums = [sum(found[:, place[label[:end]], column[token]] for end, token in enumerate(label)) for label in labels]
    return torch.stack([torch.as_tensor(each) for each in sums], dim=1)


def _last_logprobs(model: Any, rows: Sequence[Sequence[int]], pad: int) -> Tensor:
    """[rows, vocabulary]: log-probabilities of the token behind each row (padded on the left)."""
    width, device = max(map(len, rows)), next(model.parameters()).device
    ids = torch.tensor([[pad] * (width - len(row)) + list(row) for row in rows], device=device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=device)
    positions = (mask.cumsum(-1) - 1).clamp_min(0)
    logits = model(input_ids=ids, attention_mask=mask, position_ids=positions, logits_to_keep=1, use_cache=False).logits
    return torch.log_softmax(logits[:, -1].float(), -1)
