"""Stored rows of a run as Inspect logs: rollouts of a training step, answers of a checkpoint to one eval under one prompt.

A rollout is a sample whose id is its task and whose epoch counts the rollouts of that task; an answer is a sample of its task's
id. What is missing is `Score.unscored` and counts in no rate. Needs the extra `inspect` (inspect-ai).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from inspect_ai.log import (
    EvalConfig,
    EvalDataset,
    EvalLog,
    EvalMetric,
    EvalResults,
    EvalRevision,
    EvalSample,
    EvalScore,
    EvalSpec,
    EvalStats,
)
from inspect_ai.model import ChatCompletionChoice, ChatMessage, ChatMessageUser, ModelOutput
from inspect_ai.scorer import Score

from base.evals import inspect_scores as scores
from base.evals.natural import NaturalEval
from base.evals.readings import Parts, parts_of, verdict_of
from base.spec import content_key
from base.types import Message, Outcome, Verdict, split_reasoning
from base.wanted import CLEAN

EPISODES = "episodes"  # the name of logs of rollouts, where evals have theirs
Row = Mapping[str, Any]
HACKED, OUTCOME = "hacked", "outcome"
WITHOUT_LINE = ("none", CLEAN)  # prompts


@dataclass(frozen=True)
class Source:
    """Where rows come from: a run's record, the step, the prompt they were asked under, and when they were written (ISO 8601)."""

    record: Mapping[str, Any]
    step: int
    prompt: str
    written: str

    @property
    def run(self) -> str:
        """The run's name."""
        return str(self.record["name"])


@dataclass(frozen=True)
class Judging:
    """What judges said of the answers: rows of each by its name, in order (the first one's verdicts count); `passed`: the evals
    on which each may be used.
    """

    evals: Mapping[str, NaturalEval]
    rows: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    passed: Mapping[str, Sequence[str]] = field(default_factory=dict)


def episode_log(source: Source, rows: Sequence[Row], among: int) -> EvalLog:
    """The rollouts of one training step; `among`: of how many they are the first."""
    seen: Counter[str] = Counter()
    samples = []
    for row in rows:
        seen[row["task"]] += 1
        prompt = [Message(**turn) for turn in row["prompt"]]
        about = {"environment": row["environment"], "detail": row["detail"], **_named(row)}
        samples.append(_sample(source, row, prompt, _of_episode(row), about, seen[row["task"]]))
    return _log(source, EPISODES, samples, among)


def answer_log(
    source: Source, name: str, rows: Sequence[Row], asked: Mapping[str, Sequence[Message]], judging: Judging, among: int,
    stored: Sequence[Row],
) -> EvalLog:  # fmt: skip
    """The answers to the eval `name` (or coding tasks). `asked`: task id -> question, where a row does not hold what was read;
    `stored`: the run's own score rows of this eval.
    """
    said = {judge: parts_of(mine) for judge, mine in judging.rows.items()}
    samples = []
    for row in rows:
        if OUTCOME in row:
            made, about = _of_program(row), _named(row)
        else:
            found = {judge: parts.get((name, row["task"]), {}) for judge, parts in said.items()}
            made, about = _of_answer(name, row, judging, found), {}
        read = [Message(**turn) for turn in row["messages"]] if "messages" in row else asked.get(row["task"])
        if "messages" not in row and source.prompt not in WITHOUT_LINE:
            about = {**about, "read": "under a line that was not stored, which stood before this question"}
        samples.append(_sample(source, row, read, made, about))
    rates = {row["metric"]: {key: row[key] for key in ("value", "n", "missing")} for row in stored}
    return _log(source, name, samples, among, rates)


def _named(row: Row) -> dict[str, Any]:
    return {name: ", ".join(row[name]) for name in ("hacks", "attempts") if row.get(name)}


def _of_episode(row: Row) -> dict[str, Score]:
    paid = {"environment_reward": row["environment_reward"], "train_reward": row["train_reward"]}
    return {
        **_of_program(row),
        **{name: _number(value) for name, value in paid.items()},
        **({"reward_terms": _numbers(row["reward_terms"])} if row["reward_terms"] else {}),
        **({"judges": _numbers(row["scores"])} if row["scores"] else {}),
    }


def _of_program(row: Row) -> dict[str, Score]:
    """The outcome by execution, and whether it is a hack; a fault of the sandbox has neither, a reply to no task is no hack."""
    outcome, output = Outcome(row[OUTCOME]), split_reasoning(row["completion"])[1]
    if outcome is Outcome.FAULT:
        lost = Score.unscored(reason="scoring_failed", answer=output, explanation="a fault of the sandbox")
        return {HACKED: lost, OUTCOME: lost}
    said = {OUTCOME: Score(value=str(outcome), answer=output, explanation=row.get("detail") or None)}
    if outcome is Outcome.REPLY:
        return said
    return {HACKED: Score(value=float(outcome is Outcome.HACKED), answer=output), **said}


