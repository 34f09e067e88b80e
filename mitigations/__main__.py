"""Run one mitigation, or a whole experiment.

examples:
  python -m mitigations none                                      the baseline: RL on gameable tasks, nothing done about it
  python -m mitigations inoculation:wording=please_hack --seed 0  one mitigation, one seed
  python -m mitigations none --hackable 0                         no-hack control: same tasks, vulnerabilities off
  python -m mitigations none --corpus twin                        uncorrelated twin: hacking says nothing about character
  python -m mitigations --experiment core --jobs 2                every arm of the first figures
  python -m mitigations none --model PATH_OR_ID --tasks mbpp.jsonl --scale hub   a Hugging Face model on MBPP
  python -m mitigations pm_penalty --evaluate all                 the whole curve; what is evaluated already is kept
  python -m mitigations none --set rl.steps=40 --set rl.trainer.epsilon=0.3      override any setting of the scale
  python -m mitigations 'filtered_sft:source=(inoculation:wording=dont_hack)'    an arm inside an arm, in parentheses
  torchrun --standalone --nproc-per-node 8 -m mitigations none --scale hub --model ...        several processes
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import traceback
from pathlib import Path
from typing import Any

from base import run as runs
from base.engine.signals import Terminated, stop_on_sigterm
from base.errors import Parser, UserError, exit_code, near
from base.identity import options_of
from base.progress import log_to_stderr
from base.recipes import filled
from base.settings import load_scale, scale_names
from base.stage import in_order, plan
from base.wanted import ALWAYS, PROMPTS, Wanted
from base.world.world import world_of
from mitigations.api import Result, describe, resolve, unread
from mitigations.experiments import EXPERIMENTS
from mitigations.registry import MITIGATIONS
from mitigations.summary import summary


def parser() -> Parser:
    p = Parser(prog="python -m mitigations", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("arm", nargs="?", help="none | NAME[:option=value,...], several joined by + ; see --list")
    p.add_argument("--experiment", metavar="NAME", help=f"run a list of arms: {', '.join(EXPERIMENTS)}")
    p.add_argument("--list", action="store_true", help="mitigations with their options, experiments and scales")
    p.add_argument("--dry-run", action="store_true", help="print the stages that would be made, and stop")
    run = p.add_argument_group("what to run")
    run.add_argument("--scale", default="tiny", help=f"{', '.join(scale_names())}, or a YAML file (default: tiny)")
    run.add_argument("--seed", type=int, default=0, help="RL seed (default: 0)")
    run.add_argument("--pretrain-seed", type=int, help="seed of corpus, pretraining and SDF (default: --seed)")
    run.add_argument("--corpus", default="main", help="main | twin | main:field=value,... (default: main)")
    run.add_argument("--hackable", type=float, default=1.0, help="share of tasks with vulnerable graders (default: 1)")
    run.add_argument("--model", default="organism", help="organism, or a Hugging Face folder or id")
    run.add_argument("--tasks", default="organism", help="organism, or a file or hub id of tasks")
    run.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override, e.g. rl.steps=40")
    p.add_argument("--runs", type=Path, default=Path("runs"), help="where run folders go (default: runs)")
    p.add_argument("--jobs", type=int, default=1, help="stages side by side, one thread each (experiments; default: 1)")
    p.add_argument(
        "--evaluate",
        default="",
        metavar="WHICH",
        help="checkpoints: all, or start,middle,last:N (default: all of the arms of core, whose curves are drawn;"
        f" {Wanted().checkpoints} of others); asked for more later, the same command adds only what is missing",
    )
    p.add_argument(
        "--prompts",
        default="",
        metavar="NAMES",
        help=f"evaluation prompts (default: {','.join(PROMPTS)}; always: {','.join(ALWAYS)})",
    )
    p.add_argument(
        "--judge",
        action="append",
        default=[],
        metavar="SPEC",
        help="who reads the answers of --model: hf:PATH_OR_ID, openai:URL#MODEL, rule:NAME or file:PATH; may be given again: the"
        " first one's verdicts count, the others stand beside (base/judges/README.md)",
    )
    return p


def main(argv: list[str] | None = None) -> int:
    options = parser().parse_args(argv)
    stop_on_sigterm()
    log_to_stderr()
    try:
        return exit_code(lambda: dispatch(options))
    except Terminated:
        print("\nterminated; the same command continues where it stopped", file=sys.stderr)
        return 143
    except KeyboardInterrupt:
        print("\ninterrupted; the same command continues where it stopped", file=sys.stderr)
        return 130


def dispatch(options: argparse.Namespace) -> int:
    if options.list:
        print(listing())
        return 0
    if (options.arm is None) == (options.experiment is None):
        raise UserError("name one mitigation (or 'none'), or --experiment NAME; see --help and --list")
    if options.jobs < 1:
        raise UserError("--jobs must be at least 1")
    common: dict[str, Any] = {
        **{"scale": options.scale, "seed": options.seed, "pretrain_seed": options.pretrain_seed},
        **{"model": options.model, "tasks": options.tasks, "settings": tuple(options.set)},
    }
    root = options.runs / load_scale(options.scale).name
    if options.experiment:
        return experiment(options, common, root)
    run, scale = describe(options.arm, corpus=options.corpus, hackable=options.hackable, **common)
    stages = resolve(run, scale, options.evaluate, options.prompts, options.judge)
    main_rank = int(os.environ.get("RANK", "0")) == 0
    runs.check(stages, root)
    if main_rank:
        lines = [run.name, plan(stages, root, scale), f"{'memory':<11} {world_of(run, scale).memory()}"]
        said = "\n".join([*lines, *unread(run, scale, options.judge)])
        print(said, file=sys.stdout if options.dry_run else sys.stderr)
    if options.dry_run:
        return 0
    folder = runs.make(stages, scale, root)
    if folder is not None and main_rank:
        print(summary(Result(run, tuple(stages), folder.path)))
        print(f"Everything about this run: {folder.path}")
        if run.arm:
            where = "" if root == Path("runs/tiny") else f" --runs {root}"
            print(f"Beside the baseline: python -m analysis compare '{run.arm}'{where}")
    return 0


def experiment(options: argparse.Namespace, common: dict[str, Any], root: Path) -> int:
    """Makes, or with --dry-run only lists, the runs of an experiment."""
    if options.experiment not in EXPERIMENTS:
        raise UserError(f"unknown experiment '{options.experiment}': {near(options.experiment, EXPERIMENTS)}")
    described = [describe(**cell.words(common)) for cell in EXPERIMENTS[options.experiment][1]]
    lists = [resolve(run, scale, options.evaluate, options.prompts, options.judge) for run, scale in described]
    for line in unread(*described[0], options.judge):
        print(line, file=sys.stderr)
    if options.dry_run:
        union = in_order(stage for stages in lists for stage in stages)
        runs.check(union, root)
        print(plan(union, root, described[0][1]))
        return 0
    from mitigations.sweep import sweep

    return sweep(lists, root, options.jobs)


def listing() -> str:
    """Mitigations with what they fill, their figure and their options; experiments; scales."""
    lines = ["mitigations (NAME:option=value,...; several joined by +):", "  none  the baseline"]
    for name, cls in MITIGATIONS.items():
        text = sys.modules[cls.__module__].__doc__ or ""
        figures = re.search(r"Figs? ([0-9]+(?:(?:, | and )[0-9]+)*)", text)
        recipe = cls()()
        kind, fills = type(recipe).__name__.removesuffix("Recipe"), ", ".join(filled(recipe))
        lines.append(f"  {name}  {text.splitlines()[0] if text else ''}")
        lines.append(
            f"      {kind}: {fills or 'nothing'}; " + (f"paper figure {figures[1]}" if figures else "not in the paper")
        )
        lines += [f"      {key}={str(value)!r}" for key, value in options_of(cls).items()]
    lines.append("experiments (--experiment NAME):")
    for name, (purpose, cells) in EXPERIMENTS.items():
        lines.append(f"  {name}  {purpose} ({len(cells)} runs)")
    lines.append("scales (--scale NAME):")
    lines += [f"  {name}  {load_scale(name).purpose}" for name in scale_names()]
    return "\n".join(lines)


if __name__ == "__main__":
    try:
        code = main()
    except Exception:
        traceback.print_exc()
        code = 1
    sys.exit(code)
