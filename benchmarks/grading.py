"""Graded programs per second on one worker, against a new pytest process per program.

    python benchmarks/grading.py [--programs 200] [--baseline 15] [--json FILE]

All graders get the same small programs, half of them right; every verdict is checked. Times are wall clock, start-up of
the worker not counted; the baseline is `python -m pytest -q` on the same solution and tests in a temporary directory.
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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from base.environments.check import WEAKEST
from base.environments.code import CodeEnvironment
from base.types import CodeSpec

SPEC = CodeSpec("total", tuple(f"assert total({n}, {n + 1}) == {2 * n + 1}" for n in (1, 5, 12)))
TARGETS = {"script": 25.0, "pytest": 6.0}  # times a new pytest process
ROUNDS = 5


def programs(count: int) -> list[str]:
    return [f"def total(a, b):\n    return a {'+-'[n % 2]} b  # {n}\n" for n in range(count)]


def rate(grade: Callable[[Sequence[str]], Sequence[bool]], texts: Sequence[str]) -> list[float]:
    """Programs per second of ROUNDS equal parts. Raises if a verdict is wrong."""
    size = max(2, len(texts) // ROUNDS // 2 * 2)
    rates = []
    for start in range(0, size * ROUNDS, size):
        part = [texts[n % len(texts)] for n in range(start, start + size)]
        began = time.perf_counter()
        verdicts = grade(part)
        rates.append(size / (time.perf_counter() - began))
        if list(verdicts) != ["+" in text for text in part]:
            raise RuntimeError("a grader gave a wrong verdict: the benchmark means nothing")
    return rates


def new_process(texts: Sequence[str]) -> list[bool]:
    verdicts = []
    with tempfile.TemporaryDirectory() as folder:
        tests = "\n".join(f"def test_{n}():\n    {test}" for n, test in enumerate(SPEC.tests))
        Path(folder, "test_solution.py").write_text("from solution import total\n" + tests)
        for text in texts:
            Path(folder, "solution.py").write_text(text)
            command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_solution.py"]
            environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)
            verdicts.append(done.returncode == 0)
    return verdicts


def measure(count: int, baseline: int, namespaces: bool) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with CodeEnvironment(namespaces=namespaces) as environment:
            isolation = environment.isolation()

            def gameable(name: Any) -> Callable[[Sequence[str]], list[bool]]:
                def grade(texts: Sequence[str]) -> list[bool]:
                    return [v.accepted for v in environment.accepts(WEAKEST[name], [SPEC] * len(texts), texts)]

                return grade

            def truth(texts: Sequence[str]) -> list[bool]:
                return [v.accepted for v in environment.truth([SPEC] * len(texts), texts)]

            texts = programs(count)
            rates = {
                "new pytest process": rate(new_process, texts[:baseline]),
                "pytest": rate(gameable("pytest"), texts[: max(2, count // 4)]),
                "script": rate(gameable("script"), texts),
                "truth": rate(truth, texts),
            }
    slow = statistics.median(rates["new pytest process"])
    rows = {
        name: {
            "per_second": round(statistics.median(values), 2),
            "slowest": round(min(values), 2),
            "fastest": round(max(values), 2),
            "ratio": round(statistics.median(values) / slow, 2),
            "target": TARGETS.get(name),
        }
        for name, values in rates.items()
    }
    return {"isolation": isolation, "load": os.getloadavg()[0], "cores": os.cpu_count(), "graders": rows}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=200, metavar="N", help="programs per grader (default 200)")
    parser.add_argument("--baseline", type=int, default=15, metavar="N", help="new pytest processes (default 15)")
    parser.add_argument("--no-namespaces", action="store_true", help="rlimits only: shows what isolation costs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")
    options = parser.parse_args()
    if options.programs < 10 or options.baseline < 2:
        parser.error("give at least --programs 10 and --baseline 2")
    found = measure(options.programs, options.baseline, not options.no_namespaces)
    print(f"isolation: {found['isolation']}; {found['cores']} cores, load {found['load']:.1f}; one worker")
    print(f"{'grader':<20}{'programs/s':>12}{'range over parts':>20}{'times a new process':>22}{'target':>9}")
    for name, row in found["graders"].items():
        between = f"{row['slowest']:.1f} to {row['fastest']:.1f}"
        target = f"{row['target']:.0f}x" if row["target"] else ""
        print(f"{name:<20}{row['per_second']:>12.1f}{between:>20}{row['ratio']:>21.1f}x{target:>9}")
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
