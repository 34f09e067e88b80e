"""One run, top to bottom.

    start = pretrain -> SDF -> gates         one per (model, corpus, pretraining seed), shared by every arm
    policy = start, or the aligned model, another seed's start, or a checkpoint of the run without the mitigation
    tasks -> DataFilter -> train_rl          rollouts graded by execution and scored by judges; episodes, metrics
    or: episodes -> DataFilter -> train_sft  another run's rollouts, imitated
    every checkpoint -> evaluate             six evals and the hack rate, under each evaluation prompt

A stage whose output exists is skipped, so the same call continues an interrupted run.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from base import starts
from base.environments.draw import draw_tasks
from base.environments.graders.code import CodeEnvironment
from base.environments.scenes import SCENES, SceneEnvironment
from base.environments.task_sets import load
from base.errors import UserError
from base.evaluate import evaluate_checkpoints
from base.preference.pairs import GENERATED, load_pairs
from base.recipes import Arm, Demonstrations, Mitigation
from base.rl.batches import batch_plan
from base.run import Run
from base.settings import Scale
from base.starts import Site
from base.store.files import read_rows
from base.store.folders import RunFolder, timed
from base.store.locks import shared
from base.types import Environment, Trigger


def check(run: Run, scale: Scale, mitigation: Mitigation) -> None:
    """Finds what is wrong with a run before anything is trained or written.

    Raises:
        UserError: impossible batch arithmetic, unknown corpus, unreadable file of tasks or pairs, wrong checkpoint.
    """
    for judge in mitigation.judges.values():
        if judge.pairs not in GENERATED and (Path(judge.pairs).suffix or judge.pairs.startswith((".", "/", "~"))):
            load_pairs(judge.pairs, 1, 0)
    batch_plan(scale.rl)
    starts.corpus_config(run.corpus, scale)
    if run.tasks != "organism":
        load(run.tasks, scale.tasks.harness, scale.tasks.vulnerabilities)
    for name in (run.model, scale.aligned):
        local = name.startswith((".", "/", "~")) or Path(name).exists()
        if name not in ("", "organism") and local and not (Path(name).expanduser() / "config.json").is_file():
            raise UserError(f"{name} is not a Hugging Face checkpoint folder: it has no config.json")


def run(run: Run, scale: Scale, arm: Arm, root: Path, last: int | None = None) -> RunFolder | None:
    """Makes or continues one run; returns its folder on the main rank, None on the others.

    `last`: only the policy it starts from and the last so many checkpoints are evaluated (None: all); a later call
    without it adds the others.

    Raises:
        UserError: bad settings, or a folder made with other settings.
    """
    check(run, scale, arm.mitigation)
    folder = RunFolder(root / run.name)
    if folder.done and not unscored(folder, last):
        folder.open(run, scale, arm.mitigation, claim=False)
        return folder

    from base.engine import runtime

    process = runtime.prepare(scale.engine)
    with shared(folder.path, process):
        if folder.done and not unscored(folder, last):  # made by another process while this one waited
            return folder if process.is_main else None
        if process.is_main:
            folder.open(run, scale, arm.mitigation)
        try:
            with CodeEnvironment(workers=scale.engine.grading_workers) as environment:
                _make(run, arm, folder, Site(scale, root, environment, process), last)
        except BaseException as error:
            if process.is_main:
                stopped = isinstance(error, KeyboardInterrupt)
                folder.update(status="interrupted" if stopped else "failed", error=f"{type(error).__name__}: {error}")
            raise
    if not process.is_main:
        return None
    folder.update(status="done", error=None)
    return folder


def unscored(folder: RunFolder, last: int | None) -> dict[int, Path]:
    """Checkpoints among the last so many (None: all) that have no scores yet."""
    steps = list(folder.checkpoints().items())
    wanted = steps if last is None else steps[len(steps) - min(last, len(steps)) :]
    return {step: path for step, path in wanted if step not in folder.scored_steps()}


def _make(run: Run, arm: Arm, folder: RunFolder, site: Site, last: int | None) -> None:
    """Start, train, evaluate."""
    start = starts.start_checkpoint(run, site)
    policy, behind = start, 0
    if arm.mitigation.into == "aligned":
        policy = starts.start_checkpoint(starts.aligned_run(run, site.scale), site, gated=False)
    elif arm.mitigation.into == "other_seed":
        policy = starts.start_checkpoint(starts.other_seed_run(run), site)
    elif arm.forks is not None:
        policy, behind = fork_point(RunFolder(site.root / replace(run, arm=arm.forks).name), arm.mitigation.starts)
    if site.process.is_main:
        gates = start / "gates.json"
        passed = json.loads(gates.read_text())["passed"] if gates.exists() else None
        fork = {"arm": arm.forks, "trigger": repr(arm.mitigation.starts), "step": behind}
        folder.update(
            start=str(start),
            policy=str(policy),
            fork=fork if arm.forks is not None else None,
            gates_passed=passed,
            isolation=site.environment.isolation(),
        )
    if arm.mitigation.episodes is None:
        _train_rl(run, arm.mitigation, folder, start, policy, behind, site)
    else:
        _train_sft(run, arm, arm.mitigation.episodes, folder, start, policy, site)
    checkpoints = {0: policy, **unscored(folder, last)}
    with timed(folder, "evaluate", site.process.is_main):
        evaluate_checkpoints(
            run,
            site.scale,
            arm.eval_prompts,
            site.environment,
            checkpoints,
            folder,
            site.process,
            together=site.root / "shared",
        )


def fork_point(parent: RunFolder, trigger: Trigger) -> tuple[Path, int]:
    """(checkpoint, its step): the parent's first checkpoint at or after the step that the trigger names.

    Raises:
        UserError: the trigger did not fire, or fired behind the last checkpoint; the run is kept as failed.
    """
    step = trigger(read_rows(parent.path / "metrics.jsonl"))
    if step is None:
        raise UserError(f"{trigger} did not fire in {parent.path.name}: there is nothing to start from")
    later = {at: path for at, path in parent.checkpoints().items() if at >= step}
    if not later:
        raise UserError(f"{trigger} fired at step {step} of {parent.path.name}, behind its last checkpoint")
    return later[min(later)], min(later)


def _train_rl(
    run: Run, mitigation: Mitigation, folder: RunFolder, start: Path, policy: Path, behind: int, site: Site
) -> None:
    """RL from `policy` with the KL to `start`, on tasks that the `behind` steps before a fork have not used."""
    settings = site.scale.rl
    if (folder.path / "checkpoints" / f"step-{settings.steps:04d}").exists():
        return
    from base.rl.train import train_rl

    size = settings.prompts_per_step
    tasks = mitigation.tasks(draw_tasks(run, site.scale, (behind + settings.steps) * size, run.seed)[behind * size :])
    judges = {name: starts.judge_scorer(judge, run, site) for name, judge in mitigation.judges.items()}
    environments: dict[str, Environment] = {"code": site.environment}
    if "pm" in judges:
        environments |= dict.fromkeys(SCENES, SceneEnvironment(judges["pm"]))
    with timed(folder, "rl", site.process.is_main):
        facts = train_rl(
            start=policy,
            reference=start,
            tasks=tasks,
            sample_prompt=mitigation.sample_prompt,
            update_prompt=mitigation.update_prompt,
            reward=mitigation.reward,
            environments=environments,
            judges=judges,
            settings=settings,
            engine=site.scale.engine,
            seed=run.seed,
            folder=folder.path,
            on_episodes=folder.write_episodes,
            on_metrics=folder.write_metrics,
        )
    if site.process.is_main:
        measured = {
            name: starts.judge_facts(judge, run, site.scale, site.root) for name, judge in mitigation.judges.items()
        }
        folder.update(engine=facts, judges=measured)


def _train_sft(
    run: Run, arm: Arm, wanted: Demonstrations, folder: RunFolder, start: Path, policy: Path, site: Site
) -> None:
    """SFT of `policy` on the episodes of another one; its only checkpoint is named by its updates."""
    if folder.checkpoints():
        return
    from base.models.load import load_tokenizer
    from base.sft.demonstrations import demonstrations, rows
    from base.sft.train import train_sft

    scale = site.scale
    with timed(folder, "episodes", site.process.is_main):
        episodes, counts = demonstrations(run, arm, wanted, start, site)
    read = rows(episodes, load_tokenizer(policy), wanted.prompt, scale.rl.max_completion_tokens)
    with timed(folder, "sft", site.process.is_main):
        facts = train_sft(
            start=policy,
            rows=read,
            settings=scale.sft,
            engine=scale.engine,
            seed=run.seed,
            out=folder.path / "checkpoints" / f"step-{scale.sft.steps:04d}",
            name=f"SFT on episodes of {wanted.source}",
            trained=scale.sft.trained,
        )
    if site.process.is_main:
        folder.update(engine=facts, episodes=counts)
