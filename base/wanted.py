"""What of a run is evaluated: which of its checkpoints, under which prompts. Claims, figures, plans and runs read it here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from base.errors import UserError, near

FINAL = 3  # the final value of a run is the mean over its last FINAL saved checkpoints: they are always evaluated
PROMPTS = ("none", "dont_hack", "training")  # no prompt, a line against hacking, the prompt of its own training
ALWAYS = ("none", "training")
CLEAN = "clean"  # no prompt but other tasks: coding without weaknesses, and the KL to the start (base.evals.clean)
# How much of a line is read: variants of the run's own one, asked of the start and the last FINAL checkpoints.
LEAK = ("paraphrase", "negation", "keywords", "same_form")
NAMES = (*PROMPTS, CLEAN, *LEAK)
_HOW = (
    f"write all, or start,middle,last:N with N at least {FINAL} (the start and the last {FINAL} are always evaluated)"
)


@dataclass(frozen=True)
class Wanted:
    """Checkpoints and prompts. Claims rest on step 0, the last FINAL checkpoints, no prompt and a run's own training prompt:
    these are in every one.

    `every`: all saved checkpoints; otherwise the last `last` of them and, with `middle`, the one nearest to half of training.
    CLEAN is asked of the start, the middle and the last FINAL whatever is asked, the prompts of LEAK of the start and the last FINAL.
    """

    every: bool = False
    middle: bool = True
    last: int = FINAL
    prompts: tuple[str, ...] = (*PROMPTS, CLEAN)

    def steps(self, saved: Sequence[int], prompt: str = "none") -> list[int]:
        """Those of the saved steps (ascending, without 0) that are wanted under a prompt, ascending."""
        if prompt in LEAK:
            return list(saved[-FINAL:])
        if self.every and prompt != CLEAN:
            return list(saved)
        middle = [min(saved, key=lambda step: abs(2 * step - saved[-1]))] if self.middle or prompt == CLEAN else []
        return sorted({*middle, *saved[-(FINAL if prompt == CLEAN else self.last) :]})

    @property
    def checkpoints(self) -> str:
        """As it is written on the command line."""
        return "all" if self.every else ",".join(["start", *["middle"] * self.middle, f"last:{self.last}"])


def parse(checkpoints: str, prompts: str = ",".join(Wanted.prompts)) -> Wanted:
    """`all`, or parts joined by commas: start, middle, last:N; prompts by name, joined by commas.

    Raises:
        UserError: a part or a prompt that is none.
    """
    names = [name.strip() for name in prompts.split(",")]
    for name in names:
        if name not in NAMES:
            raise UserError(f"unknown evaluation prompt '{name}': {near(name, NAMES)}")
    asked = tuple(name for name in NAMES if name in (*ALWAYS, *names))
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
