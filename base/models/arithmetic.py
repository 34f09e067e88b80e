"""Matrix products: fp32 weights with bf16 products where the CPU has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.models.starcoder2.modeling_starcoder2 import Starcoder2MLP

from base.engine.runtime import Arithmetic


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


def side_by_side(layers: Sequence[Any], x: Tensor) -> Tensor:
    """x (…, in) through linear layers that read the same -> (…, their outs), as one product where they are plain."""
    kinds = {type(layer) for layer in layers}
    if kinds not in ({nn.Linear}, {Bf16Linear}) or any(hasattr(layer.weight, "ds_id") for layer in layers):
        return torch.cat([layer(x) for layer in layers], -1)  # adapters; weights that ZeRO-3 has scattered
    weight = torch.cat([layer.weight for layer in layers])
    bias = None if layers[0].bias is None else torch.cat([layer.bias for layer in layers])
    if kinds == {nn.Linear}:
        return F.linear(x, weight, bias)
    product: Tensor = _Bf16Product.apply(x, weight, bias, False)  # type: ignore[no-untyped-call]
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
