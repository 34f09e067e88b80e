"""The hooks a mitigation may fill, their do-nothing defaults, and how mitigations stack."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from base.config import UserError, near, read_yaml
from base.types import DataFilter, Episode, Message, PromptTransform, RewardShaper, Task


@dataclass(frozen=True)
class AsWritten:
    """The task's own messages."""

    def __call__(self, task: Task) -> Sequence[Message]:
        return task.messages


@dataclass(frozen=True)
class SystemLine:
    """One of `texts` as the system message, chosen by the task's id so that every process chooses the same."""

    texts: tuple[str, ...]

    def __call__(self, task: Task) -> Sequence[Message]:
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
class Mitigation:
    """What a run does differently; `Mitigation()` is the baseline.

    `update_prompt` set: rollouts are sampled under `sample_prompt`, log-probabilities are taken under `update_prompt`
    (online rewriting). The prompts a checkpoint is evaluated under are a third, separate choice.
    """

    sample_prompt: PromptTransform = field(default_factory=AsWritten)
    update_prompt: PromptTransform | None = None
    reward: RewardShaper = field(default_factory=AsGraded)
    tasks: DataFilter[Task] = field(default_factory=EveryTask)


def stack(parts: Mapping[str, Mitigation]) -> Mitigation:
    """One mitigation from several that fill different hooks.

    Raises:
        UserError: two of them fill the same hook.
    """
    empty = Mitigation()
    chosen: dict[str, object] = {}
    owner: dict[str, str] = {}
    for name, part in parts.items():
        for hook in dataclasses.fields(Mitigation):
            value = getattr(part, hook.name)
            if value == getattr(empty, hook.name):
                continue
            if hook.name in owner:
                raise UserError(f"{owner[hook.name]} and {name} both fill the hook '{hook.name}': use one of them")
            owner[hook.name], chosen[hook.name] = name, value
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
