"""Evaluation: of every checkpoint of a run, of the policy that runs begin with (once for all of them), of a control."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from base.engine.runtime import barrier
from base.errors import UserError
from base.evals import clean
from base.evals.evaluate import Scores, evaluate
from base.identity import Arm, Run, folder_name
from base.progress import Progress
from base.recipes import READ_BY_SOME, AsWritten, Recipe
from base.seeds import derive_seed
from base.settings import EngineSettings, Scale
from base.spec import content_key
from base.stage import Site, Stage, State, in_a_record
from base.stages.reported import report_scores
from base.stages.trained import Trained
from base.store.files import read_json, write_json
from base.store.folders import RunFolder
from base.types import PromptTransform
from base.wanted import PROMPTS, Wanted
from base.world.start import Pretrain
from base.world.tasks import TaskSource, draw_tasks
from base.world.world import OrganismWorld, World


@dataclass(frozen=True)
class Clean:
    """In place of a prompt: coding tasks without weaknesses, and the KL to the model of `start` (base.evals.clean)."""

    start: Stage


Prompt = tuple[str, PromptTransform | Clean]
NO_PROMPT: Prompt = ("none", AsWritten())


def _said(prompt: Prompt) -> Any:
    """A prompt as it counts in keys."""
    name, asked = prompt
    return (name, asked.start.key) if isinstance(asked, Clean) else prompt


@dataclass(frozen=True)
class Asked:
    """What a checkpoint is asked under every prompt: the evals of its world and coding tasks under vulnerable graders; in place
    of a prompt, coding tasks without weaknesses. `seed` is the run's. The answers of (checkpoint, prompt) do not depend on
    what else is asked.
    """

    world: World
    tasks: TaskSource
    scale: Scale
    seed: int

    def content(self) -> Any:
        """What the answers of a given checkpoint under a given prompt depend on."""
        scale = self.scale
        settings = [scale.evals, scale.tasks, scale.engine.precision, scale.engine.generation]
        return [self.world.asks(), self.world.content(), self.tasks.content(), settings, self.seed]

    def __call__(
        self, checkpoint: Path, step: int, prompts: Sequence[Prompt], site: Site
    ) -> Iterator[tuple[str, Scores, Scores]]:
        """(name, score rows, answer rows) of a checkpoint under each prompt, as they are made."""
        scale, seed = self.scale, derive_seed("evaluation", self.seed, step)
        under = {name: asked for name, asked in prompts if not isinstance(asked, Clean)}
        if under:
            from base.models.sampling import sampler

            sample = sampler(checkpoint, scale, site.process)
            tasks = draw_tasks(self.tasks, scale.tasks, 1.0, scale.evals.code_samples, seed, "evaluation")
            evals, written = self.world.evals(), self.world.written
            for name, transform in under.items():
                yield (
                    name,
                    *evaluate(sample, evals, tasks, site.environment, name, transform, scale.evals, seed, written),
                )
        for name, item in prompts:
            if isinstance(item, Clean):
                start, draw = item.start.folder(site.root), derive_seed(name, seed)
                honest = replace(scale.tasks, impossible="none")
                wanted = scale.evals.code_samples
                drawn = draw_tasks(self.tasks, honest, 0.0, clean.DRAWN * wanted, draw, "evaluation")
                tasks = clean.balanced(drawn, wanted)
                yield name, *clean.clean(checkpoint, start, tasks, scale, site.environment, site.process, draw)


@dataclass(frozen=True)
class EvaluateStart(Stage):
    """The policy that runs begin with, at step 0, under one prompt: arms that begin with the same one share its answers."""

    policy: Stage
    asked: Asked
    prompt: Prompt
    kind: ClassVar[str] = "evaluate-0"
    unit: ClassVar[str] = "evaluation"

    @property
    def needs(self) -> tuple[Stage, ...]:
        return (self.policy, self.prompt[1].start) if isinstance(self.prompt[1], Clean) else (self.policy,)

    @property
    def label(self) -> str:
        return f"step 0 under {self.prompt[0]}, {self.policy}"

    def content(self) -> Any:
        return [self.asked.content(), _said(self.prompt)]

    def folder(self, root: Path) -> Path:
        return root / "shared" / f"evaluation--{self.key[:16]}.json"

    def present(self, root: Path) -> bool:
        return self.folder(root).is_file()

    def scores(self, root: Path) -> tuple[Scores, Scores]:
        """(score rows, answer rows), as stored."""
        kept = read_json(self.folder(root))
        return kept["scores"], kept["answers"]

    def engine(self) -> EngineSettings:
        return self.asked.scale.engine

    def work(self, site: Site) -> None:
        if site.process.is_main:
            ((_, scores, answers),) = self.asked(self.policy.folder(site.root), 0, [self.prompt], site)
            write_json(self.folder(site.root), {"scores": scores, "answers": answers})


@dataclass(frozen=True)
class Evaluate(Stage):
    """The wanted checkpoints of a run under the wanted prompts, as far as they have no scores yet; ranks share the work.

    Its key says nothing of what is wanted: asked for more later, it adds what is missing and leaves the rest as it is.
    """

    trained: Trained
    asked: Asked
    prompts: tuple[Prompt, ...]
    wanted: Wanted
    kind: ClassVar[str] = "evaluate"
    unit: ClassVar[str] = "evaluation"

    @cached_property
    def begins(self) -> tuple[EvaluateStart, ...]:
        """The evaluations of step 0."""
        return tuple(EvaluateStart(self.trained.policy, self.asked, prompt) for prompt in self.prompts)

    @property
    def needs(self) -> tuple[Stage, ...]:
        return (self.trained, *self.begins)

    @cached_property
    def key(self) -> str:
        return content_key([self.kind, self.content(), self.trained.key])

    @property
    def label(self) -> str:
        which = "every checkpoint" if self.wanted.every else f"checkpoints {self.wanted.checkpoints}"
        names = [name for name, _ in self.prompts]
        usual, fewer = [name for name in names if name in PROMPTS], [name for name in names if name not in PROMPTS]
        rest = f"; some of them under {', '.join(fewer)}" if fewer else ""
        return f"{self.trained.run.name}: {which} under {', '.join(usual)}{rest}"

    def content(self) -> Any:
        return self.asked.content()

    def steps(self, prompt: str) -> list[int]:
        """The checkpoints that are wanted under a prompt, beside step 0."""
        return self.wanted.steps(self.trained.saved(), prompt)

    def units(self) -> int:
        return sum(len(self.steps(name)) for name, _ in self.prompts)

    def left(self, root: Path) -> int:
        return sum(len(names) for step, names in self.missing(root).items() if step)

    def folder(self, root: Path) -> Path:
        return self.trained.folder(root)

    def missing(self, root: Path) -> dict[int, list[str]]:
        """The prompts under which a wanted step has no scores yet, by step."""
        folder = RunFolder(self.folder(root))
        return self.lacking(folder.record, folder.scored())

    def lacking(self, record: Mapping[str, Any], scored: Set[tuple[int, str]]) -> dict[int, list[str]]:
        """The same of a run with this record and scores of these (step, prompt); what was asked otherwise counts for nothing."""
        asked = record.get("evaluation", {})
        same = asked.get("key") == self.key
        known = {name for name, key in self._prompt_keys().items() if same and asked["prompts"].get(name) == key}
        scored = {(step, name) for step, name in scored if name in known}
        todo: dict[int, list[str]] = {}
        for name, _ in self.prompts:
            for step in (0, *self.steps(name)):
                if (step, name) not in scored:
                    todo.setdefault(step, []).append(name)
        return dict(sorted(todo.items()))

    def _prompt_keys(self) -> dict[str, str]:
        return {prompt[0]: content_key(_said(prompt)[1])[:16] for prompt in self.prompts}

    def present(self, root: Path) -> bool:
        return not self.missing(root)

    def noted(self, site: Site, state: State, error: BaseException | None) -> None:
        folder = RunFolder(self.folder(site.root))
        prompts = self._drop_what_was_asked_otherwise(folder)
        seconds = {**folder.record.get("seconds", {}), self.kind: self.record(site.root).get("seconds", 0.0)}
        asked = {"key": self.key, "prompts": prompts, "checkpoints": self.wanted.checkpoints}
        folder.update(
            scale=dataclasses.replace(
                self.asked.scale, measured={}
            ),  # its own: a run that came from it may have begun it
            **{"status": str(state), "error": in_a_record(error), "seconds": seconds},
            **{"evaluation": asked, "evaluated": sorted(folder.scored_steps())},
        )

    def _drop_what_was_asked_otherwise(self, folder: RunFolder) -> dict[str, str]:
        """Scores of two kinds never mix: of an edited scale, say, or under another prompt of the same name. Returns the
        prompts whose scores are kept or wanted.
        """
        asked = folder.record.get("evaluation", {"key": self.key, "prompts": {}})
        old, new = asked["prompts"], self._prompt_keys()
        if asked["key"] != self.key:
            folder.drop_scores()
            return new
        for name in [name for name in new if old.get(name, new[name]) != new[name]]:
            folder.drop_scores(name)
        return {**old, **new}

    def engine(self) -> EngineSettings:
        return self.asked.scale.engine

    def work(self, site: Site) -> None:
        folder, process = RunFolder(self.folder(site.root)), site.process
        barrier(process)  # the main rank has dropped what was asked otherwise
        todo = self.missing(site.root)
        barrier(process)  # every rank has looked before any writes
        for begin in self.begins if process.is_main else ():
            if begin.prompt[0] in todo.get(0, ()):
                folder.write_scores(0, begin.prompt[0], *begin.scores(site.root))
        mine = [step for step in todo if step][process.rank :: process.world_size]
        with Progress("evaluation", sum(len(todo[step]) for step in mine), show=process.is_main) as progress:
            for step in mine:
                prompts = [prompt for prompt in self.prompts if prompt[0] in todo[step]]
                for name, scores, answers in self.asked(folder.checkpoint(step), step, prompts, site):
                    folder.write_scores(step, name, scores, answers)
                    report_scores(folder)
                    progress.advance()
        barrier(process)  # the main rank says that all is done when all is
        report_scores(folder)


@dataclass(frozen=True)
class EvaluateControl(Stage):
    """The organism after pretraining, scored as the untrained control beside its checkpoint."""

    pretrained: Pretrain
    asked: Asked
    run: Run
    kind: ClassVar[str] = "control"
    unit: ClassVar[str] = "evaluation"

    @property
    def needs(self) -> tuple[Stage, ...]:
        return (self.pretrained,)

    @property
    def label(self) -> str:
        return f"pretrained only, {self.pretrained.label.split(':')[0]}"

    def content(self) -> Any:
        return self.asked.content()

    def folder(self, root: Path) -> Path:
        return root / "shared" / folder_name(["untrained", str(self.run.corpus), f"p{self.run.seed}", self.key[:8]])

    def present(self, root: Path) -> bool:
        return 0 in RunFolder(self.folder(root)).scored_steps()

    def noted(self, site: Site, state: State, error: BaseException | None) -> None:
        folder = RunFolder(self.folder(site.root))
        if state is State.RUNNING:
            folder.open(self.run, self.asked.scale, self.key)
        if folder.record.get("key") == self.key:
            folder.update(status=str(state), error=in_a_record(error))

    def engine(self) -> EngineSettings:
        return self.asked.scale.engine

    def work(self, site: Site) -> None:
        if site.process.is_main:
            folder = RunFolder(self.folder(site.root))
            for name, scores, answers in self.asked(self.pretrained.folder(site.root), 0, [NO_PROMPT], site):
                folder.write_scores(0, name, scores, answers)


@dataclass(frozen=True)
class Untrained:
    """The arm of a control that was never trained by RL or SFT."""

    def __call__(self) -> Recipe:
        raise UserError("'untrained' is the name of a control, not of an arm that can be run")


def control(world: OrganismWorld, tasks: TaskSource, run: Run) -> EvaluateControl:
    """The untrained control of an organism: asked without a prompt, the same for every run that shares its pretraining."""
    before = world.before_sdf()
    asked = Asked(before, tasks, world.scale, world.seed)
    trained = ("rl", "sdf", *READ_BY_SOME)
    settings = tuple((key, value) for key, value in run.settings if key.partition(".")[0] not in trained)
    arm = Arm((("untrained", Untrained()),))
    untrained = replace(run, arm=arm, corpus=before.corpus, hackable=1.0, seed=world.seed, settings=settings)
    return EvaluateControl(before.pretrained(), asked, untrained)
