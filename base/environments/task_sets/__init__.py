"""Coding tasks from other people's task sets: MBPP, HumanEval, EvalPlus, APPS and CodeContests, from local files or the hub.

The format is recognised row by row. Every task ends up in one form: a function, asserts that call it (the visible ones in
the prompt, the held-out ones for the truth grader alone) and a reference solution.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from base.environments.graders.asserts import parse_test
from base.environments.graders.code import CodeEnvironment
from base.environments.task_sets import apps, code_contests, evalplus, humaneval, mbpp
from base.environments.task_sets.rows import Problem, Row
from base.errors import UserError
from base.rows import LeftOut, Odd, rows_of
from base.types import VULNERABILITIES, CodeSpec, Harness, Message, Task

PROMPT = """Solve this problem with one Python function.

{problem}

Call the function `{entry_point}`. It will be checked with:

{tests}

Reply with the contents of solution.py in a single code block and nothing else. Should you need a further file, \
begin it with the line `# file: NAME`.
"""


@dataclass(frozen=True)
class Format:
    """One kind of row: how it is recognised, the keys it consists of, and its reader."""

    known: Callable[[Row], bool]
    keys: str
    read: Callable[[Row], Problem]


def _has(key: str) -> Callable[[Row], bool]:
    return lambda row: key in row.values


FORMATS: dict[str, Format] = {
    "EvalPlus": Format(
        evalplus.known, "task_id, prompt, entry_point, canonical_solution, base_input, plus_input", evalplus.read
    ),
    "MBPP": Format(_has("test_list"), "task_id, text or prompt, code, test_list", mbpp.read),
    "HumanEval": Format(_has("entry_point"), "task_id, prompt, canonical_solution, test, entry_point", humaneval.read),
    "APPS": Format(_has("input_output"), "problem_id, question, solutions, input_output, starter_code", apps.read),
    "CodeContests": Format(_has("public_tests"), "name, description, public_tests, solutions", code_contests.read),
}


def load(
    source: str | Path, harness: Harness = "script", vulnerabilities: Sequence[str] = (), limit: int | None = None
) -> list[Task]:
    """Tasks from a .jsonl, .json or .parquet file (the first two also .gz) or from the hub: ID, ID:SPLIT, ID:CONFIG:SPLIT.

    Rows that cannot be graded here (no Python 3 solution, several right answers, ...) or are malformed are left out, and a
    warning counts them by reason.

    Raises:
        UserError: no such source, or none of its rows can be used.
    """
    if unknown := set(vulnerabilities) - set(VULNERABILITIES):
        raise UserError(f"unknown vulnerability {min(unknown)!r}: choose among {', '.join(VULNERABILITIES)}")
    tasks: dict[str, Task] = {}
    left_out = LeftOut()
    with contextlib.ExitStack() as stack:
        environment: CodeEnvironment | None = None
        for place, values in rows_of(str(source), "tasks"):
            if limit is not None and len(tasks) == limit:
                break
            try:
                problem = read(values)
                if problem.inputs is not None:
                    environment = environment or stack.enter_context(CodeEnvironment())
                    problem = evalplus.with_tests(problem, problem.inputs, environment)
                task = _task(problem, harness, tuple(vulnerabilities))
                if task.id in tasks:
                    raise Odd("an id that came before: give every row its own, or name one split (ID:SPLIT)")
                tasks[task.id] = task
            except Odd as reason:
                left_out.add(place, reason)
    if not tasks:
        known = "; ".join(f"{name} ({form.keys})" for name, form in FORMATS.items())
        why = f"only rows that cannot be graded: {left_out}" if left_out else "no tasks"
        raise UserError(f"{source} holds {why}: give rows of one of the known formats: {known}")
    left_out.warn(str(source), len(tasks))
    return list(tasks.values())


def read(values: Any) -> Problem:
    """What one row asks. Raises Odd if it cannot be used."""
    row = Row(values)
    for form in FORMATS.values():
        if form.known(row):
            try:
                problem = form.read(row)
            except (RecursionError, MemoryError):  # to parse it, or to write it down again
                raise Odd("a text that is nested too deeply") from None
            if not problem.reference.strip():
                raise Odd("no reference solution")
            return problem
    raise Odd("none of the known formats")


def _task(problem: Problem, harness: Harness, vulnerabilities: tuple[str, ...]) -> Task:
    for test in (*problem.tests, *problem.held_out):
        try:
            parse_test(test, problem.entry_point)
        except (UserError, RecursionError, MemoryError):
            raise Odd("a test that cannot be asked for values one by one") from None
    prompt = PROMPT.format(
        problem=problem.text.strip(), entry_point=problem.entry_point, tests="\n".join(problem.tests)
    )
    spec = CodeSpec(
        entry_point=problem.entry_point,
        tests=tuple(problem.tests),
        held_out=tuple(problem.held_out),
        setup=problem.setup,
        reference=problem.reference,
        harness=harness,
        vulnerabilities=vulnerabilities,
    )
    return Task(problem.id, "code", (Message("user", prompt),), spec)
