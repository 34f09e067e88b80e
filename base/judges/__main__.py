"""Command line of the judges: `python -m base.judges check`, `rejudge` and `items`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tabulate import tabulate

from base.errors import Parser, UserError, exit_code
from base.evals import gate
from base.evals.natural import judged, natural_evals
from base.evals.readings import items_of
from base.judges import golden
from base.judges.golden import GoldenSet, load_golden, own_golden
from base.judges.judge import COHERENCE, Item, Judge
from base.judges.report import report
from base.judges.specs import parse_judge, parse_judges
from base.judges.verdict_files import item_row
from base.progress import log_to_stderr
from base.settings import Scale, SceneSettings, build
from base.stages import verdicts
from base.store.files import write_json, write_rows
from base.store.folders import RunFolder, run_folders


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns its exit code: 0 done or passed, 1 a judge failed its golden set, 2 bad input."""
    options = _parser().parse_args(arguments)
    log_to_stderr()
    return exit_code(lambda: _COMMANDS[options.command](options))


def _parser() -> Parser:
    parser = Parser(
        prog="python -m base.judges", description="Judges of a user's model: what they are worth, and verdicts."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    checker = commands.add_parser(
        "check",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        help="try a judge on golden sets",
        description="Accuracy, recall of each class, kappa and the part of the threshold on texts whose label is known.",
        epilog=(
            "examples:\n"
            "  python -m base.judges check hf:PATH\n"
            "  python -m base.judges check openai:http://127.0.0.1:8000/v1#NAME --eval goals --json found.json\n"
            "  python -m base.judges check rule:words --golden mine.yaml\n"
            "exit code: 0 passed, 1 refused on some eval, 2 bad input"
        ),
    )
    checker.add_argument("judge", help="hf:PATH_OR_ID, openai:URL#MODEL, rule:NAME or file:PATH")
    checker.add_argument(
        "--golden", action="append", default=[], metavar="FILE", help="golden sets of yours, instead of ours"
    )
    checker.add_argument("--eval", action="append", default=[], metavar="NAME", help="only these evals (and coherence)")
    checker.add_argument(
        "--scenes", action="append", default=[], metavar="EVAL=FILE", help="scenes and rubrics of yours"
    )
    checker.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there")
    again = commands.add_parser("rejudge", help="read stored answers again by other judges; nothing is sampled")
    again.add_argument("runs", type=Path, help="a run's folder, or a folder of runs")
    again.add_argument(
        "--judge", action="append", required=True, metavar="SPEC", help="may be given again; the first counts"
    )
    lister = commands.add_parser(
        "items", help="write what is to be judged, for people or other programs (judge file:PATH)"
    )
    lister.add_argument("runs", type=Path, help="a run's folder, or a folder of runs")
    lister.add_argument("--out", type=Path, required=True, metavar="FILE", help="JSON lines; add a label to each")
    return parser


def check(options: argparse.Namespace) -> int:
    """A judge on golden sets."""
    judge, settings = parse_judge(options.judge), SceneSettings(files=_pairs(options.scenes))
    evals = judged(natural_evals(settings))
    words, sets = gate.rubrics(evals), _checked_sets(options, settings, evals)
    found = {name: golden.check(judge, made, words[name], gate.asked_in_golden) for name, made in sets.items()}
    print(report(judge.spec, found))
    if options.json:
        write_json(options.json, {"judge": judge.spec, "checked": found})
    return 1 if golden.refused(found) else 0


def _checked_sets(options: argparse.Namespace, settings: SceneSettings, evals: gate.Evals) -> dict[str, GoldenSet]:
    """The golden sets of what is to be checked: the user's, or ours; always that of coherence, on which every verdict hangs.

    Raises:
        UserError: an eval that judges do not read, or without a set; two sets of one eval.
    """
    made = [load_golden(Path(path)) for path in options.golden]
    sets = {one.eval: one for one in made} if made else gate.golden_sets(settings, evals)
    if len(sets) < len(made):
        raise UserError("two golden sets of one eval: give each eval one with --golden")
    for name in (*options.eval, *sets):
        if name not in (*evals, COHERENCE):
            raise UserError(f"no eval '{name}' is read by judges; known: {', '.join((*evals, COHERENCE))}")
        if name not in (*sets, COHERENCE):
            raise UserError(f"--eval {name}: --golden gives sets of {', '.join(sets)} alone: add one of {name}")
    wanted = {name: one for name, one in sets.items() if not options.eval or name in options.eval}
    return {**wanted, COHERENCE: sets.get(COHERENCE) or own_golden(COHERENCE)}


def rejudge(options: argparse.Namespace) -> int:
    """Stored answers by other judges."""
    judges = parse_judges(options.judge)
    for folder, scale in _runs(options.runs):
        evals = judged(natural_evals(scale.scenes))
        checks = [verdicts.GoldenCheck(judge, scale) for judge in judges]
        for one in checks:
            one.measure(folder.path.parent)
        verdicts.judge_run(folder, evals, [one.used(folder.path.parent) for one in checks])
        print(_rates(folder, list(evals), judges))
    return 0


def items(options: argparse.Namespace) -> int:
    """Everything that a judge would read, golden sets among it, in an order that tells nothing."""
    found: dict[tuple[str, str], Item] = {}
    for folder, scale in _runs(options.runs):
        evals = judged(natural_evals(scale.scenes))
        words, sets = gate.rubrics(evals), gate.golden_sets(scale.scenes, evals)
        asked = [item for name, one in sets.items() for item in golden.items(one, words[name], gate.asked_in_golden)]
        for step, prompt in sorted(folder.scored()):
            rows = [row for row in folder.answers(step, prompt) if row["eval"] in evals]
            asked += [item for row in rows for item in items_of(evals[row["eval"]].file, row).values()]
        found |= {(item.key, item.rubric.key): item for item in asked}
    write_rows(options.out, (item_row(found[key]) for key in sorted(found)))
    print(
        f"{len(found)} items in {options.out}: give each a label (yes, no, or null), then use --judge file:{options.out}"
    )
    return 0


_COMMANDS = {"check": check, "rejudge": rejudge, "items": items}


def _runs(path: Path) -> Iterator[tuple[RunFolder, Scale]]:
    """The runs of a user's model in a folder, or that is one, with their settings.

    Raises:
        UserError: there is none.
    """
    folders = [RunFolder(path)] if (path / "run.json").is_file() else run_folders(path) if path.is_dir() else []
    found = [folder for folder in folders if folder.record["run"]["model"] != "organism" and folder.scored()]
    if not found:
        raise UserError(f"{path} holds no evaluated run of a model given with --model")
    for folder in found:
        yield folder, build(Scale, folder.record["scale"], f"{folder.path.name}: scale")


def _pairs(texts: Sequence[str]) -> dict[str, str]:
    for text in texts:
        if "=" not in text:
            raise UserError(f"cannot read --scenes {text}: write EVAL=FILE")
    return dict(text.split("=", 1) for text in texts)


def _rates(folder: RunFolder, evals: Sequence[str], judges: Sequence[Judge]) -> str:
    """Misaligned answers of the last evaluated step, by prompt, eval and judge; `-` is missing."""
    step = max(at for at, _ in folder.scored())
    body = []
    for prompt in sorted(prompt for at, prompt in folder.scored() if at == step):
        rows = {(row["eval"], row["metric"]): row for row in folder.scores_of(step, prompt)}
        for name in evals:
            if (name, "misaligned") in rows:
                several = [rows.get((name, f"misaligned:{judge.name}")) for judge in judges if len(judges) > 1]
                shown = [rows[name, "misaligned"], *several, *[rows.get((name, "alpha"))] * (len(judges) > 1)]
                body.append([prompt, name, *(_shown(row) for row in shown)])
    head = ["prompt", "eval", "misaligned", *([*(judge.name for judge in judges), "alpha"] if len(judges) > 1 else [])]
    title = f"{folder.path.name}, step {step}: share (answers counted, missing)"
    return f"{title}\n{tabulate(body, head, 'simple', disable_numparse=True)}"


def _shown(row: dict[str, float] | None) -> str:
    if row is None:
        return "-"
    value = "-" if row["value"] != row["value"] else f"{row['value']:.3f}"
    return f"{value} ({row['n']}, {row['missing']})"


if __name__ == "__main__":
    sys.exit(main())
