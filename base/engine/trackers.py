"""Trackers: a user's choice of where to watch runs (TensorBoard, wandb, trackio), beside the files that runs leave.

`engine.report_to` names one. Stages that train and stages that evaluate one run write to one run of the tracker, through
the callbacks of transformers where a Trainer trains. No result depends on it: it is part of no key and of no run's name.

    ROOT/trackers/<run or shared stage>/     event files of TensorBoard; wandb's own files; sent.json (base.stages.reported)
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from base.errors import UserError
from base.settings import Tracker as Name
from base.spec import content_key

FOLDER = "trackers"  # under the folder of all runs
PROJECT = "edmund"  # in trackers that have projects; WANDB_PROJECT and TRACKIO_PROJECT say otherwise
STEP = "train/global_step"  # what transformers calls the step there


def check(name: Name) -> None:
    """That a tracker can be used here.

    Raises:
        UserError: it is not installed.
    """
    if name != "none" and find_spec(name) is None:
        raise UserError(f"engine.report_to={name} needs the package {name}: pip install {name}, or leave it out")


class Tracker(Protocol):
    """One run of a tracker, opened."""

    def callback(self, args: Any) -> Any:
        """The transformers callback that writes to it; `args` are the Trainer's, and may be changed."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Writes numbers of a step."""

    def close(self) -> None:
        """Nothing is lost when the process ends."""


@dataclass(frozen=True)
class Tracked:
    """Where the stage that is being made reports to; the tracker is opened when something is first written."""

    name: Name
    folder: Path

    @cached_property
    def tracker(self) -> Tracker:
        """The opened tracker."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return TRACKERS[self.name](self.folder)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Writes numbers of a step; what is missing (NaN) is left out."""
        self.tracker.log(step, {name: value for name, value in values.items() if math.isfinite(value)})


_at: ContextVar[Tracked | None] = ContextVar("tracked", default=None)


@contextmanager
def tracking(name: Name, folder: Path) -> Iterator[None]:
    """What is trained or evaluated inside reports to `name`; nothing is opened unless something does, on the main rank."""
    at = Tracked(name, folder) if name != "none" and os.environ.get("RANK", "0") == "0" else None
    before = _at.set(at)
    try:
        yield
    finally:
        _at.reset(before)
        if at is not None and "tracker" in vars(at):
            at.tracker.close()


def tracked() -> Tracked | None:
    """Where to report to; None: nowhere, or on another rank."""
    return _at.get()


def follow(trainer: Any) -> None:
    """Lets a transformers Trainer write what it logs; callbacks that add to its logs come before."""
    if (at := tracked()) is not None:
        trainer.add_callback(at.tracker.callback(trainer.args))


class _TensorBoard:
    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer: Any = SummaryWriter(str(folder))

    def callback(self, args: Any) -> Any:
        from transformers.integrations import TensorBoardCallback

        return TensorBoardCallback(self.writer)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()


class _Wandb:
    """The same id every time: a stage that goes on, and the evaluation, write to the run that is there."""

    def __init__(self, folder: Path) -> None:
        import wandb

        name = content_key(str(folder.resolve()))[:16]
        project = os.environ.get("WANDB_PROJECT", PROJECT)
        self.run = wandb.init(project=project, id=name, name=folder.name, resume="allow", dir=folder)
        self.run.define_metric(STEP)
        self.run.define_metric("*", step_metric=STEP, step_sync=True)

    def callback(self, args: Any) -> Any:
        from transformers.integrations import WandbCallback

        return WandbCallback()  # takes the run that is open

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.run.log({**values, STEP: step})

    def close(self) -> None:
        self.run.finish()


class _Trackio:
    """A name is a run there; its callback opens and closes the run itself."""

    def __init__(self, folder: Path) -> None:
        self.project, self.name = os.environ.get("TRACKIO_PROJECT", PROJECT), folder.name
        self.run: Any = None

    def callback(self, args: Any) -> Any:
        from transformers.integrations import TrackioCallback

        args.project, args.run_name = self.project, self.name
        return TrackioCallback()

    def log(self, step: int, values: Mapping[str, float]) -> None:
        import trackio

        self.run = self.run or trackio.init(project=self.project, name=self.name, resume="allow")
        self.run.log({**values, STEP: step})

    def close(self) -> None:
        if self.run is not None:
            self.run.finish()


TRACKERS: dict[str, Callable[[Path], Tracker]] = {"tensorboard": _TensorBoard, "wandb": _Wandb, "trackio": _Trackio}
