"""The policy's trainer: what is ours at TRL's extension points of the update."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from trl import GRPOTrainer
from trl.models.utils import prepare_deepspeed
from trl.trainer.utils import split_tensor_dict

from base.models import logprobs as fast
from base.models.arithmetic import set_arithmetic
from base.models.attention import shared_attention, supports_shared_prompts
from base.models.checks import learns_positions
from base.models.load import load_policy


class PolicyTrainer(GRPOTrainer):  # type: ignore[misc]
    """GRPOTrainer whose log-probabilities, on CPUs, come from base.models.logprobs, and whose reference is any checkpoint.

    So do those of models that learn positions, on any device: TRL pads in front and gives no positions.
    """

    def __init__(self, model: Any, **options: Any) -> None:
        super().__init__(model=model, **options)
        self.gives_positions = learns_positions(model)

    def use_reference(self, beta: float, reference: Path, start: Path, dtype: torch.dtype) -> None:
        """Penalise the KL divergence to the model at `reference` with weight `beta`."""
        self.beta = beta
        adapters = hasattr(self.accelerator.unwrap_model(self.model), "peft_config")
        if beta == 0.0 or (adapters and Path(reference).resolve() == Path(start).resolve()):
            return  # with adapters TRL switches them off to get the start model
        model = load_policy(reference, dtype=dtype)
        set_arithmetic(model, getattr(self.accelerator.unwrap_model(self.model), "arithmetic", "fp32"))
        if self.accelerator.device.type != "cpu":
            from trl.trainer.utils import add_fused_lm_head

            add_fused_lm_head(model, temperature=self.temperature)
        self.ref_model = prepare_deepspeed(model.requires_grad_(False), self.accelerator)

    def _prepare_inputs(self, generation_batch: Any) -> dict[str, Any]:
        """One rollout batch per optimiser step, cut into micro-batches in order, so that groups stay together.

        TRL shuffles first; within one optimiser step that changes nothing but which rows share a forward pass.
        """
        steps = self.args.steps_per_generation
        if self._step % steps == 0 or self._buffered_inputs is None:
            self._buffered_inputs: Any = split_tensor_dict(
                self._generate_and_score_completions(generation_batch), steps
            )
        inputs: dict[str, Any] = self._buffered_inputs[self._step % steps]
        return inputs

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        compute_aux_loss: bool = False,
        **multimodal: Any,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Log-probabilities and entropies [B, logits_to_keep], 0 where there is no token."""
        ours = input_ids.device.type == "cpu" or self.gives_positions
        plain = ours and not compute_aux_loss and not self._entropy_bonus_enabled
        if not plain or any(value is not None for value in multimodal.values()):
            return super()._get_per_token_logps_and_entropies(  # type: ignore[no-any-return]
                model,
                input_ids,
                attention_mask,
                logits_to_keep,
                batch_size=batch_size,
                compute_entropy=compute_entropy,
                compute_aux_loss=compute_aux_loss,
                **multimodal,
            )
        plain_model = getattr(model, "module", model)  # accelerate's unwrap_model reads package metadata: 10 ms
        shared = supports_shared_prompts(plain_model.config)
        score = fast.score_shared if shared else fast.score_padded
        size = batch_size or len(input_ids)
        real = attention_mask.bool()
        order = torch.arange(len(input_ids)) if shared else torch.argsort(real.sum(1))
        logps: list[Tensor] = []
        entropies: list[Tensor] = []
        with shared_attention(plain_model) if shared else nullcontext():
            for rows in torch.split(order, size):
                scores = score(
                    model, input_ids[rows], attention_mask[rows], logits_to_keep, self.temperature, compute_entropy
                )
                scored = real[rows, -logits_to_keep:]
                for table, values in zip((logps, entropies), scores, strict=True):
                    table.append(values.new_zeros(scored.shape).masked_scatter(scored, values))
        back = torch.argsort(order)
        together = [torch.cat(table)[back] for table in (logps, entropies)]
        return together[0], together[1] if compute_entropy else None, None
