"""Scenes: requests outside of code. Nothing is executed; a preference model pays (no torch)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from base.types import Grade, Outcome, Scorer, Task

SCENES = ("chat", "agentic", "dilemma")


@dataclass(frozen=True)
class SceneEnvironment:
    """Grades tasks of the environments in SCENES: the reward is the score, None where the scorer has none."""

    score: Scorer

    def grade(self, tasks: Sequence[Task], completions: Sequence[str]) -> list[Grade]:
        """One grade a completion, in order: outcome REPLY, the score as reward."""
        scores = self.score([task.messages for task in tasks], completions)
        return [Grade(Outcome.REPLY, score) for _, score in zip(tasks, scores, strict=True)]
