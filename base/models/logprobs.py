"""Log-probabilities of completions on CPUs: no padding, every prompt computed once, only scored positions in the head."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from base.models.attention import Layout, layout

_ROWS_IN_CACHE = 256  # rows of logits handled at a time, so that they stay in the processor's cache


class _TokenLogprobs(torch.autograd.Function):
    """logits [n, V], targets [n] -> log-probabilities and entropies [n] at a temperature, in one pass over the logits.

    The gradient flows through the log-probabilities only; entropies are for the log.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, temperature: float, entropy: bool) -> tuple[Tensor, Tensor]:
        n = len(logits)
        logprobs, entropies = (torch.zeros(n, dtype=torch.float32, device=logits.device) for _ in range(2))
        keep = ctx.needs_input_grad[0]
        shares = torch.empty(logits.shape, dtype=torch.float32, device=logits.device) if keep else None
        for start in range(0, n, _ROWS_IN_CACHE):
            rows = slice(start, start + _ROWS_IN_CACHE)
            scores = logits[rows].float() if temperature == 1.0 else logits[rows].float() / temperature
            scores = scores.log_softmax(-1)
            logprobs[rows] = scores.gather(1, targets[rows, None])[:, 0]
            if keep or entropy:
                p = scores.exp() if shares is None else torch.exp(scores, out=shares[rows])
                entropies[rows] = torch.linalg.vecdot(p, scores).neg_()
        if shares is not None:
            ctx.save_for_backward(shares, targets)
            ctx.temperature, ctx.dtype = temperature, logits.dtype
        ctx.mark_non_differentiable(entropies)
        return logprobs, entropies

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor, None, None, None]:
        shares, targets = ctx.saved_tensors
        scale = gradient.float() / -ctx.temperature
        result = shares * scale[:, None]
        result.scatter_add_(1, targets[:, None], -scale[:, None])
        return result.to(ctx.dtype), None, None, None


def token_logprobs(logits: Tensor, targets: Tensor, temperature: float, entropy: bool = True) -> tuple[Tensor, Tensor]:
    """(log-probabilities, entropies), both [n], of targets [n] under logits [n, V].

    Entropies carry no gradient; without `entropy` they may be left at 0.
    """
    return _TokenLogprobs.apply(logits, targets, temperature, entropy)  # type: ignore[no-any-return, no-untyped-call]


class _Layouts:
    """`layout`, remembering the last one: the reference and the policy score the same rows."""

    def __init__(self) -> None:
        self.asked: tuple[Tensor, Tensor, tuple[int, int, int]] | None = None
        self.made: Layout | None = None

    def __call__(self, ids: Tensor, mask: Tensor, width: int, config: Any) -> Layout:
        before, shape = self.asked, (width, config.num_attention_heads, config.num_key_value_heads)
        if (
            self.made is None
            or before is None
            or before[2] != shape
            or not torch.equal(before[0], ids)
            or not torch.equal(before[1], mask)
        ):
            self.asked, self.made = (ids.clone(), mask.clone(), shape), layout(ids, mask, *shape)
        return self.made


_layouts = _Layouts()


def score_shared(
    model: Any, ids: Tensor, mask: Tensor, width: int, temperature: float, entropy: bool = True
) -> tuple[Tensor, Tensor]:
    """(log-probabilities, entropies) of the real completion tokens, row by row [n], each prompt computed once.

    To be called inside `shared_attention(model)`.
    """
    where = _layouts(ids, mask, width, getattr(model, "module", model).config)
    logits = model(
        input_ids=where.tokens,
        position_ids=where.positions,
        attention_mask=None,
        logits_to_keep=where.scored,
        use_cache=False,
        layout=where,
    ).logits[0]
    return token_logprobs(logits, where.targets, temperature, entropy)


def score_padded(
    model: Any, ids: Tensor, mask: Tensor, width: int, temperature: float, entropy: bool = True
) -> tuple[Tensor, Tensor]:
    """The same for any causal language model: rows trimmed to the longest prompt and completion among them."""
    real = mask.bool()
    split = ids.shape[1] - width
    first = int(real[:, :split].any(0).int().argmax())
    used = max(1, int(real[:, split:].sum(1).max()))
    ids, real = ids[:, first : split + used], real[:, first : split + used]
    logits = model(
        input_ids=ids,
        attention_mask=real.long(),
        position_ids=(real.cumsum(-1) - 1).clamp_min(0),
        logits_to_keep=used + 1,
        use_cache=False,
    ).logits[:, :-1]
    scored = real[:, -used:]
    return token_logprobs(logits[scored], ids[:, -used:][scored], temperature, entropy)