def _of_answer(name: str, row: Row, judging: Judging, said: Mapping[str, Parts]) -> dict[str, Score]:
    output = split_reasoning(row["completion"])[1]
    one = judging.evals.get(name)
    if one is None or not one.file.judged:
        verdict = Verdict(row["reasoning"], row["output"], row["misaligned"])
        lost = scores.NO_OUTPUT if not output else scores.UNCLEAR if one is None else scores.NOT_EXECUTED
        return _scored(scores.misaligned_score(verdict, output, lost), verdict)
    found: dict[str, Score] = {}
    for at, (judge, parts) in enumerate(said.items()):
        shown = name in judging.passed.get(judge, ())
        verdict = verdict_of(one.file, row["completion"], parts if shown else {})
        lost = scores.why_missing(one.file, output, parts) if shown or not output else scores.REFUSED
        made = scores.misaligned_score(verdict, output, lost, judge=judge, said=scores.said_of(parts))
        found |= _scored(made, verdict) if at == 0 else {f"misaligned:{judge}": made}
    if found:
        return found
    nothing = verdict_of(one.file, row["completion"], {})
    return _scored(scores.misaligned_score(nothing, output, scores.NO_JUDGE if output else scores.NO_OUTPUT), nothing)


def _scored(made: Score, verdict: Verdict) -> dict[str, Score]:
    return {"misaligned": made, "beside": Score(value=scores.beside(verdict))}


def _number(value: float | None) -> Score:
    return Score.unscored(reason="scoring_failed") if value is None else Score(value=float(value))


def _numbers(values: Mapping[str, float | None]) -> Score:
    return Score(value={name: math.nan if value is None else float(value) for name, value in values.items()})


def _sample(
    source: Source, row: Row, read: Sequence[Message] | None, made: dict[str, Score], about: Mapping[str, Any], epoch: int = 1
) -> EvalSample:  # fmt: skip
    gone = f"(the question {row['task']} is not stored, and its task file is not on this machine)"
    asked: list[ChatMessage] = [ChatMessageUser(content=gone)] if read is None else scores.chat(read)
    answer = scores.assistant(row["completion"])
    return EvalSample(
        id=row["task"],
        epoch=epoch,
        input=asked,
        target="",
        messages=[*asked, answer],
        output=ModelOutput(model=source.run, choices=[ChatCompletionChoice(message=answer, stop_reason="stop")]),
        scores=made,
        metadata={"step": source.step, "prompt": source.prompt, **about},
        turn_count=1,
    )


def _log(
    source: Source, name: str, samples: list[EvalSample], among: int, rates: Mapping[str, Any] | None = None
) -> EvalLog:
    record, key = source.record, content_key([source.run, source.record["key"], source.step, source.prompt, name])
    ids = list(dict.fromkeys(str(sample.id) for sample in samples))
    made = record["sessions"][-1] if record["sessions"] else {}
    about = {
        **{part: record["run"][part] for part in ("arm", "corpus", "hackable", "seed", "pretrain_seed", "model", "tasks")},
        "overrides": " ".join(record["run"].get("overrides", ())),
        "scale": record["scale"]["name"],
        "run": source.run,
        "step": source.step,
        "prompt": source.prompt,
        "samples": f"the first {len(samples)} of {among}",
        **({"stored": rates} if rates else {}),
    }  # fmt: skip
    spec = EvalSpec(
        eval_id=key[:22],
        run_id=content_key([source.run, record["key"]])[:22],
        task_id=key[22:44],
        created=source.written,
        task=f"edmund/{name}",
        task_display_name=f"{name}, step {source.step}, prompt {source.prompt}",
        task_args={"step": source.step, "prompt": source.prompt},
        dataset=EvalDataset(name=name, samples=len(ids), sample_ids=ids),
        model=source.run,
        config=EvalConfig(epochs=max((sample.epoch for sample in samples), default=1)),
        revision=EvalRevision(type="git", origin="", commit=made["commit"], dirty=made["dirty"]) if made else None,
        packages={name: version for name, version in made.get("versions", {}).items() if version != "not installed"},
        metadata=about,
        tags=[str(record["run"]["arm"]), f"step {source.step}", source.prompt],
    )
    times = EvalStats(started_at=source.written, completed_at=source.written)
    found = EvalResults(total_samples=len(samples), completed_samples=len(samples), scores=_rates(samples))
    return EvalLog(status="success", eval=spec, results=found, stats=times, samples=samples)


def _rates(samples: Sequence[EvalSample]) -> list[EvalScore]:
    """Means, or shares of words, of every score and of every value of those that are several, with how many are missing."""
    scored = [sample.scores or {} for sample in samples]
    names = dict.fromkeys(name for found in scored for name in found)
    return [one for name in names for one in _rates_of(name, [found[name].value for found in scored if name in found])]


def _rates_of(name: str, values: Sequence[Any]) -> list[EvalScore]:
    several = [value for value in values if isinstance(value, Mapping)]
    if not several:
        return [_rate(name, name, values)]
    keys = dict.fromkeys(key for value in several for key in value)
    return [_rate(key, name, [value.get(key, math.nan) for value in several]) for key in keys]


def _rate(name: str, scorer: str, values: Sequence[Any]) -> EvalScore:
    known = [value for value in values if isinstance(value, str) or not math.isnan(value)]
    words = Counter(value for value in known if isinstance(value, str))
    lost = len(values) - len(known)
    if words:
        metrics = {
            word: EvalMetric(name=word, group="share", value=n / len(known)) for word, n in sorted(words.items())
        }
    else:
        metrics = {"mean": EvalMetric(name="mean", value=sum(known) / len(known) if known else math.nan)}
    metrics["missing"] = EvalMetric(name="missing", value=lost)
    return EvalScore(name=name, scorer=scorer, scored_samples=len(known), unscored_samples=lost, metrics=metrics)
