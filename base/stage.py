"""What a run is made of: stages. A stage knows its key, what it needs, where it lies, its state, its cost, and how to make it.

The plan prints a list of stages, a run makes it, a sweep schedules the union of several. Two runs share a stage because
their stages have equal keys. Every stage leaves a record in ROOT/stages/: its state is read from there and nowhere else.
"""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, ClassVar

from base.engine.signals import stop_if_arrived
from base.engine.trackers import FOLDER, tracking
from base.errors import UserError
from base.progress import EVERY, in_words, working_on
from base.settings import EngineSettings, Scale
from base.spec import content_key
from base.store.files import read_json, write_json
from base.store.locks import shared
from base.store.provenance import provenance

if TYPE_CHECKING:
    from base.engine.runtime import Runtime
    from base.environments.graders.code import CodeEnvironment


class State(StrEnum):
    """Of a stage under a folder of runs."""

    MISSING = "missing"
    RUNNING = "running"  # or its process was killed: the next call goes on from there
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    DONE = "done"


@dataclass(frozen=True)
class Site:
    """With what stages are made: the folder of all runs, a sandbox, this process; how often it says in a log how far it is
    (seconds), and whether a sweep reads that from a file (Stage.progress_file).
    """

    root: Path
    environment: CodeEnvironment
    process: Runtime
    every: float = EVERY
    watched: bool = False


