"""Log-probabilities of completions on CPUs: no padding, every prompt computed once, only scored positions in the head.

A micro-batch is laid out as one row of tokens, first the distinct prompts, then all completions. Linear layers and norms
see no padding; attention, the only place where tokens meet, is taken over by `_shared_attention`, in which the
completions of a group read the same keys and values of their prompt. Mathematically the same as one padded row each.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

ATTENTION = "shared_prompt"
SHARED_PROMPT_MODELS = ("starcoder2", "llama", "qwen2", "qwen3")
_MOST_PARTS = 8
_PART = 40_000  # what a part of its own costs, in scores (query-key pairs) of one head
_ROWS_IN_CACHE = 256  # rows of logits handled at a time, so that they stay in the processor's cache


@dataclass(frozen=True)
class Part:
    """Completions of like length, padded to the longest of them."""

    rows: int
    width: int  # C
    owner: Tensor  # [rows] -> U
    bias: Tensor  # [rows or 1, 1, share*C, P+C], -inf on the prompt's padding and on later tokens


@dataclass(frozen=True)
class Layout:
    """Where the tokens of a micro-batch lie.

    U prompts, P the longest of them; N tokens in all, of which n belong to completions. Indices into padded shapes point
    at any token where there is none.
    """

    tokens: Tensor  # [1, N]
    positions: Tensor  # [1, N]
    scored: Tensor  # [n] position in N whose logits predict each completion token
    targets: Tensor  # [n]
    prompt_index: Tensor  # [U*P] -> N
    prompt_place: Tensor  # [tokens of prompts] -> U*P
    completion_index: Tensor  # the parts' [rows*C], one after the other -> N
    completion_place: Tensor  # [n] -> those places
    parts: tuple[Part, ...]
    shape: tuple[int, int]  # U, P


def layout(input_ids: Tensor, attention_mask: Tensor, completion_width: int, share: int) -> Layout:
    """From TRL's rows [B, prompt padded on the left + completion padded on the right] of `completion_width`.

    `share` query heads read the same key head.
    """
    rows, width = input_ids.shape
    split = width - completion_width
    real = attention_mask.bool()
    lengths = real[:, split:].sum(1)  # [B]
    unique: dict[tuple[int, ...], int] = {}
    owner_list = []
    for ids, used in zip(input_ids[:, :split].tolist(), real[:, :split].sum(1).tolist(), strict=True):
        owner_list.append(unique.setdefault(tuple(ids[split - used :]), len(unique)))
    owner = torch.tensor(owner_list)
    prompts = list(unique)
    sizes = torch.tensor([len(p) for p in prompts])
    U, P, C = len(prompts), int(sizes.max()), max(1, int(lengths.max()))
    in_prompts = int(sizes.sum())

    starts = sizes.cumsum(0) - sizes
    column = torch.arange(P)
    there = column < sizes[:, None]  # [U, P]
    prompt_index = torch.where(there, starts[:, None] + column, 0).flatten()
    prompt_place = there.flatten().nonzero()[:, 0]

    column = torch.arange(C)
    inside = column < lengths[:, None]  # [B, C]
    row_of, column_of = inside.nonzero(as_tuple=True)  # row by row, as TRL's mask reads
    n = len(row_of)
    first_place = torch.empty(rows, dtype=torch.long)
    parts, places = [], 0
    for mine in _by_length(lengths, P):
        width = max(1, int(lengths[mine].max()))
        first_place[mine] = places + torch.arange(len(mine)) * width
        places += len(mine) * width
        parts.append(Part(len(mine), width, owner[mine], _bias(~there[owner[mine]], width, share)))
    completion_place = first_place[row_of] + column_of
    completion_index = torch.zeros(places, dtype=torch.long)
    completion_index[completion_place] = in_prompts + torch.arange(n)

    targets = input_ids[:, split : split + C][inside]
    last_of_prompt = (starts + sizes - 1)[owner[row_of]]
    return Layout(
        tokens=torch.cat([torch.tensor([t for p in prompts for t in p]), targets])[None],
        positions=torch.cat([torch.arange(P).expand(U, P)[there], sizes[owner[row_of]] + column_of])[None],
        scored=torch.where(column_of == 0, last_of_prompt, in_prompts + torch.arange(n) - 1),
        targets=targets,
        prompt_index=prompt_index,
        prompt_place=prompt_place,
        completion_index=completion_index,
        completion_place=completion_place,
        parts=tuple(parts),
        shape=(U, P),
    )


def _by_length(lengths: Tensor, prompt: int) -> list[Tensor]:
    """Rows sorted by length and cut into equal parts, as many as make attention, padded in each, cheapest."""
    order = torch.argsort(lengths, stable=True)

    def cost(parts: list[Tensor]) -> int:
        widths = [int(lengths[part[-1]]) for part in parts]
        return sum(_PART + len(p) * width * (prompt + width) for p, width in zip(parts, widths, strict=True))

    choices = [list(torch.split(order, -(-len(order) // n))) for n in range(1, _MOST_PARTS + 1)]
    return min(choices, key=cost)


def _bias(padding: Tensor, width: int, share: int) -> Tensor:
    """[rows or 1, 1, share*width, P+width] from which places of the rows' prompts [rows, P] are padding."""
    if not bool(padding.any()):
        padding = padding[:1]
    rows, size = padding.shape
    later = torch.ones(width, width, dtype=torch.bool).triu(1).expand(rows, 1, width, width)
    hidden = torch.cat([padding[:, None, None].expand(-1, 1, width, size), later], -1)
    return torch.zeros(hidden.shape).masked_fill_(hidden, float("-inf")).repeat(1, 1, share, 1)


