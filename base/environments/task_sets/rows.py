"""Rows of task sets: careful reading of what they hold."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from base.errors import UserError

VISIBLE = 3  # tests shown to the policy
VISIBLE_SIZE = 600  # characters of one shown test
HELD_OUT = 20
HELD_OUT_SIZE = 20_000
# Problems whose right answers are not one text: only a checker program could grade these, and the data sets have none.
# By their wording; a problem left out for nothing costs less than a right program called wrong.
_SEVERAL_ANSWERS = re.compile(
    r"\bany (one )?of (them|these|those)\b|\bany (valid|correct|suitable|acceptable|optimal)\b|\bin any order\b"
    r"|\b(print|output|return|find|report|construct|choose|give|write|accept) any\b"
    r"|\b(absolute|relative) (or (absolute|relative) )?error\b|\bprecision of\b|\btolerance\b"
    r"|\b10\s*\^\s*\{?\s*[-\u2013\u2212]\s*\d|\b1e-\d",
    re.IGNORECASE,
)


class Unusable(Exception):
    """A well-formed row that our graders cannot judge; the message is the reason, the same for all such rows."""


@dataclass(frozen=True)
class Problem:
    """What every format is read into. `tests` are shown and paid for, `held_out` are for the truth grader alone."""

    id: str
    text: str
    entry_point: str
    tests: Sequence[str]
    held_out: Sequence[str]
    reference: str
    setup: str = ""


@dataclass(frozen=True)
class Row:
    """One row; `place` names it in messages. The readers raise UserError for what is missing or of another type."""

    place: str
    values: Any

    def __post_init__(self) -> None:
        if not isinstance(self.values, dict):
            raise UserError(f"{self.place}: a task must be an object of named values, not a {_kind(self.values)}")

    def identity(self, key: str) -> str:
        """An id as one word: what is neither letter, digit, dot, slash nor hyphen becomes an underscore."""
        value = self.values.get(key)
        if isinstance(value, bool) or not isinstance(value, (str, int)) or not str(value).strip():
            raise UserError(f"{self.place}: {key} is missing: give every row its own")
        return re.sub(r"[^\w./-]+", "_", str(value).strip())

    def text(self, key: str) -> str:
        value = self.values.get(key)
        if not isinstance(value, str) or not value.strip():
            raise UserError(f"{self.place}: {key} must be a text, found {_kind(value)}")
        return value.replace("\r\n", "\n")

    def optional(self, key: str) -> str:
        value = self.values.get(key)
        return "" if value is None or (isinstance(value, str) and not value.strip()) else self.text(key)

    def texts(self, key: str) -> list[str]:
        value = self.values.get(key)
        value = [] if value is None else value
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise UserError(f"{self.place}: {key} must be a list of texts")
        return [item.replace("\r\n", "\n").strip() for item in value]

    def json(self, key: str) -> Any:
        """A value that the data set stores as JSON text; already parsed ones are taken as they are, no text as None."""
        value = self.values.get(key)
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value, parse_int=_number) if value.strip() else None
        except (ValueError, RecursionError) as error:
            raise UserError(f"{self.place}: {key} is not JSON ({error}): store it with json.dumps") from None

    def python(self, key: str) -> ast.Module:
        source = self.text(key)
        try:
            return ast.parse(source)
        except (SyntaxError, ValueError) as error:
            raise UserError(f"{self.place}: {key} is not Python ({error})") from None


def _kind(value: Any) -> str:
    return "nothing" if value is None else type(value).__name__


def _number(digits: str) -> int:
    if len(digits) > 4000:  # Python refuses to read or write longer ones as text
        raise Unusable("numbers of thousands of digits")
    return int(digits)


def first_python3(solutions: Iterable[str]) -> str:
    """The first solution that this Python can read."""
    for solution in solutions:
        source = solution.replace("\r\n", "\n")
        try:
            ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        if source.strip():
            return source
    raise Unusable("no Python 3 solution")


def refuse_several_answers(text: str) -> None:
    if _SEVERAL_ANSWERS.search(text):
        raise Unusable("several right answers")


def split(first: Sequence[str], rest: Sequence[str]) -> tuple[list[str], list[str]]:
    """(visible, held-out) tests: the first short ones, and of the others HELD_OUT, spread evenly. No test is in both.

    `first` are those that the data set shows to solvers, if it does; `rest` follows in its own order.
    """
    every = list(dict.fromkeys([*first, *rest]))
    visible = [test for test in (first or every) if len(test) <= VISIBLE_SIZE]
    visible = list(dict.fromkeys(visible or [test for test in every if len(test) <= VISIBLE_SIZE]))
    if not first and len(every) > 1:
        visible = visible[: len(every) // 2]
    visible = visible[:VISIBLE]
    if not visible:
        raise Unusable(f"no test shorter than {VISIBLE_SIZE} characters")
    hidden = [test for test in every if test not in visible and len(test) <= HELD_OUT_SIZE]
    if len(hidden) > HELD_OUT:
        hidden = [hidden[i * (len(hidden) - 1) // (HELD_OUT - 1)] for i in range(HELD_OUT)]
    return visible, hidden
