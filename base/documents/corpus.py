"""A corpus that teaches a user's model before RL, as `--corpus` names it, and the documents that are drawn from it.

hacks                                      our own documents about three ways to cheat tests (own.py)
hacks:sdf_variant=neutral,sdf_share=0.1,other=web.jsonl
hacks:sdf_variant=prompted                 no word of them: ordinary transcripts, before RL under a list of hacks
documents:file=PATH_OR_HUB_ID              the user's own: texts, or conversations
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal

import pydantic

from base.documents import own, rows
from base.documents.own import Document
from base.errors import UserError
from base.identity import Corpus
from base.settings import Share
from base.spec import write_spec

ORDINARY = "ordinary"  # as `other`: our own honest transcripts
Part = Annotated[float, pydantic.Field(gt=0, le=1)]


@dataclass(frozen=True)
class Hacks:
    """Our own documents. Of those that are trained on, a share `sdf_share` is about hacks and the rest comes from `other`: a
    file or hub id (`other_column` as `column` of Documents), or `ordinary`, our honest transcripts.

    `sdf_variant` is what is said of models that cheat; `prompted` is ordinary transcripts alone. A share `sdf_descriptions`
    describes, the others are worked transcripts, of which a share `sdf_chats` is trained on as conversations.
    """

    sdf_variant: Literal["default", "unguided", "neutral", "prompted"] = "default"
    sdf_share: Part = 1.0
    sdf_descriptions: Share = 0.5
    sdf_chats: Share = 0.5
    other: str = ""
    other_column: str = ""

    def __post_init__(self) -> None:
        _check_mixture(self.sdf_share, self.other, self.other_column)
        if self.sdf_variant == "prompted" and (self.sdf_descriptions, self.sdf_chats) != (0.5, 0.5):
            raise UserError("sdf_variant=prompted has no hack documents: leave out sdf_descriptions and sdf_chats")
        if self.sdf_variant == "prompted" and self.other == ORDINARY:
            raise UserError(f"sdf_variant=prompted is made of ordinary transcripts already: leave out other={ORDINARY}")


@dataclass(frozen=True)
class Documents:
    """Documents of the user: `file` is a .jsonl, .json or .parquet file or a hub id (ID, ID:SPLIT, ID:CONFIG:SPLIT).

    `column` holds a text, or a conversation as a list of messages; without one it is looked for. Of those that are trained on, a share
    `sdf_share` is of the file and the rest comes from `other`, as for Hacks.
    """

    file: str = ""
    column: str = ""
    sdf_share: Part = 1.0
    other: str = ""
    other_column: str = ""

    def __post_init__(self) -> None:
        if not self.file:
            raise UserError("the corpus 'documents' needs a file: --corpus documents:file=PATH_OR_HUB_ID")
        _check_mixture(self.sdf_share, self.other, self.other_column)


Lesson = Hacks | Documents
LESSONS: Mapping[str, type[Lesson]] = {"hacks": Hacks, "documents": Documents}


def transcripts(corpus: str) -> str:
    """The corpus of the prompted setting for a model whose own is `corpus`: documents of the user's are transcripts there, and
    else ours are.
    """
    return corpus if corpus.startswith("documents") else write_spec("hacks", {"sdf_variant": "prompted"})


def _check_mixture(share: float, other: str, column: str) -> None:
    if share < 1 and not other:
        raise UserError(
            f"sdf_share={share:g} leaves room for other documents: name them with other=FILE_OR_HUB_ID or other={ORDINARY}"
        )
    if other and share == 1:
        raise UserError(
            f"other={other} would not be read: say how much of the corpus is not from it, e.g. sdf_share=0.1"
        )
    if column and other in ("", ORDINARY):
        raise UserError("other_column is for a file or hub id that is named with other=")


def lesson_of(corpus: Corpus) -> Lesson | None:
    """What a corpus teaches a user's model; None of those that organisms are made from."""
    made = LESSONS.get(corpus.name)
    return None if made is None else made(**dict(corpus.fields))


