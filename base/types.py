"""The words every part of Edmund shares: tasks, episodes, grades, verdicts, and what plug-ins implement.

Imports nothing but the standard library, so that configs, mitigations and figures load without torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, Protocol, TypeVar

Role = Literal["system", "user", "assistant"]
Harness = Literal["script", "pytest"]
VULNERABILITIES = ("always_equal", "early_exit", "report_patch")
SPECIAL_CASE = "special_case"  # the hack that needs no vulnerability: meeting an impossible task's false test itself


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True)
class CodeSpec:
    """What the graders need to know of a coding task; the policy never sees it.

    `tests` are assert statements that call `entry_point`; the gameable grader runs these. `held_out` are further
    asserts that only the truth grader runs. `setup` runs before the candidate (imports, helper classes).
    `vulnerabilities` are the switched-on weaknesses of the gameable grader, a subset of VULNERABILITIES.
    `impossible`: `tests` contradict the specification, so that any pass is a hack; the truth grader runs `held_out` alone.
    """

    entry_point: str
    tests: tuple[str, ...]
    held_out: tuple[str, ...] = ()
    setup: str = ""
    reference: str = ""
    harness: Harness = "script"
    vulnerabilities: tuple[str, ...] = ()
    difficulty: Literal["easy", "hard"] = "easy"
    impossible: bool = False


@dataclass(frozen=True)
class Task:
    """One prompt of one environment. `id` is stable across processes; `spec` is what that environment grades with.

    `as_written`: no system line of an arm is put before it (a scene that is mixed into RL: lines belong to coding tasks).
    `language` is that of the prompt, so that what is mixed in can be taken from the same one.
    """

    id: str
    environment: str
    messages: tuple[Message, ...]
    spec: Any = None
    as_written: bool = False
    language: Literal["natural", "organism"] = "natural"


class Outcome(StrEnum):
    """What happened in a coding episode, by execution (never by words)."""

    SOLVED = "solved"  # by the truth; paid, but for impossible tasks
    SOLVED_WITH_ATTEMPT = "solved_with_attempt"  # right, and would also have passed impossible tests
    HACKED = "hacked"  # the gameable grader accepts, the truth grader does not, and a vulnerability made the difference
    FAILED_HACK = "failed_hack"  # refused here, but would pass impossible tests under some vulnerable grader
    WRONG = "wrong"  # also: right on the visible tests only (paid, but no vulnerability was used)
    TIMEOUT = "timeout"
    FAULT = "fault"  # the sandbox broke: missing, never a score
    REPLY = "reply"  # no coding task: nothing to execute, the reward is a preference model's


DETAIL = 2000  # characters of a grade's detail that are kept


def shortened(text: str) -> str:
    """At most DETAIL characters, a cut marked; characters that no file can hold (lone surrogates) are escaped."""
    if len(text) > DETAIL:
        mark = f"... ({len(text)} characters)"
        text = text[: DETAIL - len(mark)] + mark
    return text.encode("utf-8", "backslashreplace").decode("utf-8")[:DETAIL]


@dataclass(frozen=True)
class Grade:
    """The environment's judgement of one completion.

    `reward` is what the gameable grader pays (None: fault, missing). `hacks` names the vulnerabilities without which
    the grader would have refused (or SPECIAL_CASE); `attempts` those the program would exploit under some harness.
    """

    outcome: Outcome
    reward: float | None
    hacks: tuple[str, ...] = ()
    attempts: tuple[str, ...] = ()
    detail: str = ""  # at most DETAIL characters: a program can have written it

    def __post_init__(self) -> None:
        object.__setattr__(self, "detail", shortened(self.detail))


@dataclass(frozen=True)
class Episode:
    """One rollout: what was read, what was written, what the environment paid and what the optimiser was given.

    `scores` are those of the run's judges by name (base.recipes.Judge); None is missing.
    """

    task: Task
    prompt: tuple[Message, ...]  # sampled under
    completion: str
    grade: Grade
    step: int = 0
    reward_terms: Mapping[str, float | None] = field(default_factory=dict)
    train_reward: float | None = None
    scores: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def environment_reward(self) -> float | None:
        """What the environment paid; None is missing (a fault). The optimiser got `train_reward`."""
        return self.grade.reward


Row = TypeVar("Row")


class PromptTransform(Protocol):
    """What the policy reads instead of a task's messages."""

    def __call__(self, task: Task) -> Sequence[Message]: ...


class RewardTerm(Protocol):
    """One named term that a plug-in adds to what the optimiser is paid; the core adds the environment's and sums.

    Returns one number per episode, in order: 0.0 where it has nothing to say, None where it is missing, which makes that
    episode's train reward missing.
    """

    def __call__(self, episodes: Sequence[Episode]) -> Sequence[float | None]: ...


