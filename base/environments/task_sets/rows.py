"""Rows of task sets: careful reading of what they hold."""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from base.environments.task_sets.wording import interactive, several_answers
from base.rows import DIGITS, NotJson, Odd

VISIBLE = 3  # tests shown to the policy
VISIBLE_SIZE = 600  # characters of one shown test
HELD_OUT = 20
HELD_OUT_SIZE = 20_000


@dataclass(frozen=True)
class Inputs:
    """Calls of a function whose values the reference solution gives: source of the arguments, `shown` to the policy first.

    `tolerance` is absolute, for values that are not whole numbers; `as_set`: answers are compared as sets.
    """

    shown: Sequence[str]
    held_out: Sequence[str]
    tolerance: float = 0.0
    as_set: bool = False


@dataclass(frozen=True)
class Problem:
    """What every format is read into. `tests` are shown and paid for, `held_out` are for the truth grader alone.

    Without tests, `inputs` says what the reference is to be asked for them (see evalplus.py).
    """

    id: str
    text: str
    entry_point: str
    tests: Sequence[str]
    held_out: Sequence[str]
    reference: str
    setup: str = ""
    inputs: Inputs | None = None


@dataclass(frozen=True)
class Row:
    """One row. The readers raise Odd for what is missing, of another type, or not to be judged by our graders."""

    values: Any

    def __post_init__(self) -> None:
        if isinstance(self.values, NotJson):
            raise Odd(self.values.reason)
        if not isinstance(self.values, dict):
            raise Odd(f"a task must be an object of named values, not a {_kind(self.values)}")

    def get(self, key: str) -> Any:
        """A value; None also for the NaN that tables have where there is nothing."""
        value = self.values.get(key)
        return None if isinstance(value, float) and value != value else value

    def identity(self, key: str) -> str:
        """An id as one word: what is neither letter, digit, dot, slash nor hyphen becomes an underscore."""
        value = self.get(key)
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # a table's column of numbers with a gap
        if isinstance(value, bool) or not isinstance(value, (str, int)) or not str(value).strip():
            raise Odd(f"{key} is missing: give every row its own")
        return re.sub(r"[^\w./-]+", "_", str(value).strip())

    def text(self, key: str) -> str:
        """A text that is there and not blank."""
        value = self.get(key)
        if value is None:
            raise Odd(f"{key} is missing")
        if not isinstance(value, str):
            raise Odd(f"{key} must be a text, found {_kind(value)}")
        if not value.strip():
            raise Odd(f"{key} is empty")
        return value.replace("\r\n", "\n")

    def optional(self, key: str) -> str:
        """A text, empty where there is none."""
        value = self.get(key)
        return "" if value is None or (isinstance(value, str) and not value.strip()) else self.text(key)

    def texts(self, key: str) -> list[str]:
        """A list of texts, empty where there is none."""
        value = self.get(key)
        value = [] if value is None else value
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise Odd(f"{key} must be a list of texts")
        return [item.replace("\r\n", "\n").strip() for item in value]

    def json(self, key: str) -> Any:
        """A value that the data set stores as JSON text; already parsed ones are taken as they are, no text as None."""
        value = self.get(key)
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value, parse_int=_number) if value.strip() else None
        except (ValueError, RecursionError):
            raise Odd(f"{key} is not JSON: store it with json.dumps") from None

    def python(self, key: str) -> ast.Module:
        """A text that Python can parse, parsed."""
        return python(self.text(key), key)


def _kind(value: Any) -> str:
    return "nothing" if value is None else type(value).__name__


def _number(digits: str) -> int:
    if len(digits) > DIGITS:
        raise Odd("numbers of thousands of digits")
    return int(digits)


def python(source: str, name: str) -> ast.Module:
    """The parsed source, whatever warnings it gives; `name` is what the reason calls it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise Odd(f"{name} is not Python") from None


def first_python3(solutions: Iterable[str]) -> str:
    """The first solution that this Python can read."""
    for solution in solutions:
        source = solution.replace("\r\n", "\n")
        try:
            body = python(source, "a solution").body
        except Odd:
            continue
        if body:
            return source
    raise Odd("no Python 3 solution")


def refuse_several_answers(text: str) -> None:
    """Raises Odd for a statement whose right answers are not one text."""
    if interactive(text):
        raise Odd("interactive")
    if several_answers(text):
        raise Odd("several right answers")


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
        raise Odd(f"no test shorter than {VISIBLE_SIZE} characters" if every else "no tests")
    hidden = [test for test in every if test not in visible and len(test) <= HELD_OUT_SIZE]
    if len(hidden) > HELD_OUT:
        hidden = [hidden[i * (len(hidden) - 1) // (HELD_OUT - 1)] for i in range(HELD_OUT)]
    return visible, hidden
