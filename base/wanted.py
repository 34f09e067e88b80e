"""What of a run is evaluated: which of its checkpoints, under which prompts. Claims, figures, plans and runs read it here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from base.errors import UserError, near

FINAL = 3  # the final value of a run is the mean over its last FINAL saved checkpoints: they are always evaluated
PROMPTS = ("none", "dont_hack", "training")  # no prompt, a line against hacking, the prompt of its own training
ALWAYS = ("none", "training")
_HOW = (
    f"write all, or start,middle,last:N with N at least {FINAL} (the start and the last {FINAL} are always evaluated)"
)


@dataclass(frozen=True)
class Wanted:
    """Checkpoints and prompts. Claims rest on step 0, the last FINAL checkpoints, no prompt and a run's own training prompt:
    these are in every one.

    `every`: all saved checkpoints; otherwise the last `last` of them and, with `middle`, the one nearest to half of training.
    """

    every: bool = False
    middle: bool = True
    last: int = FINAL
    prompts: tuple[str, ...] = PROMPTS

    def steps(self, saved: Sequence[int]) -> list[int]:
        """The wanted ones of the saved steps (ascending, without 0), ascending."""
        if self.every:
            return list(saved)
        middle = [min(saved, key=lambda step: abs(2 * step - saved[-1]))] if self.middle else []
        return sorted({*middle, *saved[-self.last :]})

    @property
    def checkpoints(self) -> str:
        """As it is written on the command line."""
        return "all" if self.every else ",".join(["start", *["middle"] * self.middle, f"last:{self.last}"])


def parse(checkpoints: str, prompts: str = ",".join(PROMPTS)) -> Wanted:
    """`all`, or parts joined by commas: start, middle, last:N; prompts by name, joined by commas.

    Raises:
        UserError: a part or a prompt that is none.
    """
    names = [name.strip() for name in prompts.split(",")]
    for name in names:
        if name not in PROMPTS:
            raise UserError(f"unknown evaluation prompt '{name}': {near(name, PROMPTS)}")
    asked = tuple(name for name in PROMPTS if name in (*ALWAYS, *names))
    if checkpoints.strip() == "all":
        return Wanted(every=True, prompts=asked)
    parts = [part.strip() for part in checkpoints.split(",")]
    last = [int(found[1]) for part in parts if (found := re.fullmatch(r"last:(\d{1,9})", part))]
    if (
        len(last) + parts.count("start") + parts.count("middle") < len(parts)
        or len(last) > 1
        or min(last, default=FINAL) < FINAL
    ):
        raise UserError(f"cannot evaluate '{checkpoints}': {_HOW}")
    return Wanted(middle="middle" in parts, last=last[0] if last else FINAL, prompts=asked)
