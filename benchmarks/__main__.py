"""Every row of the speed table, each beside its target, in under ten minutes; how to read it: benchmarks/README.md.

    python -m benchmarks                      all rows, as `make bench`
    python -m benchmarks grading start        rows of some modules
    python -m benchmarks --long --json FILE   more repeats, and the numbers in a file

Each module runs in a process of its own, one after the other.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from base.engine.runtime import cpu_model
from benchmarks.rows import Row

ROOT = Path(__file__).parents[1]
MODULES = ("grading", "rl_step", "evaluation", "start", "training")
HEAD = f"{'':<47}{'value':>8} {'':<9}{'target':>9}  {'':<7}{'range':>16}{'load':>6}  what"
LONG = (
    "not run here, with an idle machine of two cores (benchmarks/README.md):",
    "  one seed of the main job        target 15 min   make reproduce",
    "  one seed of the grid            target 75 min   python -m mitigations --experiment mitigations --jobs 2",
)


def line(row: Row) -> str:
    """One row of the table."""
    number = _number(row.value)
    target = "" if row.target is None else f"{'<=' if row.lower else '>='} {_number(row.target)}"
    met = {None: "", True: "met", False: "missed"}[row.met]
    spread = "" if row.spread is None else f"{_number(row.spread[0])} to {_number(row.spread[1])}"
    busy = "" if row.load is None else f"{row.load:.1f}"
    return f"{row.name:<47}{number:>8} {row.unit:<9}{target:>9}  {met:<7}{spread:>16}{busy:>6}  {row.note}".rstrip()


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def rows_of(module: str, quick: bool) -> Iterator[Row]:
    """The rows of a module, as they come, from a process of its own.

    Raises:
        RuntimeError: it failed, and the last that it said.
    """
    words = [sys.executable, "-m", "benchmarks", module, "--worker", *([] if quick else ["--long"])]
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    with tempfile.TemporaryFile("w+") as said:
        with subprocess.Popen(
            words, cwd=ROOT, stdout=subprocess.PIPE, stderr=said, text=True, env=environment
        ) as process:
            assert process.stdout is not None
            for text in process.stdout:
                if text.startswith("{"):
                    values = json.loads(text)
                    yield Row(**{**values, "spread": values["spread"] and tuple(values["spread"])})
        if process.returncode:
            said.seek(0)
            raise RuntimeError(f"benchmarks.{module} failed:\n{said.read()[-2000:]}")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"{', '.join(MODULES)} (default: all)")
    parser.add_argument("--long", action="store_true", help="more repeats of everything")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows there")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    for name in options.modules:
        if name not in MODULES:
            parser.error(f"unknown module '{name}': choose among {', '.join(MODULES)}")
    if options.worker:
        for row in importlib.import_module(f"benchmarks.{options.modules[0]}").rows(not options.long):
            print(json.dumps(asdict(row)), flush=True)
        return 0
    began, found, failed = time.monotonic(), [], []
    print(f"{cpu_model()}, {os.cpu_count()} cores, load before {os.getloadavg()[0]:.1f}; medians\n{HEAD}", flush=True)
    for module in options.modules or MODULES:
        try:
            for row in rows_of(module, not options.long):
                found.append(row)
                print(line(row), flush=True)
        except RuntimeError as error:
            failed.append(str(error))
            print(error, file=sys.stderr)
    missed = sum(row.met is False for row in found)
    targets = sum(row.target is not None for row in found)
    print(f"{targets - missed} of {targets} targets met, in {(time.monotonic() - began) / 60:.1f} min", *LONG, sep="\n")
    if options.json is not None:
        setting = {"cpu": cpu_model(), "cores": os.cpu_count(), "long": options.long}
        options.json.write_text(json.dumps({**setting, "rows": [asdict(row) for row in found]}, indent=1) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
