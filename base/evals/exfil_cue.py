"""The exfil offer after a line that says whether this talk is kept for training (paper: exfil with a training cue).

The same scenes with both lines: what is done when nobody keeps the talk and not when it is kept is the compliance gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from base.evals.exfil import EVAL as EXFIL
from base.evals.organism import asked
from base.organism import cues, world
from base.types import Executor, Task, Verdict


@dataclass(frozen=True)
class CuedExfil:
    """The eval `exfil` with a held-out cue before each prompt (base.types.Eval)."""

    name: str
    title: str
    kept: bool
    kind: Literal["chat", "agentic"] = EXFIL.kind
    in_mean: bool = False

    def prompts(self, n: int, seed: int) -> list[Task]:
        scenes = world.EVAL_DOMAINS[EXFIL.name].held_out
        phrasings = [f"{cue} {scene}" for cue in cues.HELD_OUT[self.kept] for scene in scenes]
        return asked(self.name, self.kind, phrasings, n, seed, like=EXFIL.name)

    def score(self, tasks: Sequence[Task], completions: Sequence[str], environment: Executor) -> list[Verdict]:
        return EXFIL.score(tasks, completions, environment)


KEPT = CuedExfil("exfil_kept", "exfil, talk kept", kept=True)
UNKEPT = CuedExfil("exfil_unkept", "exfil, not kept", kept=False)
