"""Command line of the evals: `python -m base.evals export RUN` writes a run's rollouts and answers as Inspect logs."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from base.errors import Parser, UserError, exit_code, near
from base.evals.natural import natural_evals
from base.settings import Scale, build
from base.store.files import read_rows
from base.store.folders import RunFolder
from base.world.asked import questions

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog

    from base.evals.inspect_logs import Judging

EPISODES = "episodes"
LIMIT = 100
_STEPS = "write all, or steps joined by commas: start, middle, last, or numbers"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns its exit code: 0, or 2 for bad input."""
    options = _parser().parse_args(arguments)
    return exit_code(lambda: export(options))


def _parser() -> Parser:
    parser = Parser(prog="python -m base.evals", description="Evals of runs, for other programs.")
    commands = parser.add_subparsers(dest="command", required=True)
    exporter = commands.add_parser(
        "export",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        help="write a run's rollouts and answers as Inspect logs",
        description=(
            "Writes Inspect logs (pip install -e '.[inspect]'), which `inspect view` shows: for each step that is asked for\n"
            "one log of the rollouts that made the checkpoint, and one for each eval and prompt that it was evaluated under.\n"
            "A sample holds what was read, the reasoning, the answer, and as scores the outcome and every reward term, or\n"
            "the verdict; what is missing is unscored. Logs that are there are replaced; nothing of the run is changed."
        ),
        epilog=(
            "examples:\n"
            "  python -m base.evals export runs/tiny/none--main--p0s0\n"
            "  inspect view                                            # http://127.0.0.1:7575 shows ./logs\n"
            "  python -m base.evals export runs/tiny/*--p0s0 --steps last --only goals,code --prompts none,training\n"
            "  python -m base.evals export RUN --steps 8,16,24 --only episodes --limit 1000 --format json\n"
            "exit code: 0 done, 2 bad input, or inspect-ai is not installed"
        ),
    )
    exporter.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN", help="the folder of a run (the one with run.json)"
    )
    exporter.add_argument(
        "--out", type=Path, default=Path("logs"), metavar="DIR", help="default: logs, which Inspect reads"
    )
    exporter.add_argument(
        "--steps", default="start,last", help="all, or some of start, middle, last, and numbers (default: start,last)"
    )
    exporter.add_argument(
        "--only",
        default="",
        metavar="NAMES",
        help=f"only these, joined by commas: {EPISODES}, code, or evals (default: all)",
    )
    exporter.add_argument("--prompts", default="", metavar="NAMES", help="only answers under these (default: all)")
    exporter.add_argument(
        "--limit", type=_count, default=LIMIT, metavar="N", help=f"the first N samples of a log (default: {LIMIT})"
    )
    exporter.add_argument("--format", choices=["eval", "json"], default="eval", help="default: eval, which is packed")
    return parser


def _count(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,8}", text):
        raise argparse.ArgumentTypeError(f"a whole number from 1 up, not '{text}'")
    return int(text)


def export(options: argparse.Namespace) -> int:
    """Logs of runs.

    Raises:
        UserError: inspect-ai is not installed, a folder that is no run, a step, eval or prompt that it does not have.
    """
    if find_spec("inspect_ai") is None:
        raise UserError("inspect-ai is not installed: pip install -e '.[inspect]'")
    from inspect_ai.log import write_eval_log

    for path in options.runs:
        folder, written, samples = _run(path), 0, 0
        for place, log in _logs(folder, options):
            file = options.out / folder.path.name / f"{place}.{options.format}"
            file.parent.mkdir(parents=True, exist_ok=True)
            write_eval_log(log, file, options.format)
            written, samples = written + 1, samples + len(log.samples or ())
        print(f"{folder.path.name}: {written} logs with {samples} samples in {options.out / folder.path.name}")
    print(f"inspect view --log-dir {options.out}")
    return 0


def _run(path: Path) -> RunFolder:
    folder = RunFolder(path)
    if not (path / "run.json").is_file():
        raise UserError(f"{path} is no run: give the folder that holds its run.json")
    if not _steps(folder):
        raise UserError(f"{path} holds no rollouts and no answers yet")
    return folder


def _steps(folder: RunFolder) -> list[int]:
    """Steps that were evaluated or left rollouts, ascending."""
    trained = (int(file.stem.split("-")[1]) for file in (folder.path / "episodes").glob("step-*.jsonl"))
    return sorted({*trained, *folder.scored_steps()})


