"""What RL and SFT stages share, and the fork of a run at a trigger."""

from __future__ import annotations

import os
from abc import abstractmethod
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from base.errors import UserError
from base.identity import Run
from base.recipes import EveryRow
from base.settings import EngineSettings, Scale, SFTSettings, load_scale, scale_names
from base.stage import Site, Stage, State, in_a_record
from base.store.files import read_json, read_rows, write_json
from base.store.folders import RunFolder
from base.types import DataFilter, PromptTransform, Task, Trigger
from base.world.start import Gates
from base.world.tasks import TaskSource
from base.world.taught import FACTS
from base.world.world import World

TRAINERS = {"pretrain": "sft", "sdf": "sft", "sft": "sft", "rl": "rl", "preference": "preference"}  # section -> package


def check_trainers(scale: Scale) -> None:
    """That TRL can do what the `trainer` sections of a scale say; TRL is loaded only where one is not what ships.

    Raises:
        UserError: it does not.
    """
    usual = load_scale(scale.name) if scale.name in scale_names() else Scale("", "")
    for section, package in TRAINERS.items():
        settings = getattr(scale, section)
        if settings.trainer != getattr(usual, section).trainer:
            import_module(f"base.{package}.train").check_given(section, settings.trainer)
            if isinstance(settings, SFTSettings):
                from base.engine.trainer import divide

                ranks = int(os.environ.get("WORLD_SIZE", "1"))
                divide(f"{section}.documents_per_step", settings.documents_per_step, settings.trainer, ranks)


@dataclass(frozen=True)
class Trained(Stage):
    """Training of one run's policy. Its checkpoints lie in the run's own folder; `policy` is the stage that made what it
    starts from, `start` the pre-RL model.
    """

    run: Run
    scale: Scale
    world: World
    tasks: TaskSource
    policy: Stage

    @property
    def start(self) -> Stage:
        """The pre-RL model."""
        return self.world.start()

    @property
    def gates(self) -> Gates:
        """What was measured of it."""
        return self.world.gates()

    def started(self) -> tuple[Stage, ...]:
        """What every policy needs: the start, its gates, and what it is trained from."""
        return (self.start, self.gates, self.policy)

    @abstractmethod
    def saved(self) -> list[int]:
        """The steps of its checkpoints."""

    @abstractmethod
    def trained_under(self) -> PromptTransform:
        """The prompt that the policy was trained under."""

    @abstractmethod
    def hinted_by(self) -> PromptTransform:
        """What stays in front of every line of an evaluation prompt."""

    def asked(self) -> DataFilter[Task]:
        """Which tasks its rollouts are drawn from."""
        return EveryRow()

    def engine(self) -> EngineSettings:
        return self.scale.engine

    def folder(self, root: Path) -> Path:
        return root / self.run.name

    def present(self, root: Path) -> bool:
        return (self.folder(root) / "checkpoints" / f"step-{self.saved()[-1]:04d}").is_dir()

    def check(self, root: Path) -> None:
        """Finds what is wrong with it before anything is made.

        Raises:
            UserError: its folder holds another run; `trainer` settings that TRL does not know.
        """
        check_trainers(self.scale)
        RunFolder(self.folder(root)).check(self.key)

    def noted(self, site: Site, state: State, error: BaseException | None) -> None:
        folder = RunFolder(self.folder(site.root))
        if state is State.RUNNING:
            folder.open(self.run, self.scale, self.key)
            self._say_where_from(folder, site)
        elif state is State.DONE:
            folder.update(seconds={**folder.record.get("seconds", {}), self.kind: self.record(site.root)["seconds"]})
        elif folder.record.get("key") == self.key:  # not where opening it was refused: it is another run's
            folder.update(status=str(state), error=in_a_record(error))

    def fail(self, root: Path, error: str) -> None:
        """Leaves an error row in the place of the run."""
        RunFolder(self.folder(root)).fail(self.run, self.scale, self.key, error)

    def _say_where_from(self, folder: RunFolder, site: Site) -> None:
        root, fork = site.root, None
        if isinstance(self.policy, Fork):
            parent, trigger = str(self.policy.parent.run.arm), repr(self.policy.trigger)
            fork = {"arm": parent, "trigger": trigger, "step": self.policy.step(root)}
        folder.update(
            start=_shown(self.start.folder(root), root),
            policy=_shown(self.policy.folder(root), root),
            fork=fork,
            gates_passed=self.gates.passed(root),
            isolation=site.environment.isolation(),
        )
        if facts := self.tasks.facts():
            folder.update(task_set=facts)
        if taught := self.world.taught():
            folder.update(documents=read_json(taught.folder(root) / FACTS))


def _shown(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


@dataclass(frozen=True)
class Fork(Stage):
    """The parent's first checkpoint at or after the step that the trigger names."""

    parent: Trained
    trigger: Trigger
    kind: ClassVar[str] = "fork"

    @property
    def needs(self) -> tuple[Stage, ...]:
        return (self.parent,)

    @property
    def label(self) -> str:
        return f"of {self.parent.run.name}, {self.trigger}"

    def content(self) -> Any:
        return self.trigger

    def units(self) -> int:
        return 0

    def _file(self, root: Path) -> Path:
        return root / "shared" / f"fork--{self.key[:16]}.json"

    def step(self, root: Path) -> int:
        """The parent's step that it was forked at."""
        return int(read_json(self._file(root))["step"])

    def engine(self) -> EngineSettings:
        return self.parent.scale.engine

    def folder(self, root: Path) -> Path:
        if not self._file(root).is_file():
            return self.parent.folder(root) / "checkpoints"
        return RunFolder(self.parent.folder(root)).checkpoint(self.step(root))

    def present(self, root: Path) -> bool:
        return self._file(root).is_file() and self.folder(root).is_dir()

    def work(self, site: Site) -> None:
        if site.process.is_main:
            step = fork_step(RunFolder(self.parent.folder(site.root)), self.trigger)
            write_json(self._file(site.root), {"parent": self.parent.run.name, "step": step})


def fork_step(parent: RunFolder, trigger: Trigger) -> int:
    """The step of the parent's first checkpoint at or after the step that the trigger names.

    Raises:
        UserError: the trigger did not fire, or fired behind the last checkpoint.
    """
    step = trigger(read_rows(parent.path / "metrics.jsonl"))
    if step is None:
        raise UserError(
            f"nothing to start from: '{trigger}' was never so in {parent.path.name}; train that longer (--set rl.steps=N) or "
            "start at a step (start=step:N)"
        )
    later = [at for at in parent.checkpoints() if at >= step]
    if not later:
        raise UserError(f"'{trigger}' came true at step {step} of {parent.path.name}, behind its last checkpoint")
    return min(later)
