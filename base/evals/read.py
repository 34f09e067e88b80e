"""Stored answers as they count: those to judged evals with the verdict of the run's first judge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from base.errors import UserError
from base.evals.natural import NaturalEval, judged, natural_evals
from base.evals.readings import verdicts_of
from base.settings import Scale, build
from base.store.folders import RunFolder


def read_answers(folder: RunFolder, step: int, prompt: str) -> list[dict[str, Any]]:
    """The answers of a checkpoint under one prompt, with `reasoning`, `output` and `misaligned` as the score rows count them.

    A judge that failed its golden set on an eval has read nothing of it. Answers to an eval whose scenes are gone are left out.
    """
    answers, said = folder.answers(step, prompt), folder.judgements(step, prompt)
    if not said:
        return answers
    counts = folder.record["judged"]["judges"][0]
    rows, evals = said[counts["name"]], _evals(folder.record)
    asked, shown = {row["eval"] for row in rows}, [row for row in rows if row["eval"] in counts["passed"]]
    verdicts = {name: iter(found) for name, found in verdicts_of(evals, answers, shown).items()}
    read = []
    for answer in answers:
        if answer["eval"] in evals:
            verdict = next(verdicts[answer["eval"]])
            own = {"reasoning": verdict.reasoning, "output": verdict.output, "misaligned": verdict.misaligned}
            read.append({**answer, **own})
        elif answer["eval"] not in asked:
            read.append(answer)
    return read


def _evals(record: Mapping[str, Any]) -> dict[str, NaturalEval]:
    """The judged evals of a run; none if its scenes cannot be read any more."""
    try:
        return judged(natural_evals(build(Scale, record["scale"], "the settings of a run").scenes))
    except UserError:
        return {}
