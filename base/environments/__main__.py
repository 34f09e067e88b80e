"""Command line of the environments: `python -m base.environments check --tasks FILE|HUB_ID|organism`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from base.config import UserError
from base.environments.check import check
from base.environments.code import CodeEnvironment
from base.types import Harness, Task

ORGANISM_TASKS = 200


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        return _check(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m base.environments",
        description="Tools for the coding environment: its tasks, its gameable graders and its truth.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    checker = commands.add_parser(
        "check",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        help="check a task set against the graders",
        description=(
            "Runs every reference solution through the gameable graders (all weaknesses on) and the truth grader, and\n"
            "every known hack through the grader it is for (must be accepted) and the truth grader (must be refused)."
        ),
        epilog=(
            "examples:\n"
            "  python -m base.environments check --tasks organism\n"
            "  python -m base.environments check --tasks path/to/mbpp.jsonl --harness script --limit 50\n"
            "  python -m base.environments check --tasks google-research-datasets/mbpp --json report.json\n"
            "exit code: 0 as designed, 1 something is not, 2 the tasks cannot be read"
        ),
    )
    checker.add_argument(
        "--tasks", required=True, metavar="FILE|HUB_ID|organism", help="MBPP-format .jsonl or .json file, hub id, or"
        " `organism` for the built-in tasks",
    )  # fmt: skip
    checker.add_argument("--harness", choices=[*get_args(Harness), "both"], default="both", help="default: both")
    checker.add_argument("--limit", type=int, metavar="N", help="only the first N tasks")
    checker.add_argument("--workers", type=int, default=1, metavar="N", help="sandbox processes (default 1)")
    checker.add_argument("--json", type=Path, metavar="FILE", help="also write the report there")
    return parser


def _check(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    if options.limit is not None and options.limit < 1:
        raise UserError(f"--limit {options.limit}: give a positive number of tasks")
    if options.workers < 1:
        raise UserError(f"--workers {options.workers}: give at least one")
    if options.json is not None and not options.json.absolute().parent.is_dir():
        raise UserError(f"--json {options.json}: make the folder {options.json.absolute().parent} first")
    tasks = _tasks(options.tasks, options.limit)
    harnesses: tuple[Harness, ...] = get_args(Harness) if options.harness == "both" else (options.harness,)
    with CodeEnvironment(workers=options.workers) as environment:
        print(f"isolation: {environment.isolation()}")
        report = check(tasks, environment, harnesses, lambda items: iter(tqdm(items, unit="task", disable=None)))
    print(report)
    if options.json is not None:
        options.json.write_text(json.dumps(report.as_json(), indent=1) + "\n", encoding="utf-8")
        print(f"report: {options.json}")
    print("as designed" if report.ok else "NOT as designed: see the lines under each row")
    return 0 if report.ok else 1


def _tasks(source: str, limit: int | None) -> list[Task]:
    if source == "organism":
        from base.organism.tasks import sample_tasks

        return sample_tasks(limit or ORGANISM_TASKS, seed=0)
    from base.environments import mbpp

    return mbpp.load(source, limit=limit)


if __name__ == "__main__":
    sys.exit(main())