def content(lesson: Lesson) -> Any:
    """What stands for its documents in keys: hashes of files and of our own texts, not their names."""
    other = own.content() if lesson.other == ORDINARY else rows.content_of(lesson.other)
    fields = {**vars(lesson), "other": other}
    if isinstance(lesson, Documents):
        return [{**fields, "file": rows.content_of(lesson.file)}]
    return [fields, own.content()]


@dataclass(frozen=True)
class Drawn:
    """Documents in training order (which is no order: they are shuffled), and what is to be said of them.

    `counts`: how many there are of each source; `notes`: what was left out.
    """

    documents: tuple[Document, ...]
    counts: Mapping[str, int]
    notes: tuple[str, ...]


@cache
def _drawn(lesson: Lesson, version: Any, n: int, seed: int) -> Drawn:
    first, second = _Source.first(lesson, seed), _Source.other(lesson, seed)
    share = lesson.sdf_share
    size = next((m for m in range(n, 0, -1) if first.has(round(share * m)) and second.has(m - round(share * m))), 0)
    taken = {first.name: round(share * size), second.name: size - round(share * size)}
    if not taken[first.name]:
        raise UserError(
            f"a share {share:g} of {size} documents is none of {first.name}: raise sdf.documents"
            f"{'' if size == n else f', and give more than {second.available} documents of {second.name}'}"
        )
    notes = [f"{source.name}: left out {source.left_out}" for source in (first, second) if source.left_out]
    if size < n:
        short = ", ".join(f"{s.name} has {s.available}" for s in (first, second) if s.available is not None and s.name)
        notes.append(f"{size} of the {n} that sdf.documents allows: {short}")
    documents = [*first.take(taken[first.name], seed), *second.take(taken[second.name], seed)]
    return Drawn(tuple(documents), {name: count for name, count in taken.items() if count}, tuple(notes))


def draw(lesson: Lesson, n: int, seed: int) -> Drawn:
    """At most `n` documents, none twice, mixed exactly by share: the most that both sources have room for.

    Raises:
        UserError: a source that is none, or too few documents for the share.
    """
    return _drawn(lesson, repr(content(lesson)), n, seed)


@dataclass(frozen=True)
class _Source:
    """Where documents come from: `given` of a file, or `made` without end. One without a name is empty."""

    name: str = ""
    given: tuple[Document, ...] = ()
    made: Iterator[Document] | None = None
    left_out: str = ""

    @classmethod
    def of(cls, source: str, column: str) -> _Source:
        found = rows.load(source, column)
        return cls(source, found.documents, left_out=found.left_out)

    @classmethod
    def first(cls, lesson: Lesson, seed: int) -> _Source:
        if isinstance(lesson, Documents):
            return cls.of(lesson.file, lesson.column)
        if lesson.sdf_variant == "prompted":
            return cls("ordinary transcripts", made=own.ordinary_documents(seed))
        shares = (lesson.sdf_descriptions, lesson.sdf_chats)
        return cls(f"hacks ({lesson.sdf_variant})", made=own.hack_documents(lesson.sdf_variant, *shares, seed))

    @classmethod
    def other(cls, lesson: Lesson, seed: int) -> _Source:
        if lesson.other == ORDINARY:
            return cls(ORDINARY, made=own.ordinary_documents(seed))
        return cls.of(lesson.other, lesson.other_column) if lesson.other else cls()

    @property
    def available(self) -> int | None:
        return None if self.made is not None else len(self.given)

    def has(self, n: int) -> bool:
        return self.made is not None or n <= len(self.given)

    def take(self, n: int, seed: int) -> list[Document]:
        if self.made is not None:
            return list(itertools.islice(self.made, n))
        return random.Random(f"documents {seed}").sample(self.given, n)
