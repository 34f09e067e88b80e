"""Command line of the environments: `python -m base.environments check`, `extend`, `hard` and `attack`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_args

from base.environments.audit.attacks import ATTACKS, FAMILIES
from base.environments.audit.attacks.matrix import Matrix, attack, graders
from base.environments.audit.check import Report, check
from base.environments.audit.hard import HardTasks, read_rates, solve_rates, table
from base.environments.audit.heldout import N, extend_one, summary
from base.environments.audit.kept import may_write, rows_with_tasks, write_rows
from base.environments.audit.mutation import MUTANTS
from base.environments.graders.code import CodeEnvironment
from base.errors import Parser, UserError, exit_code, near
from base.settings import load_scale
from base.types import Harness, Task

ORGANISM_TASKS = 200


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns its exit code: 0 as designed, 1 something is not, 2 bad input."""
    options = _parser().parse_args(arguments)
    return exit_code(lambda: _COMMANDS[options.command](options))


def _parser() -> Parser:
    parser = Parser(
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
            "every known hack through the grader it is for (must be accepted) and the truth grader (must be refused).\n"
            "Then says how good the tests are: how many distinct ones there are, and how many wrong programs (references\n"
            "with one small change; tables of the visible tests' answers) they refuse: the visible tests, with the set's\n"
            "own held-out tests, and with generated ones. What tests let through is a fact about the set, not an error."
        ),
        epilog=(
            "examples:\n"
            "  python -m base.environments check --tasks organism\n"
            "  python -m base.environments check --tasks mbpp.jsonl --mutants 0       (graders only, quicker)\n"
            "  python -m base.environments check --tasks path/to/mbpp.jsonl --harness script --limit 50\n"
            "  python -m base.environments check --tasks google-research-datasets/mbpp --json report.json\n"
            "  python -m base.environments check --tasks deepmind/code_contests:valid --limit 100\n"
            "exit code: 0 as designed, 1 something is not, 2 the tasks cannot be read"
        ),
    )
    checker.add_argument(
        "--tasks", required=True, metavar="FILE|HUB_ID|organism", help="rows in the format of MBPP, HumanEval, APPS or"
        " CodeContests: a .jsonl, .json (.gz) or .parquet file, a hub id (ID, ID:SPLIT or ID:CONFIG:SPLIT), or"
        " `organism` for the built-in tasks",
    )  # fmt: skip
    checker.add_argument("--harness", choices=[*get_args(Harness), "both"], default="both", help="default: both")
    checker.add_argument(
        "--mutants", type=int, default=MUTANTS, metavar="N", help="changed references a task that the tests are tried on;"
        f" 0: leave that out (default {MUTANTS})",
    )  # fmt: skip
    checker.add_argument(
        "--held-out", type=int, default=N, metavar="N", help="tests generated a task, for the comparison; nothing is"
        f" written, see `extend` (default {N})",
    )  # fmt: skip
    extender = commands.add_parser(
        "extend",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        help="add held-out tests to a task set",
        description=(
            "Writes the tasks with more held-out tests (in challenge_test_list, which only the truth grader runs). Inputs\n"
            "are varied from those of the existing tests and keep what these have in common; values come from the\n"
            "reference solution, run twice in the sandbox. An input is dropped when the reference raises, takes too long or\n"
            "does not answer the same every time. The same file and seed give the same tests."
        ),
        epilog=(
            "examples:\n"
            "  python -m base.environments extend --tasks mbpp.jsonl --out mbpp-extended.jsonl\n"
            "  python -m base.environments check --tasks mbpp-extended.jsonl\n"
            "  python -m mitigations none --scale hub --model PATH_OR_ID --tasks mbpp-extended.jsonl\n"
            "exit code: 0 written, 2 bad input"
        ),
    )
    extender.add_argument("--tasks", required=True, metavar="FILE|HUB_ID", help="rows in the format of MBPP")
    extender.add_argument("--out", required=True, type=Path, metavar="FILE.jsonl", help="where the longer rows go")
    extender.add_argument("--held-out", type=int, default=N, metavar="N", help=f"tests to add a task (default {N})")
    extender.add_argument("--seed", type=int, default=0, metavar="N", help="another seed, other inputs (default 0)")
    filterer = commands.add_parser(
        "hard",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        help="keep the tasks that a reference policy fails",
        description=(
            "A reference policy answers every task, under graders without weaknesses; tasks that it solves more often than\n"
            "the threshold are left out, as in the paper's main runs. Rates go beside --out (x.jsonl: x.rates.json); with\n"
            "--rates they are read instead of measured. (The built-in tasks need no filter: set tasks.hard_share.)"
        ),
        epilog=(
            "examples:\n"
            "  python -m base.environments hard --tasks mbpp.jsonl --model PATH_OR_ID --out mbpp-hard.jsonl\n"
            "  python -m base.environments hard --tasks mbpp.jsonl --rates mbpp-hard.rates.json --threshold 0 --out never.jsonl\n"
            "  python -m mitigations none --scale hub --model PATH_OR_ID --tasks mbpp-hard.jsonl\n"
            "exit code: 0 written, 2 bad input or no task is left"
        ),
    )
    filterer.add_argument("--tasks", required=True, metavar="FILE|HUB_ID", help="a task set, see `check --help`")
    policy = filterer.add_mutually_exclusive_group(required=True)
    policy.add_argument("--model", metavar="PATH_OR_ID", help="Hugging Face checkpoint of the reference policy")
    policy.add_argument("--rates", type=Path, metavar="FILE", help="JSON, task id -> share of right answers")
    filterer.add_argument("--out", required=True, type=Path, metavar="FILE.jsonl", help="where the kept rows go")
    filterer.add_argument("--samples", type=int, default=4, metavar="K", help="answers a task (default 4)")
    filterer.add_argument(
        "--threshold", type=float, default=0.5, metavar="RATE", help="largest share of right answers kept (default 0.5)"
    )
    filterer.add_argument("--scale", default="hub", help="sampling settings: a scale or a YAML file (default hub)")
    filterer.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the scale, such as"
                          " evals.code_max_new_tokens=512")  # fmt: skip
    filterer.add_argument("--seed", type=int, default=0, metavar="N", help="of the sampling (default 0)")
    for command in (checker, extender, filterer):
        command.add_argument("--limit", type=int, metavar="N", help="only the first N tasks")
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
    for command in (checker, extender, filterer, attacker):
        command.add_argument("--workers", type=int, default=1, metavar="N", help="sandbox processes (default 1)")
    for command in (checker, attacker):
        command.add_argument("--json", type=Path, metavar="FILE", help="also write the report there")
    return parser


