"""Graded programs per second of one core, by harness and isolation, and what of it starting one program takes.

    python -m benchmarks.grading [--programs 400] [--core 0] [--json FILE]

This process and all it starts are bound to one core. A graded program is a grade of CodeEnvironment.grade for a text it
has not seen: of ten, four are right, three wrong or broken, three hacks (benchmarks/mix.py), each with the outcome it
must get, or the benchmark stops. Programs that only compute share a child. `pytest` is that on tasks of the pytest
harness, where the environment spares programs pytest that cannot touch it; in `pytest for all` no text shows that, so that
pytest runs for every one and none share. `sums` only compute, all of them. Below: single executions of small programs by
each grader, and the field's way, a new `python -m pytest -q`. Aimed at, on a quiet core: 300 graded programs a second by
script and 130 by pytest.

A rate is the median over five equal parts; other load on the core lowers it, and the load is printed. `cpu` does not
depend on it: processor time of this process, the worker and its programs for each program graded.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from base.environments.audit.check import WEAKEST
from base.environments.graders.code import CodeEnvironment
from base.types import CodeSpec, Harness, Outcome
from benchmarks import mix
from benchmarks.processes import descendants, processor_seconds
from benchmarks.rows import Row, load

SPEC = CodeSpec("total", tuple(f"assert total({n}, {n + 1}) == {2 * n + 1}" for n in (1, 5, 12)))
TARGETS = {
    "graded, script": 300.0,
    "graded, pytest": 130.0,
    "graded, pytest for all": 30.0,
}  # a second, in full isolation
PARTS = 5
Counted = Callable[[int, int], int]  # grades programs [from, to), returns how many the sandbox executed


def graded(environment: CodeEnvironment, make: Callable[[int], mix.Program]) -> Counted:
    def grade(start: int, stop: int) -> int:
        programs = [make(number) for number in range(start, stop)]
        before = environment.executed
        grades = environment.grade([one.task for one in programs], [one.text for one in programs])
        for one, grade in zip(programs, grades, strict=True):
            if grade.outcome not in one.outcomes and grade.outcome != Outcome.FAULT:
                raise RuntimeError(f"{grade} for a program that is {one.kind}: the benchmark means nothing\n{one.text}")
        return environment.executed - before

    return grade


def executed(environment: CodeEnvironment, grader: Harness | None) -> Counted:
    """One execution a program, by a gameable grader or the truth (None)."""

    def run(start: int, stop: int) -> int:
        texts = [f"def total(a, b):\n    return a {'+-'[n % 2]} b  # {n}\n" for n in range(start, stop)]
        specs = [SPEC] * len(texts)
        verdicts = environment.accepts(WEAKEST[grader], specs, texts) if grader else environment.truth(specs, texts)
        if [v.accepted for v in verdicts] != ["+" in text for text in texts]:
            raise RuntimeError("a grader gave a wrong verdict: the benchmark means nothing")
        return len(texts)

    return run


def new_process(start: int, stop: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        tests = "\n".join(f"def test_{n}():\n    {test}" for n, test in enumerate(SPEC.tests))
        Path(folder, "test_solution.py").write_text("from solution import total\n" + tests)
        for number in range(start, stop):
            Path(folder, "solution.py").write_text(f"def total(a, b):\n    return a + b  # {number}\n")
            command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_solution.py"]
            environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
            subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True)
    return stop - start


def _cpu() -> float:
    return processor_seconds(os.getpid()) + sum(map(processor_seconds, descendants(os.getpid())))


def rate(grade: Counted, count: int, least: int = 10) -> dict[str, float]:
    """Wall and processor time of `count` programs in PARTS equal parts of at least `least`, a first one not counted."""
    size = max(least, count // PARTS // least * least)
    grade(0, least)
    rates, cpus, runs = [], [], 0
    for start in range(least, least + size * PARTS, size):
        began, cpu = time.perf_counter(), _cpu()
        runs += grade(start, start + size)
        rates.append(size / (time.perf_counter() - began))
        cpus.append((_cpu() - cpu) / size)
    return {
        "per_second": round(statistics.median(rates), 1),
        "slowest": round(min(rates), 1),
        "fastest": round(max(rates), 1),
        "executions": round(runs / size / PARTS, 2),
        "cpu_ms": round(1000 * statistics.median(cpus), 2),
        "per_cpu_second": round(1 / max(1e-9, statistics.median(cpus)), 1),
        "programs": size * PARTS,
    }


def measure(count: int, namespaces: bool) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with CodeEnvironment(namespaces=namespaces) as environment:
            rows: dict[str, dict[str, float]] = {}
            asked: list[tuple[str, Counted, int]] = [
                ("graded, script", graded(environment, lambda n: mix.ordinary(n, "script")), count),
                ("graded, pytest", graded(environment, lambda n: mix.ordinary(n, "pytest")), count),
                ("graded, pytest for all", graded(environment, lambda n: mix.ordinary(n, "pytest", True)), count // 4),
                ("graded, sums", graded(environment, lambda n: mix.sums(n, "script")), count * 4),
                ("truth", executed(environment, None), count),
                ("script", executed(environment, "script"), count),
                ("pytest", executed(environment, "pytest"), count // 4),
            ]
            if namespaces:
                asked.append(("new pytest process", new_process, 1))
            for name, grade, number in asked:
                load = os.getloadavg()[0]
                rows[name] = rate(grade, number) | {"load": round(load, 1)}
            return {"isolation": environment.isolation(), "rows": rows}


def rows(quick: bool) -> Iterator[Row]:
    """Graded programs a second of one core in full isolation, and a new pytest process as the anchor."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    count = 400 if quick else 2000
    with CodeEnvironment() as environment:
        for harness, target in (("script", 300.0), ("pytest", 130.0)):
            found = rate(graded(environment, partial(mix.ordinary, harness=harness)), count)
            note = f"{found['executions']:.2f} executions each; {environment.isolation().partition(' (')[0]}"
            yield _row(f"graded programs, {harness}", found, target, note)
    found = rate(new_process, 1, least=2)
    yield _row("anchor: a new `python -m pytest` for each", found, None, "one test file, no isolation")


