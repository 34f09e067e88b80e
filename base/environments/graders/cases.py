"""Programs on their way to a grade."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from base.environments.graders.harness import MAX_PROGRAM, Test
from base.environments.graders.reach import Reach
from base.environments.sandbox import Job, Result
from base.types import CodeSpec, Grade

_READ_TOGETHER = 256  # programs that one child parses


@dataclass
class Case:
    """One distinct program under one spec, on its way to a grade."""

    files: dict[str, str]
    spec: CodeSpec
    visible: tuple[Test, ...]
    everything: tuple[Test, ...]
    grade: Grade | None = None
    reach: Reach = field(default_factory=Reach)  # what it can do at all, once that was found out

    @property
    def computes(self) -> bool:
        """Whether the truth tells everything (`CodeEnvironment._compute`); on an impossible task not what is paid."""
        return self.reach.nothing and not self.spec.impossible

    @property
    def vulnerabilities(self) -> frozenset[str]:
        known = {"always_equal", "early_exit"} | ({"report_patch"} if self.spec.harness == "pytest" else set())
        return frozenset(self.spec.vulnerabilities) & known

    @property
    def read(self) -> dict[str, str]:
        """The names of its files, and the text of the one that `reach` reads."""
        return {name: text if name == "solution.py" else "" for name, text in self.files.items()}


def chunks(cases: Sequence[Case]) -> list[list[Case]]:
    """In parts that one child can read: so many programs, and in sum about as much text as one may have."""
    parts: list[list[Case]] = []
    room = 0
    for case in cases:
        size = len(case.files.get("solution.py", ""))
        if not parts or size > room or len(parts[-1]) == _READ_TOGETHER:
            parts.append([])
            room = 2 * MAX_PROGRAM
        parts[-1].append(case)
        room -= size
    return parts


def reach_job(programs: Sequence[dict[str, str]]) -> Job:
    """Asks what programs can at most do (graders.reach); they are parsed, not run."""
    return Job({"mode": "reach", "programs": list(programs)}, answers=len(programs))


def reaches(result: Result, count: int) -> list[Reach]:
    """One for each program that was answered, up to the first that the child died of."""
    found = [Reach(*reply) for reply in result.replies]
    return found[:count]
