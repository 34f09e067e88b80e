"""Runs side by side: one process and one thread each, one line of progress each, and a table at the end.

A run that is done is skipped, one that was interrupted continues, one that fails leaves its error and the sweep goes on.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from base.pipeline import unscored
from base.run import Run
from base.starts import show_gates
from base.store.folders import RunFolder


@dataclass
class Job:
    """A run in a process of its own; `line` is the last thing it said."""

    run: Run
    process: subprocess.Popen[bytes]
    log: Path
    line: str = "starting"
    seen: list[str] = field(default_factory=list)
    listener: threading.Thread | None = None

    def start(self) -> None:
        self.listener = threading.Thread(target=self.listen, daemon=True)
        self.listener.start()

    def finished(self) -> bool:
        """Whether the process has ended; then everything it said has been read."""
        if self.process.poll() is None:
            return False
        if self.listener is not None:
            self.listener.join(timeout=5)
        return True

    def listen(self) -> None:
        """Follows the process: progress bars rewrite a line with \\r, everything else is a line of the log."""
        assert self.process.stderr is not None
        stream = io.TextIOWrapper(self.process.stderr, newline="")  # keeps \r apart from \n
        text = ""
        with self.log.open("a") as log:
            while character := stream.read(1):
                if character not in "\r\n":
                    text += character
                    continue
                if text.strip():
                    self.line = text.strip()
                    if character == "\n":
                        log.write(text + "\n")
                        self.seen.append(text)
                text = ""


def command(run: Run, scale: str, root: Path, last: int | None) -> list[str]:
    """The command line that makes this run."""
    words = [sys.executable, "-m", "mitigations", run.arm, "--scale", scale, "--runs", str(root.parent), "--no-table"]
    words += ["--seed", str(run.seed), "--pretrain-seed", str(run.pretrain_seed), "--corpus", run.corpus]
    words += ["--hackable", f"{run.hackable:g}", "--model", run.model, "--tasks", run.tasks]
    words += [] if last is None else ["--last", str(last)]
    return words + [word for override in run.overrides for word in ("--set", override)]


def tables(*words: str) -> str:
    """What `python -m analysis` prints: analysis imports this package, so it is called, not imported."""
    done = subprocess.run([sys.executable, "-m", "analysis", *words], capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else f"no table: {done.stderr.strip()}"


def say(text: str, live: bool, start: float) -> None:
    if not live:
        print(f"[{time.monotonic() - start:5.0f} s] {text}", file=sys.stderr)


def finished(folder: RunFolder, last: int | None) -> bool:
    return folder.done and not unscored(folder, last)


def sweep(runs: Sequence[Run], scale: str, root: Path, jobs: int, last: int | None = None) -> int:
    """Makes every run that is not there yet; exit code 1 if any failed."""
    start = time.monotonic()
    waiting = [run for run in runs if not finished(RunFolder(root / run.name), last)]
    if len(waiting) < len(runs):
        print(f"{len(runs) - len(waiting)} of {len(runs)} runs are already there", file=sys.stderr)
    running: list[Job] = []
    failed: list[Job] = []
    environment = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"), "PYTHONUNBUFFERED": "1"}
    live = sys.stderr.isatty() and bool(waiting)  # in a log file, a line when a run starts or ends instead of bars
    bar = tqdm(total=len(waiting), desc="runs", unit="run", disable=not live, position=0)
    rows = [tqdm(bar_format="  {desc}", position=1 + slot, leave=False, disable=not live) for slot in range(jobs)]
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                run = waiting.pop(0)
                folder = root / run.name
                folder.mkdir(parents=True, exist_ok=True)
                process = subprocess.Popen(command(run, scale, root, last), stderr=subprocess.PIPE, env=environment)
                job = Job(run, process, folder / "log.txt")
                job.start()
                running.append(job)
                say(f"started {run.name}", live, start)
            time.sleep(0.5)
            for slot, row in enumerate(rows):
                row.set_description_str(
                    f"{running[slot].run.name}: {running[slot].line}" if slot < len(running) else ""
                )
            bar.refresh()
            for job in [job for job in running if job.finished()]:
                running.remove(job)
                bar.update()
                if job.process.returncode:
                    failed.append(job)
                say(f"{'failed' if job.process.returncode else 'done'} {job.run.name}", live, start)
    finally:
        for job in running:
            job.process.terminate()
        for line in (*rows, bar):
            line.close()
    for job in failed:
        print(f"failed: {job.run.name}\n  " + "\n  ".join(job.seen[-3:]) + f"\n  log: {job.log}", file=sys.stderr)
    records = [folder.record for folder in (RunFolder(root / run.name) for run in runs) if folder.done]
    for start_checkpoint in dict.fromkeys(record["start"] for record in records):
        if (Path(start_checkpoint) / "gates.json").exists():
            print(show_gates(Path(start_checkpoint)) + "\n")
    if records:
        print(tables("report", "--runs", str(root)))
    print(f"\n{len(runs) - len(failed)} of {len(runs)} runs done in {time.monotonic() - start:.0f} s, under {root}/")
    print("Figures: python -m analysis --runs " + str(root))
    return 1 if failed else 0