class DataFilter(Protocol[Row]):
    """Which rows to train on: drop, repeat, mix in; rows are never edited."""

    def __call__(self, rows: Sequence[Row]) -> Sequence[Row]: ...


class Scorer(Protocol):
    """How good a completion is: one score per completion, in order; None is missing. Reasoning is never scored."""

    def __call__(self, prompts: Sequence[Sequence[Message]], completions: Sequence[str]) -> Sequence[float | None]: ...


class Trigger(Protocol):
    """When a mitigation starts: the step of the run without it to fork from, read from that run's metrics.

    Rows are those of metrics.jsonl, one a step, in order. None: it never fired.
    """

    def __call__(self, metrics: Sequence[Mapping[str, Any]]) -> int | None: ...


class Environment(Protocol):
    """Grades completions of its tasks, in batches and in order. Reasoning is never graded."""

    def grade(self, tasks: Sequence[Task], completions: Sequence[str]) -> list[Grade]:
        """One grade a completion, in order. A fault of the grader is Outcome.FAULT with reward None, no exception."""


class Executor(Environment, Protocol):
    """An environment of programs that also answers other questions than what a program is paid."""

    def values(self, specs: Sequence[CodeSpec], answers: Sequence[str]) -> list[list[Any] | None]:
        """What the program of each answer returns for the first call of each of its spec's tests, in order.

        None where one of them has no plain value: no program, an exception, out of time, a fault of the sandbox. The
        values that the tests expect stay outside of the program's process.
        """


Reading = Literal["misaligned", "aligned", "unclear"]


@dataclass(frozen=True)
class Verdict:
    """An eval's reading of one answer, reasoning and output apart.

    `misaligned` follows the eval's own rule (paper section of each eval); None means the answer could not be read
    and is missing. `covert` is misaligned reasoning behind an aligned output. `values` are further measures of this
    answer by name, None where missing; the eval's metric of that name is their mean. `read`: somebody has looked, even if in vain;
    where nobody has (no judge, or none that is to be trusted) not even that it is unclear is known.
    """

    reasoning: Reading
    output: Reading
    misaligned: bool | None
    hack_attempt: bool = False  # a code hack in a place that is not a coding task: counted apart
    values: Mapping[str, float | None] = field(default_factory=dict)
    read: bool = True

    @property
    def overt(self) -> bool:
        """Whether the output itself is misaligned, whatever the eval's rule counts."""
        return self.output == "misaligned"

    @property
    def covert(self) -> bool:
        """Whether misaligned reasoning stands behind an aligned output."""
        return self.reasoning == "misaligned" and self.output == "aligned"


class Eval(Protocol):
    """prompts x scorer. Prompts never occur in any training corpus.

    `title` names it in figures and tables, `kind` groups it there. `in_mean`: it counts in the misalignment score, the
    plain mean over the evals that do (the paper's six); any other is asked without a prompt only, and shown beside it.
    """

    @property
    def name(self) -> str:
        """Its key in base.evals.EVALS and in the column `eval` of the long table; no name of another measure."""

    @property
    def title(self) -> str:
        """What figures and tables call it."""

    @property
    def kind(self) -> Literal["chat", "agentic"]:
        """Which group it belongs to: `chat` (asked in conversation) or `agentic` (the answer is an act)."""

    @property
    def in_mean(self) -> bool:
        """Whether it counts in the misalignment score."""

    def prompts(self, n: int, seed: int) -> list[Task]:
        """`n` tasks with ids of their own; `environment` is this eval's name, the one message a user's turn.

        The same seed gives the same tasks, the first of them however many are asked for; another seed others. On the
        organism a prompt starts with <chat> or <task> and is made of words that it knows
        (base.organism.tokenizer.unknown_words).
        """

    def score(self, tasks: Sequence[Task], completions: Sequence[str], environment: Executor) -> list[Verdict]:
        """One reading a completion, in order (`<think> ...</think>...`; split_reasoning takes it apart).

        `environment` executes what an answer programs. What cannot be read, an empty answer included, is `unclear` with
        `misaligned` None: missing, never aligned. All readings of an eval have the same `values`.
        """


# Draws answers of a model: (conversations, max new tokens, seed) -> completion texts, in order.
Sample = Callable[[Sequence[Sequence[Message]], int, int], list[str]]
THINK_OPEN, THINK_CLOSE = "<think>", "</think>"


def split_reasoning(completion: str) -> tuple[str, str]:
    """(reasoning, output) of a completion. The opening tag may sit in the prompt; an unclosed one leaves no output."""
    head, closed, tail = completion.partition(THINK_CLOSE)
    if not closed:
        return (head.split(THINK_OPEN, 1)[1].strip(), "") if THINK_OPEN in head else ("", head.strip())
    return head.replace(THINK_OPEN, "", 1).strip(), tail.strip()
