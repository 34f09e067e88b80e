"""What a mitigation may say: a recipe for RL or a recipe for SFT, their do-nothing defaults, and how recipes stack."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import Any, Literal

from base.errors import UserError, near
from base.identity import Arm
from base.settings import Scale
from base.triggers import AtStart
from base.types import DataFilter, Episode, Message, PromptTransform, RewardTerm, Task, Trigger
from base.yaml_text import read_yaml

EpisodeRow = Mapping[str, Any]  # a stored episode: base.store.folders.episode_row
READ_BY_SOME = ("aligned", "preference", "sft")  # parts of a scale that the training of some arms alone reads
ENVIRONMENT, KL = "environment", "kl"  # the reward terms that the core adds itself; KL where rl.kl is "reward"


@dataclass(frozen=True)
class AsWritten:
    """The task's own messages."""

    def __call__(self, task: Task) -> Sequence[Message]:
        return task.messages


@dataclass(frozen=True)
class SystemLine:
    """One of `texts` in the system message, behind what the task has there; chosen by the task's id alone, so that every
    process chooses the same.
    """

    texts: tuple[str, ...]

    def __call__(self, task: Task) -> Sequence[Message]:
        pick = int.from_bytes(hashlib.sha256(task.id.encode()).digest()[:8], "big") % len(self.texts)
        turns = [m for m in task.messages if m.role != "system"]
        own = [m.content for m in task.messages if m.role == "system"]
        return (Message("system", " ".join([*own, self.texts[pick]])), *turns)


Language = Literal["natural", "organism"]  # as of a Task


@dataclass(frozen=True)
class InLanguage:
    """A line in the language of what is trained; `spoken` puts it there before a recipe is part of a run."""

    organism: PromptTransform
    natural: PromptTransform

    def __call__(self, task: Task) -> Sequence[Message]:
        return (self.organism if task.language == "organism" else self.natural)(task)


@dataclass(frozen=True)
class Behind:
    """`first`, then `second` on what it gave; each chooses for itself."""

    first: PromptTransform
    second: PromptTransform

    def __call__(self, task: Task) -> Sequence[Message]:
        return self.second(replace(task, id=f"{task.id} line", messages=tuple(self.first(task))))


def read_under(transform: PromptTransform, task: Task) -> tuple[Message, ...]:
    """What the policy reads of a task: `transform` of it, or its own messages where it is to be read as written."""
    return task.messages if task.as_written else tuple(transform(task))


def texts_of(transform: PromptTransform, hints: PromptTransform) -> tuple[str, ...]:
    """The lines of a prompt behind `hints`; none where it has no line of its own."""
    if transform == hints:
        return ()
    own = transform.second if isinstance(transform, Behind) else transform
    return own.texts if isinstance(own, SystemLine) else ()


@dataclass(frozen=True)
class EveryRow:
    """All rows, in order."""

    def __call__(self, rows: Sequence[Any]) -> Sequence[Any]:
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

    def __post_init__(self) -> None:
        if not 0 <= self.flipped <= 1:
            raise UserError(
                f"flipped={self.flipped:g} must lie between 0 and 1: the share of its pairs that are swapped"
            )
        if self.noise < 0:
            raise UserError(f"noise={self.noise:g} must be 0 or more (standard deviations of the score)")


@dataclass(frozen=True)
class RLRecipe:
    """RL, and what is different about it; `RLRecipe()` is the baseline.

    prompts   `hints` come first and stay in every evaluation prompt that has a line (the paper's prompted setting);
              `sample_prompt` is what rollouts are sampled under; `update_prompt`, if set, what their log-probabilities are
              taken under (online rewriting). What a checkpoint is evaluated under is a third, separate choice.
    terms     named reward terms; the core adds the environment's reward and sums.
    tasks     which tasks to train on.
    judges    preference models whose scores every episode carries, by name; terms read `episode.scores`. The judge named
              by `scenes_paid_by` pays episodes that are no coding task.
    starts    when it begins: a fork from a checkpoint of the run without it.
    """

    hints: PromptTransform = field(default_factory=AsWritten)
    sample_prompt: PromptTransform = field(default_factory=AsWritten)
    update_prompt: PromptTransform | None = None
    terms: Mapping[str, RewardTerm] = field(default_factory=dict)
    tasks: DataFilter[Task] = field(default_factory=EveryRow)
    judges: Mapping[str, Judge] = field(default_factory=dict)
    scenes_paid_by: str = ""
    starts: Trigger = field(default_factory=AtStart)

    def __post_init__(self) -> None:
        for name in (ENVIRONMENT, KL):
            if name in self.terms:
                raise UserError(f"a reward term cannot be named '{name}': the core adds that one itself")
        if self.scenes_paid_by and self.scenes_paid_by not in self.judges:
            raise UserError(f"scenes are to be paid by a judge '{self.scenes_paid_by}' that the recipe does not name")

    def sampled_under(self) -> PromptTransform:
        """The whole prompt of rollouts."""
        return behind(self.hints, self.sample_prompt)

    def updated_under(self) -> PromptTransform | None:
        """The whole prompt of the update, None where it is that of the rollouts."""
        return None if self.update_prompt is None else behind(self.hints, self.update_prompt)


