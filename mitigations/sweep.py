"""Stages side by side: the union of what several runs need, each stage made once, one thread each.

A stage that is done is skipped, one that was interrupted continues, one that fails leaves its error and the sweep goes on
without what needs it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from base.progress import EVERY
from base.run import check
from base.stage import Stage, State, in_order
from base.workers import Workers
from base.world.start import Gates, show_gates


def sweep(runs: Sequence[Sequence[Stage]], root: Path, jobs: int) -> int:
    """Makes every stage of every run that is not there yet; exit code 1 if any failed.

    Raises:
        UserError: what `base.run.check` finds wrong with any of them, before anything is made.
    """
    stages = in_order(stage for run in runs for stage in run)
    check(stages, root)
    view = View(root, jobs, sum(stage.state(root) is not State.DONE for stage in stages))
    if view.total < len(stages):
        view.say(f"{len(stages) - view.total} of {len(stages)} stages are already there")
    failed = _make(stages, root, jobs, view) if view.total else {}
    for stage in stages:
        if isinstance(stage, Gates) and stage.state(root) is State.DONE:
            print(show_gates(stage.folder(root)) + "\n")
    for stage in stages:
        if stage.key in failed:
            print(f"failed: {stage}\n  {failed[stage.key]}", file=sys.stderr)
    made = sum(run[-1].state(root) is State.DONE for run in runs)
    print(f"{made} of {len(runs)} runs done in {view.seconds():.0f} s, under {root}/")
    print(f"Figures: python -m analysis --runs {root}")
    return 1 if made < len(runs) else 0


def _make(stages: Sequence[Stage], root: Path, jobs: int, view: View) -> dict[str, str]:
    """Makes what is not done; returns why stages failed, by key."""
    waiting = by_use([stage for stage in stages if stage.state(root) is not State.DONE])
    failed: dict[str, str] = {}
    running: dict[str, Stage] = {}
    with Workers(stages, root) as workers, view:
        while waiting or running:
            coming = {stage.key for stage in (*waiting, *running.values())}
            for stage in list(waiting):
                lacking = [need for need in stage.needs if need.key in failed]
                if not lacking and len(running) < jobs:
                    # what still runs may have written its record; it is done when its process has ended
                    undone = [n for n in stage.needs if n.key in running or n.state(root) is not State.DONE]
                    lacking = [need for need in undone if need.key not in coming]
                    if not undone:
                        workers.start(stage, log_of(stage, root))
                        running[stage.key] = stage
                        waiting.remove(stage)
                        view.say(f"started {stage}")
                if lacking:
                    failed[stage.key] = f"not made: it needs {lacking[0]}"
                    waiting.remove(stage)
                    view.ended()
            for key, code in workers.ended(seconds=0.5):
                stage = running.pop(key)
                if code == 0:
                    view.say(f"done    {stage} in {stage.record(root).get('seconds', 0.0):.0f} s")
                else:
                    failed[key] = why(stage, root, code)
                    view.say(f"failed  {stage}: {failed[key]}")
                view.ended()
            view.show(list(running.values()))
    return failed


def by_use(stages: Sequence[Stage]) -> list[Stage]:
    """In the order in which they begin when they can: the longest chain of stages behind them first, evaluations last.

    So RL of the next arm never stands behind the evaluation of the one before; it needs nothing of it.
    """
    behind = {stage.key: 0 for stage in stages}
    for stage in reversed(stages):  # whatever needs it comes later
        for need in stage.needs:
            behind[need.key] = max(behind.get(need.key, 0), behind[stage.key] + 1)
    return sorted(stages, key=lambda stage: -behind[stage.key])


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
    a minute how far it is.
    """

    def __init__(self, root: Path, jobs: int, total: int, every: float = EVERY) -> None:
        self.root, self.total, self.began = root, total, time.monotonic()
        self.live = sys.stderr.isatty() and total > 0
        self.every, self.spoke = every, self.began
        self.bar = tqdm(total=total, desc="stages", unit="stage", disable=not self.live, position=0)
        rows = range(jobs if self.live else 0)
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

    def show(self, running: Sequence[Stage]) -> None:
        """How far the running stages are."""
        if not self.live:
            if time.monotonic() - self.spoke >= self.every:
                self.spoke = time.monotonic()
                for stage in running:
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
