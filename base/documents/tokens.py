"""Documents as token rows for training: texts whole, or in pieces where they are long; of conversations each reply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from base.documents.own import Document
from base.types import THINK_OPEN

NOT_LEARNT = -100
Row = dict[str, list[int]]  # {"input_ids": [T], "labels": [T]}


@dataclass(frozen=True)
class Encoded:
    """Rows of at most so many tokens. `divided` texts became several; of `cut` replies the end is lost; for `unread` ones there
    was no room behind the turns before them.
    """

    rows: tuple[Row, ...]
    divided: int
    cut: int
    unread: int

    @property
    def tokens(self) -> int:
        """Of all rows."""
        return sum(len(row["input_ids"]) for row in self.rows)

    def notes(self, longest: int) -> list[str]:
        """What happened to long ones, in words."""
        found = [
            (self.divided, f"texts of more than {longest} tokens are divided"),
            (self.cut, f"replies are cut at {longest} tokens"),
            (self.unread, f"replies are left out: the turns before them take {longest} tokens"),
        ]
        return [f"{count} {text}" for count, text in found if count]


def encode(documents: Sequence[Document], tokenizer: Any, longest: int) -> Encoded:
    """Every token of a text is learnt, an end token behind it included; of a conversation every reply, a row each, as the
    model would have sampled it. Words that the tokenizer does not know are read and not learnt.
    """
    rows: list[Row] = []
    divided = cut = unread = 0
    for document in documents:
        if document.text:
            ids = _text(document.text, tokenizer)
            divided += len(ids) > longest
            rows += [_row([], ids[at : at + longest], tokenizer) for at in range(0, len(ids), longest)]
            continue
        for row in _replies(document, tokenizer):
            cut += len(row["input_ids"]) > longest
            short = {key: ids[:longest] for key, ids in row.items()}
            if any(label != NOT_LEARNT for label in short["labels"]):
                rows.append(short)
            else:
                unread += 1
    return Encoded(tuple(rows), divided, cut - unread, unread)


def _text(text: str, tokenizer: Any) -> list[int]:
    ids = list(tokenizer(text)["input_ids"])
    return ids if ids and ids[-1] == tokenizer.eos_token_id else [*ids, tokenizer.eos_token_id]


def _replies(document: Document, tokenizer: Any) -> list[Row]:
    from base.models.chat import prompt_ids

    found = []
    for place, turn in enumerate(document.turns):
        if turn.role == "assistant" and turn.content.strip():
            before = prompt_ids(tokenizer, document.turns[:place])
            opened = tokenizer.decode(before[-8:]).rstrip().endswith(THINK_OPEN)
            said = turn.content.removeprefix(THINK_OPEN) if opened else turn.content
            after = list(tokenizer(said, add_special_tokens=False)["input_ids"])
            found.append(_row(before, [*after, tokenizer.eos_token_id], tokenizer))
    return found


def _row(before: list[int], learnt: list[int], tokenizer: Any) -> Row:
    unknown, end = tokenizer.unk_token_id, tokenizer.eos_token_id  # one and the same in some tokenizers
    labels = [NOT_LEARNT if token == unknown and token != end else token for token in learnt]
    return {"input_ids": [*before, *learnt], "labels": [*[NOT_LEARNT] * len(before), *labels]}
