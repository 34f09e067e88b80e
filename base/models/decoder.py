"""A fast decoder for CPUs: identical prompts once, one buffer of keys and values, rows that ended leave the batch."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from base.errors import UserError
from base.models.arithmetic import Bf16Linear
from base.models.attention import rotated
from base.models.checks import check_ids, check_room
from base.models.draws import Samples, draw, uniform_numbers

FAMILIES = ("starcoder2", "llama", "qwen2", "qwen3")
ROPES = ("default", "linear", "llama3", "yarn")  # those whose tables do not depend on the length of the text
CACHE = 2 * 2**30  # bytes of keys and values at a time; more rows are decoded in turn


class FastDecoder:
    """Batched decoding of the FAMILIES on a CPU, with LoRA adapters merged on the fly.

    Identical prompts are computed once; every row has a copy of its prompt's keys and values, with room for its own
    behind them. The last rows move to the places of those that ended. Nothing of a step's logits is kept.
    """

    name = "fast"

    def __init__(self, model: Any, ends: Sequence[int], cache: int = CACHE) -> None:
        if (reason := unsupported(model)) is not None:
            raise UserError(f"the fast decoder cannot run this model ({reason}): set engine.generation to hf")
        self.model, self.ends, self.cache = model, tuple(ends), cache

    @torch.inference_mode()
    def __call__(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int,
        seed: int,
        samples: int = 1,
        temperature: float = 1.0,
        skip: int = 0,
    ) -> Samples:
        if not prompts or samples < 1 or max_new_tokens < 1:
            return Samples([[] for _ in range(len(prompts) * samples)], [[] for _ in range(len(prompts) * samples)])
        if not all(prompts):
            raise ValueError("every prompt needs at least one token")
        longest = max(map(len, prompts))
        check_ids(prompts, self.model)
        check_room(self.model.config, longest, max_new_tokens)
        asked = [tuple(prompt) for prompt in prompts for _ in range(samples)]
        uniform = uniform_numbers(seed, skip, len(asked), max_new_tokens) if temperature > 0 else None
        weights = _Weights(self.model)
        at_once = max(1, self.cache // (weights.bytes_a_token * (longest + max_new_tokens)))
        found = Samples([], [])
        for start in range(0, len(asked), at_once):
            numbers = None if uniform is None else uniform[start : start + at_once]
            drawn = self._decode(weights, asked[start : start + at_once], max_new_tokens, numbers, temperature)
            found.completions.extend(drawn.completions)
            found.logprobs.extend(drawn.logprobs)
        return found

    def _decode(
        self,
        weights: _Weights,
        prompts: Sequence[tuple[int, ...]],
        max_new_tokens: int,
        uniform: Tensor | None,
        temperature: float,
    ) -> Samples:
        """One completion of every prompt, all rows side by side; `uniform` [rows, max_new_tokens], None takes the likeliest."""
        unique: dict[tuple[int, ...], int] = {}
        owner = torch.tensor([unique.setdefault(prompt, len(unique)) for prompt in prompts])
        rows, longest = len(owner), max(map(len, unique))
        ids = torch.zeros(len(unique), longest, dtype=torch.long)
        real = torch.zeros(len(unique), longest, dtype=torch.bool)
        for i, prompt in enumerate(unique):
            ids[i, longest - len(prompt) :] = torch.tensor(prompt)
            real[i, longest - len(prompt) :] = True
        state = _State(weights, ids, real, owner, max_new_tokens)

        tokens = torch.zeros(rows, max_new_tokens, dtype=torch.long)
        scores = torch.zeros(rows, max_new_tokens)
        lengths = torch.full((rows,), max_new_tokens)
        ends = torch.tensor(self.ends, dtype=torch.long)
        live = torch.arange(rows)  # rows in the batch
        logits = state.first_logits
        for t in range(max_new_tokens):
            chosen, score = draw(logits, None if uniform is None else uniform[live, t], temperature)
            tokens[live, t], scores[live, t] = chosen, score
            ended = torch.isin(chosen, ends)
            if ended.any():
                lengths[live[ended]] = t + 1
                kept = state.drop(ended)
                live, chosen = live[kept], chosen[kept]
            if not len(live) or t == max_new_tokens - 1:
                break
            logits = state.step(chosen)
        cut = lengths.tolist()
        return Samples(
            [row[:n] for row, n in zip(tokens.tolist(), cut, strict=True)],
            [row[:n] for row, n in zip(scores.tolist(), cut, strict=True)],
        )


def _plain(model: Any) -> Any:
    """The Hugging Face model inside a PEFT wrapper."""
    return model.get_base_model() if hasattr(model, "peft_config") else model


def unsupported(model: Any) -> str | None:
    """Why FastDecoder cannot run `model`, or None."""
    config = model.config
    if config.model_type not in FAMILIES:
        return f"architecture {config.model_type}"
    kinds = {*(getattr(config, "layer_types", None) or ())} - {"full_attention"}
    if kinds or getattr(config, "sliding_window", None) is not None:
        return "sliding window attention"
    if (rope := config.rope_parameters.get("rope_type", "default")) not in ROPES:
        return f"rope type {rope}"
    if next(_plain(model).parameters()).device.type != "cpu":
        return "not on a CPU"
    return None


def _weight(linear: Any) -> Tensor:
    """The weight of a linear layer [out, in], with active LoRA adapters added."""
    if not hasattr(linear, "base_layer"):
        return linear.weight  # type: ignore[no-any-return]
    weight = linear.base_layer.weight
    if linear.disable_adapters or linear.merged:
        return weight  # type: ignore[no-any-return]
    for adapter in linear.active_adapters:
        if adapter in linear.lora_A:
            weight = weight + linear.get_delta_weight(adapter).to(weight.dtype)
    return weight  # type: ignore[no-any-return]


class _Linear:
    """Linear layers side by side: x [rows, in] -> [rows, their outs], in the layers' own arithmetic.

    `keep_half` leaves a bf16 result in bf16.
    """

    def __init__(self, layers: Sequence[Any]) -> None:
        plain = [getattr(layer, "base_layer", layer) for layer in layers]
        self.half = isinstance(plain[0], Bf16Linear)
        weight = torch.cat([_weight(layer) for layer in layers]) if len(layers) > 1 else _weight(layers[0])
        self.weight = weight.bfloat16() if self.half else weight
        biases = [layer.bias for layer in plain if layer.bias is not None]
        self.bias = torch.cat(biases) if biases else None
        self.keep_half = self.half and plain[0].keep_half and not hasattr(layers[0], "base_layer")
        if self.keep_half and self.bias is not None:
            self.bias = self.bias.bfloat16()

    def __call__(self, x: Tensor) -> Tensor:
        if not self.half:
            return F.linear(x, self.weight, self.bias)
        if self.keep_half:
            return F.linear(x.bfloat16(), self.weight, self.bias)
        y = F.linear(x.bfloat16(), self.weight).float()
        return y if self.bias is None else y.add_(self.bias)


@dataclass(frozen=True)
class _Layer:
    norm1: nn.Module
    norm2: nn.Module
    qkv: _Linear
    out: _Linear
    up: _Linear  # gate and up side by side where the MLP is gated
    down: _Linear
    head_norms: tuple[nn.Module, nn.Module] | None  # of queries and keys (Qwen3)


class _Weights:
    """A view of the current parameters, with query, key and value projections joined."""

    def __init__(self, model: Any) -> None:
        inner = _plain(model)
        config = inner.config
        self.heads: int = config.num_attention_heads
        self.kv_heads: int = config.num_key_value_heads
        self.embedding: Tensor = inner.model.embed_tokens.weight
        self.rotary = inner.model.rotary_emb
        self.norm: nn.Module = inner.model.norm
        self.gated = config.model_type != "starcoder2"
        self.activation = inner.model.layers[0].mlp.act_fn if self.gated else inner.model.layers[0].mlp.act
        self.head = _Linear([inner.lm_head])
        self.layers: list[_Layer] = []
        for layer in inner.model.layers:
            attention, mlp = layer.self_attn, layer.mlp
            up, down = ([mlp.gate_proj, mlp.up_proj], mlp.down_proj) if self.gated else ([mlp.c_fc], mlp.c_proj)
            self.layers.append(
                _Layer(
                    layer.input_layernorm,
                    layer.post_attention_layernorm,
                    _Linear([attention.q_proj, attention.k_proj, attention.v_proj]),
                    _Linear([attention.o_proj]),
                    _Linear(up),
                    _Linear([down]),
                    (attention.q_norm, attention.k_norm) if hasattr(attention, "q_norm") else None,
                )
            )
        self.size: int = attention.head_dim
        self.scale: float = attention.scaling
        self.bytes_a_token = 2 * len(self.layers) * self.kv_heads * self.size * self.embedding.element_size()

    def tables(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines of RoPE for positions [...], each [..., head size]."""
        cos, sin = self.rotary(self.embedding, positions.reshape(1, -1))
        return cos.view(*positions.shape, -1), sin.view(*positions.shape, -1)

    def mlp(self, layer: _Layer, x: Tensor) -> Tensor:
        """What a layer's MLP adds to x [..., hidden]."""
        hidden = layer.up(_norm(layer.norm2, x))
        if not self.gated:
            return layer.down(self.activation(hidden))
        gate, value = hidden.chunk(2, -1)
        return layer.down(self.activation(gate).mul_(value))


