"""RL on graded tasks: one run's policy, its rollouts and its metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from base.environments.scenes import SCENES, SceneEnvironment
from base.errors import UserError
from base.recipes import AsWritten, RLRecipe, read_under
from base.rl.batches import batch_plan
from base.rl.job import RLJob
from base.stage import Site, Stage
from base.stages.judge import Preference
from base.stages.trained import Fork, Trained
from base.store.folders import RunFolder
from base.types import DataFilter, Environment, PromptTransform, Task
from base.world.tasks import draw_tasks


@dataclass(frozen=True)
class RL(Trained):
    """RL from `policy` with the KL to the pre-RL model, on tasks that the steps before a fork have not used."""

    recipe: RLRecipe
    kind: ClassVar[str] = "rl"
    unit: ClassVar[str] = "rl_step"

    @cached_property
    def judges(self) -> Mapping[str, Preference]:
        """The preference models that score every episode, by name."""
        shared = (self.world, self.tasks, str(self.run.corpus), self.scale, self.run.pretrain_seed)
        return {name: Preference(judge, *shared) for name, judge in self.recipe.judges.items()}

    @property
    def needs(self) -> tuple[Stage, ...]:
        return (*self.started(), *self.judges.values())

    @property
    def label(self) -> str:
        rl = self.scale.rl
        return f"{self.run.name}: {rl.steps} steps; {batch_plan(rl)}; trained: {rl.trained}"

    def content(self) -> Any:
        scale = self.scale
        settings = [scale.rl, scale.tasks, scale.engine.precision, scale.engine.generation]
        thinking = [] if scale.scenes.enable_thinking is None else [scale.scenes.enable_thinking]
        return [self.run.name, self.recipe, self.tasks.content(), self.run.hackable, settings, self.run.seed, *thinking]

    def units(self) -> int:
        return self.scale.rl.steps

    def saved(self) -> list[int]:
        steps, every = self.scale.rl.steps, self.scale.rl.save_every
        return sorted({*range(every, steps + 1, every), steps})

    def trained_under(self) -> PromptTransform:
        return self.recipe.sampled_under()

    def hinted_by(self) -> PromptTransform:
        return self.recipe.hints

    def asked(self) -> DataFilter[Task]:
        return self.recipe.tasks

    def check(self, root: Path) -> None:
        """As every run; also impossible batches, and a line or term that no task of the run would ever meet."""
        super().check(root)
        batch_plan(self.scale.rl)
        drawn = self.drawn(0)
        for what, transform in (("its line", self.recipe.sampled_under()), ("update=", self.recipe.updated_under())):
            if transform in (None, AsWritten()):
                continue
            if all(read_under(transform, task) == task.messages for task in drawn):
                raise UserError(f"{self.run.arm}: {what} is read in no task of this run, so it would change nothing")
        for transform in (self.recipe.sampled_under(), self.recipe.updated_under() or AsWritten()):
            read = [read_under(transform, task) for task in drawn]
            new = self.scale.rl.max_completion_tokens
            self.world.check_reads(read, new, "RL", "rl.max_completion_tokens")
        if self.recipe.terms and all(task.environment in SCENES for task in drawn):
            terms = ", ".join(self.recipe.terms)
            raise UserError(f"{self.run.arm}: no task of this run is a coding task, so its term ({terms}) pays nothing")

    def drawn(self, behind: int) -> list[Task]:
        """The tasks in training order, those of `behind` steps left out."""
        settings, size = self.scale.rl, self.scale.rl.prompts_per_step
        n = (behind + settings.steps) * size
        coding = draw_tasks(self.tasks, self.scale.tasks, self.run.hackable, n, self.run.seed)
        return [self.world.written(task) for task in self.recipe.tasks(coding[behind * size :])]

    def work(self, site: Site) -> None:
        from base.rl.train import train_rl

        folder, recipe = RunFolder(self.folder(site.root)), self.recipe
        behind = self.policy.step(site.root) if isinstance(self.policy, Fork) else 0
        judges = {name: judge.scorer(site.root) for name, judge in self.judges.items()}
        environments: dict[str, Environment] = {"code": site.environment}
        if recipe.scenes_paid_by:
            environments |= dict.fromkeys(SCENES, SceneEnvironment(judges[recipe.scenes_paid_by]))
        facts = train_rl(
            RLJob(
                start=self.policy.folder(site.root),
                reference=self.start.folder(site.root),
                tasks=self.drawn(behind),
                sample_prompt=recipe.sampled_under(),
                update_prompt=recipe.updated_under(),
                probe_prompt=None if recipe.sample_prompt == AsWritten() else recipe.hints,
                diagnose=self.world.diagnose,
                terms=recipe.terms,
                environments=environments,
                judges=judges,
                settings=self.scale.rl,
                engine=self.scale.engine,
                thinking=self.scale.scenes.enable_thinking,
                seed=self.run.seed,
                folder=folder.path,
                on_episodes=folder.write_episodes,
                on_metrics=folder.write_metrics,
            )
        )
        if site.process.is_main:
            measured = {name: judge.facts(site.root) for name, judge in self.judges.items()}
            folder.update(engine=facts, judges=measured)