@dataclass(frozen=True)
class Stage(ABC):
    """One piece of work. Subclasses are frozen dataclasses; equal keys mean equal results in one and the same folder.

    `kind` names the work in plans and records, `unit` what its time is counted in.
    """

    kind: ClassVar[str]
    unit: ClassVar[str] = ""  # of the estimate in Scale.measured; "" is the whole stage

    @property
    @abstractmethod
    def needs(self) -> tuple[Stage, ...]:
        """Stages that must be done before."""

    @abstractmethod
    def content(self) -> Any:
        """Everything the result depends on beside `needs`, in a form that content_key takes."""

    @property
    @abstractmethod
    def label(self) -> str:
        """What is made, in a line."""

    @abstractmethod
    def folder(self, root: Path) -> Path:
        """Where the result lies."""

    @abstractmethod
    def present(self, root: Path) -> bool:
        """Whether the result is there as far as files tell."""

    @abstractmethod
    def work(self, site: Site) -> None:
        """Makes the result, or goes on with it; called on every rank, `needs` are done. Its record is not its business."""

    @abstractmethod
    def engine(self) -> EngineSettings:
        """What it computes with."""

    def units(self) -> int:
        """How many of `unit` it takes."""
        return 1

    def left(self, root: Path) -> int:
        """How many of them are still to be done under `root`."""
        return self.units()

    @cached_property
    def key(self) -> str:
        """Hash of the kind, the content and the keys of what it needs (hex)."""
        return content_key([self.kind, self.content(), [need.key for need in self.needs]])

    def record_file(self, root: Path) -> Path:
        """Where its state, times and provenance are kept."""
        return root / "stages" / f"{self.kind}--{self.key[:16]}.json"

    def progress_file(self, root: Path) -> Path:
        """Where a sweep reads how far it is, while it is made."""
        return self.record_file(root).with_suffix(".progress")

    @property
    def title(self) -> str:
        """What it is called where it says how far it is: its kind, and its label up to the details."""
        return f"{self.kind} {self.label.split(':')[0]}"

    def record(self, root: Path) -> dict[str, Any]:
        """What its record says; empty where there is none."""
        return read_json(self.record_file(root))

    def state(self, root: Path) -> State:
        """The state that is recorded; done only while the result is really there."""
        state = State(self.record(root).get("state", State.MISSING))
        return State.MISSING if state is State.DONE and not self.present(root) else state

    def estimate(self, root: Path, pace: Pace) -> float | None:
        """Seconds left at a pace; None: not known."""
        left = 0 if self.state(root) is State.DONE else self.left(root)
        each = pace.of(self)
        return 0.0 if not left else None if each is None else each * left

    def make(self, site: Site) -> None:
        """Makes it unless it is done; other processes that want it wait, other ranks take part.

        Raises:
            UserError: something it needs is not done, or whatever `work` finds wrong.
            Terminated: SIGTERM arrived; in the last step of training the stage is done nevertheless.
        """
        if site.process.world_size == 1 and self.state(site.root) is State.DONE:
            return  # several ranks decide together, behind the barrier: they must not see different states
        with shared(self.record_file(site.root), site.process):
            if self.state(site.root) is State.DONE:  # by another process, while this one waited
                return
            if lacking := [need for need in self.needs if need.state(site.root) is not State.DONE]:
                raise UserError(f"{self} needs {lacking[0]}, which is {lacking[0].state(site.root)}: make that first")
            began = time.perf_counter()
            try:  # a signal may arrive between any two lines
                self._note(site, State.RUNNING, session=True)
                watched = self.progress_file(site.root) if site.watched else None
                reports = site.root / FOLDER / self.folder(site.root).name
                with working_on(self.title, site.every, watched), tracking(self.engine().report_to, reports):
                    self.work(site)
                self._note(site, State.DONE, time.perf_counter() - began)
            except BaseException as error:
                stopped = isinstance(error, KeyboardInterrupt)
                state = State.INTERRUPTED if stopped else State.FAILED
                self._note(site, state, time.perf_counter() - began, error)
                raise
        stop_if_arrived()

    def _note(
        self, site: Site, state: State, seconds: float = 0.0, error: BaseException | None = None, session: bool = False
    ) -> None:
        """Writes the record (on the main rank): the times of an interrupted stage add up."""
        if not site.process.is_main:
            return
        old = self.record(site.root)
        sessions = old.get("sessions", [])
        write_json(
            self.record_file(site.root),
            {
                "kind": self.kind,
                "label": self.label,
                "key": self.key,
                "needs": [need.key for need in self.needs],
                "folder": str(self.folder(site.root).relative_to(site.root)) if self.inside(site.root) else str(self),
                "state": state,
                "error": in_a_record(error),
                "unit": self.unit,
                "units": self.units(),
                "seconds": round(old.get("seconds", 0.0) + seconds, 2),
                "sessions": [*sessions, provenance()] if session else sessions,
            },
        )
        self.noted(site, state, error)

    def noted(self, site: Site, state: State, error: BaseException | None) -> None:  # noqa: B027  (most need nothing)
        """Called on the main rank after every change of state."""

    def inside(self, root: Path) -> bool:
        """Whether its result lies under `root`."""
        return self.folder(root).is_relative_to(root)

    def __str__(self) -> str:
        return f"{self.kind} {self.label}"


def in_a_record(error: BaseException | None) -> str | None:
    """An error as records have it, its kind and what it says; None of none."""
    return None if error is None else f"{type(error).__name__}: {error}"


def in_order(wanted: Iterable[Stage]) -> list[Stage]:
    """The stages and all that they need, each once, needs first."""
    found: dict[str, Stage] = {}

    def add(stage: Stage) -> None:
        if stage.key not in found:
            for need in stage.needs:
                add(need)
            found[stage.key] = stage

    for stage in wanted:
        add(stage)
    return list(found.values())


def to_make(stages: Sequence[Stage], root: Path, there: Collection[str] = ()) -> list[Stage]:
    """Those that are still to be made, in order: not done, and wanted for themselves (nothing in the list needs them) or by
    another one that is to be made. `there`: keys of stages that count as done.
    """
    needed = {need.key for stage in stages for need in stage.needs}
    wanted = {stage.key for stage in stages} - needed
    found = []
    for stage in reversed(stages):
        if stage.key in wanted and stage.key not in there and stage.state(root) is not State.DONE:
            found.append(stage)
            wanted |= {need.key for need in stage.needs}
    return found[::-1]


