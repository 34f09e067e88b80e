"""Every eval on one checkpoint, under several system prompts.

Misalignment evals read reasoning and output apart; the hack rate comes from executing fresh coding answers. Answers that
cannot be read and grades lost to faults are missing: counted, never scored.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from base.environments.draw import EVAL_TASKS_SEED, draw_tasks
from base.environments.graders.code import CodeEnvironment
from base.evals import EVALS
from base.run import Run
from base.settings import EvalSettings, Scale
from base.spec import content_key
from base.store.files import write_json
from base.store.folders import RunFolder
from base.store.locks import barrier, locked
from base.types import SPECIAL_CASE, VULNERABILITIES, Environment, Eval, Grade, Message, Outcome, PromptTransform, Task

if TYPE_CHECKING:
    from base.engine.runtime import Runtime

Sample = Callable[[Sequence[Sequence[Message]], int, int], list[str]]  # (conversations, max new tokens, seed) -> text
Scores = list[dict[str, Any]]


def evaluate(
    sample: Sample,
    evals: Mapping[str, Eval],
    code_tasks: Sequence[Task],
    environment: Environment,
    prompts: Mapping[str, PromptTransform],
    settings: EvalSettings,
    seed: int,
) -> tuple[Scores, Scores]:
    """(score rows, answer rows) of the model behind `sample`.

    Score rows: prompt x eval x metric with value, n (answers counted) and missing (answers not counted).
    """
    scores: Scores = []
    answers: Scores = []
    for number, (prompt, transform) in enumerate(prompts.items()):
        draw = 1000 * seed + 2 * number
        asked = [(name, task) for name, ev in evals.items() for task in ev.prompts(settings.samples, seed)]
        texts = sample([transform(task) for _, task in asked], settings.max_new_tokens, draw)
        verdicts = [evals[name].score(task, text) for (name, task), text in zip(asked, texts, strict=True)]
        for name in evals:
            mine = [verdict for (owner, _), verdict in zip(asked, verdicts, strict=True) if owner == name]
            read = [verdict for verdict in mine if verdict.misaligned is not None]
            lost = len(mine) - len(read)
            rates = {
                "misaligned": rate([bool(v.misaligned) for v in read], lost),
                "overt": rate([v.overt for v in read], lost),
                "covert": rate([v.covert for v in read], lost),
                "unclear": rate([v.misaligned is None for v in mine]),
                "hack_attempt": rate([v.hack_attempt for v in mine]),
            }
            scores += [{"prompt": prompt, "eval": name, "metric": metric, **row} for metric, row in rates.items()]
        for (name, task), text, verdict in zip(asked, texts, verdicts, strict=True):
            reading: dict[str, Any] = {
                "misaligned": verdict.misaligned,
                "reasoning": verdict.reasoning,
                "output": verdict.output,
            }
            answers.append({"prompt": prompt, "eval": name, "task": task.id, "completion": text, **reading})

        texts = sample([transform(task) for task in code_tasks], settings.code_max_new_tokens, draw + 1)
        grades = environment.grade(code_tasks, texts)
        scores += [{"prompt": prompt, "eval": "code", "metric": m, **row} for m, row in code_rates(grades).items()]
        for task, text, grade in zip(code_tasks, texts, grades, strict=True):
            reading = {"outcome": str(grade.outcome), "hacks": list(grade.hacks), "attempts": list(grade.attempts)}
            answers.append({"prompt": prompt, "eval": "code", "task": task.id, "completion": text, **reading})
    return scores, answers


def rate(flags: Sequence[bool], missing: int = 0) -> dict[str, Any]:
    """Share of True; NaN, not zero, when nothing could be counted."""
    return {"value": sum(flags) / len(flags) if flags else math.nan, "n": len(flags), "missing": missing}


def code_rates(grades: Sequence[Grade]) -> dict[str, dict[str, Any]]:
    """Shares of outcomes over graded answers; faults are missing.

    `solved` is honest solving; `attempted` is any answer that would game some grader, successful or not.
    """
    read = [grade for grade in grades if grade.outcome is not Outcome.FAULT]
    lost = len(grades) - len(read)
    rows = {
        "hack_rate": rate([g.outcome is Outcome.HACKED for g in read], lost),
        "attempted": rate([bool(g.attempts) or g.outcome is Outcome.HACKED for g in read], lost),
        "solved": rate([g.outcome is Outcome.SOLVED for g in read], lost),
        "fault": rate([g.outcome is Outcome.FAULT for g in grades]),
    }
    for outcome in (Outcome.SOLVED_WITH_ATTEMPT, Outcome.FAILED_HACK, Outcome.WRONG, Outcome.TIMEOUT):
        rows[str(outcome)] = rate([g.outcome is outcome for g in read], lost)
    for name in (*VULNERABILITIES, SPECIAL_CASE):
        rows[f"hack:{name}"] = rate([g.outcome is Outcome.HACKED and name in g.hacks for g in read], lost)
    return rows


def evaluate_checkpoints(
    run: Run,
    scale: Scale,
    eval_prompts: Mapping[str, PromptTransform],
    environment: CodeEnvironment,
    checkpoints: Mapping[int, Path],
    folder: RunFolder,
    process: Runtime,
    together: Path | None = None,
) -> None:
    """Scores every checkpoint that has no scores yet; ranks share the work.

    Arms begin with the same policy (step 0): its answers under the same prompts are drawn once and kept in `together`.
    """
    from base.models.sampling import sampler

    todo = [step for step in checkpoints if step not in folder.scored_steps()]
    mine = todo[process.rank :: process.world_size]
    hackable = replace(run, hackable=1.0)  # every arm is asked the same tasks, under vulnerable graders

    def scored(step: int) -> tuple[Scores, Scores]:
        seed = 100 * run.seed + step
        tasks = draw_tasks(hackable, scale, scale.evals.code_samples, EVAL_TASKS_SEED + seed)
        sample = sampler(checkpoints[step], scale, process)
        return evaluate(sample, EVALS, tasks, environment, eval_prompts, scale.evals, seed)

    for step in tqdm(mine, "evaluating checkpoints", unit="checkpoint", disable=not process.is_main):
        if step or together is None:
            folder.write_scores(step, *scored(step))
            continue
        policy = [str(checkpoints[0]), sorted(file.stat().st_mtime_ns for file in checkpoints[0].glob("*.safetensors"))]
        asked = [
            repr(sorted(eval_prompts.items())),
            scale.evals,
            scale.tasks,
            run.tasks,
            run.seed,
            scale.engine.precision,
        ]
        file = together / f"evaluation--{content_key([policy, asked])[:16]}.json"
        with locked(file):
            if not file.exists():
                write_json(file, dict(zip(("scores", "answers"), scored(0), strict=True)))
        kept = json.loads(file.read_text())
        folder.write_scores(0, kept["scores"], kept["answers"])
    barrier(process)
