"""Attention over rows without padding, for CPUs: every prompt once, completions in parts by length.

A micro-batch is laid out as one row of tokens, first the distinct prompts, then all completions. Linear layers and norms
see no padding; attention, the only place where tokens meet, is taken over by `Layout`, in which the completions of a
group read the same keys and values of their prompt. Mathematically the same as one padded row each.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.starcoder2.modeling_starcoder2 import Starcoder2Attention

from base.models.arithmetic import side_by_side

ATTENTION = "shared_prompt"
SHARED_PROMPT_MODELS = ("starcoder2", "llama", "qwen2", "qwen3")
_MOST_PARTS = 12
_PART = 10_000  # what a part of its own costs, in scores (query-key pairs) of one head


@dataclass(frozen=True)
class Part:
    """Rows of like length, padded to the longest: R rows of C queries, each reads P keys of its prompt and its own.

    A row's queries lie along one axis per key head, so that keys need no repeating. Padding points behind the last token.
    """

    shape: tuple[int, int, int]  # R, queries a key head (query heads that share it x C), keys (P + C)
    queries: Tensor  # [R*kv*queries] -> [(N+1)*heads]
    keys: Tensor  # [R*kv*keys] -> [(N+1)*kv]
    prompts: Tensor | None  # [R] -> U; None: the prompts themselves, which read no other
    bias: Tensor  # [R or 1, 1, queries, keys], -inf on the prompt's padding and on later tokens


@dataclass(frozen=True)
class Layout:
    """Where the N tokens of a micro-batch lie: those of the U distinct prompts, then the n of completions, row by row."""

    tokens: Tensor  # [1, N]
    positions: Tensor  # [1, N]
    scored: Tensor  # [n] position in N whose logits predict each completion token
    targets: Tensor  # [n]
    parts: tuple[Part, ...]  # the prompts are the first
    query_place: Tensor  # [N*heads] -> the parts' queries, one part after the other
    output_place: Tensor  # the same, with a part's outputs [R, queries, kv]
    key_place: Tensor  # [N*kv] -> the parts' keys


def layout(input_ids: Tensor, attention_mask: Tensor, completion_width: int, heads: int, kv_heads: int) -> Layout:
    """From TRL's rows [B, prompt padded on the left + completion padded on the right] of `completion_width`.

    Rows may have no prompt, all of them: their first token is then predicted by nothing, and `scored` says so with -1.
    """
    width = input_ids.shape[1]
    split = width - completion_width
    real = attention_mask.bool()
    lengths = real[:, split:].sum(1)  # [B]
    unique: dict[tuple[int, ...], int] = {}
    owner = torch.tensor(
        [
            unique.setdefault(tuple(ids[split - used :]), len(unique))
            for ids, used in zip(input_ids[:, :split].tolist(), real[:, :split].sum(1).tolist(), strict=True)
        ]
    )
    sizes = torch.tensor([len(p) for p in unique])
    C = max(1, int(lengths.max()))
    prompt, prompt_tokens = _table(sizes, int(sizes.max()), 0)
    completion, completion_tokens = _table(lengths, C, prompt_tokens)
    N = prompt_tokens + completion_tokens
    prompt[prompt < 0] = N
    completion[completion < 0] = N
    inside = completion < N
    row_of, column_of = inside.nonzero(as_tuple=True)  # row by row, as TRL's mask reads

    parts = [_part(prompt, None, None, N, heads, kv_heads)] if prompt_tokens else []
    for mine in _by_length(lengths, prompt.shape[1]):
        own = completion[mine, : max(1, int(lengths[mine].max()))]
        before, whose = (prompt[owner[mine]], owner[mine]) if prompt_tokens else (None, None)
        parts.append(_part(own, before, whose, N, heads, kv_heads))
    own_keys = []
    for part in parts:
        keys = part.keys.view(part.shape[0], kv_heads, -1).clone()
        if part.prompts is not None:
            keys[:, :, : prompt.shape[1]] = N * kv_heads  # of prompts, which the first part holds
        own_keys.append(keys.flatten())
    queries = [part.queries for part in parts]
    outputs = [
        q.view(part.shape[0], kv_heads, -1).transpose(1, 2).flatten() for q, part in zip(queries, parts, strict=True)
    ]
    targets = input_ids[:, split : split + C][inside]
    last_of_prompt = (sizes.cumsum(0) - 1)[owner[row_of]]
    return Layout(
        tokens=torch.cat([torch.tensor([t for p in unique for t in p], dtype=torch.long), targets])[None],
        positions=torch.cat([(prompt < N).nonzero()[:, 1], sizes[owner[row_of]] + column_of])[None],
        scored=torch.where(column_of == 0, last_of_prompt, completion[inside] - 1),
        targets=targets,
        parts=tuple(parts),
        query_place=_inverse(queries, N * heads),
        output_place=_inverse(outputs, N * heads),
        key_place=_inverse(own_keys, N * kv_heads),
    )


def _table(lengths: Tensor, width: int, first: int) -> tuple[Tensor, int]:
    """[rows, width]: the tokens of rows laid one after the other, numbered from `first`, -1 where there is none."""
    starts = first + lengths.cumsum(0) - lengths
    column = torch.arange(width)
    return torch.where(column < lengths[:, None], starts[:, None] + column, -1), int(lengths.sum())


def _inverse(indices: list[Tensor], size: int) -> Tensor:
    """[size]: where each of 0...size-1 stands in the joined indices; others are left out."""
    joined = torch.cat(indices)
    real = (joined < size).nonzero()[:, 0]
    place = torch.empty(size, dtype=torch.long)
    place[joined[real]] = real
    return place


def _part(own: Tensor, prompt: Tensor | None, owner: Tensor | None, N: int, heads: int, kv_heads: int) -> Part:
    """A part of rows with the tokens `own` [R, C] behind those of their `prompt` [R, P]."""
    rows, C = own.shape
    share = heads // kv_heads
    seen = own if prompt is None else torch.cat([prompt, own], 1)
    of_head = torch.arange(heads).view(kv_heads, share, 1)
    return Part(
        shape=(rows, share * C, seen.shape[1]),
        queries=torch.where(own < N, own * heads, N * heads)[:, None, None].add(of_head).flatten(),
        keys=(seen[:, None] * kv_heads + torch.arange(kv_heads)[:, None]).flatten(),
        prompts=owner,
        bias=_bias(own.new_zeros(rows, 0, dtype=torch.bool) if prompt is None else prompt == N, C, share),
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


_flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_flash_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


class _Attend(torch.autograd.Function):
    """query [N, heads, size], key and value [N, kv, size] -> [N, heads, size].

    Tokens are gathered into the padded shape of every part and back, also backward: no gradient is scattered.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, where: Layout, scale: float) -> Tensor:
        size, kv = query.shape[-1], key.shape[1]
        tables = [_with_nothing(x) for x in (query, key, value)]
        outputs, saved = [], []
        for part in where.parts:
            q, k, v = (
                x.index_select(0, index).view(part.shape[0], kv, -1, size)
                for x, index in zip(tables, (part.queries, part.keys, part.keys), strict=True)
            )
            out, sums = _flash(q, k, v, 0.0, False, attn_mask=part.bias, scale=scale)
            outputs.append(out.transpose(1, 2).reshape(-1, size))
            saved += [q, k, v, out, sums]
        ctx.save_for_backward(*saved)
        ctx.where, ctx.scale = where, scale
        return torch.cat(outputs).index_select(0, where.output_place).view(query.shape)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        where: Layout = ctx.where
        tokens, _, size = gradient.shape
        gradient = _with_nothing(gradient)
        found: list[list[Tensor]] = [[], [], []]
        for i, part in enumerate(where.parts):
            q, k, v, out, sums = ctx.saved_tensors[5 * i : 5 * i + 5]
            asked = gradient.index_select(0, part.queries).view(q.shape)
            grads = _flash_backward(asked, q, k, v, out, sums, 0.0, False, attn_mask=part.bias, scale=ctx.scale)
            if part.prompts is not None:
                for of_prompts, grad in zip(found[1:], grads[1:], strict=True):
                    of_prompts[0].index_add_(0, part.prompts, grad[:, :, : of_prompts[0].shape[2]])
            for whole, grad in zip(found, grads, strict=True):
                whole.append(grad)
        places = (where.query_place, where.key_place, where.key_place)
        of_query, of_key, of_value = (
            torch.cat([grad.reshape(-1, size) for grad in whole]).index_select(0, place).view(tokens, -1, size)
            for whole, place in zip(found, places, strict=True)
        )
        return of_query, of_key, of_value, None, None


