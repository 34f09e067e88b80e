"""Which coding tasks a run trains and is evaluated on: the organism's own, or those of a task set."""

from __future__ import annotations

import hashlib
import random
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol

from base.environments.task_sets import load
from base.environments.task_sets.impossible import contradict
from base.errors import UserError
from base.organism.tasks import sample_tasks
from base.settings import TaskSettings
from base.types import Task

Part = Literal["train", "evaluation"]
EVALUATED = 4  # one task in so many of a set is for evaluation


class TaskSource(Protocol):
    """Where coding tasks come from; their graders have every weakness that the settings name."""

    @property
    def fenced(self) -> bool:
        """Whether answers are code blocks, as hub models write them."""

    def draw(self, n: int, seed: int, part: Part) -> list[Task]:
        """`n` tasks of a part in training order; the same seed gives the same ones, however many are asked for.

        Raises:
            UserError: no such tasks, or none in that part.
        """

    def content(self) -> Any:
        """What the tasks depend on beside the seed."""

    def facts(self) -> Mapping[str, Any]:
        """What a run's record says of them: how they are split and how many have held-out tests."""


@dataclass(frozen=True)
class OrganismTasks:
    """The organism's own tasks (base.organism.tasks)."""

    hard_share: float

    @property
    def fenced(self) -> bool:
        return False

    def draw(self, n: int, seed: int, part: Part) -> list[Task]:
        """Made for the seed, so that the parts need no split."""
        return sample_tasks(n, seed, hard_share=self.hard_share)

    def content(self) -> Any:
        return ["organism", self.hard_share]

    def facts(self) -> Mapping[str, Any]:
        return {}


@dataclass(frozen=True)
class TaskSet:
    """Tasks of a file or hub id, in rounds: none comes again before all have come.

    The parts share no task: which part a task is in follows from a hash of its id, hence also in other versions of the set.
    """

    source: str
    harness: Any
    vulnerabilities: tuple[str, ...]

    @property
    def fenced(self) -> bool:
        return True

    def part(self, part: Part) -> list[Task]:
        """All tasks of a part, in the set's order.

        Raises:
            UserError: no such tasks, or none in that part.
        """
        every = _loaded(self.source, content_of(self.source), self.harness, self.vulnerabilities)
        pool = [task for task in every if is_evaluated(task) == (part == "evaluation")]
        if not pool:
            raise UserError(
                f"{self.source} has {len(every)} tasks and none of them is for {part} (one in {EVALUATED}, by a hash of "
                "its id, is for evaluation): give more tasks"
            )
        return pool

    def draw(self, n: int, seed: int, part: Part) -> list[Task]:
        pool = self.part(part)
        rounds = [random.Random(f"{seed} {k}").sample(pool, len(pool)) for k in range(-(-n // len(pool)))]
        return [replace(task, id=f"{task.id}#{k}") for k, tasks in enumerate(rounds) for task in tasks][:n]

    def content(self) -> Any:
        return [content_of(self.source), self.harness, self.vulnerabilities, EVALUATED]

    def facts(self) -> Mapping[str, Any]:
        train, evaluation = self.part("train"), self.part("evaluation")
        return {
            "train": len(train),
            "evaluation": len(evaluation),
            "split": f"disjoint: one in {EVALUATED} by sha256 of its id is for evaluation",
            "without_held_out_tests": sum(not task.spec.held_out for task in [*train, *evaluation]),
        }


def said_of(source: TaskSource) -> str:
    """What a user should know of a task set, in a line."""
    facts = source.facts()
    every, bare = facts["train"] + facts["evaluation"], facts["without_held_out_tests"]
    text = f"{facts['train']} to train on, {facts['evaluation']} for evaluation, {facts['split']}"
    if not bare:
        return text
    return (
        f"{text}; {bare} of {every} have no held-out tests: a program that is a table of the visible answers counts as solved "
        "there (python -m base.environments extend adds tests)"
    )


def task_source(name: str, settings: TaskSettings) -> TaskSource:
    """The source that --tasks names: `organism`, a file or a hub id."""
    if name == "organism":
        return OrganismTasks(settings.hard_share)
    return TaskSet(name, settings.harness, settings.vulnerabilities)


@cache
def _loaded(source: str, content: str, harness: Any, vulnerabilities: tuple[str, ...]) -> tuple[Task, ...]:
    """The whole set; an edited file has other `content`."""
    return tuple(load(source, harness, vulnerabilities))


def is_evaluated(task: Task) -> bool:
    """Whether a task of a set is for evaluation alone: a hash of its id, the same in every process."""
    return int.from_bytes(hashlib.sha256(task.id.encode()).digest()[:8], "big") % EVALUATED == 0


def content_of(source: str) -> str:
    """What stands for a source in keys: the hash of a file's bytes, so that an edited file is another one; else its name."""
    path = Path(source).expanduser()
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else source


def draw_tasks(
    source: TaskSource, settings: TaskSettings, hackable: float, n: int, seed: int, part: Part = "train"
) -> list[Task]:
    """`n` coding tasks in training order; a share `hackable` of them has its grader's vulnerabilities switched on."""
    tasks = source.draw(n, seed, part)
    drawn = [task if is_hackable(task, hackable) else without_vulnerabilities(task) for task in tasks]
    mode = settings.impossible
    return drawn if mode == "none" else [contradict(task, mode, seed) for task in drawn]


def is_hackable(task: Task, share: float) -> bool:
    """Decided by the task's id alone, so every process and every arm agrees."""
    return zlib.crc32(task.id.encode()) / 2**32 < share


def without_vulnerabilities(task: Task) -> Task:
    """The same task under a grader without weaknesses."""
    return replace(task, spec=replace(task.spec, vulnerabilities=()))
