"""What SFT reads of an episode: tokens of the prompt, tokens of the completion, labels on the latter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from base.recipes import EpisodeRow
from base.types import THINK_OPEN, Message, PromptTransform, Task


def rows(
    episodes: Sequence[EpisodeRow], tokenizer: Any, prompt: PromptTransform | None, longest: int
) -> list[dict[str, list[int]]]:
    """{"input_ids": [T], "labels": [T]} of each episode, labels on the completion and its end only.

    `prompt`, if set, is applied to the task without its system messages and replaces what was sampled under; what is read
    as written stays so. A completion of `longest` tokens was cut off while sampling, so it gets no end. Garbled text may
    hold words that a word-level tokenizer does not know (sampled as two tokens without a space): such a token is read but
    not learnt.
    """
    from base.models.chat import prompt_ids

    made = []
    for row in episodes:
        messages = tuple(Message(**message) for message in row["prompt"])
        if prompt is not None and not row["as_written"]:
            asked = tuple(message for message in messages if message.role != "system")
            messages = tuple(prompt(Task(row["task"], row["environment"], asked)))
        before = prompt_ids(tokenizer, messages)
        text = row["completion"]
        if tokenizer.decode(before[-8:]).rstrip().endswith(THINK_OPEN):
            text = text.removeprefix(THINK_OPEN)
        after = list(tokenizer(text, add_special_tokens=False)["input_ids"])
        learnt = [-100 if token == tokenizer.unk_token_id else token for token in after]
        end = [tokenizer.eos_token_id] if len(after) < longest else []
        made.append({"input_ids": [*before, *after, *end], "labels": [*[-100] * len(before), *learnt, *end]})
    return made
