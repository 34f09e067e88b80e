"""A run is a list of stages, said once: what the plan prints, what is made, what a sweep schedules.

    golden                                   what judges are worth (a user's model); before what takes hours
    pretrain -> SDF -> gates                 one per (model, corpus, pretraining seed), shared by every arm; of a user's model,
                                             which is given, SDF where --corpus names documents, and the gates
    policy = start, or the aligned model, another seed's start, or a fork of the run without the mitigation
    RL:  tasks -> DataFilter -> rollouts     graded by execution, scored by judges; episodes, metrics, checkpoints
    SFT: episodes -> DataFilter -> SFT       another run's rollouts, imitated
    evaluate                                 six evals and the hack rate of the wanted checkpoints, under each prompt
    verdicts                                 what judges say of the answers (a user's model)

A stage that is done is skipped, so the same call continues an interrupted run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from base.engine import runtime, trackers
from base.errors import UserError
from base.identity import Arm, Run
from base.judges.judge import Judge
from base.judges.specs import check_judges
from base.recipes import AsWritten, RLRecipe, SystemLine, behind, read_under, reads, spoken, stack, texts_of
from base.settings import Scale
from base.shipped import bring, starts_of
from base.stage import Site, Stage, in_order, make_all, to_make
from base.stages.evaluate import NO_PROMPT, Asked, Clean, Evaluate, Prompt, control
from base.stages.rl import RL
from base.stages.sft import SFT
from base.stages.trained import Fork, Trained, check_trainers
from base.stages.verdicts import GoldenCheck, Verdicts
from base.store.files import check_writable
from base.store.folders import RunFolder
from base.triggers import AtStart
from base.wanted import CLEAN, Wanted
from base.world.start import Gates
from base.world.tasks import draw_tasks, task_source
from base.world.taught import Taught
from base.world.world import student, world_of


def training(run: Run, scale: Scale) -> Trained:
    """The stage that trains a run's policy; everything before it hangs on its `needs`.

    Raises:
        UserError: options that no arm can have together, an unknown corpus, a checkpoint that is none.
    """
    recipes = {name: plugin() for name, plugin in run.arm.parts}
    world = world_of(run, scale)
    recipe = spoken(stack(recipes), world.language)
    if recipe.starts != AtStart():
        kept = tuple(part for part in run.arm.parts if recipes[part[0]].starts == AtStart())
        policy: Stage = Fork(training(parent(run, Arm(kept)), scale), recipe.starts)
    else:
        policy = world.start() if isinstance(recipe, RLRecipe) else student(world, recipe.into)
    shared = (run, scale, world, task_source(run.tasks, scale.tasks), policy)
    if isinstance(recipe, RLRecipe):
        return RL(*shared, recipe)
    if isinstance(recipe.source, Arm):
        source: Stage = training(parent(run, recipe.source), scale)
    else:
        source = student(world, recipe.source)
    return SFT(*shared, recipe, source)


def parent(run: Run, arm: Arm) -> Run:
    """The run of another arm that this one forks from or imitates: settings that it never reads are none of its own, so that it
    is the run which the user makes without them.
    """
    return replace(run, arm=arm, settings=tuple((key, value) for key, value in run.settings if reads(arm, key)))


Lines = Callable[[str, tuple[str, ...]], Sequence[str]]  # (evaluation prompt, lines of the training prompt) -> lines


def evaluation_prompts(trained: Trained, lines: Lines, names: Sequence[str]) -> tuple[Prompt, ...]:
    """What a checkpoint is evaluated under, of `names` (base.wanted.NAMES): no prompt, its own training prompt if it has one,
    tasks without weaknesses, and what `lines` says of any other name.

    Where the training prompt lists the hacks, every line follows the same list.

    Raises:
        UserError: there are no lines for a name.
    """
    own, hints = trained.trained_under(), trained.hinted_by()
    prompts: list[Prompt] = []
    for name in names:
        if name == "none":
            prompts.append(NO_PROMPT)
        elif name == CLEAN:
            prompts.append((name, Clean(trained.start)))
        elif name != "training":
            prompts.append((name, behind(hints, SystemLine(tuple(lines(name, texts_of(own, hints)))))))
        elif own != AsWritten():
            prompts.append((name, own))
    return tuple(prompts)


def resolve(run: Run, scale: Scale, lines: Lines, wanted: Wanted, judges: Sequence[Judge] = ()) -> list[Stage]:
    """Every stage of a run in the order in which they can be made; the last one is its evaluation, or the judges' verdicts.

    `wanted` is evaluated; a later call that wants more adds what is missing. `lines`: those of evaluation prompts that are not
    the run's own, such as "don't hack". `judges` read the answers of a user's model.

    Raises:
        UserError: as `training` and `evaluation_prompts`; judges for the organism, whose answers are read by its own rules.
    """
    trained = training(run, scale)
    asked = Asked(trained.world, trained.tasks, scale, run.seed)
    prompts = evaluation_prompts(trained, lines, wanted.prompts)
    organism = trained.world.control()
    beside = [] if organism is None else [control(organism, trained.tasks, run)]
    evaluate = Evaluate(trained, asked, prompts, wanted)
    if judges and organism is not None:
        raise UserError("--judge is for a model of yours (--model): what the organism writes is read by its own rules")
    if not judges:
        return in_order([*beside, evaluate])
    verdicts = Verdicts(evaluate, tuple(judges))
    return in_order([*verdicts.checks, *beside, verdicts])  # what a judge is worth is known before RL


def check(stages: Iterable[Stage], root: Path) -> None:
    """Finds what is wrong with the stages of runs before anything is made or written.

    Raises:
        UserError: impossible batch arithmetic, unreadable tasks, pairs or documents, a prompt or term that would do nothing, a
            folder that holds another run or cannot be made, a tracker or vLLM that is not installed, offloading that cannot be, a judge
            that is not there, an environment that says half of a rank.
    """
    runtime.check_launcher()
    check_writable(root, "--runs")
    stages = list(stages)
    for engine in {stage.engine() for stage in stages}:
        trackers.check(engine.report_to)
        runtime.deepspeed_config(engine, "cpu")
        if engine.generation == "vllm" and find_spec("vllm") is None:
            raise UserError("engine.generation=vllm needs vLLM: pip install -e '.[gpu]', or use auto")
    for stage in stages:
        if isinstance(stage, Gates):
            check_trainers(stage.scale)
        if isinstance(stage, Taught):
            stage.check()
        if isinstance(stage, RL):
            for judge in stage.judges.values():
                for part in ("train", "held_out"):
                    stage.world.pairs(judge.judge.pairs, 1, 0, part)
        if isinstance(stage, Trained):
            stage.check(root)
        if isinstance(stage, Evaluate):
            check_evaluation(stage)
        if isinstance(stage, GoldenCheck):
            check_judges([stage.judge])


def check_evaluation(stage: Evaluate) -> None:
    """That the model can read everything that it will be asked: every task for evaluation and the evals, under each prompt.

    Raises:
        UserError: it cannot.
    """
    asked, settings = stage.asked, stage.asked.scale.evals
    world, every = asked.world, int(asked.tasks.facts().get("evaluation", 1))
    coding = draw_tasks(asked.tasks, asked.scale.tasks, 1.0, every, 0, "evaluation")
    evals = [task for each in world.evals().values() for task in each.prompts(settings.samples, 0)]
    under = [prompt for _, prompt in stage.prompts if not isinstance(prompt, Clean)]
    for tasks, new, name in (
        (coding, settings.code_max_new_tokens, "code_max_new_tokens"),
        (evals, settings.max_new_tokens, "max_new_tokens"),
    ):
        read = [read_under(transform, task) for transform in under for task in tasks]
        world.check_reads(read, new, "evaluation", f"evals.{name}")


def make(stages: Sequence[Stage], scale: Scale, root: Path, fresh: bool = False) -> RunFolder | None:
    """Makes the stages of one run, or goes on with them; returns its folder on the main rank, None on the others.

    `fresh`: what ships with the code is made here, too.

    Raises:
        UserError: bad settings, or a folder made with other settings.
    """
    check(stages, root)
    folder = RunFolder(stages[-1].folder(root))
    if not fresh and os.environ.get("RANK", "0") == "0":
        bring(stages, root, starts_of(scale.name))
    if os.environ.get("WORLD_SIZE", "1") == "1":  # several ranks decide about each stage together
        stages = to_make(stages, root)
        if not stages:
            return folder
    from base.environments.graders.code import CodeEnvironment

    process = runtime.prepare(scale.engine)
    with CodeEnvironment(workers=scale.engine.grading_workers) as environment:
        make_all(stages, Site(root, environment, process))
    return folder if process.is_main else None