class _Divide(torch.autograd.Function):
    """x [N, ...] -> its prompts [U*P, ...] and completions [places, ...]; the gradient is a plain gather as well.

    Rows of the results that are padding carry no gradient: nothing reads them.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, where: Layout) -> tuple[Tensor, Tensor]:
        ctx.where = where
        return x[where.prompt_index], x[where.completion_index]

    @staticmethod
    def backward(ctx: Any, of_prompts: Tensor, of_completions: Tensor) -> tuple[Tensor, None]:
        where: Layout = ctx.where
        return torch.cat([of_prompts[where.prompt_place], of_completions[where.completion_place]]), None


def _shared_attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, *, scaling: float, **kwargs: Any
) -> tuple[Tensor, None]:
    """query [1, heads, N, size], key and value [1, kv heads, N, size] -> [1, N, heads, size]."""
    where: Layout = kwargs["layout"]
    U, P = where.shape
    heads, _, size = query.shape[1:]
    kv = key.shape[1]
    share, attend = heads // kv, torch.nn.functional.scaled_dot_product_attention
    places = [part.rows * part.width for part in where.parts]

    def divide(x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """[1, heads, N, size] -> prompts [U, heads, P, size] and each part's completions [rows*C, heads, size]."""
        prompt, own = _Divide.apply(x[0].transpose(0, 1), where)  # type: ignore[no-untyped-call]
        return prompt.view(U, P, -1, size).transpose(1, 2), own.split(places)

    (prompt_q, own_q), (prompt_k, own_k), (prompt_v, own_v) = divide(query), divide(key), divide(value)

    def completions(part: Part, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        # A completion's queries lie along one axis per key head, so that keys need no repeating.
        rows, C = part.rows, part.width
        q = q.view(rows, C, kv, share, size).permute(0, 2, 3, 1, 4).reshape(rows, kv, share * C, size)
        keys, values = (
            torch.cat([prompt.index_select(0, part.owner), own.view(rows, C, kv, size).transpose(1, 2)], 2)
            for prompt, own in ((prompt_k, k), (prompt_v, v))
        )
        out = attend(q, keys, values, attn_mask=part.bias, scale=scaling)
        return out.view(rows, kv, share, C, size).permute(0, 3, 1, 2, 4).reshape(rows * C, heads, size)

    # Prompts are padded on the right, where the causal mask hides padding from every token that is read.
    prompt_out = attend(prompt_q, prompt_k, prompt_v, is_causal=True, scale=scaling, enable_gqa=share > 1)
    out = torch.cat([completions(*of_part) for of_part in zip(where.parts, own_q, own_k, own_v, strict=True)])
    prompt_rows = prompt_out.transpose(1, 2).reshape(U * P, heads, size)
    return torch.cat([prompt_rows[where.prompt_place], out[where.completion_place]])[None], None


ALL_ATTENTION_FUNCTIONS.register(ATTENTION, _shared_attention)


@contextmanager
def shared_attention(config: Any) -> Iterator[None]:
    """The model of this config attends by `Layout` inside the block."""
    before = config._attn_implementation
    config._attn_implementation = ATTENTION
    try:
        yield
    finally:
        config._attn_implementation = before


def supports_shared_prompts(config: Any) -> bool:
    """Whether every layer of this architecture is plain causal attention through the common interface."""
    windows = getattr(config, "sliding_window", None) is not None and getattr(config, "use_sliding_window", True)
    return config.model_type in SHARED_PROMPT_MODELS and not windows and not getattr(config, "attention_dropout", 0.0)


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


def heads_per_key(config: Any) -> int:
    """How many query heads read the same key head, from a model's config: `share` of `layout`."""
    return int(config.num_attention_heads // config.num_key_value_heads)


class _Layouts:
    """`layout`, remembering the last one: the reference and the policy score the same rows."""

    def __init__(self) -> None:
        self.asked: tuple[Tensor, Tensor, int, int] | None = None
        self.made: Layout | None = None

    def __call__(self, ids: Tensor, mask: Tensor, width: int, share: int) -> Layout:
        before = self.asked
        if (
            self.made is None
            or before is None
            or before[2:] != (width, share)
            or not torch.equal(before[0], ids)
            or not torch.equal(before[1], mask)
        ):
            self.asked, self.made = (ids.clone(), mask.clone(), width, share), layout(ids, mask, width, share)
        return self.made


_layouts = _Layouts()


def score_shared(
    model: Any, ids: Tensor, mask: Tensor, width: int, temperature: float, entropy: bool = True, *, share: int
) -> tuple[Tensor, Tensor]:
    """(log-probabilities, entropies) of the real completion tokens, row by row [n], each prompt computed once.

    `share` query heads read the same key head (`heads_per_key`).
    """
    where = _layouts(ids, mask, width, share)
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
