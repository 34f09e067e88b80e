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
from itertools import dropwhile
from pathlib import Path

from base.errors import UserError, near
from base.organism.scenes import Kind
from base.preference.pairs import load_pairs
from base.rows import text_of
from base.types import Message, Task
from base.yaml_text import read_yaml

Prompt = tuple[Message, ...]
ALL = 1_000_000
COLUMNS = (("prompt",), ("dilemma_situation",), ("context", "action1", "action2"))  # the first that a table has


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
        found = _csv(Path(source)) if source.lower().endswith(".csv") else _pairs(source)
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
    reader = csv.reader(io.StringIO(text_of(path, "a .csv file with a column 'prompt'"), newline=""), strict=True)
    try:
        head, *rows = [*dropwhile(lambda row: not row, reader)] or [[]]
    except csv.Error as error:
        raise UserError(
            f"{path} cannot be read as a table (line {reader.line_num}: {error}): close its quotes, or give another .csv file"
        ) from None
    columns = [name.strip() for name in head]
    wanted = next((names for names in COLUMNS if {*names} <= {*columns}), ())
    if not wanted:
        raise UserError(
            f"{path}: its columns are {', '.join(columns) or 'none'}: give a column 'prompt' or 'dilemma_situation', or the columns"
            " 'context', 'action1' and 'action2'"
        )
    for name in wanted:
        if columns.count(name) > 1:
            raise UserError(f"{path} has {columns.count(name)} columns '{name}': leave one of them")
    found: list[Prompt] = []
    for number, row in enumerate(rows, 1):
        if not any(row):
            continue
        if len(row) != len(columns):
            raise UserError(
                f"{path}: row {number} has {len(row)} fields, the head {len(columns)}: put texts with commas in quotes"
            )
        texts = [row[columns.index(name)].strip() for name in wanted]
        if not all(texts):
            raise UserError(f"{path}: row {number} has no {wanted[texts.index('')]}: fill it, or leave the row out")
        found.append((Message("user", _text(*texts)),))
    if not found:
        raise UserError(f"{path}: the file has no prompt: give a row at least")
    return found


def _text(context: str, *actions: str) -> str:
    if not actions:
        return context
    first, second = sorted(actions)  # in the file the right one comes first
    return f"{context}\n\nWhich of these would you do, and why?\n1. {first}\n2. {second}"