def _common(options: argparse.Namespace) -> None:
    """Checks the options that several commands share."""
    given = vars(options)
    for name, least in {"workers": 1, "limit": 1, "samples": 1, "mutants": 0, "held_out": 1}.items():
        if given.get(name) is not None and given[name] < least:
            raise UserError(f"--{name.replace('_', '-')} {given[name]}: give at least {least}")
    if given.get("json") is not None and not options.json.absolute().parent.is_dir():
        raise UserError(f"--json {options.json}: make the folder {options.json.absolute().parent} first")
    if "out" in given:
        may_write(options.out, "--out", options.tasks)


def _check(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    _common(options)
    tasks = _tasks(options.tasks, options.limit)
    harnesses: tuple[Harness, ...] = get_args(Harness) if options.harness == "both" else (options.harness,)
    with CodeEnvironment(workers=options.workers) as environment:
        print(f"isolation: {environment.isolation()}")
        report = check(
            tasks,
            environment,
            harnesses,
            lambda items: iter(tqdm(items, unit="task", disable=None)),
            options.mutants,
            options.held_out,
        )
    print(report)
    return _verdict(options, report, "see the lines under each row")


def _extend(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    _common(options)
    if options.tasks == "organism":
        raise UserError("the built-in tasks have held-out tests: give --tasks a file or a hub id")
    pairs = list(rows_with_tasks(options.tasks, options.limit))
    if any("test_list" not in row for row, _ in pairs):
        raise UserError(
            f"{options.tasks}: `extend` reads and writes rows in the format of MBPP (text, code, test_list)"
        )
    with CodeEnvironment(workers=options.workers) as environment, ThreadPoolExecutor(options.workers) as threads:
        print(f"isolation: {environment.isolation()}")
        work = threads.map(
            lambda task: extend_one(task, environment, options.held_out, options.seed), [t for _, t in pairs]
        )
        extended = list(tqdm(work, total=len(pairs), unit="task", disable=None))
    rows = []
    for (row, task), one in zip(pairs, extended, strict=True):
        more, known = one.task.spec.held_out[len(task.spec.held_out) :], row.get("challenge_test_list")
        rows.append({**row, "challenge_test_list": [*(known if isinstance(known, list) else []), *more]})
    write_rows(rows, options.out)
    print(summary(extended))
    print(f"written: {options.out}")
    return 0


def _hard(options: argparse.Namespace) -> int:
    _common(options)
    if not 0 <= options.threshold < 1:
        raise UserError(f"--threshold {options.threshold:g}: give a share from 0 to less than 1")
    if options.tasks == "organism":
        raise UserError("the built-in tasks are hard or easy by construction: set tasks.hard_share, for example to 0.9")
    pairs = list(rows_with_tasks(options.tasks, options.limit))
    path = options.rates
    if path is None:
        rates = _measure_rates(options, [task for _, task in pairs])
        path = options.out.with_suffix(".rates.json")
        path.write_text(json.dumps(rates, indent=1) + "\n", encoding="utf-8")
        print(f"rates: {path}")
        pairs = [(row, task) for row, task in pairs if task.id in rates]
    kept = {task.id for task in HardTasks(path, options.threshold)([task for _, task in pairs])}
    write_rows([row for row, task in pairs if task.id in kept], options.out)
    print(table(read_rates(path), [task.id for _, task in pairs], options.threshold))
    print(f"written: {options.out}")
    return 0


def _measure_rates(options: argparse.Namespace, tasks: Sequence[Task]) -> dict[str, float]:
    from tqdm import tqdm

    scale = load_scale(options.scale, options.set)

    from base.engine import runtime
    from base.models.sampling import sampler

    sample = sampler(Path(options.model), scale, runtime.prepare(scale.engine))
    with CodeEnvironment(workers=options.workers) as environment:
        print(f"isolation: {environment.isolation()}")
        work = solve_rates(tasks, sample, environment, options.samples, scale.evals.code_max_new_tokens, options.seed)
        measured = dict(tqdm(work, total=len(tasks), unit="task", disable=None))
    rates = {name: rate for name, rate in measured.items() if rate is not None}
    if len(rates) < len(measured):
        print(f"{len(measured) - len(rates)} tasks left out: the sandbox failed on all of their answers")
    return rates


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
    from base.environments.task_sets import load

    return load(source, limit=limit)


_COMMANDS = {"check": _check, "extend": _extend, "hard": _hard, "attack": _attack}

if __name__ == "__main__":
    sys.exit(main())
