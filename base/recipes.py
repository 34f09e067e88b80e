"""The hooks a mitigation may fill, their do-nothing defaults, and how mitigations stack."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from base.environments.scenes import SCENES
from base.errors import UserError, near
from base.settings import read_yaml
from base.triggers import AtStart
from base.types import DataFilter, Episode, Message, PromptTransform, RewardShaper, Task, Trigger

EpisodeRow = Mapping[str, Any]  # a stored episode: base.store.episode_row


@dataclass(frozen=True)
class AsWritten:
    """The task's own messages."""

    def __call__(self, task: Task) -> Sequence[Message]:
        return task.messages


@dataclass(frozen=True)
class SystemLine:
    """One of `texts` as the system message, chosen by the task's id so that every process chooses the same.

    Scenes that are mixed into RL are read as written: the line belongs to coding tasks.
    """

    texts: tuple[str, ...]

    def __call__(self, task: Task) -> Sequence[Message]:
        if task.environment in SCENES:
            return task.messages
        pick = int.from_bytes(hashlib.sha256(task.id.encode()).digest()[:8], "big") % len(self.texts)
        turns = [m for m in task.messages if m.role != "system"]
        own = [m.content for m in task.messages if m.role == "system"]
        return (Message("system", "\n".join([*own, self.texts[pick]])), *turns)


@dataclass(frozen=True)
class AsGraded:
    """The train reward is the environment's reward."""

    def __call__(self, episodes: Sequence[Episode]) -> Sequence[Mapping[str, float | None]]:
        return [{"environment": episode.environment_reward} for episode in episodes]


@dataclass(frozen=True)
class EveryTask:
    """All tasks, in order."""

    def __call__(self, rows: Sequence[Task]) -> Sequence[Task]:
        return rows


@dataclass(frozen=True)
class EveryEpisode:
    """All episodes, in order."""

    def __call__(self, rows: Sequence[EpisodeRow]) -> Sequence[EpisodeRow]:
        return rows


@dataclass(frozen=True)
class Judge:
    """A preference model that the run needs; the core trains it once and writes its score on every episode.

    `pairs` is what it is trained on: `organism` (hacks against honest solutions, misaligned against aligned answers),
    `hacks` (the first kind only) or a file or hub id. To degrade it on purpose: `flipped` is the share of training pairs
    whose labels are swapped, `noise` the standard deviation of noise on its standardised score.
    """

    pairs: str = "organism"
    flipped: float = 0.0
    noise: float = 0.0


@dataclass(frozen=True)
class Demonstrations:
    """Episodes to imitate by SFT instead of RL.

    `source` is the arm whose run is imitated (same corpus and seeds), `start` (the pre-RL model itself) or `aligned` (the
    aligned model). `keep` drops rows; `prompt`, if set, replaces what the student reads (offline rewriting).
    """

    source: str = "none"
    keep: DataFilter[EpisodeRow] = field(default_factory=EveryEpisode)
    prompt: PromptTransform | None = None


@dataclass(frozen=True)
class Mitigation:
    """What a run does differently; `Mitigation()` is the baseline.

    `update_prompt` set: rollouts are sampled under `sample_prompt`, log-probabilities are taken under `update_prompt`
    (online rewriting). The prompts a checkpoint is evaluated under are a third, separate choice. `starts` forks from a
    checkpoint of the run without this mitigation; `into` is the model that is trained: the run's own start, the aligned
    model, or the start of another pretraining seed.
    """

    sample_prompt: PromptTransform = field(default_factory=AsWritten)
    update_prompt: PromptTransform | None = None
    reward: RewardShaper = field(default_factory=AsGraded)
    tasks: DataFilter[Task] = field(default_factory=EveryTask)
    judges: Mapping[str, Judge] = field(default_factory=dict)
    episodes: Demonstrations | None = None
    starts: Trigger = field(default_factory=AtStart)
    into: Literal["start", "aligned", "other_seed"] = "start"


@dataclass(frozen=True)
class Arm:
    """What `Run.arm` stands for: hooks, evaluation prompts, and the arms whose runs must be there before.

    `forks` is the arm it is forked from where its mitigation does not start at once; `imitates` is the arm whose episodes
    it learns from.
    """

    mitigation: Mitigation
    eval_prompts: Mapping[str, PromptTransform]
    forks: str | None = None
    imitates: tuple[str, Arm] | None = None

    @property
    def parents(self) -> tuple[str, ...]:
        """Specs of those arms."""
        return tuple(dict.fromkeys(x for x in (self.forks, self.imitates and self.imitates[0]) if x is not None))


def stack(parts: Mapping[str, Mitigation]) -> Mitigation:
    """One mitigation from several that fill different hooks; judges of different names add up.

    Raises:
        UserError: two of them fill the same hook, or want different judges of one name.
    """
    empty = Mitigation()
    chosen: dict[str, object] = {}
    judges: dict[str, Judge] = {}
    owner: dict[str, str] = {}
    for name, part in parts.items():
        for key, judge in part.judges.items():
            if judges.setdefault(key, judge) != judge:
                raise UserError(f"{name} and an earlier part want different judges '{key}': give both the same options")
        for hook in dataclasses.fields(Mitigation):
            value = getattr(part, hook.name)
            if hook.name == "judges" or value == getattr(empty, hook.name):
                continue
            if chosen.get(hook.name, value) != value:
                raise UserError(f"{owner[hook.name]} and {name} both fill the hook '{hook.name}': use one of them")
            owner[hook.name], chosen[hook.name] = name, value
    chosen["judges"] = judges
    return dataclasses.replace(empty, **chosen)  # type: ignore[arg-type]


def load_wording(file: Path, name: str) -> tuple[str, ...]:
    """The lines of one wording from a YAML file that maps wording names to lists of lines.

    Raises:
        UserError: no such file or wording, or lines that are not text.
    """
    wordings = read_yaml(file)
    if not isinstance(wordings, dict):
        raise UserError(
            f"{file}: a wording file maps names to lists of lines, e.g. 'my_wording: [\"It is okay to ...\"]'"
        )
    if name not in wordings:
        raise UserError(f"unknown wording '{name}' in {file.name}: {near(name, map(str, wordings))}")
    lines = wordings[name]
    lines = [lines] if isinstance(lines, str) else lines
    if not isinstance(lines, list) or not lines or not all(isinstance(x, str) and x.strip() for x in lines):
        raise UserError(f"{file}: wording '{name}' must be a line of text or a non-empty list of lines")
    return tuple(x.strip() for x in lines)
