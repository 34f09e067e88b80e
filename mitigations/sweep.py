"""Stages side by side: the union of what several runs need, each stage made once.

A stage that is done is skipped, one that was interrupted continues, one that fails leaves its error and the sweep goes on
without what needs it. Where stages are made is the executor's business: children of a warm process on this machine
(base.workers), or jobs of a cluster (mitigations.cluster).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from tqdm import tqdm

from base.progress import EVERY, in_words
from base.run import check
from base.settings import Scale
from base.shipped import bring, starts_of
from base.stage import Pace, Stage, State, in_order, to_make
from base.stages.evaluate import Evaluate
from base.stages.verdicts import GoldenCheck
from base.workers import Workers
from base.world.start import Gates, show_gates

ROWS = 16  # running stages that a terminal shows
LIVE = 10.0  # seconds between two counts of runs in a terminal
RunStages = Sequence[Stage]  # of one run, in the order in which they can be made; the last one finishes it


class Executor(Protocol):
    """Makes stages whose needs are done."""

    def start(self, stage: Stage, log: Path) -> None:
        """Begins a stage, whose output goes to `log`."""

    def ended(self, seconds: float) -> list[tuple[str, int]]:
        """(key, exit code) of the stages that ended, waiting for at most so long; a code below 0 is a signal."""


Executors = Callable[[Sequence[Stage], Path], AbstractContextManager[Executor]]


@dataclass(frozen=True)
class Failure:
    """A stage that could not be made, and why."""

    stage: Stage
    reason: str

    def of(self, stage: Stage) -> str:
        """Why another one, or itself, was not made."""
        return self.reason if stage.key == self.stage.key else f"not made: it needs {self.stage}: {self.reason}"


def sweep(
    blocks: Sequence[Sequence[RunStages]],
    scale: Scale,
    root: Path,
    jobs: int,
    executor: Executors = Workers,
    fresh: bool = False,
) -> int:
    """Makes every stage of every run that is not there yet, those of the first block first; exit code 1 if any failed.

    Runs that end in the same stage are one run, as spellings of an arm or settings make them. `jobs`: stages side by side;
    `fresh`: what ships with the code is made here, too.

    Raises:
        UserError: what `base.run.check` finds wrong with any of them, before anything is made.
    """
    runs = list({run[-1].key: run for block in blocks for run in block}.values())
    stages = in_order(stage for run in runs for stage in run)
    check(stages, root)
    brought = [] if fresh else bring(stages, root, starts_of(scale.name))
    todo = to_make(stages, root)
    view = View(root, jobs, len(todo))
    if brought:
        view.say(f"{len(brought)} of {len(stages)} stages ship with the code")
    if len(todo) + len(brought) < len(stages):
        view.say(
            f"{len(stages) - len(todo) - len(brought)} of {len(stages)} stages are already there, or nothing needs them"
        )
    tally = Tally(runs, root, scale, jobs)
    failed = _make(by_use(todo, block_of(blocks)), root, jobs, view, tally, executor) if todo else {}
    for stage in stages:
        if isinstance(stage, Gates) and stage.state(root) is State.DONE:
            print(show_gates(stage.folder(root)) + "\n")
    for stage in stages:
        if stage.key in failed:
            print(f"failed: {stage}\n  {failed[stage.key].of(stage)}", file=sys.stderr)
    print(f"{tally.count(State.DONE)} of {len(runs)} runs done in {view.seconds():.0f} s, under {root}/")
    print(f"Figures: python -m analysis --runs {root}")
    return 1 if tally.count(State.DONE) < len(runs) else 0


def _make(
    waiting: list[Stage], root: Path, jobs: int, view: View, tally: Tally, executor: Executors
) -> dict[str, Failure]:
    """Makes what is not done; returns the failures, by key of the stage that was not made."""
    failed: dict[str, Failure] = {}
    running: dict[str, Stage] = {}
    needs = {stage.key: [need.key for need in stage.needs] for stage in waiting}  # asked twice a second

    def fail(stage: Stage, failure: Failure) -> None:
        failed[stage.key] = failure
        if isinstance(stage, Evaluate):
            stage.trained.fail(root, failure.of(stage))
        tally.failed(stage)
        view.ended()

    with executor(waiting, root) as workers, view:
        while waiting or running:
            coming = {stage.key for stage in (*waiting, *running.values())}
            for stage in list(waiting):
                lacking = next((need for need in needs[stage.key] if need in failed), None)
                if lacking:
                    fail(stage, failed[lacking])
                    view.say(f"failed  {stage}: {failed[stage.key].of(stage)}")
                    waiting.remove(stage)
                elif len(running) < jobs and not any(need in coming for need in needs[stage.key]):
                    workers.start(stage, log_of(stage, root))
                    running[stage.key] = stage
                    tally.started(stage)
                    waiting.remove(stage)
                    view.say(f"started {stage}")
            for key, code in workers.ended(seconds=0.5):
                stage = running.pop(key)
                if code == 0:
                    view.say(f"done    {stage} in {stage.record(root).get('seconds', 0.0):.0f} s")
                    tally.done(stage)
                    view.ended()
                else:
                    fail(stage, Failure(stage, why(stage, root, code)))
                    view.say(f"failed  {stage}: {failed[key].reason}")
            view.show(list(running.values()), partial(tally.line, waiting))
    return failed


def block_of(blocks: Sequence[Sequence[RunStages]]) -> dict[str, int]:
    """The first block that needs a stage, by the stage's key."""
    found: dict[str, int] = {}
    for number, block in enumerate(blocks):
        for run in block:
            for stage in run:
                found.setdefault(stage.key, number)
    return found


