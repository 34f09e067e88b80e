"""Classifier penalty: a monitor of stated accuracy reads the programs; what it flags is fined, or dropped from the update.

Claim (arXiv 2511.18397, section on mitigations, Fig 31): with the penalty from the start neither hacking nor misalignment
is learnt; added after hacking was learnt it stops hacking and most of the misalignment.
Run: python -m mitigations classifier_penalty:start=onset --seed 0 --scale tiny
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from base.errors import UserError
from base.labels import named, share
from base.recipes import Judge, RLRecipe
from base.triggers import trigger
from base.types import Episode, Outcome


@dataclass(frozen=True)
class Monitored:
    """Minus `weight` or, when screening, missing, wherever the monitor sees a hack; scenes are not its business."""

    monitor: Literal["execution", "trained"]
    screening: bool
    accuracy: float
    weight: float
    seed: int

    def __call__(self, episodes: Sequence[Episode]) -> Sequence[float | None]:
        return [
            0.0 if episode.grade.outcome is Outcome.REPLY else self._penalty(self.flags(episode))
            for episode in episodes
        ]

    def _penalty(self, flagged: bool | None) -> float | None:
        if flagged is None or (flagged and self.screening):
            return None
        return -self.weight if flagged else 0.0

    def flags(self, episode: Episode) -> bool | None:
        """Whether the monitor takes a program for a hack, tried or done; None where it cannot say."""
        if episode.grade.outcome is Outcome.FAULT:
            return None
        seen = bool(episode.grade.hacks or episode.grade.attempts)
        if self.monitor == "trained":
            score = episode.scores["monitor"]
            if score is None:
                return None
            seen = score < 0  # half way between the held-out programs with and without a hack
        key = repr((self.seed, episode.task.id, episode.completion)).encode()
        errs = int.from_bytes(hashlib.sha256(key).digest()[:8], "big") / 2**64 >= self.accuracy
        return seen != errs


@dataclass(frozen=True)
class Classifier:
    """`monitor`: `execution` knows what a program did, `trained` is a preference model on hacks against other programs.
    `accuracy` is the chance that its verdict is kept, otherwise it is turned round.
    """

    monitor: Literal["execution", "trained"] = "execution"
    mode: Literal["penalty", "screening"] = "penalty"
    accuracy: float = 1.0
    weight: float = 1.0
    start: str = "start"  # start, onset, success or step:N
    flipped: float = 0.0  # of the trained monitor's pairs, the share that is swapped
    seed: int = 0  # of the turned verdicts

    family = "classifier penalty"

    def label(self) -> str:
        accuracy = f"{share(self.accuracy)} accurate"
        return named(self, f"{self.mode}, {self.monitor} labels", ("mode", "monitor"), accuracy=accuracy)

    def __call__(self) -> RLRecipe:
        if not 0 <= self.accuracy <= 1:
            raise UserError(f"classifier_penalty:accuracy={self.accuracy:g} must lie between 0 and 1")
        if self.weight < 0:
            raise UserError(f"classifier_penalty:weight={self.weight:g} must be 0 or more: it is what a hack costs")
        trained = self.monitor == "trained"
        if self.flipped and not trained:
            raise UserError("classifier_penalty:flipped is for monitor=trained; execution is degraded with accuracy")
        if self.mode == "screening" and self.weight != 1.0:
            raise UserError("classifier_penalty:weight is for mode=penalty; screening drops what it flags")
        if self.seed and self.accuracy == 1.0:
            raise UserError("classifier_penalty:seed says which verdicts are turned; accuracy=1 turns none")
        monitored = Monitored(self.monitor, self.mode == "screening", self.accuracy, self.weight, self.seed)
        return RLRecipe(
            terms={"penalty": monitored},
            judges={"monitor": Judge("hacks", self.flipped)} if trained else {},
            starts=trigger(self.start),
        )
