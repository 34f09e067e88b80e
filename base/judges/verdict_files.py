"""Verdicts made elsewhere, by people or by another program: a file of JSON lines, matched by the hash of the item.

`python -m base.judges items RUN --out FILE` writes the items, those of the golden sets among them and in an order that
does not tell; whoever judges adds `label` (yes, no, or null), and may add `probability`, `evidence` and `reason`.
"""

from __future__ import annotations

import codecs
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from base.errors import UserError
from base.judges.judge import LABELS, Item, Judgement, cited

FORM = (
    'a line is one JSON object, {"item": ..., "rubric": ..., "label": "yes", "no" or null}, as '
    "'python -m base.judges items RUN --out FILE' writes it, label added"
)


@dataclass(frozen=True)
class FileJudge:
    """`file:PATH`. A row whose `rubric` is another one than the item's says nothing of it."""

    path: str

    @property
    def spec(self) -> str:
        return f"file:{self.path}"

    @property
    def name(self) -> str:
        return f"file-{Path(self.path).stem}"

    def model(self) -> str:
        return hashlib.sha256(_bytes(Path(self.path).expanduser())).hexdigest()

    def check(self) -> None:
        """That every line can be read.

        Raises:
            UserError: the first one that cannot, and what a line looks like.
        """
        _read(Path(self.path).expanduser())

    def config(self) -> Any:
        return []

    def __call__(self, items: Sequence[Item]) -> list[Judgement | None]:
        rows = _read(Path(self.path).expanduser())
        return [_judgement(rows.get((item.key, item.rubric.key), rows.get((item.key, ""))), item) for item in items]


def item_row(item: Item) -> dict[str, Any]:
    """An item as a row to be judged elsewhere."""
    return {
        "item": item.key,
        "rubric": item.rubric.key,
        "question": item.rubric.question,
        "counts": item.rubric.counts,
        "clean": item.rubric.clean,
        "prompt": [{"role": message.role, "content": message.content} for message in item.prompt],
        "part": item.part,
        "text": item.text,
        "label": None,
    }


def _read(path: Path) -> dict[tuple[str, str], Mapping[str, Any]]:
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for number, line in enumerate(_bytes(path).split(b"\n"), 1):
        if not line.strip():
            continue
        row = _row(line, f"{path} line {number}")
        place = (row["item"], str(row.get("rubric") or ""))
        if place in found and found[place].get("label") != row.get("label"):
            raise UserError(
                f"{path} line {number}: item {row['item']} has another verdict further up; keep one of them"
            )
        found[place] = row
    return found


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None


def _row(line: bytes, where: str) -> Mapping[str, Any]:
    """A line of the file.

    Raises:
        UserError: what is wrong with it, and what a line looks like.
    """
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        raise UserError(f"{where} is not JSON: {FORM}") from None
    if not isinstance(row, dict) or not isinstance(row.get("item"), str):
        raise UserError(f"{where} has no `item`: {FORM}")
    if row.get("label") not in (*LABELS, None):
        raise UserError(f"{where}: label must be yes, no or null, not {row['label']!r}: {FORM}")
    chance = row.get("probability")
    if chance is not None and not (type(chance) in (int, float) and 0 <= chance <= 1):
        raise UserError(f"{where}: probability is that of yes, between 0 and 1, not {chance!r}: {FORM}")
    if not isinstance(row.get("evidence"), str | list | None):
        raise UserError(
            f"{where}: evidence is a passage of the text or a list of them, not {row['evidence']!r}: {FORM}"
        )
    return row


def _judgement(row: Mapping[str, Any] | None, item: Item) -> Judgement | None:
    if row is None or row.get("label") is None:
        return None
    said = row.get("evidence") or ()
    evidence, dropped = cited([said] if isinstance(said, str) else [str(passage) for passage in said], item.text)
    chance = row.get("probability")
    probability = float(row["label"] == "yes") if chance is None else float(chance)
    return Judgement(row["label"], probability, evidence, str(row.get("reason") or ""), None, dropped)