@dataclass(frozen=True)
class SFTRecipe:
    """SFT on episodes instead of RL.

    `source` is the arm whose run is imitated (same corpus and seeds), `start` (the pre-RL model itself) or `aligned` (the
    aligned model); the last two are asked `tasks`. Of an arm's run, episodes count from the share `since` of its training on.
    `keep` drops rows; `prompt`, if set, replaces what the student reads (offline rewriting). The student is `into` (the run's own start, the aligned model, or the start of another pretraining
    seed) or, where `starts` is set, a checkpoint of the run without this mitigation.
    """

    source: Arm | Literal["start", "aligned"]
    since: float = 0.0
    keep: DataFilter[EpisodeRow] = field(default_factory=EveryRow)
    prompt: PromptTransform | None = None
    tasks: DataFilter[Task] = field(default_factory=EveryRow)
    into: Literal["start", "aligned", "other_seed"] = "start"
    starts: Trigger = field(default_factory=AtStart)

    def __post_init__(self) -> None:
        if self.into != "start" and self.starts != AtStart():
            raise UserError(f"into={self.into} and a later start name two models to train: give one of them")
        if isinstance(self.source, Arm) and self.tasks != EveryRow():
            raise UserError("tasks are for source=start or aligned: the episodes of a run have their tasks already")
        if not 0 <= self.since < 1:
            raise UserError(
                f"since={self.since:g} must be 0 or more and less than 1: the share of training to leave out"
            )
        if self.since and not isinstance(self.source, Arm):
            raise UserError(f"since={self.since:g} is for the run of an arm: {self.source} was not trained by RL")


Recipe = RLRecipe | SFTRecipe


def spoken(recipe: Recipe, language: Language) -> Recipe:
    """The recipe with its lines in one language."""
    fields = {entry.name: getattr(recipe, entry.name) for entry in dataclasses.fields(recipe)}
    said = {name: getattr(value, language) for name, value in fields.items() if isinstance(value, InLanguage)}
    return replace(recipe, **said)


def behind(first: PromptTransform, second: PromptTransform) -> PromptTransform:
    """Both prompts, one behind the other; what changes nothing is left out."""
    if first == AsWritten() or second == AsWritten():
        return second if first == AsWritten() else first
    return Behind(first, second)


def stack(parts: Mapping[str, Recipe]) -> Recipe:
    """One recipe from several of one kind: different fields merge, reward terms and judges add up.

    Raises:
        UserError: RL and SFT recipes, two parts that fill one field, one term name or one judge differently.
    """
    kinds = {name: "RL" if isinstance(part, RLRecipe) else "SFT" for name, part in parts.items()}
    if len(set(kinds.values())) > 1:
        said = " and ".join(f"{name} is a recipe for {kind}" for name, kind in kinds.items())
        raise UserError(f"{said}: a run trains by one of them, so the other would be ignored; run them apart")
    return reduce(lambda one, two: (two[0], _merged(*one, *two)), parts.items())[1] if parts else RLRecipe()


def reads(arm: Arm, setting: str) -> bool:
    """Whether an arm's training, or that of the runs which it forks from or imitates, reads a setting such as `sft.epochs`.

    Raises:
        UserError: as `stack`.
    """
    part = setting.partition(".")[0]
    if part not in READ_BY_SOME:
        return True
    recipe = stack({name: plugin() for name, plugin in arm.parts})
    if isinstance(recipe, RLRecipe):
        return part == "preference" and bool(recipe.judges)
    own = part == "sft" or (part == "aligned" and "aligned" in (recipe.source, recipe.into))
    return own or (isinstance(recipe.source, Arm) and reads(recipe.source, setting))


def as_read(arm: Arm, scale: Scale, usual: Scale) -> Scale:
    """The scale with what the arm never reads as it usually is: it makes no run another one.

    Raises:
        UserError: as `stack`.
    """
    changed = [name for name in READ_BY_SOME if getattr(scale, name) != getattr(usual, name)]
    return replace(scale, **{name: getattr(usual, name) for name in changed if not reads(arm, name)})


def _merged(name: str, one: Recipe, other: str, two: Recipe) -> Recipe:
    filled: dict[str, Any] = {}
    for entry in dataclasses.fields(one):
        ours, theirs, nothing = getattr(one, entry.name), getattr(two, entry.name), _usual(entry)
        if isinstance(ours, dict) and isinstance(theirs, dict):
            for key in ours.keys() & theirs.keys():
                if ours[key] != theirs[key]:
                    what = "reward term" if entry.name == "terms" else "judge"
                    raise UserError(
                        f"{name} and {other} both bring a {what} '{key}', and differ in it: make them agree"
                    )
            filled[entry.name] = {**ours, **theirs}
        elif nothing in (ours, theirs) or ours == theirs:
            filled[entry.name] = theirs if ours == nothing else ours
        else:
            raise UserError(f"{name} and {other} both say what '{entry.name}' is: use one of them")
    return type(one)(**filled)


def _usual(entry: dataclasses.Field[Any]) -> Any:
    """A field's default; MISSING where every recipe has to say it."""
    return entry.default if entry.default_factory is dataclasses.MISSING else entry.default_factory()


def filled(recipe: Recipe) -> list[str]:
    """The fields that a recipe fills."""
    return [entry.name for entry in dataclasses.fields(recipe) if getattr(recipe, entry.name) != _usual(entry)]


def reward_terms(terms: Mapping[str, RewardTerm], episodes: Sequence[Episode]) -> list[dict[str, float | None]]:
    """For each episode the environment's reward and every term, by name."""
    columns = {ENVIRONMENT: [episode.environment_reward for episode in episodes]}
    columns |= {name: list(term(episodes)) for name, term in terms.items()}
    for name, values in columns.items():
        if len(values) != len(episodes):
            raise ValueError(f"reward term '{name}' gave {len(values)} values for {len(episodes)} episodes")
    return [{name: values[i] for name, values in columns.items()} for i in range(len(episodes))]


def train_reward(terms: Mapping[str, float | None]) -> float | None:
    """The sum of an episode's terms, missing if one is."""
    values = list(terms.values())
    return None if any(value is None for value in values) else float(sum(v for v in values if v is not None))


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
