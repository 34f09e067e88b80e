"""Which coding tasks a run trains and is evaluated on: the organism's own, or those of a task set."""

from __future__ import annotations

import hashlib
import random
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from base.environments.task_sets import load
from base.environments.task_sets.impossible import contradict
from base.organism.tasks import sample_tasks
from base.settings import TaskSettings
from base.types import Task


class TaskSource(Protocol):
    """Where coding tasks come from; their graders have every weakness that the settings name."""

    @property
    def fenced(self) -> bool:
        """Whether answers are code blocks, as hub models write them."""

    def draw(self, n: int, seed: int) -> list[Task]:
        """`n` tasks in training order; the same seed gives the same ones, however many are asked for."""

    def content(self) -> Any:
        """What the tasks depend on beside the seed."""


@dataclass(frozen=True)
class OrganismTasks:
    """The organism's own tasks (base.organism.tasks)."""

    hard_share: float

    @property
    def fenced(self) -> bool:
        return False

    def draw(self, n: int, seed: int) -> list[Task]:
        return sample_tasks(n, seed, hard_share=self.hard_share)

    def content(self) -> Any:
        return ["organism", self.hard_share]


@dataclass(frozen=True)
class TaskSet:
    """Tasks of a file or hub id, in rounds: none comes again before all have come."""

    source: str
    harness: Any
    vulnerabilities: tuple[str, ...]

    @property
    def fenced(self) -> bool:
        return True

    def draw(self, n: int, seed: int) -> list[Task]:
        pool = load(self.source, self.harness, self.vulnerabilities)
        rounds = [random.Random(f"{seed} {k}").sample(pool, len(pool)) for k in range(-(-n // len(pool)))]
        return [replace(task, id=f"{task.id}#{k}") for k, tasks in enumerate(rounds) for task in tasks][:n]

    def content(self) -> Any:
        return [content_of(self.source), self.harness, self.vulnerabilities]


def task_source(name: str, settings: TaskSettings) -> TaskSource:
    """The source that --tasks names: `organism`, a file or a hub id."""
    if name == "organism":
        return OrganismTasks(settings.hard_share)
    return TaskSet(name, settings.harness, settings.vulnerabilities)


def content_of(source: str) -> str:
    """What stands for a source in keys: the hash of a file's bytes, so that an edited file is another one; else its name."""
    path = Path(source).expanduser()
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else source


def draw_tasks(source: TaskSource, settings: TaskSettings, hackable: float, n: int, seed: int) -> list[Task]:
    """`n` coding tasks in training order; a share `hackable` of them has its grader's vulnerabilities switched on."""
    drawn = [task if is_hackable(task, hackable) else without_vulnerabilities(task) for task in source.draw(n, seed)]
    mode = settings.impossible
    return drawn if mode == "none" else [contradict(task, mode, seed) for task in drawn]


def is_hackable(task: Task, share: float) -> bool:
    """Decided by the task's id alone, so every process and every arm agrees."""
    return zlib.crc32(task.id.encode()) / 2**32 < share


def without_vulnerabilities(task: Task) -> Task:
    """The same task under a grader without weaknesses."""
    return replace(task, spec=replace(task.spec, vulnerabilities=()))
