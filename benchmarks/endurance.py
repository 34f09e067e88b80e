"""One environment grades 100,000 programs, a tenth of them hostile: does anything grow, stay behind or break?

    python -m benchmarks.endurance [--programs 100000] [--hostile 0.1] [--workers 1] [--json results/endurance/run.jsonl]

Programs: `mix.endurance`. Every 1 % one JSON line: programs per second, resident memory and open descriptors of this
process and of the workers, temporary files, processes, mounts, replaced workers, faults, outcomes that are not as they
must be. The last line is the verdict, exit code 1 if it is "not flat". Flat means, of the last tenth of the lines
against those between 5 % and 15 %, by medians:

- memory of this process and of the workers: at most 5 % and 8 MB more;
- descriptors, temporary files, processes and mounts: the same number;

and over the whole run no fault, no worker that had to be replaced, no outcome that is not as it must be, and after the
environment is closed no process, folder or descriptor more than before. Limits of a program: 1 s of processor time,
4 s wall, 256 MB, 4 MB of disk.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from base.environments.audit.attacks.floods import DAEMON
from base.environments.graders.code import CodeEnvironment
from base.environments.sandbox import Limits
from base.errors import exit_code
from base.types import Outcome
from benchmarks import mix
from benchmarks.processes import count, descendants, descriptors, memory, mounts, named

LIMITS = Limits(cpu=1, wall=4, memory=256 << 20, disk=4 << 20, files=256)
CACHE = 2000  # answers kept, so that the cache is full, and has stopped growing, within the first 5 %
ROWS = 100
GROWING = ("memory_mb", "worker_memory_mb")
FIXED = ("descriptors", "worker_descriptors", "temporary_files", "processes", "worker_mounts", "mounts")
MAY_GROW, MAY_GROW_MB = 0.05, 8.0
SURVIVOR = f"edmund-{os.getpid()}"  # what the daemons among the hostile programs call themselves


def state(environment: CodeEnvironment) -> dict[str, Any]:
    workers = descendants(os.getpid())
    return {
        "memory_mb": round(memory(os.getpid()) / 2**20, 1),
        "worker_memory_mb": round(sum(map(memory, workers)) / 2**20, 1),
        "descriptors": descriptors(os.getpid()),
        "worker_descriptors": sum(map(descriptors, workers)),
        "temporary_files": left_over(),
        "processes": len(workers) + len(named(SURVIVOR)),
        "mounts": mounts(os.getpid()),
        "worker_mounts": sum(map(mounts, workers)),
        "replaced": environment.replaced,
        "executed": environment.executed,
    }


def left_over() -> int:
    """Files and folders in the directory for temporary files, which `run` makes its own."""
    return count(Path(tempfile.gettempdir()))


def verdict(rows: Sequence[dict[str, Any]], after: Sequence[str]) -> list[str]:
    """Why it was not flat; nothing if it was."""
    early, late = rows[len(rows) * 5 // 100 : max(1, len(rows) * 15 // 100)], rows[-max(1, len(rows) // 10) :]
    reasons = []
    for name in (*GROWING, *FIXED):
        was, now = (statistics.median(row[name] for row in part) for part in (early, late))
        limit = was * (1 + MAY_GROW) + MAY_GROW_MB if name in GROWING else was
        if now > limit:
            reasons.append(f"{name} went from {was} to {now}")
    last = rows[-1]
    reasons += [f"{last[name]} {name}" for name in ("faults", "replaced", "wrong_outcomes") if last[name]]
    return [*reasons, *after]


@contextlib.contextmanager
def own_folder() -> Iterator[str]:
    """A directory for temporary files that only this process and its workers use."""
    kept = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="edmund-endurance-") as folder:
        os.chmod(folder, 0o711)
        tempfile.tempdir = folder
        try:
            yield folder
        finally:
            tempfile.tempdir = kept


def run(programs: int, share: float, workers: int, seed: int, out: Path | None) -> bool:
    with own_folder() as folder:
        return _run(programs, share, workers, seed, out, folder)


def _run(programs: int, share: float, workers: int, seed: int, out: Path | None, folder: str) -> bool:
    from tqdm import tqdm

    lines = out.open("w", encoding="utf-8") if out else None

    def write(row: dict[str, Any]) -> None:
        text = json.dumps(row)
        if lines is None:
            print(text, flush=True)
        else:
            print(text, file=lines, flush=True)

    before = {"processes": len(descendants(os.getpid())), "files": left_over(), "descriptors": descriptors(os.getpid())}
    kinds: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    faults = wrong = 0
    rows: list[dict[str, Any]] = []
    began = time.monotonic()
    names = {"CANARY": folder, "PARENT": str(os.getpid()), "PORT": "9", DAEMON: SURVIVOR}
    feed = mix.endurance(programs, share, seed, names)
    with CodeEnvironment(workers, LIMITS, CACHE) as environment, tqdm(total=programs, unit="program") as bar:
        write({"isolation": environment.isolation(), "programs": programs, "hostile": share, "workers": workers,
               "seed": seed, "cache": CACHE, "limits": vars(LIMITS)})  # fmt: skip
        while part := list(islice(feed, max(1, programs // ROWS))):
            started = time.monotonic()
            grades = []
            for start in range(0, len(part), 50):
                batch = part[start : start + 50]
                grades += environment.grade([one.task for one in batch], [one.text for one in batch])
                bar.update(len(batch))
            seconds = time.monotonic() - started
            for one, grade in zip(part, grades, strict=True):
                kinds[one.kind] += 1
                outcomes[f"{one.kind}: {grade.outcome}"] += 1
                faults += grade.outcome == Outcome.FAULT
                if grade.outcome not in one.outcomes:
                    wrong += 1
                    write({"not_as_it_must_be": str(grade), "kind": one.kind, "text": one.text[:200]})
            row = {"graded": sum(kinds.values()), "per_second": round(len(part) / seconds, 1)}
            row |= state(environment) | {"faults": faults, "wrong_outcomes": wrong, "load": os.getloadavg()[0]}
            rows.append(row)
            write(row)
    after = []
    for name, now in (("processes", len(descendants(os.getpid())) + len(named(SURVIVOR))), ("files", left_over()),
                      ("descriptors", descriptors(os.getpid()))):  # fmt: skip
        if now > before[name]:
            after.append(f"after closing {now - before[name]} {name} more than before")
    reasons = verdict(rows, after)
    last = {"verdict": "not flat" if reasons else "flat", "why": reasons, "seconds": round(time.monotonic() - began)}
    last |= {"per_second": round(programs / (time.monotonic() - began), 1), "executed": rows[-1]["executed"]}
    write(last | {"outcomes": dict(sorted(outcomes.items()))})
    if lines is not None:
        lines.close()
    print(f"{last['verdict']}: {programs} programs in {last['seconds']} s" + "".join(f"\n  {why}" for why in reasons))
    return not reasons


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=100_000, metavar="N", help="how many (default 100000)")
    parser.add_argument("--hostile", type=float, default=0.1, metavar="SHARE", help="of them hostile (default 0.1)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="sandbox processes (default 1)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the order of programs (default 0)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the lines there (default: print them)")
    options = parser.parse_args()
    if options.programs < 200 or options.workers < 1 or not 0 <= options.hostile <= 1:
        parser.error("give at least --programs 200 and --workers 1, and a --hostile between 0 and 1")
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)

    def work() -> int:
        return 0 if run(options.programs, options.hostile, options.workers, options.seed, options.json) else 1

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