def _row(name: str, found: dict[str, float], target: float | None, note: str) -> Row:
    spread = (found["slowest"], found["fastest"])
    return Row(name, found["per_second"], "/s/core", target, spread, load(), note)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=400, metavar="N", help="programs per row (default 400)")
    parser.add_argument("--core", type=int, metavar="N", help="which core (default: the last one allowed)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")
    options = parser.parse_args()
    if options.programs < 40:
        parser.error("give at least --programs 40")
    allowed = os.sched_getaffinity(0)
    core = max(allowed) if options.core is None else options.core
    if core not in allowed:
        parser.error(f"--core {core}: choose among {', '.join(map(str, sorted(allowed)))}")
    os.sched_setaffinity(0, {core})
    found = [measure(options.programs, namespaces) for namespaces in (True, False)]
    for one in found:
        show(one["isolation"], one["rows"])
    if options.json is not None:
        options.json.write_text(json.dumps({"cores": os.cpu_count(), "levels": found}, indent=1) + "\n")
    return 0


def show(isolation: str, rows: dict[str, dict[str, float]]) -> None:
    print(f"\nisolation: {isolation}; one core, one worker")
    head = ("", "programs/s", "range over parts", "executions", "cpu ms", "per cpu s", "load", "target")
    widths = (24, 11, 18, 12, 9, 11, 7, 9)
    print(
        "".join(
            f"{text:<{w}}" if not i else f"{text:>{w}}" for i, (text, w) in enumerate(zip(head, widths, strict=True))
        )
    )
    for name, row in rows.items():
        cells = (
            f"{row['per_second']:.1f}",
            f"{row['slowest']:.1f} to {row['fastest']:.1f}",
            f"{row['executions']:.2f}",
            f"{row['cpu_ms']:.2f}",
            f"{row['per_cpu_second']:.1f}",
            f"{row['load']:.1f}",
            f"{TARGETS[name]:.0f}/s" if name in TARGETS else "",
        )
        print(f"{name:<24}" + "".join(f"{cell:>{w}}" for cell, w in zip(cells, widths[1:], strict=True)))


if __name__ == "__main__":
    sys.exit(main())
