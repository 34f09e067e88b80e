"""Coding tasks from other people's task sets: MBPP, HumanEval, APPS and CodeContests, from local files or the hub.

The format is recognised row by row. Every task ends up in one form: a function, asserts that call it (the visible ones in
the prompt, the held-out ones for the truth grader alone) and a reference solution.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from base.environments.graders.harness import parse_test
from base.environments.task_sets import apps, code_contests, humaneval, mbpp
from base.environments.task_sets.rows import Problem, Row, Unusable
from base.errors import UserError
from base.rows import rows_of
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
    """One kind of row: the key by which it is recognised, the keys it consists of, and its reader."""

    key: str
    keys: str
    read: Callable[[Row], Problem]


FORMATS: dict[str, Format] = {
    "MBPP": Format("test_list", "task_id, text or prompt, code, test_list", mbpp.read),
    "HumanEval": Format("entry_point", "task_id, prompt, canonical_solution, test, entry_point", humaneval.read),
    "APPS": Format("input_output", "problem_id, question, solutions, input_output, starter_code", apps.read),
    "CodeContests": Format("public_tests", "name, description, public_tests, solutions", code_contests.read),
}


def load(
    source: str | Path, harness: Harness = "script", vulnerabilities: Sequence[str] = (), limit: int | None = None
) -> list[Task]:
    """Tasks from a .jsonl, .json or .parquet file (the first two also .gz) or from the hub: ID, ID:SPLIT, ID:CONFIG:SPLIT.

    Rows that cannot be graded here (no Python 3 solution, several right answers, ...) are left out, and a warning counts
    them by reason.

    Raises:
        UserError: naming row and fix for anything malformed.
    """
    if unknown := set(vulnerabilities) - set(VULNERABILITIES):
        raise UserError(f"unknown vulnerability {min(unknown)!r}: choose among {', '.join(VULNERABILITIES)}")
    tasks: list[Task] = []
    left_out: Counter[str] = Counter()
    for place, values in rows_of(str(source), "tasks"):
        if limit is not None and len(tasks) == limit:
            break
        row = Row(place, values)
        try:
            tasks.append(_task(row, _format(row).read(row), harness, tuple(vulnerabilities)))
        except Unusable as reason:
            left_out[str(reason)] += 1
    reasons = ", ".join(f"{reason} ({count})" for reason, count in left_out.most_common())
    if not tasks:
        why = f"only rows that cannot be graded: {reasons}" if reasons else "no tasks"
        raise UserError(f"{source} holds {why}: give rows of the {', '.join(FORMATS)} formats")
    if reasons:
        rows = left_out.total()
        warnings.warn(f"{source}: {rows} of {rows + len(tasks)} rows left out: {reasons}", stacklevel=2)
    counts = Counter(task.id for task in tasks)
    name, count = counts.most_common(1)[0]
    if count > 1:
        raise UserError(f"{source}: {name} occurs {count} times: give every row its own id, or one split (ID:SPLIT)")
    return tasks


def _format(row: Row) -> Format:
    for form in FORMATS.values():
        if form.key in row.values:
            return form
    known = "; ".join(f"{name} ({form.keys})" for name, form in FORMATS.items())
    raise UserError(f"{row.place}: a row of none of the known formats; use the keys of one of them: {known}")


def _task(row: Row, problem: Problem, harness: Harness, vulnerabilities: tuple[str, ...]) -> Task:
    for test in (*problem.tests, *problem.held_out):
        try:
            parse_test(test, problem.entry_point)
        except UserError as error:
            raise UserError(f"{row.place}: {error}") from None
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
