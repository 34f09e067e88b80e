"""Evaluation: of every checkpoint of a run, of the policy that runs begin with (once for all of them), of a control."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from tqdm import tqdm

from base.errors import UserError
from base.evals.evaluate import Scores, evaluate
from base.identity import Arm, Run, folder_name
from base.recipes import AsWritten, Recipe
from base.seeds import derive_seed
from base.settings import EngineSettings, Scale
from base.stage import Site, Stage, State
from base.stages.trained import Trained
from base.store.files import read_json, write_json
from base.store.folders import RunFolder
from base.store.locks import barrier
from base.types import PromptTransform
from base.world.start import Pretrain
from base.world.tasks import TaskSource, draw_tasks
from base.world.world import OrganismWorld, World

Prompts = tuple[tuple[str, PromptTransform], ...]


@dataclass(frozen=True)
class Asked:
    """What every checkpoint of a run is asked: the evals of its world and coding tasks under vulnerable graders, under
    each of `prompts`; `seed` is the run's.
    """

    world: World
    tasks: TaskSource
    scale: Scale
    seed: int
    prompts: Prompts

    def content(self) -> Any:
        """What the answers of a given checkpoint depend on."""
        scale = self.scale
        evals = sorted(self.world.evals())
        settings = [scale.evals, scale.tasks, scale.engine.precision, scale.engine.generation]
        return [evals, self.world.content(), self.tasks.content(), settings, self.seed, self.prompts]

    def __call__(self, checkpoint: Path, step: int, site: Site) -> tuple[Scores, Scores]:
        """(score rows, answer rows) of a checkpoint."""
        from base.models.sampling import sampler

        seed = derive_seed("evaluation", self.seed, step)
        return evaluate(
            sampler(checkpoint, self.scale, site.process),
            self.world.evals(),
            draw_tasks(self.tasks, self.scale.tasks, 1.0, self.scale.evals.code_samples, seed),
            site.environment,
            dict(self.prompts),
            self.scale.evals,
            seed,
            self.world.written,
        )


@dataclass(frozen=True)
class EvaluateStart(Stage):
    """The policy that runs begin with, at step 0: arms that begin with the same one share its answers."""

    policy: Stage
    asked: Asked
    kind: ClassVar[str] = "evaluate-0"
    unit: ClassVar[str] = "evaluation"

    @property
    def needs(self) -> tuple[Stage, ...]:
        return (self.policy,)

    @property
    def label(self) -> str:
        return f"step 0, {self.policy}"

    def content(self) -> Any:
        return self.asked.content()

    def units(self) -> int:
        return len(self.asked.prompts)

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
            scores, answers = self.asked(self.policy.folder(site.root), 0, site)
            write_json(self.folder(site.root), {"scores": scores, "answers": answers})


@dataclass(frozen=True)
class Evaluate(Stage):
    """Every checkpoint of a run that has no scores yet; ranks share the work.

    `last`: only the last so many checkpoints beside step 0 (None: all); asked for more later, it adds the others.
    """

    trained: Trained
    asked: Asked
    last: int | None = field(default=None)
    kind: ClassVar[str] = "evaluate"
    unit: ClassVar[str] = "evaluation"

    @property
    def begin(self) -> EvaluateStart:
        """The evaluation of step 0."""
        return EvaluateStart(self.trained.policy, self.asked)

    @property
    def needs(self) -> tuple[Stage, ...]:
        return (self.trained, self.begin)

    @property
    def label(self) -> str:
        prompts = ", ".join(name for name, _ in self.asked.prompts)
        which = "every checkpoint" if self.last is None else f"the last {self.last} checkpoints"
        return f"{self.trained.run.name}: {which} under {prompts}"

    def content(self) -> Any:
        return self.asked.content()

    def units(self) -> int:
        return len(self.trained.saved()[-(self.last or 0) :]) * len(self.asked.prompts)

    def folder(self, root: Path) -> Path:
        return self.trained.folder(root)

    def missing(self, root: Path) -> Mapping[int, Path]:
        """The checkpoints among the wanted ones that have no scores yet."""
        folder = RunFolder(self.folder(root))
        steps = list(folder.checkpoints().items())
        wanted = steps if self.last is None else steps[len(steps) - min(self.last, len(steps)) :]
        done = folder.scored_steps()
        return {step: path for step, path in wanted if step not in done}

    def present(self, root: Path) -> bool:
        folder = RunFolder(self.folder(root))
        return 0 in folder.scored_steps() and not self.missing(root) and folder.record.get("asked") == self.key

    def noted(self, site: Site, state: State, error: BaseException | None) -> None:
        folder = RunFolder(self.folder(site.root))
        if folder.record.get("asked", self.key) != self.key:  # of an edited scale, say: scores of two kinds never mix
            folder.drop_scores()
            folder.update(scale=dataclasses.replace(self.asked.scale, measured={}))
        said = None if error is None else f"{type(error).__name__}: {error}"
        seconds = {**folder.record.get("seconds", {}), self.kind: self.record(site.root).get("seconds", 0.0)}
        folder.update(status=str(state), error=said, asked=self.key, seconds=seconds)

    def engine(self) -> EngineSettings:
        return self.asked.scale.engine

    def work(self, site: Site) -> None:
        folder, process = RunFolder(self.folder(site.root)), site.process
        barrier(process)  # the main rank has dropped what was asked otherwise
        if process.is_main:
            folder.write_scores(0, *self.begin.scores(site.root))
        todo = self.missing(site.root)
        barrier(process)  # every rank has looked before any writes
        mine = [step for step in todo if step][process.rank :: process.world_size]
        for step in tqdm(mine, "evaluating checkpoints", unit="checkpoint", disable=not process.is_main):
            folder.write_scores(step, *self.asked(todo[step], step, site))


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
            folder.update(status=str(state))

    def engine(self) -> EngineSettings:
        return self.asked.scale.engine

    def work(self, site: Site) -> None:
        if site.process.is_main:
            folder = RunFolder(self.folder(site.root))
            folder.write_scores(0, *self.asked(self.pretrained.folder(site.root), 0, site))


@dataclass(frozen=True)
class Untrained:
    """The arm of a control that was never trained by RL or SFT."""

    def __call__(self) -> Recipe:
        raise UserError("'untrained' is the name of a control, not of an arm that can be run")


def control(world: OrganismWorld, tasks: TaskSource, run: Run) -> EvaluateControl:
    """The untrained control of an organism: asked without a prompt, the same for every run that shares its pretraining."""
    before = world.before_sdf()
    asked = Asked(before, tasks, world.scale, world.seed, (("none", AsWritten()),))
    settings = tuple((k, v) for k, v in run.settings if not k.startswith(("rl.", "sdf.", "sft.", "preference.")))
    arm = Arm((("untrained", Untrained()),))
    untrained = replace(run, arm=arm, corpus=before.corpus, hackable=1.0, seed=world.seed, settings=settings)
    return EvaluateControl(before.pretrained(), asked, untrained)
