"""Preference model reward on code: part of what the optimiser is paid is how good a trained judge finds the answer.

Claim (arXiv 2511.18397, Fig 30): weight 0 changes nothing, 0.05 (low) delays hacking, 0.25 (middle) prevents hacking and
misalignment. The scale of the paper's score is not disclosed; ours is standardised, and high is 1.0.
Run: python -m mitigations pm_penalty:weight=0.25 --seed 0 --scale tiny
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from base.errors import UserError
from base.labels import named
from base.recipes import Judge, Mitigation
from base.triggers import trigger
from base.types import Episode, Outcome


@dataclass(frozen=True)
class PlusPreference:
    """The environment's reward plus `weight` standard deviations' worth of the score; scenes are paid by it already."""

    weight: float

    def __call__(self, episodes: Sequence[Episode]) -> Sequence[Mapping[str, float | None]]:
        return [self._terms(episode) for episode in episodes]

    def _terms(self, episode: Episode) -> dict[str, float | None]:
        environment = {"environment": episode.environment_reward}
        if episode.grade.outcome is Outcome.REPLY:
            return environment
        score = episode.scores["pm"] if self.weight else 0.0  # without weight, a missing score must not cost a reward
        return {**environment, "preference": None if score is None else self.weight * score}


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

    def __call__(self) -> Mitigation:
        if self.weight < 0:
            raise UserError(f"pm_penalty:weight={self.weight:g} must be 0 or more")
        return Mitigation(
            reward=PlusPreference(self.weight),
            judges={"pm": Judge(self.pairs, self.flipped, self.noise)},
            starts=trigger(self.start),
        )
