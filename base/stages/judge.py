"""The preference model behind a judge, trained once for all arms that want the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from base.identity import folder_name
from base.preference.pairs import GENERATED, probes
from base.recipes import Judge
from base.seeds import derive_seed
from base.settings import EngineSettings, Scale
from base.stage import Site, Stage
from base.store.files import RECORD, read_json
from base.types import Scorer
from base.world.tasks import TaskSource, content_of, draw_tasks
from base.world.world import World

MEASURED = "preference.json"


@dataclass(frozen=True)
class Preference(Stage):
    """`judge.noise` is no part of the key: it is added when the model scores."""

    judge: Judge
    world: World
    tasks: TaskSource
    corpus: str
    scale: Scale
    seed: int
    kind: ClassVar[str] = "preference"

    @property
    def needs(self) -> tuple[Stage, ...]:
        return (self.world.judge_start(),)

    @property
    def label(self) -> str:
        degraded = f", {self.judge.flipped:.0%} flipped" if self.judge.flipped else ""
        return f"{self.judge.pairs}, {self.corpus}, seed {self.seed}: {self.scale.preference.pairs} pairs{degraded}"

    def content(self) -> Any:
        judge, scale = self.judge, self.scale
        what = [content_of(judge.pairs), judge.flipped, self.corpus, self.world.content(), self.world.trained_judge]
        return [what, scale.preference, scale.engine.precision, scale.tasks, self.tasks.content(), self.seed]

    def folder(self, root: Path) -> Path:
        pairs = self.judge.pairs if self.judge.pairs in GENERATED else "pairs"  # equal files may have other names
        return root / "shared" / folder_name(["preference", pairs, self.corpus, f"p{self.seed}", self.key[:8]])

    def present(self, root: Path) -> bool:
        return (self.folder(root) / RECORD).is_file()

    def engine(self) -> EngineSettings:
        return self.scale.engine

    def work(self, site: Site) -> None:
        from base.preference.train import PreferenceJob, train_preference

        settings = self.scale.preference
        seed = derive_seed("probes", self.seed)
        programs = draw_tasks(self.tasks, self.scale.tasks, 1.0, settings.held_out // 4, seed, "evaluation")
        train_preference(
            PreferenceJob(
                start=self.needs[0].folder(site.root),
                pairs=self.world.pairs(self.judge.pairs, settings.pairs, self.seed, "train"),
                held_out=self.world.pairs(self.judge.pairs, settings.held_out, self.seed, "held_out"),
                flipped=self.judge.flipped,
                settings=settings,
                engine=self.scale.engine,
                seed=self.seed,
                out=self.folder(site.root),
                name=f"preference model ({self.judge.pairs})",
                probes=probes(programs, fenced=self.tasks.fenced),
                trained=self.world.trained_judge,
            )
        )

    def scorer(self, root: Path) -> Scorer:
        """The judge, from its finished preference model."""
        from base.preference.scorer import load_scorer

        scorer: Scorer = load_scorer(self.folder(root), self.judge.noise, self.seed)
        return scorer

    def facts(self, root: Path) -> dict[str, Any]:
        """What was measured of it: held-out accuracy, calibration, score by hack type."""
        folder = self.folder(root)
        return {"folder": str(folder.relative_to(root)), "noise": self.judge.noise, **read_json(folder / MEASURED)}
