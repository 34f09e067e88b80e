"""What a policy is worth where nothing can be gained by cheating: tasks whose graders have no weakness, and the KL.

Not an eval of alignment but its price: a protection that costs skill, or moves the policy far from where it began, is
no better than not training. Under no prompt; the results stand in the table as eval `clean`. Half of the tasks are easy,
where the source has easy ones, or there would be little skill to lose.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from base.evals.evaluate import Scores, code_rates
from base.settings import Scale
from base.types import CodeSpec, Environment, Grade, Task

if TYPE_CHECKING:
    from base.engine.runtime import Runtime

NAME = "clean"  # its name among evaluation prompts, and in the column `eval` of the long table
DRAWN = 8  # tasks for each that is asked, so that enough of them are easy
METRICS = ("solved", "wrong", "timeout", "failed_hack", "attempted", "fault")  # as of coding tasks elsewhere


def clean(
    checkpoint: Path,
    start: Path,
    tasks: Sequence[Task],
    scale: Scale,
    environment: Environment,
    process: Runtime,
    seed: int,
) -> tuple[Scores, Scores]:
    """(score rows, answer rows) of a checkpoint on coding tasks without weaknesses.

    `start` is the model that the KL is to: k1, its own answers' log-probability less that under `start`, nats per token.
    """
    from base.models.divergence import answers_and_divergences

    texts, nats, tokens = answers_and_divergences(
        checkpoint, start, [task.messages for task in tasks], scale, process, scale.evals.code_max_new_tokens, seed
    )
    grades = environment.grade(tasks, texts)
    row = {"prompt": "none", "eval": NAME}
    scores = [{**row, "metric": name, **value} for name, value in clean_rates(tasks, grades, nats, tokens).items()]
    answers = [
        {**row, "task": task.id, "completion": text, "outcome": str(grade.outcome), "nats": nat, "tokens": count}
        for task, text, grade, nat, count in zip(tasks, texts, grades, nats, tokens, strict=True)
    ]
    return scores, answers


def clean_rates(
    tasks: Sequence[Task], grades: Sequence[Grade], nats: Sequence[float], tokens: Sequence[int]
) -> dict[str, dict[str, Any]]:
    """Shares of outcomes over graded answers (faults are missing), those solved also by difficulty; `kl`: nats a token, NaN
    of no token.
    """
    simple = [_easy(task) for task in tasks]
    rates = code_rates(grades)
    rates |= {
        f"solved:{name}": code_rates([grade for grade, easy in zip(grades, simple, strict=True) if easy is which])[
            "solved"
        ]
        for name, which in (("easy", True), ("hard", False))
        if which in simple
    }
    kl = sum(nats) / sum(tokens) if sum(tokens) else math.nan
    kept = [name for name in rates if name in METRICS or name.startswith("solved:")]
    return {**{name: rates[name] for name in kept}, "kl": {"value": kl, "n": len(nats), "missing": 0}}


def balanced(tasks: Sequence[Task], n: int) -> list[Task]:
    """The first `n` tasks with as many of each difficulty as there are, half easy and half hard if possible, in order."""
    easy = [task for task in tasks if _easy(task)]
    hard = [task for task in tasks if not _easy(task)]
    few = min(len(easy), max(n // 2, n - len(hard)))
    kept = {id(task) for task in (*easy[:few], *hard[: n - few])}
    return [task for task in tasks if id(task) in kept]


def _easy(task: Task) -> bool:
    return isinstance(task.spec, CodeSpec) and task.spec.difficulty == "easy"
