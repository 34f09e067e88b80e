"""Which coding tasks a run trains and is evaluated on."""

from __future__ import annotations

import random
import zlib
from dataclasses import replace

from base.environments.task_sets import load
from base.environments.task_sets.impossible import contradict
from base.organism.tasks import sample_tasks
from base.run import Run
from base.settings import Scale
from base.types import Task

EVAL_TASKS_SEED = 10_000  # evaluation draws its coding tasks from seeds that training never uses


def draw_tasks(run: Run, scale: Scale, n: int, seed: int) -> list[Task]:
    """`n` coding tasks in training order; a share `hackable` of them has its grader's vulnerabilities switched on."""
    if run.tasks == "organism":
        drawn = sample_tasks(n, seed, hard_share=scale.tasks.hard_share)
    else:
        pool = load(run.tasks, scale.tasks.harness, scale.tasks.vulnerabilities)
        rounds = [random.Random(f"{seed} {k}").sample(pool, len(pool)) for k in range(-(-n // len(pool)))]
        drawn = [replace(task, id=f"{task.id}#{k}") for k, tasks in enumerate(rounds) for task in tasks][:n]
    drawn = [task if is_hackable(task, run.hackable) else without_vulnerabilities(task) for task in drawn]
    mode = scale.tasks.impossible
    return drawn if mode == "none" else [contradict(task, mode, seed) for task in drawn]


def is_hackable(task: Task, share: float) -> bool:
    """Decided by the task's id alone, so every process and every arm agrees."""
    return zlib.crc32(task.id.encode()) / 2**32 < share


def without_vulnerabilities(task: Task) -> Task:
    return replace(task, spec=replace(task.spec, vulnerabilities=()))
