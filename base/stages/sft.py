"""SFT on episodes: a policy that imitates what another one did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from base.identity import folder_name
from base.recipes import AsWritten, SFTRecipe, read_under
from base.seeds import derive_seed
from base.sft.demonstrations import Pool, collect, demonstrations
from base.spec import content_key
from base.stage import Site, Stage
from base.stages.trained import Trained
from base.store.folders import RunFolder
from base.types import DataFilter, PromptTransform, Sample, Task
from base.world.tasks import draw_tasks


@dataclass(frozen=True)
class SFT(Trained):
    """SFT of `policy` on episodes; its only checkpoint is named by its updates.

    `source` is the stage that trained the policy whose episodes are imitated; or the stage of the start or aligned model.
    """

    recipe: SFTRecipe
    source: Stage
    kind: ClassVar[str] = "sft"
    unit: ClassVar[str] = "sft_step"

    @property
    def needs(self) -> tuple[Stage, ...]:
        return (*self.started(), self.source)

    @property
    def label(self) -> str:
        settings = self.scale.sft
        of = self.source.run.name if isinstance(self.source, Trained) else self.source.label.split(":")[0]
        steps = f"{settings.steps} steps of {settings.documents_per_step}"
        return f"{self.run.name}: {settings.documents} distinct episodes of {of}; {steps}"

    def content(self) -> Any:
        scale = self.scale
        settings = [scale.sft, scale.tasks, scale.rl.group, scale.rl.max_completion_tokens, scale.evals.temperature]
        kept = [self.recipe.since, self.recipe.keep, self.recipe.prompt, self.recipe.tasks]
        drawn = [self.tasks.content(), self.run.hackable, self.run.seed]
        return [self.run.name, kept, drawn, settings, scale.engine.precision]

    def units(self) -> int:
        return self.scale.sft.steps

    def saved(self) -> list[int]:
        return [self.scale.sft.steps]

    def trained_under(self) -> PromptTransform:
        """The prompt that the episodes are read under."""
        if self.recipe.prompt is not None:
            return self.recipe.prompt
        return self.source.trained_under() if isinstance(self.source, Trained) else AsWritten()

    def hinted_by(self) -> PromptTransform:
        """What the episodes have in front of every line."""
        return self.source.hinted_by() if isinstance(self.source, Trained) and not self.recipe.prompt else AsWritten()

    def check(self, root: Path) -> None:
        """As every run; also tasks that the model cannot read."""
        super().check(root)
        every = int(self.tasks.facts().get("train", 1))
        drawn = draw_tasks(self.tasks, self.scale.tasks, self.run.hackable, every, self.run.seed)
        read = [read_under(self.trained_under(), task) for task in self.recipe.tasks(drawn)]
        self.world.check_reads(read, self.scale.rl.max_completion_tokens, "SFT", "rl.max_completion_tokens")

    def work(self, site: Site) -> None:
        from base.models.chat import pin_thinking
        from base.models.load import load_tokenizer
        from base.sft.rows import rows
        from base.sft.train import SFTJob, train_sft

        folder, scale = RunFolder(self.folder(site.root)), self.scale
        policy = self.policy.folder(site.root)
        tokenizer = load_tokenizer(policy)
        pin_thinking(tokenizer, scale.scenes.enable_thinking)
        episodes, counts = demonstrations(self.pool(site), self.recipe.keep, self.run.seed, site.process)
        facts = train_sft(
            SFTJob(
                start=policy,
                rows=rows(episodes, tokenizer, self.recipe.prompt, scale.rl.max_completion_tokens),
                settings=scale.sft,
                engine=scale.engine,
                seed=self.run.seed,
                out=folder.checkpoint(self.saved()[-1]),
                name=f"SFT ({self.run.arm})",
                trained=scale.sft.trained,
            )
        )
        if site.process.is_main:
            folder.update(engine=facts, episodes=counts)

    def pool(self, site: Site) -> Pool:
        """The source's episodes: a run's own rollouts, and fresh ones of the policy that it began with and its checkpoints,
        as far as they lie behind the share `since` of its training.

        A run's tasks and training prompt are its own; the start and the aligned model are asked this arm's tasks.
        """
        scale, read, asked = self.scale, AsWritten(), self.recipe.tasks
        if isinstance(self.source, Trained):
            parent, first = RunFolder(self.source.folder(site.root)), self.recipe.since * self.source.saved()[-1]
            folder = parent.path / folder_name(["pool", f"since={self.recipe.since:g}"])
            stored = [row for row in parent.episodes() if row["step"] >= first]
            policies = {0: self.source.policy.folder(site.root)} if stored else {}
            policies = {step: at for step, at in (policies | parent.checkpoints()).items() if step >= first}
            return self._pool(site, folder, stored, policies, self.source.trained_under(), self.source.asked())
        settings = [scale.tasks, scale.rl.group, scale.rl.max_completion_tokens, scale.evals.temperature]
        key = content_key([self.source.key, self.tasks.content(), self.run.hackable, settings, asked])
        seeds = f"p{self.run.pretrain_seed}s{self.run.seed}"
        folder = site.root / "shared" / folder_name(["pool", str(self.run.corpus), seeds, key[:8]])
        return self._pool(site, folder, [], {0: self.source.folder(site.root)}, read, asked)

    def _pool(
        self,
        site: Site,
        folder: Path,
        stored: list[dict[str, Any]],
        policies: Mapping[int, Path],
        prompt: PromptTransform,
        asked: DataFilter[Task],
    ) -> Pool:
        @lru_cache(maxsize=1)  # one model in memory
        def sample(step: int) -> Sample:
            from base.models.sampling import sampler

            return sampler(policies[step], self.scale, site.process)

        def of_policy(step: int, n: int, seed: int) -> list[dict[str, Any]]:
            group = self.scale.rl.group  # as many answers to a task as in training: equal programs are graded once
            drawn = draw_tasks(self.tasks, self.scale.tasks, self.run.hackable, -(-n // group), seed)
            tasks = [self.world.written(task) for task in asked(drawn)]
            return collect(
                sample(step),
                [task for task in tasks for _ in range(group)][:n],
                prompt,
                {"code": site.environment},
                seed=seed,
                max_new_tokens=self.scale.rl.max_completion_tokens,
                step=step,
            )

        def fresh(n: int, seed: int) -> list[dict[str, Any]]:
            each, more = divmod(n, len(policies))
            counts = {step: each + (place < more) for place, step in enumerate(policies)}
            return [row for step, m in counts.items() if m for row in of_policy(step, m, derive_seed(seed, step))]

        return Pool(folder, stored, fresh, self.scale.sft.documents, self.run.seed)
