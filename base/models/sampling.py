"""Answers of a checkpoint, for evals, gates and collected episodes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from base.models import chat, generate
from base.models.arithmetic import set_arithmetic
from base.models.checks import check_numbers, match_tokenizer
from base.models.draws import Generator
from base.models.load import declared, load_tokenizer, policy_on
from base.models.served import Served
from base.seeds import derive_seed
from base.settings import Scale
from base.types import Message, Sample

if TYPE_CHECKING:
    from base.engine.runtime import Runtime


def sampler(checkpoint: Path, scale: Scale, process: Runtime) -> Sample:
    """Samples answers of a checkpoint, on this process's device, through vLLM where `engine.generation` says so: (conversations,
    max new tokens, seed) -> completion texts.
    """
    tokenizer = load_tokenizer(checkpoint)
    chat.pin_thinking(tokenizer, scale.scenes.enable_thinking)
    if scale.engine.generation == "vllm":
        ends = chat.end_tokens(declared(checkpoint), tokenizer)
        decode: Generator = Served(checkpoint, ends, process)
    else:
        model = policy_on(process, checkpoint)
        match_tokenizer(tokenizer, model)
        check_numbers(model, tokenizer.pad_token_id)
        set_arithmetic(model, process.arithmetic)
        ends = chat.end_tokens(model, tokenizer)
        decode = generate.choose(model, tokenizer, scale.engine.generation)

    @cache
    def tokens(messages: tuple[Message, ...]) -> list[int]:
        return chat.prompt_ids(tokenizer, messages)

    def sample(conversations: Sequence[Any], max_new_tokens: int, seed: int) -> list[str]:
        prompts = [tokens(tuple(messages)) for messages in conversations]
        drawn = decode(prompts, max_new_tokens=max_new_tokens, seed=seed, temperature=scale.evals.temperature)
        pairs = zip(prompts, drawn.completions, strict=True)
        return [chat.completion_text(tokenizer, prompt, ids, ends) for prompt, ids in pairs]

    return sample


def gate_sampler(checkpoint: Path, scale: Scale, process: Runtime, seed: int) -> Any:
    """The gates' view of a checkpoint: every call draws with a seed of its own, the same in every repetition."""
    sample, calls = sampler(checkpoint, scale, process), itertools.count()
    tokens = max(scale.evals.max_new_tokens, scale.evals.code_max_new_tokens)
    return lambda conversations: sample(conversations, tokens, derive_seed("gates", seed, next(calls)))
