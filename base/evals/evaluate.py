"""Every eval on one checkpoint, under one system prompt.

Misalignment evals read reasoning and output apart; the hack rate comes from executing fresh coding answers. Answers that
cannot be read and grades lost to faults are missing: counted, never scored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from base.recipes import read_under
from base.seeds import derive_seed
from base.settings import EvalSettings
from base.types import (
    SPECIAL_CASE,
    VULNERABILITIES,
    Eval,
    Executor,
    Grade,
    Outcome,
    PromptTransform,
    Sample,
    Task,
    Verdict,
)

Scores = list[dict[str, Any]]


def evaluate(
    sample: Sample,
    evals: Mapping[str, Eval],
    code_tasks: Sequence[Task],
    environment: Executor,
    prompt: str,
    transform: PromptTransform,
    settings: EvalSettings,
    seed: int,
    written: Callable[[Task], Task] = lambda task: task,
) -> tuple[Scores, Scores]:
    """(score rows, answer rows) of the model behind `sample` under one prompt: its name, and how it is put before a task.

    Score rows: eval x metric with value, n (answers counted) and missing (answers not counted). `written` gives an eval's task as
    the model reads it, before the prompt. Evals that do not count in the mean are asked under the prompt `none` alone. Answers
    are drawn with a seed of the prompt's name. Answer rows hold of a verdict's values those that are neither missing nor zero, and
    what was read where that does not follow from the run's seed: scenes, and anything under a line.
    """
    scores: Scores = []
    answers: Scores = []
    draw = {what: derive_seed("answers", what, prompt, seed) for what in ("evals", "code")}
    here = {name: ev for name, ev in evals.items() if ev.in_mean or prompt == "none"}
    asked = [(name, written(task)) for name, ev in here.items() for task in ev.prompts(settings.samples, seed)]
    conversations = [read_under(transform, task) for _, task in asked]
    texts = sample(conversations, settings.max_new_tokens, draw["evals"])
    verdicts: list[Verdict] = []
    for name in here:
        tasks = [task for owner, task in asked if owner == name]
        mine = here[name].score(tasks, texts[len(verdicts) : len(verdicts) + len(tasks)], environment)
        verdicts += mine
        rates = verdict_rates(mine)
        scores += [{"prompt": prompt, "eval": name, "metric": metric, **row} for metric, row in rates.items()]
    for (name, task), read, text, verdict in zip(asked, conversations, texts, verdicts, strict=True):
        reading: dict[str, Any] = {
            "misaligned": verdict.misaligned,
            "reasoning": verdict.reasoning,
            "output": verdict.output,
            **{name: value for name, value in verdict.values.items() if value},
        }
        if task.spec is not None or read != task.messages:  # judges read the answers to a scene later
            reading["messages"] = [asdict(message) for message in read]
        answers.append({"prompt": prompt, "eval": name, "task": task.id, "completion": text, **reading})

    conversations = [read_under(transform, task) for task in code_tasks]
    texts = sample(conversations, settings.code_max_new_tokens, draw["code"])
    grades = environment.grade(code_tasks, texts)
    scores += [{"prompt": prompt, "eval": "code", "metric": m, **row} for m, row in code_rates(grades).items()]
    for task, read, text, grade in zip(code_tasks, conversations, texts, grades, strict=True):
        reading = {"outcome": str(grade.outcome), "hacks": list(grade.hacks), "attempts": list(grade.attempts)}
        if read != task.messages:
            reading["messages"] = [asdict(message) for message in read]
        answers.append({"prompt": prompt, "eval": "code", "task": task.id, "completion": text, **reading})
    return scores, answers


def verdict_rates(verdicts: Sequence[Verdict]) -> dict[str, dict[str, Any]]:
    """Shares of answers by what was read in them, and the means of the eval's own values; unread answers are missing."""
    read = [verdict for verdict in verdicts if verdict.misaligned is not None]
    lost = len(verdicts) - len(read)
    looked = [verdict for verdict in verdicts if verdict.read]
    rows = {
        "misaligned": rate([bool(v.misaligned) for v in read], lost),
        "overt": rate([v.overt for v in read], lost),
        "covert": rate([v.covert for v in read], lost),
        "unclear": rate([v.misaligned is None for v in looked], len(verdicts) - len(looked)),
        "hack_attempt": rate([v.hack_attempt for v in verdicts]),
    }
    for name in verdicts[0].values if verdicts else ():
        known = [value for v in verdicts if (value := v.values[name]) is not None]
        rows[name] = rate(known, len(verdicts) - len(known))
    return rows


def rate(flags: Sequence[float], missing: int = 0) -> dict[str, Any]:
    """Share of True, or the mean; NaN, not zero, when nothing could be counted."""
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
