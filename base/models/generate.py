"""Sampling completions: a fast decoder for CPUs and the model's own `generate`, behind one call.

Both give, for token prompts, completions (ending in their end-of-sequence token unless cut) and the log-probability of
every sampled token under the distribution it was drawn from: the model's own at a temperature, whatever the checkpoint
recommends. vLLM is another matter: base/rl/rollouts.py, base/models/served.py.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import DynamicCache, GenerationConfig, LogitsProcessor, LogitsProcessorList

from base.errors import UserError
from base.models.attention import supports_shared_prompts
from base.models.chat import end_tokens
from base.models.checks import check_ids, check_room
from base.models.decoder import FastDecoder, unsupported
from base.models.draws import Generator, Samples, draw, uniform_numbers
from base.models.load import plain_generation

log = logging.getLogger(__name__)


class _Draw(LogitsProcessor):  # type: ignore[misc]
    """Draws every row's next token itself and leaves `generate` no other; `logprobs` [rows, steps] are those drawn so far.

    A step's logits are overwritten with what is returned, and nothing small that stays is put between two of them: the
    heap would grow by half of the logits of every step.
    """

    def __init__(self, uniform: Tensor | None, temperature: float, logprobs: Tensor) -> None:
        self.uniform, self.temperature = uniform, temperature
        self.logprobs, self.step = logprobs, 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        uniform = None if self.uniform is None else self.uniform[:, self.step]
        tokens, self.logprobs[:, self.step] = draw(scores, uniform, self.temperature)
        self.step += 1
        return scores.fill_(float("-inf")).scatter_(1, tokens[:, None], 0.0)


class HFGenerate:
    """Any causal language model through its own `generate`, in batches of `rows` completions.

    Where the architecture allows it, a prompt that several completions share is computed once.
    """

    name = "hf"

    def __init__(self, model: Any, ends: Sequence[int], pad: int, *, rows: int = 256) -> None:
        self.model, self.ends, self.pad, self.rows = model, tuple(ends), pad, rows

    @torch.no_grad()
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
        check_ids(prompts, self.model)
        check_room(self.model.config, max(map(len, prompts)), max_new_tokens)
        device = next(self.model.parameters()).device
        asked = [list(p) for p in prompts for _ in range(samples)]
        uniform = uniform_numbers(seed, skip, len(asked), max_new_tokens).to(device) if temperature > 0 else None
        settings = plain_generation(
            self.model,
            max_new_tokens=max_new_tokens,
            do_sample=False,  # _Draw leaves nothing to choose
            use_cache=True,
            eos_token_id=list(self.ends) or None,
            pad_token_id=self.pad,
        )
        found = Samples([], [])
        with _evaluated(self.model), _settings(self.model, settings) as plain:
            for start in range(0, len(asked), self.rows):
                batch = asked[start : start + self.rows]
                width = max(map(len, batch))
                numbers = None if uniform is None else uniform[start : start + self.rows]
                drawn = _Draw(numbers, temperature, torch.zeros(len(batch), max_new_tokens, device=device))
                ids, mask = self._padded(batch, device)
                out = plain.generate(
                    ids,
                    attention_mask=mask,
                    generation_config=settings,
                    logits_processor=LogitsProcessorList([drawn]),
                    **self._prefilled(plain, batch, device),
                )
                for tokens, scores in zip(out[:, width:].tolist(), drawn.logprobs.tolist(), strict=True):
                    n = next((i + 1 for i, token in enumerate(tokens) if token in self.ends), len(tokens))
                    found.completions.append(tokens[:n])
                    found.logprobs.append(scores[:n])
        return found

    def _padded(self, texts: Sequence[Sequence[int]], device: Any) -> tuple[Tensor, Tensor]:
        """(token ids, mask) [texts, longest], padded in front."""
        width = max(map(len, texts))
        ids = torch.tensor([[self.pad] * (width - len(text)) + list(text) for text in texts], device=device)
        mask = torch.tensor([[0] * (width - len(text)) + [1] * len(text) for text in texts], device=device)
        return ids, mask

    def _prefilled(self, plain: Any, batch: Sequence[list[int]], device: Any) -> dict[str, Any]:
        """Keys and values of the batch's prompts but for their last tokens, each distinct prompt computed once; nothing where
        that is not known to be right or saves nothing.
        """
        unique: dict[tuple[int, ...], int] = {}
        owner = torch.tensor([unique.setdefault(tuple(prompt), len(unique)) for prompt in batch], device=device)
        if len(unique) == len(batch) or max(map(len, batch)) < 2 or not supports_shared_prompts(plain.config):
            return {}
        ids, mask = self._padded(list(unique), device)
        cache = DynamicCache(config=plain.config)
        positions = (mask.cumsum(-1) - 1).clamp_min(0)
        plain(
            input_ids=ids[:, :-1],
            attention_mask=mask[:, :-1],
            position_ids=positions[:, :-1],
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        cache.batch_select_indices(owner)
        return {"past_key_values": cache}


@contextmanager
def _settings(model: Any, settings: GenerationConfig) -> Iterator[Any]:
    """The model inside a PEFT wrapper, with `settings` in place of its own: `generate` takes what is unset from those."""
    plain = model.get_base_model() if hasattr(model, "peft_config") else model
    own = plain.generation_config
    plain.generation_config = settings
    try:
        yield plain
    finally:
        plain.generation_config = own


@contextmanager
def _evaluated(model: Any) -> Iterator[None]:
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def choose(model: Any, tokenizer: Any, setting: Literal["auto", "fast", "hf", "vllm"] = "auto") -> Generator:
    """The fast decoder where it supports the model, otherwise the model's own `generate`.

    `vllm` is run by TRL for rollouts and by base.models.served for answers; for anything else it means `generate`.
    """
    ends = end_tokens(model, tokenizer)
    reason = unsupported(model)
    if setting == "fast" and reason is not None:
        raise UserError(f"engine.generation=fast cannot run this model ({reason}): use auto or hf")
    if setting in ("auto", "fast") and reason is None:
        log.info("completions come from the fast decoder")
        return FastDecoder(model, ends)
    log.info("completions come from the model's generate%s", f" ({reason})" if reason else "")
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else ends[0]
    return HFGenerate(model, ends, pad)
