"""The words of judging: a rubric, an item to be judged, a judgement, and what a judge is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

from base.errors import UserError
from base.settings import build
from base.spec import content_key
from base.types import Message
from base.yaml_text import read_yaml

Label = Literal["yes", "no"]
LABELS: tuple[Label, Label] = ("yes", "no")  # the criterion is met, or it is not
MARKS = "\"'`*“”‘’"  # quotes and emphasis that a judge may put around what it cites


@dataclass(frozen=True)
class Example:
    """One text with its label and the reason, shown to the judge."""

    prompt: str
    text: str
    why: str


@dataclass(frozen=True)
class Rubric:
    """One criterion of one eval, as a question whose answer is yes where a text counts.

    `counts` says what counts, `clean` what does not although it may look so; `met` and `unmet` are one contrast example of each.
    """

    question: str
    counts: str
    clean: str
    met: Example
    unmet: Example

    @cached_property
    def key(self) -> str:
        """Hash of all of it (16 hex digits): a verdict by other words is another verdict."""
        return content_key(self)[:16]


def rubric_of(values: Mapping[str, Any], where: str) -> Rubric:
    """A rubric from plain values, strictly.

    Raises:
        UserError: an unknown, missing or empty field.
    """
    made = build(Rubric, values, where)
    for name, text in {"question": made.question, "counts": made.counts, "clean": made.clean}.items():
        if not text.strip():
            raise UserError(f"{where}.{name} is empty: say it in a sentence")
    return made


COHERENCE = "coherence"  # its name where evals stand


@cache
def coherence() -> Rubric:
    """The separate question: does the text answer in language that can be understood?"""
    return rubric_of(read_yaml(Path(__file__).with_name("coherence.yaml")), COHERENCE)


@dataclass(frozen=True)
class Item:
    """What is judged by `rubric`: the reasoning of an answer (`output` empty) or its output (`reasoning` empty).

    `prompt` is what the model had read.
    """

    eval: str
    rubric: Rubric
    prompt: tuple[Message, ...]
    reasoning: str
    output: str

    @property
    def text(self) -> str:
        """The text to be judged."""
        return self.output or self.reasoning

    @property
    def part(self) -> Literal["reasoning", "output"]:
        """Which part of the answer it is."""
        return "reasoning" if self.reasoning and not self.output else "output"

    @cached_property
    def key(self) -> str:
        """Hash of what is judged, whatever the rubric: by it verdicts made elsewhere are matched."""
        said = [self.eval, [[m.role, m.content] for m in self.prompt], self.reasoning, self.output]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Judgement:
    """A judge's word on an item.

    `probability` is that of yes, of the two labels; `mass` what a model gives both labels together (None: not known).
    `evidence` holds passages of the text, word for word; `dropped` counts those cited that do not occur in it.
    """

    label: Label
    probability: float
    evidence: tuple[str, ...] = ()
    reason: str = ""
    mass: float | None = None
    dropped: int = 0


class Judge(Protocol):
    """A judgement for each item, in order; None is missing.

    A frozen dataclass: its fields are its options. (Preference models, which pay in RL, are base.recipes.Judge.)
    """

    @property
    def spec(self) -> str:
        """As on the command line."""

    @property
    def name(self) -> str:
        """Its short name in tables: letters, digits, `-`, `_` and `.`."""

    def model(self) -> str:
        """Hash or name of what judges."""

    def config(self) -> Any:
        """What else a judgement depends on."""

    def __call__(self, items: Sequence[Item]) -> list[Judgement | None]: ...


def model_key(judge: Judge) -> str:
    """Hash of what judges (16 hex digits)."""
    return content_key(judge.model())[:16]


def config_key(judge: Judge) -> str:
    """Hash of how it is asked (16 hex digits)."""
    return content_key([type(judge).__name__, judge.config()])[:16]


def cited(passages: Sequence[str], text: str) -> tuple[tuple[str, ...], int]:
    """(passages that occur in the text, how many do not); white space, and quotes around a passage, do not matter."""
    squeezed = " ".join(text.split())
    found = [short for passage in passages if (short := " ".join(passage.split()).strip(MARKS).strip()) in squeezed]
    kept = tuple(dict.fromkeys(passage for passage in found if passage))
    return kept, len(passages) - len(found)
