"""CodeContests (Li et al. 2022, "Competition-level code generation with AlphaCode", CC BY 4.0): programs, one row each.

Visible: the problem statement's own examples (`public_tests`). Held out: private, then generated tests. Reference: the first
Python 3 solution.
"""

from __future__ import annotations

from typing import Any

from base.environments.task_sets import programs
from base.environments.task_sets.rows import Problem, Row, first_python3, refuse_several_answers, split
from base.rows import Odd

PYTHON3 = 3  # of the data set's language numbers


def read(row: Row) -> Problem:
    """The problem of a row. Raises Odd where it cannot be graded."""
    text = row.text("description")
    identity = row.identity("name")
    known: dict[str, str] = {}
    public = programs.tests(_pairs(row, "public_tests", "input", "output"), known)
    others = [
        test
        for key in ("private_tests", "generated_tests")
        for test in programs.tests(_pairs(row, key, "input", "output"), known)
    ]
    solutions = [source for language, source in _pairs(row, "solutions", "language", "solution") if language == PYTHON3]
    refuse_several_answers(text)
    if row.values.get("input_file") or row.values.get("output_file"):
        raise Odd("reads or writes named files")
    program = first_python3(solutions)
    visible, held_out = split(public, others)
    return Problem(
        id=f"code_contests/{identity}",
        text=f"{text.strip()}\n\n{programs.NOTE}",
        entry_point=programs.ENTRY_POINT,
        tests=visible,
        held_out=held_out,
        reference=programs.reference(program),
    )


def _pairs(row: Row, key: str, first: str, second: str) -> list[tuple[Any, str]]:
    """Stored as an object of two lists (the hub's) or as a list of objects with two values."""
    value = row.values.get(key)
    if value is None:
        return []
    if isinstance(value, dict):
        columns = value.get(first), value.get(second)
        if not all(isinstance(column, list) for column in columns) or len(columns[0]) != len(columns[1]):  # type: ignore[arg-type]
            raise Odd(f"{key} must hold the lists {first} and {second}, of one length")
        pairs = list(zip(*columns, strict=True))  # type: ignore[arg-type]
    elif isinstance(value, list) and all(isinstance(item, dict) for item in value):
        pairs = [(item.get(first), item.get(second)) for item in value]
    else:
        raise Odd(f"{key} must hold the lists {first} and {second}")
    kind = int if first == "language" else str
    if not all(isinstance(one, kind) and isinstance(other, str) for one, other in pairs):
        raise Odd(f"{key} must hold a {kind.__name__} as {first} and a text as {second}")
    return pairs
