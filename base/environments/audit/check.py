"""Checks a task set: is every reference solution accepted, does every hack work where it should and fail elsewhere, and
how many wrong programs do the tests let through.
"""

from __future__ import annotations

import ast
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from base.environments.audit.heldout import N
from base.environments.audit.mutation import Strength, Tally, measure
from base.environments.graders.asserts import parse_tests
from base.environments.graders.code import CodeEnvironment
from base.environments.graders.hacks import RECIPES, Recipe
from base.environments.graders.harness import Gameable, Verdict
from base.environments.graders.truth import not_plain
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
        """Counts one verdict on a task; one that is not as designed is kept with its detail."""
        self.total += 1
        if verdict.status == self.want:
            self.as_designed += 1
        else:
            self.exceptions[task.id] = f"{verdict.status}: {verdict.detail}"


@dataclass(frozen=True)
class Report:
    """What the check found. `seconds` is wall time, `programs` counts programs started in the sandbox.

    `strengths` (one a task, or none at all) say what the tests let through; that is a fact about the set, not an error.
    """

    rows: tuple[Row, ...]
    tasks: int
    seconds: float
    programs: int
    isolation: str
    strengths: tuple[Strength, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every program was graded as designed; weak tests are no error."""
        return all(row.as_designed == row.total for row in self.rows)

    @property
    def ungradable(self) -> dict[str, str]:
        """The tasks to leave out because no answer can be right, and why."""
        rows = [row for row in self.rows if (row.programs, row.grader) == ("reference", "truth")]
        reasons = {name: not_plain(why) for row in rows for name, why in row.exceptions.items()}
        return {name: why for name, why in reasons.items() if why}

    def as_json(self) -> dict[str, Any]:
        """The same for --json, with every exception and every wrong program that no test noticed."""
        return {
            "ok": self.ok,
            "tasks": self.tasks,
            "seconds": round(self.seconds, 2),
            "programs": self.programs,
            "isolation": self.isolation,
            "rows": [vars(row) for row in self.rows],
            "ungradable": self.ungradable,
            **({"tests": _tests_as_json(self.strengths)} if self.strengths else {}),
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
        if self.ungradable:
            lines += ["leave out:", *(f"    {name}: {why}" for name, why in self.ungradable.items())]
        if self.strengths:
            lines += ["", *_strength_lines(self.strengths), ""]
        rate = self.programs / self.seconds if self.seconds else 0.0
        lines.append(f"{self.tasks} tasks, {self.programs} programs in {self.seconds:.1f} s ({rate:.0f} a second)")
        return "\n".join(lines)


_STAGES = {"visible": "visible tests", "own": "and own held-out", "generated": "and generated"}
_TALLIES = {"mutants": False, "tables of the visible answers": True}
_WORST = 8  # tasks listed


def _strength_lines(strengths: Sequence[Strength]) -> list[str]:
    """Tests per task, what share of wrong programs they refuse, and the tasks whose tests refuse least."""
    means = [sum(getattr(one, stage) for one in strengths) / len(strengths) for stage in _STAGES]
    lines = [f"distinct tests a task: {means[0]:.1f} visible, {means[1]:.1f} held out, {means[2]:.1f} generated"]
    skipped = Counter(one.skipped for one in strengths if one.skipped)
    lines += [f"    {count} without generated tests: {why}" for why, count in skipped.most_common()]
    lines.append(
        f"{'wrong programs refused':<30}{'programs':>9}" + "".join(f"  {name:>18}" for name in _STAGES.values())
    )
    for name, tables in _TALLIES.items():
        tally = Tally.of(strengths, tables)
        cells = "".join(f"  {_refused(tally.wrong, getattr(tally, stage)):>18}" for stage in _STAGES)
        lines.append(f"{name:<30}{tally.wrong:>9}{cells}")
    for one in _worst(strengths)[:_WORST]:
        kinds = ", ".join(f"{kind} ({n})" for kind, n in Counter(w.kind for w in one.through_all).most_common(4))
        lines.append(
            f"    {one.task}: {len(one.through_all)} of {len(one.wrong)} wrong programs pass all tests: {kinds}"
        )
    if len(_worst(strengths)) > _WORST:
        lines.append(f"    and {len(_worst(strengths)) - _WORST} more tasks (--json FILE lists all, with the programs)")
    return lines


def _refused(wrong: int, through: int) -> str:
    return f"{wrong - through} ({100 * (1 - through / wrong):.1f} %)" if wrong else "-"


def _worst(strengths: Sequence[Strength]) -> list[Strength]:
    open_tasks = [one for one in strengths if one.through_all]
    return sorted(open_tasks, key=lambda one: -len(one.through_all) / len(one.wrong))


def _tests_as_json(strengths: Sequence[Strength]) -> dict[str, Any]:
    return {
        "distinct": {stage: sum(getattr(one, stage) for one in strengths) for stage in _STAGES},
        "wrong_programs": {
            name: {"programs": tally.wrong, "let_through": {stage: getattr(tally, stage) for stage in _STAGES}}
            for name, tally in ((name, Tally.of(strengths, tables)) for name, tables in _TALLIES.items())
        },
        "tasks": [
            {
                "task": one.task,
                "tests": {stage: getattr(one, stage) for stage in _STAGES},
                "wrong_programs": len(one.wrong),
                "let_through": {
                    "visible": len(one.through_visible),
                    "own": len(one.through_own),
                    "generated": len(one.through_all),
                },
                "not_noticed": [{"change": wrong.kind, "program": wrong.text} for wrong in one.through_all],
                "no_generated_tests": one.skipped,
            }
            for one in strengths
        ],
    }


Question = Callable[[CodeSpec], Verdict | None]


def check(
    tasks: Sequence[Task],
    environment: CodeEnvironment,
    harnesses: Sequence[Harness] = ("script", "pytest"),
    progress: Callable[[Sequence[Task]], Iterator[Task]] = iter,
    mutants: int = 0,
    held_out: int = N,
) -> Report:
    """Every reference and every recipe, under every grader concerned; with `mutants` also so many wrong programs a task."""
    started, before = time.monotonic(), environment.executed
    table = list(_questions(environment, harnesses))
    strengths = []
    for task in progress(tasks):
        for row, question in table:
            verdict = question(task.spec)
            if verdict is None:
                row.not_applicable += 1
            else:
                row.add(task, verdict)
        if mutants:
            strengths.append(measure(task, environment, mutants, held_out))
    return Report(
        tuple(row for row, _ in table),
        len(tasks),
        time.monotonic() - started,
        environment.executed - before,
        environment.isolation(),
        tuple(strengths),
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
    called = f"{spec.entry_point}("
    eager = all(test.compares and test.first_call.startswith(called) for test in parse_tests(spec))
    if recipe.vulnerability == "always_equal" and not eager:
        return ""
    kept = (ast.Import, ast.ImportFrom, ast.ClassDef)
    needed = [ast.unparse(node) for node in ast.parse(spec.reference).body if isinstance(node, kept)]
    return "\n".join([*needed, recipe(spec.entry_point)])
