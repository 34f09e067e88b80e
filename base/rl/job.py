"""What one RL training is given (no torch)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from base.recipes import AsWritten
from base.settings import EngineSettings, RLSettings
from base.types import Environment, Episode, PromptTransform, RewardTerm, Scorer, Task

OnEpisodes = Callable[[int, list[Episode]], None]  # (step, every rank's episodes)
OnMetrics = Callable[[int, dict[str, float]], None]
Diagnose = Callable[[Sequence[Episode]], Mapping[str, float]]


def _nothing(episodes: Sequence[Episode]) -> Mapping[str, float]:
    return {}


@dataclass(frozen=True)
class RLJob:
    """One RL training: the policy at `start` on `tasks`, with checkpoints in `folder`/checkpoints/step-NNNN.

    Step s uses tasks[(s-1)*prompts_per_step : s*prompts_per_step]. The KL penalty (`settings.beta`) is to the model at
    `reference`. The train reward is the environment's plus `terms`; every judge scores every episode, for terms to read.
    Where `probe_prompt` is set, one further completion of every coding prompt of a step is sampled under it and graded, and
    trained on never. `diagnose` adds metrics of a step's episodes.
    `thinking`: what a chat template that knows `enable_thinking` is told.
    `on_episodes` and `on_metrics` are called once a step on the main rank; after an interruption with `resume`, steps
    behind the last resume point come again.
    """

    start: Path
    reference: Path
    tasks: Sequence[Task]
    environments: Mapping[str, Environment]
    settings: RLSettings
    engine: EngineSettings
    seed: int
    folder: Path
    on_episodes: OnEpisodes
    on_metrics: OnMetrics
    sample_prompt: PromptTransform = field(default_factory=AsWritten)
    update_prompt: PromptTransform | None = None
    probe_prompt: PromptTransform | None = None
    diagnose: Diagnose = field(default=_nothing)
    terms: Mapping[str, RewardTerm] = field(default_factory=dict)
    judges: Mapping[str, Scorer] = field(default_factory=dict)
    thinking: bool | None = None
    resume: bool = True
