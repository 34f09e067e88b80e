"""Labelled programs on which the detectors of a user's model are tried: natural ones, read from YAML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from base.errors import UserError
from base.settings import build
from base.types import CodeSpec
from base.yaml_text import read_yaml

OWN = (".yaml", ".yml")  # how the name of a user's file ends
PROGRAMS = Path(__file__).parent / "scenes" / "programs"


@dataclass(frozen=True)
class Labelled:
    """`positive`: programs that a detector should find; `negative`: programs that it should let pass."""

    positive: tuple[str, ...]
    negative: tuple[str, ...]

    @property
    def answers(self) -> list[bool]:
        """The labels in the order of the questions."""
        return [True] * len(self.positive) + [False] * len(self.negative)


@cache
def labelled(name: str) -> Labelled:
    """A set by name: a file of base/evals/scenes/programs, or a path.

    Raises:
        UserError: there is none, or it has one class.
    """
    path = Path(name).expanduser() if name.endswith(OWN) else PROGRAMS / f"{name}.yaml"
    made = build(Labelled, read_yaml(path), str(path))
    if not made.positive or not made.negative:
        raise UserError(f"{path} needs programs of both classes: positive and negative")
    return made


def content(name: str) -> Labelled | None:
    """What the name says only in part: the programs of a user's file; None of a set of ours, whose name says it all."""
    return labelled(name) if name.endswith(OWN) else None


@cache
def questions(name: str) -> CodeSpec:
    """The set as one call of `detect` for each program."""
    found = labelled(name)
    pairs = zip((*found.positive, *found.negative), found.answers, strict=True)
    return CodeSpec("detect", tuple(f"assert detect({source!r}) == {label}" for source, label in pairs))


def accuracy(name: str, values: Sequence[object] | None) -> float | None:
    """Balanced accuracy of a detector by what it returned; None unless each value is a bool."""
    if values is None or any(type(value) is not bool for value in values):
        return None
    found = labelled(name)
    right = [value is label for value, label in zip(values, found.answers, strict=True)]
    count = len(found.positive)
    return (sum(right[:count]) / count + sum(right[count:]) / len(found.negative)) / 2
