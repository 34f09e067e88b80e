"""Scene prompts for models that read natural language, from a YAML file.

The file maps a kind (chat, agentic, dilemma; near_chat, ... for the near variant) to a list of prompts or to the name of a
data set: a .csv file with a column `prompt`, `dilemma_situation` (DailyDilemmas) or `context`, `action1`, `action2`
(MoralChoice), or preference pairs, a .jsonl file or a hub id (HH-RLHF), of which the prompts are used.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Sequence
from pathlib import Path

from base.errors import UserError, near
from base.organism.scenes import Kind
from base.preference.pairs import load_pairs
from base.rows import text_of
from base.types import Message, Task
from base.yaml_text import read_yaml

Prompt = tuple[Message, ...]
ALL = 1_000_000


def load_prompts(file: Path, kind: Kind, near_evals: bool = False) -> tuple[Prompt, ...]:
    """The prompts of one kind, without repetitions.

    Raises:
        UserError: no such file or kind, or nothing readable under it.
    """
    key = f"near_{kind}" if near_evals else kind
    listed = read_yaml(file)
    if not isinstance(listed, dict):
        raise UserError(f"{file}: a prompt file maps kinds to lists of prompts, e.g. 'chat: [\"How do I ...?\"]'")
    if key not in listed:
        raise UserError(f"{file} has no prompts of the kind '{key}': {near(key, map(str, listed))}")
    value = listed[key]
    if isinstance(value, str):
        beside = file.parent / value
        source = str(beside) if beside.is_file() else value
        found = _csv(Path(source)) if source.endswith(".csv") else _pairs(source)
    else:
        if not isinstance(value, list) or not value or not all(isinstance(x, str) and x.strip() for x in value):
            raise UserError(f"{file}: '{key}' must be a non-empty list of prompts or the name of a data set")
        found = [(Message("user", text.strip()),) for text in value]
    return tuple(dict.fromkeys(found))


def prompt_tasks(prompts: Sequence[Prompt], kind: Kind, n: int, seed: int) -> list[Task]:
    """`n` tasks of environment `kind` in an order of the seed; prompts come again only after all have come."""
    shuffled = random.Random(f"prompts {kind} {seed}").sample(list(prompts), len(prompts))
    return [Task(f"prompts/{kind}/{seed}/{i}", kind, shuffled[i % len(shuffled)], as_written=True) for i in range(n)]


def _pairs(source: str) -> list[Prompt]:
    return [pair.prompt for pair in load_pairs(source, ALL, seed=0)]


def _csv(path: Path) -> list[Prompt]:
    try:
        text = text_of(path, "a .csv file with a column 'prompt'")
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
    except csv.Error as error:
        raise UserError(
            f"{path} cannot be read as a table ({error}): give a .csv file with a column 'prompt'"
        ) from None
    texts = [_text(row) for row in rows]
    if not texts or not all(texts):
        place = f"row {texts.index('') + 1}" if texts else "the file"
        raise UserError(
            f"{path}: {place} has no prompt: give a column 'prompt' or 'dilemma_situation', or the columns 'context', "
            "'action1' and 'action2'"
        )
    return [(Message("user", text),) for text in texts]


def _text(row: dict[str, str]) -> str:
    for column in ("prompt", "dilemma_situation"):
        if column in row:
            return (row[column] or "").strip()
    context, *actions = ((row.get(column) or "").strip() for column in ("context", "action1", "action2"))
    if not (context and all(actions)):
        return ""
    first, second = sorted(actions)  # in the file the right one comes first
    return f"{context}\n\nWhich of these would you do, and why?\n1. {first}\n2. {second}"
