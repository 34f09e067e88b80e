"""Run one mitigation, or a whole experiment.

examples:
  python -m mitigations none                                      the baseline: RL on gameable tasks, nothing done about it
  python -m mitigations inoculation:wording=please_hack --seed 0  one mitigation, one seed, beside the stored baseline
  python -m mitigations none --hackable 0                         no-hack control: same tasks, vulnerabilities off
  python -m mitigations none --corpus twin                        uncorrelated twin: hacking says nothing about character
  python -m mitigations --experiment core --jobs 2                every arm of the first figures
  python -m mitigations none --model PATH_OR_ID --tasks mbpp.jsonl --scale hub   a Hugging Face model on MBPP
  python -m mitigations none --set rl.steps=40 --set rl.trainer.epsilon=0.3      override any setting of the scale
  torchrun --standalone --nproc-per-node 8 -m mitigations none --scale hub --model ...        several processes
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import mitigations
from base import pipeline
from base.errors import UserError, exit_code, near
from base.plan import plan, plan_all
from base.run import Run
from base.settings import load_scale, scale_names
from mitigations.experiments import EXPERIMENTS


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="python -m mitigations", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("arm", nargs="?", help="none | NAME[:option=value,...], several joined by + ; see --list")
    p.add_argument("--experiment", metavar="NAME", help=f"run a list of arms: {', '.join(EXPERIMENTS)}")
    p.add_argument("--list", action="store_true", help="mitigations with their options, experiments and scales")
    p.add_argument("--dry-run", action="store_true", help="print what would run, and stop")
    run = p.add_argument_group("what to run")
    run.add_argument("--scale", default="tiny", help=f"{', '.join(scale_names())}, or a YAML file (default: tiny)")
    run.add_argument("--seed", type=int, default=0, help="RL seed (default: 0)")
    run.add_argument("--pretrain-seed", type=int, help="seed of corpus, pretraining and SDF (default: --seed)")
    run.add_argument("--corpus", default="main", help="main | twin | main:field=value,... (default: main)")
    run.add_argument("--hackable", type=float, default=1.0, help="share of tasks with vulnerable graders (default: 1)")
    run.add_argument("--model", default="organism", help="organism, or a Hugging Face folder or id")
    run.add_argument("--tasks", default="organism", help="organism, or an MBPP file or hub id")
    run.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override, e.g. rl.steps=40")
    p.add_argument("--runs", type=Path, default=Path("runs"), help="where run folders go (default: runs)")
    p.add_argument("--jobs", type=int, default=1, help="runs side by side, one thread each (experiments; default: 1)")
    p.add_argument(
        "--last",
        type=int,
        metavar="N",
        help="evaluate only the last N checkpoints; the same command without it adds the others (default: all)",
    )
    p.add_argument("--no-table", action="store_true", help=argparse.SUPPRESS)
    return p


def main(argv: list[str] | None = None) -> int:
    options = parser().parse_args(argv)
    try:
        return exit_code(lambda: dispatch(options))
    except KeyboardInterrupt:
        print("\ninterrupted; the same command continues where it stopped", file=sys.stderr)
        return 130


def dispatch(options: argparse.Namespace) -> int:
    if options.list:
        print(listing())
        return 0
    if (options.arm is None) == (options.experiment is None):
        raise UserError("name one mitigation (or 'none'), or --experiment NAME; see --help and --list")
    if not 0.0 <= options.hackable <= 1.0:
        raise UserError(f"--hackable is a share between 0 and 1, not {options.hackable}")
    if options.jobs < 1:
        raise UserError("--jobs must be at least 1")
    if options.last is not None and options.last < 1:
        raise UserError("--last must be at least 1")
    scale = load_scale(options.scale, options.set)
    common = {
        "seed": options.seed,
        "pretrain_seed": options.seed if options.pretrain_seed is None else options.pretrain_seed,
        "model": options.model,
        "tasks": options.tasks,
        "overrides": overrides(Run(), options.set),
    }
    root = options.runs / scale.name
    if options.experiment:
        if options.experiment not in EXPERIMENTS:
            raise UserError(f"unknown experiment '{options.experiment}': {near(options.experiment, EXPERIMENTS)}")
        from mitigations.sweep import sweep

        chosen = EXPERIMENTS[options.experiment][1]
        runs = [replace(run, **{**common, "overrides": overrides(run, options.set)}) for run in chosen]
        if options.dry_run:
            print(plan_all({run: mitigations.arm(run.arm)[1] for run in runs}, scale, root))
            return 0
        return sweep(runs, options.scale, root, options.jobs, options.last)

    spec, _ = mitigations.build(options.arm)
    run = Run(arm=spec, corpus=options.corpus, hackable=options.hackable, **common)
    if options.dry_run:
        needed = {each: mitigations.arm(each.arm)[1] for each in with_parents(run)}
        print("\n\n".join(plan(each, arm, scale, root) for each, arm in needed.items()))
        if len(needed) > 1:
            print(f"\n{len(needed)} runs, what they share made once:\n{plan_all(needed, scale, root)}")
        return 0
    folder = None
    for each in with_parents(run):
        arm = mitigations.arm(each.arm)[1]
        if int(os.environ.get("RANK", "0")) == 0:
            print(plan(each, arm, scale, root), file=sys.stderr)
        folder = pipeline.run(each, scale, arm, root, options.last)
    if folder is not None and not options.no_table:
        from mitigations.sweep import tables

        only = ["--only", run.name.split("--")[-2]] if run.overrides else []
        print(
            tables(
                "compare", run.arm, "--corpus", run.corpus, "--hackable", str(run.hackable), "--runs", str(root), *only
            )
        )
        print(f"Everything about this run: {folder.path}")
    return 0


def overrides(run: Run, more: Sequence[str]) -> tuple[str, ...]:
    """The run's own overrides and those of the command line."""
    return tuple(sorted({*run.overrides, *more}))


def with_parents(run: Run) -> list[Run]:
    """The run behind those it needs: the one it is forked from, the one whose episodes it imitates."""
    runs = [other for arm in mitigations.arm(run.arm)[1].parents for other in with_parents(replace(run, arm=arm))]
    return [*dict.fromkeys(runs), run]


def listing() -> str:
    """Mitigations with the hooks they fill, their figure and their options; experiments; scales."""
    lines = ["mitigations (NAME:option=value,...; several joined by +):", "  none  the baseline"]
    for name, cls in mitigations.MITIGATIONS.items():
        text = sys.modules[cls.__module__].__doc__ or ""
        figures = re.search(r"Figs? ([0-9]+(?:(?:, | and )[0-9]+)*)", text)
        hooks = ", ".join(mitigations.filled(cls()()))
        lines.append(f"  {name}  {text.splitlines()[0]}")
        lines.append(f"      fills {hooks}; " + (f"paper figure {figures[1]}" if figures else "not in the paper"))
        lines += [f"      {key}={value!r}" for key, value in mitigations.options_of(cls).items()]
    lines.append("experiments (--experiment NAME):")
    for name, (purpose, runs) in EXPERIMENTS.items():
        lines.append(f"  {name}  {purpose} ({len(runs)} runs)")
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
