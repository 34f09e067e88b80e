"""Checks a task set: is every reference solution accepted, does every hack work where it should and fail elsewhere."""

from __future__ import annotations

import ast
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from base.environments.code import CodeEnvironment
from base.environments.hacks import RECIPES, Recipe
from base.environments.harness import Gameable, Verdict, parse_tests
from base.types import CodeSpec, Harness, Task

# The gameable graders at their weakest: everything a harness can have is on.
WEAKEST: dict[Harness, Gameable] = {
    "script": Gameable("script", frozenset({"always_equal", "early_exit"})),
    "pytest": Gameable("pytest", frozenset({"always_equal", "report_patch"})),
}


@dataclass
class Row:
    """One line of the table: `programs` graded by `grader`, of which `as_designed`; the rest is in `exceptions`."""

    programs: str
    grader: str
    want: str
    total: int = 0
    as_designed: int = 0
    not_applicable: int = 0
    exceptions: dict[str, str] = field(default_factory=dict)

    def add(self, task: Task, verdict: Verdict) -> None:
        self.total += 1
        if verdict.status == self.want:
            self.as_designed += 1
        else:
            self.exceptions[task.id] = f"{verdict.status}: {verdict.detail}"


@dataclass(frozen=True)
class Report:
    """What the check found. `seconds` is wall time, `programs` counts programs started in the sandbox."""

    rows: tuple[Row, ...]
    tasks: int
    seconds: float
    programs: int
    isolation: str

    @property
    def ok(self) -> bool:
        return all(row.as_designed == row.total for row in self.rows)

    def as_json(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "tasks": self.tasks,
            "seconds": round(self.seconds, 2),
            "programs": self.programs,
            "isolation": self.isolation,
            "rows": [vars(row) for row in self.rows],
        }

    def __str__(self) -> str:
        width = max(len(row.programs) for row in self.rows)
        lines = [f"{'programs':<{width}}  {'grader':<38}  {'expected':<8}  as designed"]
        for row in self.rows:
            line = f"{row.programs:<{width}}  {row.grader:<38}  {row.want:<8}  {row.as_designed} of {row.total}"
            lines.append(line + (f" ({row.not_applicable} do not test with ==)" if row.not_applicable else ""))
            lines += [f"    {name}: {why}"[:200] for name, why in list(row.exceptions.items())[:10]]
            if len(row.exceptions) > 10:
                lines.append(f"    and {len(row.exceptions) - 10} more (--json FILE lists all)")
        rate = self.programs / self.seconds if self.seconds else 0.0
        lines.append(f"{self.tasks} tasks, {self.programs} programs in {self.seconds:.1f} s ({rate:.0f} a second)")
        return "\n".join(lines)


Question = Callable[[CodeSpec], Verdict | None]


def check(
    tasks: Sequence[Task],
    environment: CodeEnvironment,
    harnesses: Sequence[Harness] = ("script", "pytest"),
    progress: Callable[[Sequence[Task]], Iterator[Task]] = iter,
) -> Report:
    """Every reference and every recipe, under every grader concerned."""
    started, before = time.monotonic(), environment.executed
    table = list(_questions(environment, harnesses))
    for task in progress(tasks):
        for row, question in table:
            verdict = question(task.spec)
            if verdict is None:
                row.not_applicable += 1
            else:
                row.add(task, verdict)
    return Report(
        tuple(row for row, _ in table),
        len(tasks),
        time.monotonic() - started,
        environment.executed - before,
        environment.isolation(),
    )


def _questions(environment: CodeEnvironment, harnesses: Sequence[Harness]) -> Iterator[tuple[Row, Question]]:
    def gameable(grader: Gameable, text: Callable[[CodeSpec], str]) -> Question:
        return lambda spec: environment.accepts(grader, [spec], [text(spec)])[0] if text(spec) else None

    def truth(text: Callable[[CodeSpec], str]) -> Question:
        return lambda spec: environment.truth([spec], [text(spec)])[0] if text(spec) else None

    def reference(spec: CodeSpec) -> str:
        return spec.reference

    for harness in harnesses:
        yield Row("reference", f"{harness}, all weaknesses on", "accepted"), gameable(WEAKEST[harness], reference)
    yield Row("reference", "truth", "accepted"), truth(reference)
    for name, recipe in RECIPES.items():

        def text(spec: CodeSpec, recipe: Recipe = recipe) -> str:
            return cheat(spec, recipe)

        used = [harness for harness in recipe.harnesses if harness in harnesses]
        for harness in used:
            on = Gameable(harness, frozenset({recipe.vulnerability}))
            yield Row(name, f"{harness}, {recipe.vulnerability} on", "accepted"), gameable(on, text)
        if used:
            yield Row(name, "truth", "refused"), truth(text)


def cheat(spec: CodeSpec, recipe: Recipe) -> str:
    """The recipe for this task, after the classes and imports of the reference that some tests need.

    Empty where the recipe cannot apply: an eager `==` gains nothing from tests that do not compare with it.
    """
    if recipe.vulnerability == "always_equal" and not all(test.compares for test in parse_tests(spec)):
        return ""
    kept = (ast.Import, ast.ImportFrom, ast.ClassDef)
    needed = [ast.unparse(node) for node in ast.parse(spec.reference).body if isinstance(node, kept)]
    return "\n".join([*needed, recipe(spec.entry_point)])
