"""How far a policy is from another model on its own answers: log-probabilities of both, on what the policy sampled."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from base.models import chat, generate
from base.models import logprobs as fast
from base.models.arithmetic import set_arithmetic
from base.models.attention import shared_attention, supports_shared_prompts
from base.models.checks import check_numbers, match_tokenizer
from base.models.load import load_tokenizer, policy_on
from base.settings import Scale
from base.types import Message

if TYPE_CHECKING:
    from base.engine.runtime import Runtime

ROWS = 48  # in a forward pass


def answers_and_divergences(
    policy: Path,
    reference: Path,
    conversations: Sequence[Sequence[Message]],
    scale: Scale,
    process: Runtime,
    max_new_tokens: int,
    seed: int,
) -> tuple[list[str], list[float], list[int]]:
    """(completion texts, nats, tokens) of the policy's sampled answers, one each per conversation.

    `nats` is log p(answer) under the policy minus the same under the reference (both at the sampling temperature). Their sum
    over the sum of `tokens` is the k1 estimate of the KL divergence per token: unbiased, and now and then below zero.
    """
    model, tokenizer = _loaded(policy, process), load_tokenizer(policy)
    chat.pin_thinking(tokenizer, scale.scenes.enable_thinking)
    match_tokenizer(tokenizer, model)
    check_numbers(model, tokenizer.pad_token_id)
    temperature, ends = scale.evals.temperature, chat.end_tokens(model, tokenizer)
    prompts = [chat.prompt_ids(tokenizer, tuple(messages)) for messages in conversations]
    decode = generate.choose(model, tokenizer, scale.engine.generation)
    answers = decode(prompts, max_new_tokens=max_new_tokens, seed=seed, temperature=temperature).completions
    texts = [chat.completion_text(tokenizer, prompt, ids, ends) for prompt, ids in zip(prompts, answers, strict=True)]
    own = log_probabilities(model, prompts, answers, tokenizer.pad_token_id, temperature)
    theirs = log_probabilities(_loaded(reference, process), prompts, answers, tokenizer.pad_token_id, temperature)
    return texts, [one - other for one, other in zip(own, theirs, strict=True)], [len(ids) for ids in answers]


def _loaded(checkpoint: Path, process: Runtime) -> Any:
    model = policy_on(process, checkpoint)
    set_arithmetic(model, process.arithmetic)
    return model


@torch.no_grad()
def log_probabilities(
    model: Any, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], padding: int, temperature: float
) -> list[float]:
    """log p(answer | prompt) in nats, one per row; `padding` is any token's id."""
    device = next(model.parameters()).device
    shared = device.type == "cpu" and supports_shared_prompts(model.config)
    score = fast.score_shared if shared else fast.score_padded
    found: list[float] = []
    with shared_attention(model) if shared else nullcontext():
        for at in range(0, len(prompts), ROWS):
            asked, answered = prompts[at : at + ROWS], answers[at : at + ROWS]
            ids, mask, width = _padded(asked, answered, padding)
            scores, _ = score(model, ids.to(device), mask.to(device), width, temperature, False)
            parts = torch.split(scores.double().cpu(), [len(row) for row in answered])
            found += [float(part.sum()) for part in parts]
    return found


def _padded(
    prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], padding: int
) -> tuple[Tensor, Tensor, int]:
    """(ids, mask) [B, prompt + answer], prompts padded in front and answers behind, and the width of the answers."""
    before, after = max(map(len, prompts)), max(map(len, answers))
    ids = torch.full((len(prompts), before + after), padding)
    mask = torch.zeros_like(ids)
    for row, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        used = slice(before - len(prompt), before + len(answer))
        ids[row, used], mask[row, used] = torch.tensor([*prompt, *answer]), 1
    return ids, mask, after
