"""How likely a model goes on with each of a few short texts (labels): whole texts, token by token."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

Tokens = tuple[int, ...]
SHORTEST = 16  # tokens that prompts must share at their beginning before these are computed once for all


@torch.no_grad()
def label_logprobs(
    model: Any, prompts: Sequence[Sequence[int]], labels: Sequence[Tokens], batch: int, pad: int
) -> Tensor:
    """[prompts, labels] log-probabilities of every label behind every prompt: the sum over all of its tokens.

    A prompt goes through the model once for each distinct beginning of a label (once, where labels are single tokens); what
    all prompts begin with goes through it once, where the model keeps all keys and values.
    """
    beginnings = sorted({label[:end] for label in labels for end in range(len(label))})
    rows = [(at, beginning) for at in range(len(prompts)) for beginning in beginnings]
    rows.sort(key=lambda row: len(prompts[row[0]]))  # rows of a batch are about as long: little padding
    wanted = sorted({token for label in labels for token in label})
    column = {token: at for at, token in enumerate(wanted)}
    found = torch.zeros(len(prompts), len(beginnings), len(wanted), dtype=torch.float64)
    place = {beginning: at for at, beginning in enumerate(beginnings)}
    shared, cache = _shared(model, prompts) if len(rows) > 1 else (0, None)
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        rest = [[*prompts[at][shared:], *beginning] for at, beginning in part]
        last = _last_logprobs(model, rest, pad, shared, cache)[:, wanted]
        for (at, beginning), values in zip(part, last.double().cpu(), strict=True):
            found[at, place[beginning]] = values
    sums = [sum(found[:, place[label[:end]], column[token]] for end, token in enumerate(label)) for label in labels]
    return torch.stack([torch.as_tensor(each) for each in sums], dim=1)


def _shared(model: Any, prompts: Sequence[Sequence[int]]) -> tuple[int, Any]:
    """(tokens that all prompts begin with, their keys and values); (0, None) where that cannot be used."""
    first, last = (
        min(map(tuple, prompts)),
        max(map(tuple, prompts)),
    )  # in the order of tokens: what these share, all share
    most = min(map(len, prompts)) - 1
    count = next((at for at in range(most) if first[at] != last[at]), most)
    if count < SHORTEST:
        return 0, None
    ids = torch.tensor([list(first[:count])], device=next(model.parameters()).device)
    cache = model(input_ids=ids, use_cache=True, logits_to_keep=1).past_key_values
    whole = type(cache).__name__ == "DynamicCache" and not any(getattr(cache, "is_sliding", [False]))
    return (count, cache) if whole else (0, None)


def _last_logprobs(model: Any, rows: Sequence[Sequence[int]], pad: int, shared: int, cache: Any) -> Tensor:
    """[rows, vocabulary]: log-probabilities of the token behind each row (padded on the left), itself behind `cache`."""
    width, device = max(map(len, rows)), next(model.parameters()).device
    ids = torch.tensor([[pad] * (width - len(row)) + list(row) for row in rows], device=device)
    mask = torch.tensor([[1] * shared + [0] * (width - len(row)) + [1] * len(row) for row in rows], device=device)
    positions = (mask.cumsum(-1) - 1).clamp_min(0)[:, shared:]
    before = {}
    if cache is not None:
        before["past_key_values"] = copy.deepcopy(cache)
        before["past_key_values"].batch_repeat_interleave(len(rows))
    known = {"attention_mask": mask, "position_ids": positions, "logits_to_keep": 1, "use_cache": cache is not None}
    logits = model(input_ids=ids, **known, **before).logits
    return torch.log_softmax(logits[:, -1].float(), -1)
