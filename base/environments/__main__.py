"""Command line of the environments: `python -m base.environments check --tasks FILE|HUB_ID|organism` and `... attack`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from base.config import UserError, near
from base.environments.attacks import ATTACKS, FAMILIES
from base.environments.attacks.matrix import Matrix, attack, graders
from base.environments.check import Report, check
from base.environments.code import CodeEnvironment
from base.types import Harness, Task

ORGANISM_TASKS = 200


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        return _check(options) if options.command == "check" else _attack(options)
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
    attacker = commands.add_parser(
        "attack",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        help="attack the graders",
        description=(
            "Runs every attack of the suite against the script and the pytest grader, with every weakness off, each on\n"
            "alone and all on, and against the truth grader; prints the matrix, one line an attack. As designed means: the\n"
            "truth grader and the graders without weaknesses accept none (but for answers that really pass the visible\n"
            "tests), a weak grader accepts exactly the attacks on its weaknesses, and the host is as it was before: files,\n"
            "processes, descriptors, temporary files, signals, connections."
        ),
        epilog=(
            "examples:\n"
            "  python -m base.environments attack\n"
            "  python -m base.environments attack --family reports --family signals\n"
            "  python -m base.environments attack --workers 2 --json matrix.json\n"
            f"families: {', '.join(FAMILIES)}\n"
            "exit code: 0 as designed, 1 something is not (marked *), 2 bad input"
        ),
    )
    attacker.add_argument(
        "--family", action="append", metavar="NAME", help="only the attacks of this family; may be given several times"
    )
    for command in (checker, attacker):
        command.add_argument("--workers", type=int, default=1, metavar="N", help="sandbox processes (default 1)")
        command.add_argument("--json", type=Path, metavar="FILE", help="also write the report there")
    return parser


def _common(options: argparse.Namespace) -> None:
    if options.workers < 1:
        raise UserError(f"--workers {options.workers}: give at least one")
    if options.json is not None and not options.json.absolute().parent.is_dir():
        raise UserError(f"--json {options.json}: make the folder {options.json.absolute().parent} first")


def _check(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    if options.limit is not None and options.limit < 1:
        raise UserError(f"--limit {options.limit}: give a positive number of tasks")
    _common(options)
    tasks = _tasks(options.tasks, options.limit)
    harnesses: tuple[Harness, ...] = get_args(Harness) if options.harness == "both" else (options.harness,)
    with CodeEnvironment(workers=options.workers) as environment:
        print(f"isolation: {environment.isolation()}")
        report = check(tasks, environment, harnesses, lambda items: iter(tqdm(items, unit="task", disable=None)))
    print(report)
    return _verdict(options, report, "see the lines under each row")


def _attack(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    _common(options)
    for name in options.family or ():
        if name not in FAMILIES:
            raise UserError(f"--family {name}: no such family ({near(name, FAMILIES)})")
    chosen = [one for one in ATTACKS if not options.family or one.family in options.family]
    columns = graders()
    print(f"{len(chosen)} attacks, {len(columns)} graders")
    with tqdm(total=len(chosen) * len(columns), unit="cell", disable=None) as bar:
        matrix = attack(chosen, options.workers, columns, bar.update)
    print(f"isolation: {matrix.isolation}")
    print(matrix)
    return _verdict(options, matrix, "see the lines with a *")


def _verdict(options: argparse.Namespace, report: Report | Matrix, where: str) -> int:
    if options.json is not None:
        options.json.write_text(json.dumps(report.as_json(), indent=1) + "\n", encoding="utf-8")
        print(f"report: {options.json}")
    print("as designed" if report.ok else f"NOT as designed: {where}")
    return 0 if report.ok else 1


def _tasks(source: str, limit: int | None) -> list[Task]:
    if source == "organism":
        from base.organism.tasks import sample_tasks

        return sample_tasks(limit or ORGANISM_TASKS, seed=0)
    from base.environments import mbpp

    return mbpp.load(source, limit=limit)


if __name__ == "__main__":
    sys.exit(main())