def seconds_each(root: Path) -> dict[tuple[str, str], float]:
    """Median seconds of a unit, by kind and unit, of the stages that were finished here in one go under `root`."""
    found: dict[tuple[str, str], list[float]] = {}
    for path in (root / "stages").glob("*.json"):
        record = read_json(path)
        here = record.get("state") == State.DONE and not record.get("shipped")
        if here and len(record["sessions"]) == 1 and record["units"]:
            each = record["seconds"] / record["units"]
            found.setdefault((record["kind"], record.get("unit", "")), []).append(each)
    return {what: median(values) for what, values in found.items()}


class Pace:
    """How long a unit of a stage takes: as finished stages of its kind under `root` took, or by the scale's own numbers."""

    def __init__(self, root: Path, scale: Scale) -> None:
        self.found, self.measured = seconds_each(root), scale.measured

    def of(self, stage: Stage) -> float | None:
        """Seconds; None: not known. What has no units takes no time."""
        if not stage.units():
            return 0.0
        return self.found.get((stage.kind, stage.unit), self.measured.get(stage.unit or stage.kind))


def plan(stages: Sequence[Stage], root: Path, scale: Scale, shipped: Collection[str] = (), jobs: int = 1) -> str:
    """The stages as text, a line each with its state and the time it will take, and the time of all, `jobs` side by side.

    `shipped`: keys of stages that come with the code.
    """
    todo, pace = to_make(stages, root, shipped), Pace(root, scale)
    times = {stage.key: stage.estimate(root, pace) for stage in todo}
    lines = []
    for stage in stages:
        seconds = times.get(stage.key, 0.0)
        left = f"about {seconds:.0f} s" if seconds else "" if seconds == 0 else "time not known"
        shown = _shown(stage, root, stage.key in times, stage.key in shipped)
        lines.append(f"{stage.kind:<11} {shown:<11} {stage.label}" + (f"  ({left})" if left else ""))
    timed_now = "tokens_sampled" in scale.measured  # base.models.cost.measure
    return "\n".join([*lines, f"{'time':<11} {together(todo, list(times.values()), jobs, timed_now)}"])


def _shown(stage: Stage, root: Path, wanted: bool, shipped: bool) -> str:
    state = stage.state(root)
    if state is not State.MISSING:
        return state
    return "ships" if shipped else "to make" if wanted else "not needed"


def together(stages: Sequence[Stage], times: Sequence[float | None], jobs: int = 1, timed_now: bool = False) -> str:
    """The time of all stages in words; `jobs` side by side. `timed_now`: on this machine, whatever else it does."""
    unknown = sorted({stage.kind for stage, seconds in zip(stages, times, strict=True) if seconds is None})
    whole = sum(seconds for seconds in times if seconds) / jobs
    cores = "core" if jobs == 1 else f"{jobs} cores"
    idle = "an idle core" if jobs == 1 else f"{jobs} idle cores"
    where = f"{'a ' * (jobs == 1)}{cores} as busy as now" if timed_now else idle
    if unknown:
        known = f"about {in_words(whole)} on {where} for the rest; " if whole else ""
        return f"{known}not known: no stage of the kind {' or '.join(unknown)} has been made at this scale yet"
    return f"about {in_words(whole)} on {where}" if whole else "nothing left to do"


def make_all(stages: Sequence[Stage], site: Site) -> None:
    """Makes a list of stages in order, and says which."""
    alone = (
        site.process.world_size == 1
    )  # several ranks decide about each stage together: they may see different states
    todo = [stage for stage in stages if not (alone and stage.state(site.root) is State.DONE)]
    for number, stage in enumerate(todo, 1):
        if site.process.is_main:
            print(f"[{number}/{len(todo)}] {stage}", file=sys.stderr, flush=True)
        stage.make(site)