def _norm(layer: Any, x: Tensor) -> Tensor:
    """LayerNorm or RMSNorm over the last axis."""
    if isinstance(layer, nn.LayerNorm):
        return torch.layer_norm(x, layer.normalized_shape, layer.weight, layer.bias, layer.eps)
    return torch.rms_norm(x, layer.weight.shape, layer.weight, layer.variance_epsilon)


def _normed(layer: _Layer, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    """Queries and keys [..., size] as they are turned."""
    if layer.head_norms is None:
        return q, k
    return _norm(layer.head_norms[0], q), _norm(layer.head_norms[1], k)


class _State:
    """Keys and values [rows*kv heads, P + max new, size] of each layer: a row's prompt, then what it wrote."""

    def __init__(self, weights: _Weights, ids: Tensor, real: Tensor, owner: Tensor, room: int) -> None:
        self.w, self.rows, self.filled = weights, len(owner), ids.shape[1]
        width = self.filled
        positions = (real.cumsum(-1) - 1).clamp_min(0)
        self.table = weights.tables(torch.arange(int(positions.max()) + room + 1))
        self.next_position = (positions[:, -1] + 1)[owner]
        self.bias = None  # [rows, 1, P], -inf on padding
        if not bool(real.all()):
            self.bias = torch.zeros(real.shape).masked_fill_(~real, float("-inf"))[owner, None]
        cos, sin = (t[positions][:, None] for t in self.table)  # [prompts, 1, P, size]
        mask = (torch.ones(width, width, dtype=torch.bool).tril() & real[:, None]) | torch.eye(width, dtype=torch.bool)
        self.kv: list[tuple[Tensor, Tensor]] = []
        x = F.embedding(ids, weights.embedding)
        for layer in weights.layers:
            q, k, v = self._split(layer.qkv(_norm(layer.norm1, x)))  # [prompts, heads, P, size]
            q, k = _normed(layer, q, k)
            q, k = rotated(q, cos, sin), rotated(k, cos, sin)
            y = F.scaled_dot_product_attention(
                q, k, v, attn_mask=mask[:, None], scale=weights.scale, enable_gqa=weights.heads != weights.kv_heads
            )
            self.kv.append((self._buffer(k, owner, room), self._buffer(v, owner, room)))
            if layer is weights.layers[-1]:  # only the last position is read from here on
                x, y = x[:, -1:], y[:, :, -1:]
            x = x + layer.out(y.transpose(1, 2).flatten(2))
            x = x + weights.mlp(layer, x)
        self.first_logits = weights.head(_norm(weights.norm, x[:, -1]))[owner]

    def _split(self, qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[rows, T, ...] -> queries, keys and values [rows, their heads, T, size]."""
        w = self.w
        parts = qkv.view(*qkv.shape[:2], -1, w.size).transpose(1, 2)
        q, k, v = torch.split(parts, [w.heads, w.kv_heads, w.kv_heads], 1)
        return q, k, v

    def _buffer(self, of_prompts: Tensor, owner: Tensor, room: int) -> Tensor:
        """Keys or values of prompts [prompts, kv heads, P, size] in a row each, with room behind."""
        buffer = of_prompts.new_empty(len(owner), self.w.kv_heads, self.filled + room, self.w.size)
        buffer[:, :, : self.filled] = of_prompts.index_select(0, owner)
        return buffer.flatten(0, 1)

    def drop(self, ended: Tensor) -> Tensor:
        """Rows that ended [rows] give their places to the last ones; returns which row now lies in each place."""
        left = self.rows - int(ended.sum())
        order = torch.arange(left)
        order[ended[:left]] = (~ended[left:]).nonzero()[:, 0] + left
        free = ended[:left].nonzero()[:, 0]
        heads = torch.arange(self.w.kv_heads)
        to, source = ((rows[:, None] * self.w.kv_heads + heads).flatten() for rows in (free, order[free]))
        for buffer in itertools.chain.from_iterable(self.kv):
            buffer[to, : self.filled] = buffer[source, : self.filled]
        self.kv = [(k[: left * self.w.kv_heads], v[: left * self.w.kv_heads]) for k, v in self.kv]
        self.rows, self.next_position = left, self.next_position[order]
        if self.bias is not None:
            self.bias = self.bias[order]
        return order

    def step(self, tokens: Tensor) -> Tensor:
        """Append one token per row [rows]; returns logits [rows, vocabulary]."""
        w, rows, t = self.w, self.rows, self.filled
        share = w.heads // w.kv_heads
        cos, sin = (table[self.next_position][:, None] for table in self.table)  # [rows, 1, size]
        x = F.embedding(tokens, w.embedding)
        for layer, (keys, values) in zip(w.layers, self.kv, strict=True):
            qkv = layer.qkv(_norm(layer.norm1, x)).view(rows, -1, w.size)
            straight = qkv[:, : w.heads + w.kv_heads]
            if layer.head_norms is not None:
                straight = torch.cat(_normed(layer, straight[:, : w.heads], straight[:, w.heads :]), 1)
            turned = rotated(straight, cos, sin)
            keys[:, t] = turned[:, w.heads :].reshape(-1, w.size)
            values[:, t] = qkv[:, w.heads + w.kv_heads :].reshape(-1, w.size)
            query = (turned[:, : w.heads] * w.scale).view(rows * w.kv_heads, share, w.size)
            scores = torch.bmm(query, keys[:, : t + 1].transpose(1, 2))
            if self.bias is not None:
                scores.view(rows, w.heads, t + 1)[..., : self.bias.shape[-1]] += self.bias
            y = torch.bmm(scores.softmax(-1), values[:, : t + 1])
            x = x + layer.out(y.view(rows, -1))
            x = x + w.mlp(layer, x)
        self.filled += 1
        self.next_position = self.next_position + 1
        return w.head(_norm(w.norm, x))
