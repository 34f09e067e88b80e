"""Programs on their way to a grade."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from base.environments.graders.asserts import Test
from base.environments.graders.harness import MAX_PROGRAM
from base.environments.graders.reach import Reach
from base.environments.sandbox import Job, Result
from base.types import CodeSpec, Grade

_READ = ("solution.py", "conftest.py")
_READ_TOGETHER = 256  # programs that one child parses
_TOGETHER = 64  # harmless programs that one child runs


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
        """The names of its files, and the texts of those that `reach` reads."""
        return {name: text if name in _READ else "" for name, text in self.files.items()}

    @property
    def reach_key(self) -> Any:
        return tuple(sorted(self.read.items()))

    @property
    def program(self) -> tuple[str, str]:
        """What the truth executes of it: solution.py and the task's set-up."""
        return self.files.get("solution.py", ""), self.spec.setup

    def truth_key(self, tests: Sequence[Test]) -> Any:
        """Whatever the truth's word on it depends on: no harness and no switch."""
        spec, sources = self.spec, tuple(test.source for test in tests)
        return spec.entry_point, spec.setup, spec.reference, sources, tuple(sorted(self.files.items()))


class Kept(OrderedDict[Any, Any]):
    """What is known already, of as many keys as `size`: the least recently asked for is forgotten first."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def ask(self, key: Any) -> Any:
        """None if it is not known."""
        if key in self:
            self.move_to_end(key)
        return self.get(key)

    def keep(self, key: Any, value: Any) -> None:
        self[key] = value
        while len(self) > self.size:
            self.popitem(last=False)


def parts_of(asked: Sequence[int], workers: int) -> Iterator[Sequence[int]]:
    """Programs that share a child, so that every worker has some."""
    size = min(_TOGETHER, max(_TOGETHER // 8, -(-len(asked) // workers)))
    for start in range(0, len(asked), size):
        yield asked[start : start + size]


def chunks(cases: Sequence[Case]) -> list[list[Case]]:
    """In parts that one child can read: so many programs, and in sum about as much text as one may have."""
    parts: list[list[Case]] = []
    room = 0
    for case in cases:
        size = sum(map(len, case.read.values()))
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
