"""Run one mitigation, or a whole experiment.

examples:
  python -m mitigations none                                      the baseline: RL on gameable tasks, nothing done about it
  python -m mitigations inoculation:wording=please_hack --seed 0  one mitigation, one seed
  python -m mitigations none --hackable 0                         no-hack control: same tasks, vulnerabilities off
  python -m mitigations none --corpus twin                        uncorrelated twin: hacking says nothing about character
  python -m mitigations none pm_penalty --seeds 1-5 --jobs 2      several arms or seeds, what they share made once
  python -m mitigations --experiment core --jobs 2                every arm of the first figures
  python -m mitigations paper                                     the whole grid; --dry-run prints counts, disk and time
  python -m mitigations paper --cluster slurm --partition NAME    the same as jobs of a cluster
  python -m mitigations gates --corpus hacks --model ... --tasks ... --scale laptop          only the start and what it knows
  python -m mitigations verify none --seed 1                      a shipped run again, shipped beside rerun
  python -m mitigations none --model PATH_OR_ID --tasks mbpp.jsonl --scale hub   a Hugging Face model on MBPP
  python -m mitigations none --corpus hacks --model ... --tasks ... --scale laptop           first taught by documents about hacks
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
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from base import run as runs
from base.engine.signals import Terminated, stop_on_signals
from base.errors import Parser, UserError, exit_code, near
from base.identity import options_of
from base.progress import log_to_stderr
from base.recipes import filled
from base.settings import ORGANISM, Scale, load_scale, scale_for, scale_names
from base.stage import Stage, in_order
from base.wanted import ALWAYS, CLEAN, PROMPTS, Wanted
from base.workers import Workers
from base.world.start import show_gates
from base.world.world import world_of
from base.yaml_text import read_yaml
from mitigations.api import Result, describe, foreseen, ignored, resolve, unread
from mitigations.cluster import CLUSTERS, Cluster, Resources
from mitigations.experiments import EXPERIMENTS, Cells, cells, of_model
from mitigations.inoculation.inoculation import WORDINGS
from mitigations.paper import SEEDS, paper, parse_seeds
from mitigations.registry import MITIGATIONS
from mitigations.summary import summary
from mitigations.sweep import sweep
from mitigations.verify import verify

CLUSTER_JOBS = 100  # in the queue at once
WORDS = {"paper", "gates", "verify"}  # that are no arms
Blocks = Sequence[Sequence[Sequence[Stage]]]


def parser() -> Parser:
    p = Parser(prog="python -m mitigations", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument(
        "words",
        nargs="*",
        metavar="ARM",
        help="none | NAME[:option=value,...], several mitigations of one run joined by + (see --list); or paper; or gates; or verify ARM",
    )
    p.add_argument("--experiment", metavar="NAME", help=f"run a list of arms: {', '.join(EXPERIMENTS)}")
    p.add_argument("--list", action="store_true", help="mitigations with their options, experiments and scales")
    p.add_argument("--dry-run", action="store_true", help="print the stages that would be made, and stop")
    p.add_argument("--fresh", action="store_true", help="make everything here: nothing that ships with the code counts")
    run = p.add_argument_group("what to run")
    run.add_argument(
        "--scale",
        default="",
        help=f"{', '.join(scale_names())}, or a YAML file (default: tiny; with --model name laptop or hub)",
    )
    run.add_argument("--seed", type=int, help="RL seed (default: 0)")
    run.add_argument("--seeds", default="", metavar="LIST", help="several, e.g. 1-5 or 1,3 (of paper: 1-5)")
    run.add_argument("--pretrain-seed", type=int, help="seed of corpus, pretraining and SDF (default: --seed)")
    run.add_argument(
        "--corpus",
        default="main",
        help="main | twin | main:field=value,... (default: main); what --model is taught before RL: hacks[:...] | documents:file=PATH,...",
    )
    run.add_argument("--hackable", type=float, default=1.0, help="share of tasks with vulnerable graders (default: 1)")
    run.add_argument("--model", default="organism", help="organism, or a Hugging Face folder or id")
    run.add_argument("--tasks", default="organism", help="organism, or a file or hub id of tasks")
    run.add_argument(
        "--report-to", default="", metavar="TRACKER", help="tensorboard, wandb or trackio: watches training and evals"
    )
    run.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override, e.g. rl.steps=40")
    p.add_argument("--runs", type=Path, default=Path("runs"), help="where runs go, as DIR/SCALE/NAME (default: runs)")
    p.add_argument("--results", type=Path, help="verify against these results (default: those that ship)")
    p.add_argument(
        "--jobs",
        type=int,
        help="stages side by side, one thread each (default: 1; of paper: one a core; on a cluster: 100)",
    )
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
        help=f"evaluation prompts (default: {','.join((*PROMPTS, CLEAN))}, and those that resemble the line for the arms of figure leak; "
        f"always: {','.join(ALWAYS)})",
    )
    p.add_argument(
        "--judge",
        action="append",
        default=[],
        metavar="SPEC",
        help="who reads the answers of --model: hf:PATH_OR_ID, openai:URL#MODEL, rule:NAME or file:PATH; may be given again: the"
        " first one's verdicts count, the others stand beside (base/judges/README.md)",
    )
    cluster = p.add_argument_group("cluster (needs pip install -e '.[cluster]')")
    cluster.add_argument("--cluster", choices=CLUSTERS, help="send stages as jobs; local: as processes, to try it")
    cluster.add_argument("--partition", default="", metavar="NAME", help="where jobs go")
    cluster.add_argument("--minutes", type=int, default=60, help="time of a job (default: 60)")
    cluster.add_argument("--cpus", type=int, default=1, help="cores of a job (default: 1)")
    cluster.add_argument("--memory", type=float, default=4, metavar="GB", help="memory of a job (default: 4)")
    cluster.add_argument("--gpus", type=int, default=0, help="GPUs of a job on each node, a rank each (default: 0)")
    cluster.add_argument("--nodes", type=int, default=1, help="nodes of a job (default: 1)")
    cluster.add_argument("--ranks", type=int, default=0, help="processes of a job on each node (default: one a GPU)")
    cluster.add_argument(
        "--cluster-set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of submitit, e.g. slurm_account=mine",
    )
    return p


def main(argv: list[str] | None = None) -> int:
    options = parser().parse_args(argv)
    stop_on_signals()
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
    if options.report_to:
        options.set.append(f"engine.report_to={options.report_to}")
    check_words(options)
    common: dict[str, Any] = {
        **{"scale": options.scale, "seed": options.seed or 0, "pretrain_seed": options.pretrain_seed},
        **{"model": options.model, "tasks": options.tasks, "settings": tuple(options.set)},
    }
    options.scale = common["scale"] = scale_for(options.model, options.scale)
    root = options.runs / load_scale(options.scale).name
    match options.words, options.experiment:
        case [], str():
            return several(options, of_experiment(options), common, root)
        case ["paper"], None:
            return whole_grid(options, common, root)
        case ["gates"], None:
            return measure_gates(options, common, root)
        case ["verify", arm], None:
            return check_shipped(options, arm, common)
        case [arm], None if not (options.seeds or options.jobs or options.cluster):
            return one(options, arm, common, root)
        case [_, *_] as arms, None if not {*arms} & WORDS:
            return several(options, cells(*arms, corpus=options.corpus, hackable=options.hackable), common, root)
    if options.experiment:
        raise UserError(f"an experiment has its own arms: name {' '.join(options.words)} or --experiment, not both")
    raise UserError(
        "name mitigations (or 'none'), --experiment NAME, paper, gates, or verify ARM; see --help and --list"
    )


def check_words(options: argparse.Namespace) -> None:
    """That every word may stand where it stands, and that no option would be ignored.

    Raises:
        UserError: a word belongs elsewhere, or an option would be ignored.
    """
    for name in options.words:
        if belongs := elsewhere(name):
            raise UserError(f"'{name}' is no mitigation: {belongs}")
    word = options.words[0] if options.words and options.words[0] in WORDS else ""
    if options.jobs is not None and options.jobs < 1:
        raise UserError("--jobs must be at least 1")
    check_resources(options)
    if options.seed is not None and options.seeds:
        raise UserError("--seed is one seed, --seeds are several: give one of the two")
    if word == "paper" and options.seed is not None:
        raise UserError(f"paper has several seeds: write --seeds {options.seed}")
    if word in ("gates", "verify") and (options.seeds or options.cluster or options.jobs):
        raise UserError(f"{word} is of one run: leave out --seeds, --jobs and --cluster")
    if word == "verify" and len(options.words) != 2:
        raise UserError("verify takes one arm: python -m mitigations verify none --seed 1")
    if word == "verify" and options.dry_run:
        raise UserError("verify has no --dry-run: it makes RL and evaluation of one run, minutes on one core")
    if (options.experiment or word == "paper") and options.hackable != 1:
        raise UserError("--hackable is for arms by name: those of an experiment and of paper have their own shares")
    if word == "paper" and options.corpus != "main":
        raise UserError("--corpus is for arms by name: those of paper have their own corpora")
    if options.judge and word in ("paper", "verify"):
        raise UserError(f"{word} is of the organism, whose answers are read by its own rules: leave out --judge")
    if options.judge and word == "gates":
        raise UserError("gates are measured by execution and by the names of what an answer says: leave out --judge")


def check_resources(options: argparse.Namespace) -> None:
    """That a cluster can give what is asked for, and that there is one.

    Raises:
        UserError: a number that cannot be, or an option without --cluster.
    """
    resources_of(options).parameters()
    usual = parser()
    for name in ("minutes", "cpus", "gpus", "nodes", "ranks", "memory", "partition", "cluster_set"):
        if not options.cluster and getattr(options, name) != usual.get_default(name):
            raise UserError(f"--{name.replace('_', '-')} is of jobs of a cluster: add --cluster, or leave it out")


def resources_of(options: argparse.Namespace) -> Resources:
    """What each job of a cluster may have."""
    asked = (options.partition, options.minutes, options.cpus, options.memory, options.gpus, tuple(options.cluster_set))
    return Resources(options.cluster, *asked, options.nodes, options.ranks)


def elsewhere(word: str) -> str:
    """Where a word belongs that stands in the place of an arm; empty if it may be one."""
    if word in MITIGATIONS:
        return ""
    if word in EXPERIMENTS:
        return f"write --experiment {word}"
    if word in ("main", "twin"):
        return f"a corpus: write --corpus {word}"
    if word in read_yaml(WORDINGS):
        return f"a wording: write inoculation:wording={word}"
    if re.fullmatch(r"\w+=.*", word):
        return f"options follow a colon, as in pm_penalty:{word}"
    return ""


def one(options: argparse.Namespace, arm: str, common: dict[str, Any], root: Path) -> int:
    """Makes, or with --dry-run only plans, one run."""
    run, scale = describe(arm, corpus=options.corpus, hackable=options.hackable, **common)
    stages = resolve(run, scale, options.evaluate, options.prompts, options.judge)
    runs.check(stages, root)
    main_rank = int(os.environ.get("RANK", "0")) == 0
    if main_rank:
        said = [run.name, foreseen(run, stages, root, scale, options.judge, options.fresh), *ignored(run, common)]
        print("\n".join(said), file=sys.stdout if options.dry_run else sys.stderr)
    if options.dry_run:
        return 0
    folder = runs.make(stages, scale, root, options.fresh)
    if folder is not None and main_rank:
        print(summary(Result(run, tuple(stages), folder.path)))
        print(f"Everything about this run: {folder.path}")
        if run.arm:
            where = "" if root == Path("runs/tiny") else f" --runs {root}"
            print(f"Beside the baseline: python -m analysis compare '{run.arm}'{where}")
    return 0


def of_experiment(options: argparse.Namespace) -> Cells:
    """The runs of --experiment, those that the model can be the subject of."""
    if options.experiment not in EXPERIMENTS:
        raise UserError(f"unknown experiment '{options.experiment}': {near(options.experiment, EXPERIMENTS)}")
    every = EXPERIMENTS[options.experiment][1]
    if options.model != ORGANISM:
        can = of_model(every, options.corpus)
        if len(can) < len(every):
            left_out = len(every) - len(can)
            print(f"left out, as they are about the organism's corpora: {left_out} runs", file=sys.stderr)
        return can
    if options.corpus != "main":
        raise UserError(
            "--corpus is for arms by name, or for --model: the arms of an experiment have their own corpora"
        )
    return every


def several(options: argparse.Namespace, found: Cells, common: dict[str, Any], root: Path) -> int:
    """Makes, or with --dry-run only plans, several runs, seed by seed."""
    blocks, scale = [], load_scale(options.scale, options.set)
    for seed in parse_seeds(options.seeds) if options.seeds else (common["seed"],):
        described = [describe(**cell.words({**common, "seed": seed})) for cell in found]
        asked = (options.evaluate, options.prompts, options.judge)
        blocks.append([resolve(run, settings, *asked) for run, settings in described])
    jobs = options.jobs or (CLUSTER_JOBS if options.cluster else 1)
    if options.dry_run:
        union = in_order(stage for block in blocks for stages in block for stage in stages)
        runs.check(union, root)
        print(foreseen(described[0][0], union, root, scale, options.judge, options.fresh, jobs))
        return 0
    left_out = [ignored(run, common) for run, _ in described]
    if all(left_out):
        print("\n".join(dict.fromkeys(line for lines in left_out for line in lines)), file=sys.stderr)
    for line in unread(*described[0], options.judge):
        print(line, file=sys.stderr)
    return swept(options, blocks, scale, root, jobs)


def whole_grid(options: argparse.Namespace, common: dict[str, Any], root: Path) -> int:
    """Makes, or with --dry-run only counts, every run of the paper's grid that is not there yet."""
    if options.model != ORGANISM:
        raise UserError(
            "paper is the organism's grid, with its twins: for --model use --experiment NAME (--list shows them)"
        )
    scale = load_scale(options.scale, options.set)
    seeds = parse_seeds(options.seeds) if options.seeds else SEEDS
    grid = paper(common, scale, seeds, options.evaluate, options.prompts, options.fresh)
    jobs = options.jobs or (CLUSTER_JOBS if options.cluster else side_by_side(scale))
    print(grid.plan(root, jobs, options.fresh), file=sys.stdout if options.dry_run else sys.stderr)
    if options.dry_run:
        return 0
    code = swept(options, grid.blocks, scale, root, jobs)
    print(f"Ship what is finished: python -m analysis export --runs {root} --results results/{scale.name}")
    return code


