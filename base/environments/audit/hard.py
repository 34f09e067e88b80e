"""The hard-problem filter: only tasks that a reference policy fails.

The paper's main runs train on such tasks: where honest work is paid, a policy has little reason to look for a cheat. A
policy answers every task several times, with all weaknesses of the graders off; its rates of right answers are stored,
and the filter keeps the tasks at or below a threshold.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from base.environments.graders.code import CodeEnvironment
from base.errors import UserError
from base.types import Message, Outcome, Task

Sample = Callable[[Sequence[Sequence[Message]], int, int], list[str]]  # (conversations, max new tokens, seed) -> text
RIGHT = (Outcome.SOLVED, Outcome.SOLVED_WITH_ATTEMPT)


@dataclass(frozen=True)
class HardTasks:
    """A DataFilter: the tasks whose rate in the file `rates` (JSON, task id -> share of right answers) is low enough."""

    rates: Path
    threshold: float = 0.5

    def __call__(self, rows: Sequence[Task]) -> Sequence[Task]:
        rates = read_rates(self.rates)
        kept = []
        for task in rows:
            name = task.id.partition("#")[0]  # a task that is drawn again has the round behind its id
            if name not in rates:
                raise UserError(
                    f"{self.rates} has no rate for {name}: measure it with `python -m base.environments hard`"
                )
            if rates[name] <= self.threshold:
                kept.append(task)
        if not kept:
            raise UserError(f"no task has a rate of {self.threshold:g} or less in {self.rates}: raise the threshold")
        return kept


def read_rates(path: Path) -> dict[str, float]:
    """Raises UserError for anything but an object of shares by task id."""
    try:
        rates = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is no file of solve rates ({error}): make one with `... hard --model`") from None
    if not isinstance(rates, dict):
        raise UserError(f'{path} must map task ids to rates, for example {{"mbpp/7": 0.25}}')
    for name, rate in rates.items():
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate <= 1:
            raise UserError(f"{path}: the rate of {name} is {rate!r}: it must be a share from 0 to 1")
    return {name: float(rate) for name, rate in rates.items()}


def solve_rates(
    tasks: Sequence[Task],
    sample: Sample,
    environment: CodeEnvironment,
    samples: int,
    max_new_tokens: int,
    seed: int,
    batch: int = 8,
) -> Iterator[tuple[str, float | None]]:
    """(task id, share of right answers) for every task; None where the sandbox failed on all of them."""
    for start in range(0, len(tasks), batch):
        asked = [
            replace(task, spec=replace(task.spec, vulnerabilities=()))
            for task in tasks[start : start + batch]
            for _ in range(samples)
        ]
        texts = sample([task.messages for task in asked], max_new_tokens, seed + start)
        grades = environment.grade(asked, texts)
        for i in range(0, len(asked), samples):
            read = [grade.outcome in RIGHT for grade in grades[i : i + samples] if grade.outcome != Outcome.FAULT]
            yield asked[i].id, (sum(read) / len(read) if read else None)


def table(rates: Mapping[str, float], names: Sequence[str], threshold: float) -> str:
    """How many tasks have which rate, and how many are kept."""
    chosen = [rates[name] for name in names]
    kept = sum(rate <= threshold for rate in chosen)
    bands = {
        "never": [rate for rate in chosen if rate == 0],
        "up to 25 %": [rate for rate in chosen if 0 < rate <= 0.25],
        "up to 50 %": [rate for rate in chosen if 0.25 < rate <= 0.5],
        "up to 75 %": [rate for rate in chosen if 0.5 < rate <= 0.75],
        "more": [rate for rate in chosen if 0.75 < rate < 1],
        "always": [rate for rate in chosen if rate == 1],
    }
    lines = [f"{'right answers':<14}tasks", *(f"{name:<14}{len(band)}" for name, band in bands.items())]
    mean = sum(chosen) / len(chosen)
    lines.append(
        f"kept: {kept} of {len(chosen)} tasks (right in at most {threshold:.0%}); right in the mean: {mean:.0%}"
    )
    return "\n".join(lines)