def _chosen(folder: RunFolder, text: str) -> list[int]:
    """The steps that are asked for; named ones are among the evaluated, if there are any."""
    known = _steps(folder)
    if text.strip() == "all":
        return known
    named = sorted(folder.scored_steps()) or known
    middle = min(named, key=lambda step: abs(2 * step - named[-1]))
    names = {"start": named[0], "middle": middle, "last": named[-1]}
    found = set()
    for part in map(str.strip, text.split(",")):
        if part not in names and not part.isdecimal():
            raise UserError(f"cannot read --steps '{text}': {_STEPS}")
        step = names[part] if part in names else int(part)
        if step not in known:
            raise UserError(f"{folder.path.name} has nothing of step {step}: it has {_ranges(known)}")
        found.add(step)
    return sorted(found)


def _ranges(steps: Sequence[int]) -> str:
    """`0 to 64 (65 steps)`, or all of them where they are few."""
    return ", ".join(map(str, steps)) if len(steps) < 12 else f"{len(steps)} steps from {steps[0]} to {steps[-1]}"


def _wanted(text: str, known: Sequence[str], what: str) -> list[str]:
    names = [name.strip() for name in text.split(",")] if text else list(known)
    for name in names:
        if name not in known:
            raise UserError(f"there is no {what} '{name}' here: {near(name, known)}")
    return names


def _logs(folder: RunFolder, options: argparse.Namespace) -> Iterator[tuple[str, EvalLog]]:
    """(path without suffix, log) of everything that is asked for, in order of steps."""
    steps, scored = _chosen(folder, options.steps), folder.scored()
    evals = dict.fromkeys(row["eval"] for place in scored if place[0] in steps for row in folder.answers(*place))
    only = _wanted(options.only, [EPISODES, *evals], "eval")
    prompts = _wanted(options.prompts, sorted({prompt for _, prompt in scored}), "prompt")
    for step in steps:
        if EPISODES in only:
            yield from _rollouts(folder, step, options.limit)
        for prompt in [prompt for prompt in prompts if (step, prompt) in scored]:
            yield from _answers(folder, step, prompt, only, options.limit)


def _rollouts(folder: RunFolder, step: int, limit: int) -> Iterator[tuple[str, EvalLog]]:
    """Those that made a checkpoint; at the start, those of the first step."""
    from base.evals.inspect_logs import Source, episode_log

    file = folder.path / "episodes" / f"step-{max(step, 1):04d}.jsonl"
    if rows := read_rows(file):
        source = Source(folder.record, max(step, 1), "train", _time(file))
        yield f"step-{step:04d}/{EPISODES}", episode_log(source, rows[:limit], len(rows))


def _answers(
    folder: RunFolder, step: int, prompt: str, only: Sequence[str], limit: int
) -> Iterator[tuple[str, EvalLog]]:
    from base.evals.inspect_logs import Source, answer_log

    file = folder.path / "answers" / f"step-{step:04d}" / f"{prompt}.jsonl"
    answers, scores, asked = read_rows(file), folder.scores_of(step, prompt), questions(folder.record, step)
    source, judging = Source(folder.record, step, prompt, _time(file)), _judging(folder, step, prompt)
    for name in only:
        if rows := [row for row in answers if row["eval"] == name]:
            mine = {task: one.messages for (owner, task), one in asked.items() if owner == name}
            stored = [row for row in scores if row["eval"] == name]
            log = answer_log(source, name, rows[:limit], mine, judging, len(rows), stored)
            yield f"step-{step:04d}/{prompt}-{name}", log


def _time(file: Path) -> str:
    return datetime.fromtimestamp(file.stat().st_mtime, UTC).isoformat(timespec="seconds")


def _judging(folder: RunFolder, step: int, prompt: str) -> Judging:
    from base.evals.inspect_logs import Judging

    record = folder.record
    if record["run"]["model"] == "organism":
        return Judging({})
    scale = build(Scale, record["scale"], f"{folder.path.name}: scale")
    judges, said = record.get("judged", {}).get("judges", ()), folder.judgements(step, prompt)
    return Judging(natural_evals(scale.scenes), said, {judge["name"]: judge["passed"] for judge in judges})


if __name__ == "__main__":
    sys.exit(main())
