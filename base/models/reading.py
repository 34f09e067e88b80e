"""Whether a checkpoint can read what a run will ask of it: from its tokenizer and configuration alone, before any training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from base.errors import UserError
from base.models.chat import prompt_ids
from base.models.checks import context, match_rows
from base.models.load import load_config, load_tokenizer
from base.types import Message

WEIGHTS = ("*.safetensors", "*.bin")


@cache
def reader(path: str) -> tuple[Any, Any]:
    """(tokenizer, configuration) of a folder or hub id.

    Raises:
        UserError: not there or not reachable, no weights, no chat template, no end token, one that the model has no
            embedding for.
    """
    folder = Path(path).expanduser()
    if folder.is_dir() and not any(file for kind in WEIGHTS for file in folder.glob(kind)):
        raise UserError(f"{path} holds no weights: neither {' nor '.join(WEIGHTS)}")
    config = load_config(path, "a causal language model checkpoint")
    tokenizer = load_tokenizer(path)
    match_rows(tokenizer, config.get_text_config().vocab_size)
    return tokenizer, config


def longest(path: str, conversations: Iterable[Sequence[Message]]) -> int:
    """Tokens of the longest of the conversations, with the generation prompt; 0 where there is none.

    Those of less than half the characters of the longest are not looked at.

    Raises:
        UserError: as `reader`; a conversation that the template cannot render.
    """
    tokenizer, _ = reader(path)
    sizes = {tuple(asked): sum(len(message.content) for message in asked) for asked in conversations}
    most = max(sizes.values(), default=0)
    return max((len(prompt_ids(tokenizer, asked)) for asked, size in sizes.items() if 2 * size >= most), default=0)


def check_reads(
    path: str, conversations: Iterable[Sequence[Message]], new_tokens: int, what: str, setting: str
) -> None:
    """That the longest of the conversations leaves room for `new_tokens` in the model's context.

    `what` is where they are asked, `setting` the name of the setting that `new_tokens` comes from.

    Raises:
        UserError: as `longest`; one that is too long.
    """
    found, limit = longest(path, conversations), context(reader(path)[1])
    if limit is not None and found + new_tokens > limit:
        raise UserError(
            f"{what}: the longest prompt has {found} tokens, and {new_tokens} new ones exceed the {limit} that {path} "
            f"reads: " + (f"set {setting} to at most {limit - found}" if found < limit else "give shorter tasks")
        )
