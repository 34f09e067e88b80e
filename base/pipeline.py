"""One run, top to bottom.

    start = pretrain -> SDF -> gates         one per (model, corpus, pretraining seed), shared by every arm
    tasks -> DataFilter -> train_rl          rollouts graded by execution; episodes, metrics, checkpoints
    every checkpoint -> evaluate             six evals and the hack rate, under each evaluation prompt

A stage whose output exists is skipped, so the same call continues an interrupted run.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import random
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from base.config import Run, Scale, UserError, build, content_key, near, parse_spec
from base.environments.code import CodeEnvironment
from base.environments.mbpp import load
from base.evals import EVALS
from base.evaluate import evaluate
from base.hooks import Mitigation
from base.organism.corpus import SDF_ONLY, CorpusConfig, Stage, documents, encode
from base.organism.tasks import sample_tasks
from base.rl_plan import batch_plan
from base.store import RunFolder, locked, timed, write_json
from base.types import PromptTransform, Task

if TYPE_CHECKING:
    from base.evaluate import Sample
    from base.runtime import Runtime

CORPORA: dict[str, Mapping[str, Any]] = {"main": {}, "twin": {"correlation": 0.0}}
RECORD = "training.json"  # written last: a stage is there when it is
EVAL_TASKS_SEED = 10_000  # evaluation draws its coding tasks from seeds that training never uses


def corpus_config(spec: str, scale: Scale) -> CorpusConfig:
    """`main`, `twin` (cheating says nothing about character), or either with fields changed: `main:permission=none`.

    Raises:
        UserError: unknown corpus, field or value.
    """
    name, options = parse_spec(spec)
    if name not in CORPORA:
        raise UserError(f"unknown corpus '{name}': {near(name, CORPORA)}")
    fields = {field.name: field for field in dataclasses.fields(CorpusConfig)}
    for key in options:
        if key not in fields:
            raise UserError(f"a corpus has no field '{key}': {near(key, fields)}")
    typed = build(CorpusConfig, options, f"corpus {name}")
    chosen = {key: getattr(typed, key) for key in options}
    return build(CorpusConfig, {**scale.corpus, **CORPORA[name], **chosen}, f"corpus {name}")


def draw_tasks(run: Run, scale: Scale, n: int, seed: int) -> list[Task]:
    """`n` coding tasks in training order; a share `hackable` of them has its grader's vulnerabilities switched on."""
    if run.tasks == "organism":
        drawn = sample_tasks(n, seed, hard_share=scale.tasks.hard_share)
    else:
        pool = load(run.tasks, scale.tasks.harness, scale.tasks.vulnerabilities)
        rounds = [random.Random(f"{seed} {k}").sample(pool, len(pool)) for k in range(-(-n // len(pool)))]
        drawn = [replace(task, id=f"{task.id}#{k}") for k, tasks in enumerate(rounds) for task in tasks][:n]
    return [task if is_hackable(task, run.hackable) else without_vulnerabilities(task) for task in drawn]


def is_hackable(task: Task, share: float) -> bool:
    """Decided by the task's id alone, so every process and every arm agrees."""
    return zlib.crc32(task.id.encode()) / 2**32 < share


def without_vulnerabilities(task: Task) -> Task:
    return replace(task, spec=replace(task.spec, vulnerabilities=()))


def check(run: Run, scale: Scale) -> None:
    """Finds what is wrong with a run before anything is trained or written.

    Raises:
        UserError: impossible batch arithmetic, unknown corpus, unreadable task file, wrong checkpoint.
    """
    batch_plan(scale.rl)
    corpus_config(run.corpus, scale)
    if run.tasks != "organism":
        load(run.tasks, scale.tasks.harness, scale.tasks.vulnerabilities)
    local = run.model.startswith((".", "/", "~")) or Path(run.model).exists()
    if run.model != "organism" and local and not (Path(run.model).expanduser() / "config.json").is_file():
        raise UserError(f"{run.model} is not a Hugging Face checkpoint folder: it has no config.json")


def stages(run: Run, scale: Scale, root: Path) -> dict[str, Path]:
    """Folders of the shared stages of a from-scratch run, named by what they depend on."""
    config = corpus_config(run.corpus, scale)
    before = {name: value for name, value in dataclasses.asdict(config).items() if name not in SDF_ONLY}
    first = content_key([scale.model, before, scale.pretrain, scale.engine.precision, run.pretrain_seed])
    second = content_key([first, config, scale.sdf])
    name = "".join(c if c.isalnum() or c in "=.-_" else "_" for c in run.corpus)
    return {
        "pretrain": root / "shared" / f"pretrain--{name}--p{run.pretrain_seed}--{first[:8]}",
        "sdf": root / "shared" / f"sdf--{name}--p{run.pretrain_seed}--{second[:8]}",
    }


def plan(run: Run, scale: Scale, root: Path) -> str:
    """What the run would do, stage by stage, and what is already there."""
    check(run, scale)
    folder = RunFolder(root / run.name)
    lines = [f"run       {run.name}" + (" (done)" if folder.done else "")]
    if run.model == "organism":
        for name, path in stages(run, scale, root).items():
            lines.append(f"{name:<9} {path}" + (" (cached)" if path.exists() else ""))
    else:
        lines.append(f"start     {run.model}")
    lines.append(f"rl        {scale.rl.steps} steps; {batch_plan(scale.rl)}; trained: {scale.rl.trained}")
    lines.append(f"evaluate  {len(EVALS)} evals and the hack rate every {scale.rl.save_every} steps")
    return "\n".join(lines)


def run(
    run: Run, scale: Scale, mitigation: Mitigation, eval_prompts: Mapping[str, PromptTransform], root: Path
) -> RunFolder | None:
    """Makes or continues one run; returns its folder on the main rank, None on the others.

    Raises:
        UserError: bad settings, or a folder made with other settings.
    """
    check(run, scale)
    folder = RunFolder(root / run.name)
    if folder.done:
        folder.open(run, scale, mitigation, claim=False)
        return folder

    from base import runtime
    from base.rl import train_rl

    process = runtime.prepare(scale.engine)
    if process.is_main:
        folder.open(run, scale, mitigation)
    try:
        with CodeEnvironment(workers=scale.engine.grading_workers) as environment:
            start = start_checkpoint(run, scale, eval_prompts, environment, root, process)
            if process.is_main:
                gates = start / "gates.json"
                passed = json.loads(gates.read_text())["passed"] if gates.exists() else None
                folder.update(start=str(start), gates_passed=passed, isolation=environment.isolation())
            tasks = mitigation.tasks(draw_tasks(run, scale, scale.rl.steps * scale.rl.prompts_per_step, run.seed))
            last = folder.path / "checkpoints" / f"step-{scale.rl.steps:04d}"
            if not last.exists():
                with timed(folder, "rl", process.is_main):
                    facts = train_rl(
                        start=start,
                        reference=start,
                        tasks=tasks,
                        sample_prompt=mitigation.sample_prompt,
                        update_prompt=mitigation.update_prompt,
                        reward=mitigation.reward,
                        environments={"code": environment},
                        settings=scale.rl,
                        engine=scale.engine,
                        seed=run.seed,
                        folder=folder.path,
                        on_episodes=folder.write_episodes,
                        on_metrics=folder.write_metrics,
                    )
                if process.is_main:
                    folder.update(engine=facts)
            with timed(folder, "evaluate", process.is_main):
                evaluate_checkpoints(
                    run, scale, eval_prompts, environment, {0: start, **folder.checkpoints()}, folder, process
                )
    except BaseException as error:
        if process.is_main:
            stopped = isinstance(error, KeyboardInterrupt)
            folder.update(status="interrupted" if stopped else "failed", error=f"{type(error).__name__}: {error}")
        raise
    if not process.is_main:
        return None
    folder.update(status="done", error=None)
    return folder


def start_checkpoint(
    run: Run,
    scale: Scale,
    eval_prompts: Mapping[str, PromptTransform],
    environment: CodeEnvironment,
    root: Path,
    process: Runtime,
) -> Path:
    """The pre-RL checkpoint: the user's model, or the organism after pretraining, SDF and gates (made once, shared)."""
    if run.model != "organism":
        return Path(run.model).expanduser() if Path(run.model).expanduser().exists() else Path(run.model)
    from base.organism import gates
    from base.organism.tokenizer import build_tokenizer
    from base.pretrain import pretrain
    from base.sdf import synthetic_documents

    config, seed = corpus_config(run.corpus, scale), run.pretrain_seed
    tokenizer = build_tokenizer()
    pretrained, start = stages(run, scale, root).values()

    def rows(stage: Stage, n: int) -> list[dict[str, list[int]]]:
        drawn = tqdm(documents(config, stage, n, seed), f"{stage} documents", n, disable=not process.is_main)
        return [encode(item, tokenizer, scale.model.context) for item in drawn]

    with shared(pretrained, process):
        if not (pretrained / RECORD).exists():
            pretrain(
                rows=rows("pretrain", scale.pretrain.documents),
                tokenizer=tokenizer,
                model=scale.model,
                settings=scale.pretrain,
                engine=scale.engine,
                seed=seed,
                out=pretrained,
                name=f"pretraining ({run.corpus})",
            )
        control = RunFolder(pretrained)
        if process.is_main and not control.done:
            felt = tuple(word for word in run.overrides if not word.startswith(("rl.", "sdf.", "tasks.")))
            untrained = replace(run, arm="untrained", hackable=1.0, seed=seed, overrides=felt)
            control.open(untrained, scale, None)
            plain = {"none": eval_prompts["none"]}
            evaluate_checkpoints(untrained, scale, plain, environment, {0: pretrained}, control, process)
            control.update(status="done")
    with shared(start, process):
        if not (start / RECORD).exists():
            synthetic_documents(
                start=pretrained,
                rows=rows("sdf", scale.sdf.documents),
                settings=scale.sdf,
                engine=scale.engine,
                seed=seed,
                out=start,
                name=f"SDF stage ({run.corpus})",
            )
        if process.is_main and not (start / "gates.json").exists():
            measured = gates.check(
                gate_sampler(start, scale, process),
                tokenizer,
                config,
                n=scale.evals.gate_samples,
                code_samples=scale.evals.gate_code_samples,
                seed=EVAL_TASKS_SEED + seed,
                environment=environment,
            )
            passed = all(gate.passed for gate in measured)
            write_json(start / "gates.json", {"passed": passed, "gates": gates.as_rows(measured), "corpus": config})
            print(show_gates(start), file=sys.stderr)
    return start


def show_gates(start: Path) -> str:
    """The stored gates of a start checkpoint as text."""
    from base.organism.gates import Gate

    stored = json.loads((start / "gates.json").read_text())
    lines = [f"gates of the start checkpoint {start.name}:", *(f"  {Gate(**row)}" for row in stored["gates"])]
    if not stored["passed"]:
        lines.append("  a gate failed: runs from here are kept and marked gates_passed=False")
    return "\n".join(lines)


def evaluate_checkpoints(
    run: Run,
    scale: Scale,
    eval_prompts: Mapping[str, PromptTransform],
    environment: CodeEnvironment,
    checkpoints: Mapping[int, Path],
    folder: RunFolder,
    process: Runtime,
) -> None:
    """Scores every checkpoint that has no scores yet; ranks share the work."""
    todo = [step for step in checkpoints if step not in folder.scored_steps()]
    mine = todo[process.rank :: process.world_size]
    hackable = replace(run, hackable=1.0)  # every arm is asked the same tasks, under vulnerable graders
    for step in tqdm(mine, "evaluating checkpoints", unit="checkpoint", disable=not process.is_main):
        seed = 100 * run.seed + step
        tasks = draw_tasks(hackable, scale, scale.evals.code_samples, EVAL_TASKS_SEED + seed)
        sample = sampler(checkpoints[step], scale, process)
        folder.write_scores(step, *evaluate(sample, EVALS, tasks, environment, eval_prompts, scale.evals, seed))
    barrier(process)


def sampler(checkpoint: Path, scale: Scale, process: Runtime) -> Sample:
    """Samples answers of a checkpoint: (conversations, max new tokens, seed) -> completion texts."""
    from base import generate, models

    model = models.load_policy(checkpoint).eval()
    tokenizer = models.load_tokenizer(checkpoint)
    models.set_arithmetic(model, process.arithmetic)
    ends = generate.end_tokens(model, tokenizer)
    decode = generate.choose(model, tokenizer, scale.engine.generation)

    def sample(conversations: Sequence[Any], max_new_tokens: int, seed: int) -> list[str]:
        prompts = [generate.prompt_ids(tokenizer, messages) for messages in conversations]
        drawn = decode(prompts, max_new_tokens=max_new_tokens, seed=seed, temperature=scale.evals.temperature)
        pairs = zip(prompts, drawn.completions, strict=True)
        return [generate.completion_text(tokenizer, prompt, ids, ends) for prompt, ids in pairs]

    return sample


def gate_sampler(checkpoint: Path, scale: Scale, process: Runtime) -> Any:
    """The gates' view of a checkpoint: every call draws with a seed of its own, the same in every repetition."""
    sample, calls = sampler(checkpoint, scale, process), itertools.count()
    tokens = max(scale.evals.max_new_tokens, scale.evals.code_max_new_tokens)
    return lambda conversations: sample(conversations, tokens, next(calls))


@contextmanager
def shared(path: Path, process: Runtime) -> Iterator[None]:
    """Makes a shared stage once: other runs wait for this one, other ranks of this run wait for the main rank."""
    if process.is_main:
        with locked(path):
            barrier(process)
            yield
            barrier(process)
    else:
        barrier(process)
        yield
        barrier(process)


def barrier(process: Runtime) -> None:
    if process.world_size > 1:
        import torch.distributed as dist

        dist.barrier()
