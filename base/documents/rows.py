"""Documents that a user gives: rows of a file or hub data set with a column of texts, or of conversations."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from base.documents.own import Document
from base.errors import UserError
from base.rows import LeftOut, NotJson, Odd, rows_of
from base.types import Message

COLUMNS = ("messages", "text", "content", "document")  # looked for in this order where the user names none
FORMAT = (
    'give rows such as {"text": TEXT} or {"messages": [{"role": "user", "content": TEXT}, {"role": "assistant", ...}]}, or '
    "name the column with column=NAME"
)


@dataclass(frozen=True)
class Found:
    """The documents of a source in its order, each once, and what was left out, in words ("" if nothing was)."""

    documents: tuple[Document, ...]
    left_out: str


def load(source: str, column: str = "") -> Found:
    """The documents of a .jsonl, .json (either also .gz) or .parquet file, or of a hub data set.

    Rows that are empty, malformed or come again are left out and counted.

    Raises:
        UserError: no such source or column, or no row that can be used.
    """
    path = Path(source).expanduser()
    stat = path.stat() if path.is_file() else None
    return _load(source, column, (stat.st_mtime_ns, stat.st_size) if stat else None)


def content_of(source: str) -> str:
    """What stands for a source in keys: the hash of a file's bytes; of what is no file its name."""
    path = Path(source).expanduser()
    if not path.is_file():
        return source
    stat = path.stat()
    return _digest(path, (stat.st_mtime_ns, stat.st_size))


@cache
def _digest(path: Path, version: tuple[int, int]) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def _load(source: str, column: str, version: tuple[int, int] | None) -> Found:
    found: dict[str, Document] = {}
    left_out, columns = LeftOut(), ""
    for place, row in rows_of(source, "documents", ("hacks",)):
        columns = columns or (", ".join(row) if isinstance(row, dict) else "")
        try:
            made = read(row, column)
            if made.said in found:
                raise Odd("a document that came before")
            found[made.said] = made
        except Odd as reason:
            left_out.add(place, reason)
    if not found:
        why = f"only rows that cannot be used: {left_out}" if left_out else "no rows"
        has = f" (its first row has {columns})" if columns else ""
        raise UserError(f"{source} holds {why}{has}: {FORMAT}")
    return Found(tuple(found.values()), str(left_out))


def read(row: Any, column: str = "") -> Document:
    """One row as a document: its `column`, or the first of COLUMNS that it has. Raises Odd."""
    if isinstance(row, NotJson):
        raise Odd(row.reason)
    if not isinstance(row, Mapping):
        raise Odd(f"a document must be an object of named values, not a {type(row).__name__}")
    name = column or next((known for known in COLUMNS if row.get(known) is not None), "")
    if not name or name not in row:
        raise Odd(f"no column '{column}'" if column else f"no column {', '.join(COLUMNS[:-1])} or {COLUMNS[-1]}")
    value = row[name]
    if isinstance(value, list):
        return Document("conversation", turns=_turns(name, value))
    if not isinstance(value, str):
        raise Odd(f"{name} must be a text or a list of messages, not a {type(value).__name__}")
    if not value.strip():
        raise Odd(f"{name} is empty")
    return Document("text", value.replace("\r\n", "\n"))


def _turns(name: str, value: list[Any]) -> tuple[Message, ...]:
    found = []
    for turn in value:
        role, said = (turn.get("role"), turn.get("content")) if isinstance(turn, Mapping) else (None, None)
        if role not in ("system", "user", "assistant") or not isinstance(said, str):
            raise Odd(f'each message of {name} must be {{"role": system, user or assistant, "content": TEXT}}')
        found.append(Message(role, said))
    if not any(turn.role == "assistant" and turn.content.strip() for turn in found):
        raise Odd(f"{name} has no turn of the assistant, so nothing to learn")
    if found[0].role == "assistant":
        raise Odd(f"{name} begins with the assistant: a conversation begins with a user's or system turn")
    return tuple(found)