def by_use(stages: Sequence[Stage], block: Mapping[str, int]) -> list[Stage]:
    """In the order in which they begin when they can: block by block, so that its runs are finished before the next one's; in
    a block the check of judges first, which may refuse them, then the longest chain of stages behind them, evaluations last.

    So RL of the next arm never stands behind the evaluation of the one before; it needs nothing of it.
    """
    behind = {stage.key: 0 for stage in stages}
    for stage in reversed(stages):  # whatever needs it comes later
        for need in stage.needs:
            behind[need.key] = max(behind.get(need.key, 0), behind[stage.key] + 1)
    return sorted(stages, key=lambda stage: (block[stage.key], stage.kind != GoldenCheck.kind, -behind[stage.key]))


class Tally:
    """How many runs are done, running, failed and waiting, and how long the rest will take. No two end in the same stage."""

    def __init__(self, runs: Sequence[RunStages], root: Path, scale: Scale, jobs: int) -> None:
        self.root, self.scale, self.jobs = root, scale, jobs
        self.last = {run[-1].key: number for number, run in enumerate(runs)}
        self.states = [State.DONE if run[-1].state(root) is State.DONE else State.MISSING for run in runs]
        self.first: dict[str, int] = {}  # the first run that waits for a stage
        for number, run in enumerate(runs):
            for stage in run if self.states[number] is State.MISSING else ():
                self.first.setdefault(stage.key, number)
        self.began: dict[str, tuple[Stage, float]] = {}

    def count(self, state: State) -> int:
        """How many are in a state."""
        return self.states.count(state)

    def started(self, stage: Stage) -> None:
        """A stage began: the first run that waits for it is running."""
        self.began[stage.key] = stage, time.monotonic()

    def done(self, stage: Stage) -> None:
        """A stage ended well: the last one of a run ends the run."""
        del self.began[stage.key]
        if stage.key in self.last:
            self.states[self.last[stage.key]] = State.DONE

    def failed(self, stage: Stage) -> None:
        """A stage could not be made; nor can the run that it would have finished."""
        self.began.pop(stage.key, None)
        if stage.key in self.last:
            self.states[self.last[stage.key]] = State.FAILED

    def line(self, waiting: Sequence[Stage]) -> str:
        """The numbers in words."""
        running = {self.first[key] for key in self.began if key in self.first}
        counts = {"done": self.count(State.DONE), "running": len(running), "failed": self.count(State.FAILED)}
        counts["waiting"] = len(self.states) - sum(counts.values())
        said = ", ".join(f"{count} {name}" for name, count in counts.items())
        return f"{said}; {self._left(waiting)}"

    def _left(self, waiting: Sequence[Stage]) -> str:
        pace = Pace(self.root, self.scale)
        now = time.monotonic()
        seconds = 0.0
        for stage, passed in [*((s, 0.0) for s in waiting), *((s, now - at) for s, at in self.began.values())]:
            each = pace.of(stage)
            if each is None:
                return f"time left not known: no {stage.kind} has been made yet"
            seconds += max(0.0, each * stage.units() - passed)
        return f"about {in_words(seconds / self.jobs)} left"


