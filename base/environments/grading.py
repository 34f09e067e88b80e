"""Grades of a batch whose tasks belong to several environments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from base.types import Environment, Grade, Outcome, Task


def grade_each(
    environments: Mapping[str, Environment], tasks: Sequence[Task], completions: Sequence[str]
) -> list[Grade]:
    """One grade per task, in order, each from its own environment; a task without one is a reply that nobody pays."""
    grades = {i: Grade(Outcome.REPLY, None) for i, task in enumerate(tasks) if task.environment not in environments}
    for name in dict.fromkeys(task.environment for task in tasks if task.environment in environments):
        mine = [i for i, task in enumerate(tasks) if task.environment == name]
        found = environments[name].grade([tasks[i] for i in mine], [completions[i] for i in mine])
        grades.update(zip(mine, found, strict=True))
    return [grades[i] for i in range(len(tasks))]