def _with_nothing(x: Tensor) -> Tensor:
    """[N, heads, size] -> [(N+1)*heads, size], zero in the last token."""
    tokens, heads, size = x.shape
    table = x.new_empty(tokens + 1, heads, size)
    table[:-1] = x
    table[-1] = 0.0
    return table.view(-1, size)


class _Rotate(torch.autograd.Function):
    """`rotated` and its gradient: the turn back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return rotated(x, cos, sin)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return rotated(gradient, cos, -sin), None, None


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """RoPE of x [..., size] by cosines and sines that broadcast to it; their halves are equal."""
    half = x.shape[-1] // 2
    left, right, sin = x[..., :half], x[..., half:], sin[..., :half]
    y = x * cos
    y[..., :half].addcmul_(right, sin, value=-1)
    y[..., half:].addcmul_(left, sin)
    return y


class _Starcoder2Attention(Starcoder2Attention):  # type: ignore[misc]
    """The same on a `Layout`, with the three projections side by side."""

    def forward(
        self, hidden_states: Tensor, position_embeddings: tuple[Tensor, Tensor], *, layout: Layout, **_: Any
    ) -> tuple[Tensor, None]:
        projections = (self.q_proj, self.k_proj, self.v_proj)
        heads = [layer.out_features // self.head_dim for layer in projections]
        cos, sin = (table[0, :, None] for table in position_embeddings)
        joined = side_by_side(projections, hidden_states[0]).view(-1, sum(heads), self.head_dim)
        turned, value = torch.split(joined, [heads[0] + heads[1], heads[2]], 1)
        query, key = torch.split(_Rotate.apply(turned, cos, sin), heads[:2], 1)  # type: ignore[no-untyped-call]
        out: Tensor = _Attend.apply(query, key, value, layout, self.scaling)  # type: ignore[no-untyped-call]
        return self.o_proj(out.flatten(1))[None], None


def _shared_attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, *, scaling: float, **kwargs: Any
) -> tuple[Tensor, None]:
    """query [1, heads, N, size], key and value [1, kv heads, N, size] -> [1, N, heads, size]."""
    query, key, value = (x[0].transpose(0, 1) for x in (query, key, value))
    return _Attend.apply(query, key, value, kwargs["layout"], scaling)[None], None  # type: ignore[no-untyped-call]


ALL_ATTENTION_FUNCTIONS.register(ATTENTION, _shared_attention)


@contextmanager
def shared_attention(model: Any) -> Iterator[None]:
    """The model attends by `Layout` inside the block."""
    config = model.config
    before = config._attn_implementation
    swapped = [module for module in model.modules() if type(module) is Starcoder2Attention]
    config._attn_implementation = ATTENTION
    for module in swapped:
        module.__class__ = _Starcoder2Attention
    try:
        yield
    finally:
        config._attn_implementation = before
        for module in swapped:
            module.__class__ = Starcoder2Attention


def supports_shared_prompts(config: Any) -> bool:
    """Whether every layer of this architecture is plain causal attention through the common interface."""
    windows = getattr(config, "sliding_window", None) is not None and getattr(config, "use_sliding_window", True)
    dropout = any(getattr(config, name, 0.0) for name in ("attention_dropout", "residual_dropout"))
    return config.model_type in SHARED_PROMPT_MODELS and not windows and not dropout