def why(stage: Stage, root: Path, code: int) -> str:
    """Why a stage ended with an exit code that is not 0, and where its output is."""
    error = stage.record(root).get("error")
    reason = (
        error
        if error and code >= 0
        else f"its process was ended by signal {-code}"
        if code < 0
        else last_line(stage, root)
    )
    return f"{reason} (log: {log_of(stage, root)})"


def log_of(stage: Stage, root: Path) -> Path:
    """Where a stage's output goes in a sweep."""
    return root / "stages" / f"{stage.kind}--{stage.key[:16]}.log"


def last_line(stage: Stage, root: Path) -> str:
    """The last thing a stage said."""
    try:
        with log_of(stage, root).open("rb") as log:
            log.seek(max(0, log.seek(0, 2) - 4096))
            lines = log.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return "starting"
    return next((line.strip() for line in reversed(lines) if line.strip()), "starting")


def how_far(stage: Stage, root: Path) -> str:
    """What a running stage last said of how far it is."""
    try:
        return stage.progress_file(root).read_text(encoding="utf-8")
    except FileNotFoundError:
        return f"[{stage.title}] starting"


class View:
    """Progress: in a terminal a bar and a line for each running stage; in a log a line when a stage starts or ends, and once
    a minute how far it is. Both say how many runs are done, running, failed and waiting.
    """

    def __init__(self, root: Path, jobs: int, total: int, every: float = EVERY) -> None:
        self.root, self.total, self.began = root, total, time.monotonic()
        self.live = sys.stderr.isatty() and total > 0
        self.every, self.spoke = every, self.began
        self.bar = tqdm(total=total, desc="stages", unit="stage", disable=not self.live, position=0)
        rows = range(min(jobs, ROWS) if self.live else 0)
        self.rows = [tqdm(bar_format="  {desc}", position=1 + row, leave=False) for row in rows]

    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self.began

    def say(self, text: str) -> None:
        """A line of the log."""
        line = f"[{self.seconds():5.0f} s] {text}"
        self.bar.write(line, file=sys.stderr) if self.live else print(line, file=sys.stderr, flush=True)

    def ended(self) -> None:
        """A stage ended."""
        self.bar.update()

    def show(self, running: Sequence[Stage], runs: Callable[[], str]) -> None:
        """How far the running stages are; `runs` says it of the runs, asked once in a while."""
        due = time.monotonic() - self.spoke >= (LIVE if self.live else self.every)
        if due:
            self.spoke = time.monotonic()
            self.bar.set_postfix_str(runs(), refresh=False) if self.live else self.say(f"runs: {runs()}")
        if not self.live:
            for stage in running if due else ():
                self.say(f"        {how_far(stage, self.root)}")
            return
        for place, row in enumerate(self.rows):
            at_work = running[place : place + 1]
            row.set_description_str("".join(how_far(stage, self.root) for stage in at_work)[:200])
        self.bar.refresh()

    def __enter__(self) -> View:
        return self

    def __exit__(self, *_: object) -> None:
        for line in (*self.rows, self.bar):
            line.close()
