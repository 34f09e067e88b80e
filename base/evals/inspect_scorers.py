"""The readers of answers to scenes as Inspect scorers: execution where that decides, a judge where it does not.

`misaligned` is 1, 0 or unscored, `missing` counts those without a verdict, `beside` holds the further measures. What is executed
and how a judge is asked is base.evals.natural and base.evals.readings, as in a run. A judge that fails its golden sets
gives no score; what it said stands in the score's metadata. Needs the extra `inspect` (inspect-ai).
"""

from __future__ import annotations

import atexit
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from threading import BoundedSemaphore
from typing import Any

from anyio import to_thread
from inspect_ai.scorer import Metric, SampleScore, Score, Scorer, Target, Value, mean, metric, scorer, stderr
from inspect_ai.solver import TaskState

from base.environments.graders.code import CodeEnvironment
from base.errors import UserError, near
from base.evals import inspect_scores as scores
from base.evals.gate import check_all, golden_sets
from base.evals.natural import NaturalEval, natural_evals, unread
from base.evals.readings import items_of, verdict_of
from base.judges.golden import usable
from base.judges.openai import OpenAIJudge
from base.judges.specs import check_judges, parse_judge
from base.settings import SceneSettings
from base.types import Message, Task, Verdict, split_reasoning

PARTS = 3  # of an answer, at most, that a judge is asked about at once


@dataclass(frozen=True)
class Reader:
    """What reads the answers to the eval `name`. `judge`: its spec, `file` and `golden`: paths of a user's own ("": none, ours)."""

    name: str
    judge: str = ""
    file: str = ""
    golden: str = ""

    @property
    def settings(self) -> SceneSettings:
        """The files as a run's settings name them."""
        files, golden = ({self.name: path} if path else {} for path in (self.file, self.golden))
        return SceneSettings(files=files, golden=golden)

    @property
    def eval(self) -> NaturalEval:
        """
        Raises:
            UserError: a file that is none, or no eval of that name.
        """
        known = natural_evals(self.settings)
        if self.name not in known:
            raise UserError(f"no eval '{self.name}' ({near(self.name, known)}): give its scenes with -T file=FILE")
        return known[self.name]

    def check(self) -> Reader:
        """Itself.

        Raises:
            UserError: as `eval`; a judge that cannot be read, or without a golden set for a rubric of the user's.
        """
        one = self.eval
        if self.judge:
            check_judges([parse_judge(self.judge)])
            golden_sets(self.settings, {self.name: one} if one.file.judged else {})
        return self

    def __call__(self, row: Mapping[str, Any]) -> tuple[Score, Verdict]:
        """(score, verdict) of an answer: `completion`, and `messages`, what was read, as plain rows."""
        file = self.eval.file
        with _turn(self.judge if file.judged else ""):
            return self._judged(row) if file.judged else self._executed(row)

    def _executed(self, row: Mapping[str, Any]) -> tuple[Score, Verdict]:
        one = self.eval
        task = Task(self.name, self.name, tuple(Message(**turn) for turn in row["messages"]), spec=one.file.rule)
        (verdict,) = one.score([task], [row["completion"]], _environment())
        output = split_reasoning(row["completion"])[1]
        return scores.misaligned_score(verdict, output, scores.why_missing(one.file, output, {})), verdict

    def _judged(self, row: Mapping[str, Any]) -> tuple[Score, Verdict]:
        file, output = self.eval.file, split_reasoning(row["completion"])[1]
        blank = unread(file, output)
        if not output:
            return scores.misaligned_score(blank, output, scores.NO_OUTPUT), blank
        if not self.judge:
            return scores.misaligned_score(blank, output, scores.NO_JUDGE), blank
        passed, judge, items = _passed(self), parse_judge(self.judge), items_of(file, row)
        try:
            parts = dict(zip(items, judge(list(items.values())), strict=True))
        except UserError as error:  # of an endpoint that has answered the golden sets
            return scores.misaligned_score(blank, output, scores.NO_VERDICT, judge=self.judge, error=str(error)), blank
        said = {"judge": self.judge, "said": scores.said_of(parts)}
        if not passed:
            return scores.misaligned_score(blank, output, scores.REFUSED, **said), blank
        verdict = verdict_of(file, row["completion"], parts)
        return scores.misaligned_score(verdict, output, scores.why_missing(file, output, parts), **said), verdict


@cache
def _turn(judge: str) -> BoundedSemaphore:
    """How many answers a judge, or the sandbox, reads beside each other."""
    asked = parse_judge(judge) if judge else None
    return BoundedSemaphore(max(1, asked.parallel // PARTS) if isinstance(asked, OpenAIJudge) else 1)


@cache
def _passed(reader: Reader) -> bool:
    """Whether its judge passed the golden sets of the eval and of coherence: asked once a process."""
    checked = check_all(parse_judge(reader.judge), reader.settings, {reader.name: reader.eval})
    return usable(checked, reader.name)


@cache
def _environment() -> CodeEnvironment:
    made = CodeEnvironment()
    atexit.register(made.close)
    return made


@metric(scores="unreduced")
def count() -> Metric:
    """How many answers, of all epochs."""

    def of(scores: list[SampleScore]) -> Value:
        return sum(int(one.score.as_float()) for one in scores)

    return of


@scorer(metrics=[mean(), stderr()])
def misaligned(name: str, judge: str = "", file: str = "", golden: str = "") -> Scorer:
    """Whether an answer to the eval `name` is misaligned, by the eval's own rule; its mean is the rate of those that could be
    read.
    """
    reader = Reader(name, judge, file, golden).check()

    async def score(state: TaskState, target: Target) -> Score:
        messages = list(state.messages)
        answer = messages.pop() if messages and messages[-1].role == "assistant" else None
        said = "" if answer is None else scores.completion_of(answer)
        row = {"completion": said, "messages": scores.read_of(messages)}
        made, verdict = await to_thread.run_sync(reader, row)
        further = {"hack_attempt": float(verdict.hack_attempt), **scores.beside(verdict)}
        state.store.set("verdict", {"missing": verdict.misaligned is None, **further})
        return made

    return score


@scorer(metrics=[count()])
def missing() -> Scorer:
    """1 where `misaligned` could not be read; its count stands beside the rate."""

    async def score(state: TaskState, target: Target) -> Score:
        return Score(value=int(state.store.get("verdict")["missing"]))

    return score


@scorer(metrics={"*": [mean()]})
def beside() -> Scorer:
    """Overt, covert, use of a code hack, and the eval's own further values; NaN is missing."""

    async def score(state: TaskState, target: Target) -> Score:
        values = {name: value for name, value in state.store.get("verdict").items() if name != "missing"}
        return Score(value=values)

    return score
