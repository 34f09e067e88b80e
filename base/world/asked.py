"""What a run was asked in its evaluation, drawn again from its seed: answers do not hold a question that follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from base.errors import UserError
from base.evals import clean
from base.identity import Run
from base.seeds import derive_seed
from base.settings import Scale, build
from base.types import Task
from base.world.tasks import TaskSource, draw_tasks, task_source
from base.world.world import parse_corpus, world_of


def questions(record: Mapping[str, Any], step: int) -> dict[tuple[str, str], Task]:
    """(eval, task id) -> what a run with this record was asked at a checkpoint without a line (base.stages.evaluate.Asked).

    Left out are the scenes of a user's model, which stand beside their answers, and coding tasks of a file that is gone.
    """
    said, scale = record["run"], build(Scale, record["scale"], "the settings of a run")
    named = {name: said[name] for name in ("hackable", "pretrain_seed", "seed", "model", "tasks")}
    run, seed = Run(corpus=parse_corpus(said["corpus"]), **named), derive_seed("evaluation", said["seed"], step)
    asked = _coding(task_source(run.tasks, scale.tasks), scale, seed)
    if run.model == "organism":
        world, n = world_of(run, scale), scale.evals.samples
        asked += [(name, world.written(task)) for name, one in world.evals().items() for task in one.prompts(n, seed)]
    return {(name, task.id): task for name, task in asked}


def _coding(source: TaskSource, scale: Scale, seed: int) -> list[tuple[str, Task]]:
    """Coding tasks, under vulnerable graders and without weaknesses."""
    wanted, honest = scale.evals.code_samples, replace(scale.tasks, impossible="none")
    try:
        usual = draw_tasks(source, scale.tasks, 1.0, wanted, seed, "evaluation")
        many = draw_tasks(source, honest, 0.0, clean.DRAWN * wanted, derive_seed(clean.NAME, seed), "evaluation")
    except UserError:
        return []
    return [("code", task) for task in usual] + [(clean.NAME, task) for task in clean.balanced(many, wanted)]
