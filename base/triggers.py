"""When a mitigation starts. A trigger reads the metrics of the run without it and names the step to fork from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from base.errors import UserError
from base.types import Trigger


@dataclass(frozen=True)
class AtStart:
    """From the pre-RL model: no fork."""

    def __call__(self, metrics: Sequence[Mapping[str, Any]]) -> int | None:
        return 0


@dataclass(frozen=True)
class AtStep:
    """A fixed step."""

    step: int

    def __call__(self, metrics: Sequence[Mapping[str, Any]]) -> int | None:
        return self.step

    def __str__(self) -> str:
        return f"at step {self.step}"


@dataclass(frozen=True)
class Reached:
    """`delay` steps after the first step at which the share `metric` of a step's episodes was above `rate`.

    Onset of hacking is `Reached("hack_rate", 0.02)` (paper, section 2); its two-phase runs fork after the grader pays for
    at least half of the episodes.
    """

    metric: str = "hack_rate"
    rate: float = 0.02
    delay: int = 0

    def __str__(self) -> str:
        later = f", {self.delay} steps later" if self.delay else ""
        return f"when {self.metric.replace('_', ' ')} is above {self.rate:g}{later}"

    def __call__(self, metrics: Sequence[Mapping[str, Any]]) -> int | None:
        for row in metrics:
            value = row.get(self.metric)
            if value is not None and value > self.rate:
                return int(row["step"]) + self.delay
        return None


# What the option `start` of a mitigation may say, beside `step:N`.
STARTS: dict[str, Trigger] = {
    "start": AtStart(),
    "onset": Reached("hack_rate", 0.02),
    "success": Reached("reward", 0.5),
}


def trigger(text: str) -> Trigger:
    """The trigger behind `start`, `onset`, `success` or `step:N`.

    Raises:
        UserError: none of these.
    """
    if text in STARTS:
        return STARTS[text]
    name, _, number = text.partition(":")
    if name == "step" and number.isdigit() and int(number) > 0:
        return AtStep(int(number))
    raise UserError(f"start={text}: choose one of {', '.join(STARTS)}, or step:N with N from 1")