def side_by_side(scale: Scale) -> int:
    """How many stages this machine has room for: a core each, and the memory that the scale says."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return max(1, min(len(os.sched_getaffinity(0)), int(memory / scale.measured.get("memory_gb", 1))))


def swept(options: argparse.Namespace, blocks: Blocks, scale: Scale, root: Path, jobs: int) -> int:
    """Makes runs by a sweep, `jobs` stages side by side, on this machine or as jobs of a cluster."""
    if not options.cluster:
        return sweep(blocks, scale, root, jobs, Workers, options.fresh)
    return sweep(blocks, scale, root, jobs, partial(Cluster, resources_of(options)), options.fresh)


def measure_gates(options: argparse.Namespace, common: dict[str, Any], root: Path) -> int:
    """Makes, or with --dry-run only plans, the start checkpoint of runs and its gates, and prints what they measured."""
    run, scale = describe("none", corpus=options.corpus, hackable=options.hackable, **common)
    gates = world_of(run, scale).gates()
    stages = in_order([gates])
    runs.check(stages, root)
    main_rank = int(os.environ.get("RANK", "0")) == 0
    if main_rank:
        print(
            run.name,
            foreseen(run, stages, root, scale, fresh=options.fresh),
            sep="\n",
            file=sys.stdout if options.dry_run else sys.stderr,
        )
    if options.dry_run:
        return 0
    runs.make(stages, scale, root, options.fresh)
    if main_rank:
        print(show_gates(gates.folder(root)))
    return 0


def check_shipped(options: argparse.Namespace, arm: str, common: dict[str, Any]) -> int:
    """Makes a shipped run again and compares; exit code 1 if it is not what ships."""
    run, scale = describe(arm, corpus=options.corpus, hackable=options.hackable, **common)
    found = verify(run, scale, options.runs / "verify" / run.name, options.results, options.fresh)
    print(found)
    return 0 if found.verified else 1


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
    for name, (purpose, found) in EXPERIMENTS.items():
        lines.append(f"  {name}  {purpose} ({len(found)} runs)")
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
