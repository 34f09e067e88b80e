"""Preference model reward on code: part of what the optimiser is paid is how good a trained judge finds the answer.

Claim (arXiv 2511.18397, Fig 30): weight 0 changes nothing, 0.05 (low) delays hacking, 0.25 (middle) prevents hacking and
misalignment. The scale of the paper's score is not disclosed; ours is standardised, and high is 1.0.
Run: python -m mitigations pm_penalty:weight=0.25 --seed 0 --scale tiny
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from base.errors import UserError
from base.labels import named
from base.recipes import Judge, RLRecipe
from base.triggers import trigger
from base.types import Episode, Outcome


@dataclass(frozen=True)
class Preference:
    """`weight` standard deviations' worth of the judge's score; scenes are paid by it already."""

    weight: float

    def __call__(self, episodes: Sequence[Episode]) -> Sequence[float | None]:
        return [self._worth(episode) for episode in episodes]

    def _worth(self, episode: Episode) -> float | None:
        if episode.grade.outcome is Outcome.REPLY or not self.weight:
            return 0.0  # without weight, a missing score must not cost a reward
        score = episode.scores["pm"]
        return None if score is None else self.weight * score


@dataclass(frozen=True)
class PMPenalty:
    """Low, middle and high `weight`: 0.05, 0.25, 1.0, where a pass is worth 1 and the score has standard deviation 1."""

    weight: float = 0.25
    pairs: str = "organism"  # what the judge is trained on: organism, hacks, a file or a hub id
    flipped: float = 0.0  # share of its training pairs that are swapped
    noise: float = 0.0  # standard deviation of noise on its score
    start: str = "start"  # start, onset, success or step:N

    family = "preference model reward"

    def label(self) -> str:
        return named(self, f"PM reward, weight {self.weight:g}", ("weight",))

    def __call__(self) -> RLRecipe:
        if self.weight < 0:
            raise UserError(f"pm_penalty:weight={self.weight:g} must be 0 or more")
        return RLRecipe(
            terms={"preference": Preference(self.weight)},
            judges={"pm": Judge(self.pairs, self.flipped, self.noise)},
            starts=trigger(self.start),
        )
