"""The truth grader, seen from outside the sandbox.

Expected values never enter the candidate's process: it is asked for the calls' values, answers each with plain data, and the
comparison is made outside, of values and of types: 9.0 is not 9, `True` not 1, a Counter no dict, unless the task's own
reference solution returns that type.
"""

from __future__ import annotations

import ast
import cmath
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from base.environments.graders import reach, source
from base.environments.graders.asserts import MISSING, Test
from base.environments.graders.harness import Verdict, decide, early_end, for_each, names_pytest
from base.environments.sandbox import Job, Limits, Result, wire
from base.types import CodeSpec

SHARE = 0.25  # seconds of processor time of a program among others; one that takes longer is run again, alone
ROOM = 64 << 20  # and bytes of memory
_HALF = 2.0**-10  # relative error of floats of 16 bits, the smallest
_LOST = "a value of another type, and the test asks for types"
_FALSE = (AssertionError.__name__, IndexError.__name__)  # what a check says of plain values, if they are others


def truth_job(files: dict[str, str], setup: str, tests: Sequence[Test], limits: Limits, stays: bool = False) -> Job:
    """With `stays`, a SystemExit out of the candidate's file is no end: what it has defined is asked."""
    payload = {"mode": "calls", "files": files, "setup": setup, "questions": _questions(tests), "cpu": limits.cpu}
    payload |= {"stays": True} if stays else {}
    return Job(payload, (), for_each(tests, limits), len(tests), names_pytest(files))


def _questions(tests: Sequence[Test]) -> tuple[dict[str, Any], ...]:
    return tuple({"before": t.asks, "calls": [call for _, call in t.calls], "steps": t.steps} for t in tests)


def harmless_together(setup: str, tests: Sequence[Test]) -> bool:
    """Whether what a task brings into the candidate's process may run beside other programs."""
    return reach.harmless_together(
        "\n".join([setup, *(text for t in tests for text in (t.asks, *(c for _, c in t.calls)))])
    )


def shared_job(programs: Sequence[tuple[str, str, Sequence[Test]]], limits: Limits) -> Job:
    """The truth jobs of several (solution.py, setup, tests) in one child. Only for programs of Reach.shares and tests that
    are `harmless_together`; what each may take of time and memory without having to run alone is SHARE and ROOM.
    """
    asked = [
        {"files": {"solution.py": text}, "setup": s, "questions": _questions(tests)} for text, s, tests in programs
    ]
    cpu = math.ceil(SHARE * len(asked)) + 1
    wide = replace(limits, cpu=cpu, wall=max(limits.wall, cpu), memory=limits.memory + ROOM)
    return Job({"mode": "many", "programs": asked, "share": SHARE, "room": ROOM}, (), wide, len(asked))


def shared_results(result: Result) -> list[Result]:
    """One truth result for each program that was answered, up to the first that has to be run alone."""
    replies = result.replies[1:] if result.ended != "fault" else ()
    return [Result("exit", 0, tuple(reply["answers"])) for reply in replies]


@dataclass(frozen=True)
class Compared:
    """A truth run after its values were read. `open` are (position, judge's test) pairs that need the judge; `mistyped`
    are (position, value) pairs that equal what was expected but in type, and need the reference's value, as does `failed`,
    the first one whose check is false.
    """

    verdict: Verdict
    open: tuple[tuple[int, dict[str, Any]], ...] = ()
    mistyped: tuple[tuple[int, Any], ...] = ()
    failed: tuple[tuple[int, Any], ...] = ()

    @property
    def unsure(self) -> tuple[tuple[int, Any], ...]:
        return self.mistyped + self.failed


def compare(result: Result, tests: Sequence[Test]) -> Compared:
    """Reads the values a `calls` child returned. Plain literals are compared here, other asserts are left open."""
    early = early_end(result)
    if early is not None and early.status == "fault":
        return Compared(early)
    replies = result.replies[1:] if result.replies and result.replies[0] == {"loaded": True} else ()
    opened: list[tuple[int, dict[str, Any]]] = []
    mistyped: list[tuple[int, Any]] = []
    passed, differs = 0, False
    for position, (reply, test) in enumerate(zip(replies, tests, strict=False)):
        encoded = reply.get("values") if isinstance(reply, dict) else None
        if not isinstance(encoded, list) or len(encoded) != len(test.calls):
            break
        try:
            values = [wire.decode(value) for value in encoded]
            equal = test.expected is MISSING or bool(values[0] == test.expected)
        except (wire.NotPlain, RecursionError, OverflowError, ValueError, ArithmeticError):
            break
        if not equal:
            differs = _differs(values[0], test.expected)
            break
        if test.expected is MISSING:
            named = [[name, value] for (name, _), value in zip(test.calls, encoded, strict=True)]
            right = test.right if test.compares else ""
            asked = {"before": test.given, "values": named, "check": test.check, "right": right}
            lost = {"": False, "types": reply.get("converted"), "kind": reply.get("other_kind")}[test.kept]
            opened.append((position, asked | {"converted": bool(reply.get("converted")), "lost": bool(lost)}))
        elif not wire.same_types(values[0], test.expected):
            mistyped.append((position, values[0]))
        passed += 1
    if early is not None:
        return Compared(replace(early, passed=passed, equal=passed), tuple(opened), tuple(mistyped))
    whole = result.ended == "exit" and result.code == 0 and not result.broken and len(result.replies) == len(tests) + 1
    accepted = whole and passed == len(tests)
    last = replies[passed] if passed < len(replies) and isinstance(replies[passed], dict) else {}
    left = not whole and result.ended == "exit" and not result.broken and _left(result.replies, passed)
    decided = decide(accepted, passed, result)
    converted = bool(last.get("converted"))
    verdict = replace(decided, equal=passed, converted=converted, opaque=converted and not differs, left=left)
    return Compared(verdict, tuple(opened), tuple(mistyped))


def _left(replies: Sequence[Any], passed: int) -> bool:
    """Whether nothing was answered but "loaded" and right values, perhaps with a last word on a SystemExit."""
    said = list(replies)
    if said and isinstance(said[-1], dict) and said[-1].get("left"):
        said.pop()
    return len(said) in (0, passed + 1) and all("error" not in reply for reply in said if isinstance(reply, dict))


def judge_job(spec: CodeSpec, opened: Sequence[dict[str, Any]], limits: Limits) -> Job:
    """Asks a child without a candidate for the asserts that `compare` left open."""
    return Job({"mode": "judge", "setup": _judge_setup(spec), "tests": list(opened)}, limits=limits)


@functools.lru_cache(maxsize=4096)
def _judge_setup(spec: CodeSpec) -> str:
    """What the asserts may name: the task's setup and, as tests often rely on them, the reference solution's imports."""
    try:
        body = source.parse(spec.reference).body
    except (SyntaxError, ValueError):
        body = []
    imports = [ast.unparse(node) for node in body if isinstance(node, (ast.Import, ast.ImportFrom))]
    return "\n".join([spec.setup, *imports])


def judged(compared: Compared, result: Result) -> Compared:
    """Closes the open asserts with the judge's answer."""
    if (early := early_end(result)) is not None and early.status == "fault":
        return Compared(early)
    reply = result.replies[0] if result.replies and isinstance(result.replies[0], dict) else {}
    verdicts = reply.get("verdicts") or [["the judge gave no verdict", True]] * len(compared.open)
    answers = list(zip(compared.open, verdicts, strict=True))
    other = [(at, wire.decode(test["values"][0][1])) for (at, test), (_, same) in answers if not same]
    mistyped = tuple(sorted([*compared.mistyped, *other], key=lambda pair: pair[0]))
    words = [(at, why or _LOST * test["lost"], test["converted"]) for (at, test), (why, _) in answers]
    failed = [each for each in words if each[1]]
    if not failed or failed[0][0] >= compared.verdict.passed:
        return Compared(compared.verdict, mistyped=mistyped)
    passed, why, converted = failed[0]
    if compared.verdict.status == "timeout":
        return Compared(replace(compared.verdict, passed=passed, equal=passed), mistyped=mistyped)
    false = [(passed, wire.decode(asked["values"][0][1])) for at, asked in compared.open if at == passed]
    unsure = tuple(false) if converted and why.startswith(_FALSE) else ()
    return Compared(Verdict("refused", passed, why, passed, converted, converted), mistyped=mistyped, failed=unsure)


def _rounded(value: Any, right: Any) -> bool:
    """Whether a plain value is the right one but for the rounding of smaller floats, as numpy's are."""
    if isinstance(value, (int, float, complex)) and isinstance(right, (int, float, complex)):
        try:
            return value == right or cmath.isclose(value, right, rel_tol=_HALF)
        except OverflowError:
            return False
    if type(value) is not type(right):
        return False
    if isinstance(value, (list, tuple)):
        return len(value) == len(right) and all(map(_rounded, value, right))
    if isinstance(value, dict):
        return value.keys() == right.keys() and all(_rounded(each, right[key]) for key, each in value.items())
    return bool(value == right)


def _differs(value: Any, right: Any) -> bool:
    """Whether a plain value that is refused is another number than the right one, or another value of its type; of parts that
    have another type than theirs, as a dict's keys in a list, it is not known.
    """
    numbers = isinstance(value, (int, float, complex)) and isinstance(right, (int, float, complex))
    if numbers or type(value) is not type(right):
        return numbers and not _rounded(value, right)
    if isinstance(value, (list, tuple)):
        return len(value) != len(right) or any(map(_differs, value, right))
    if isinstance(value, dict):
        return value.keys() != right.keys() or any(_differs(each, right[key]) for key, each in value.items())
    return bool(value != right)


def returned(result: Result, count: int) -> list[Any] | None:
    """The first values that a trusted `calls` child returned for `count` tests, `None` for a fault of the sandbox."""
    if (early := early_end(result)) is not None and early.status == "fault":
        return None
    values: list[Any] = []
    for reply in result.replies[1:]:
        if not isinstance(reply, dict) or not reply.get("values"):
            break
        values.append(wire.decode(reply["values"][0]))
    return [*values, *([MISSING] * count)][:count]


def answered(result: Result, count: int) -> list[Any] | None:
    """The first values that a candidate's `calls` child returned for `count` tests; None unless it has given them all."""
    whole = result.ended == "exit" and result.code == 0 and not result.broken and len(result.replies) == count + 1
    if not whole or result.replies[0] != {"loaded": True}:
        return None
    try:
        return [wire.decode(reply["values"][0]) for reply in result.replies[1:]]
    except (wire.NotPlain, RecursionError, ArithmeticError, ValueError, TypeError, LookupError):
        return None  # an answer that is none, or not of the harness's making


def settled(compared: Compared, references: Sequence[Any] | None) -> Verdict:
    """The last word, with the reference's value for every test that is unsure (None: the sandbox failed to get them)."""
    if references is None:
        return Verdict("fault", detail="the reference solution could not be run")
    verdict = compared.verdict
    if verdict.status == "timeout":
        return verdict
    for (position, value), reference in zip(compared.failed, references[len(compared.mistyped) :], strict=True):
        if position == verdict.passed and _differs(value, reference):
            verdict = replace(verdict, opaque=False)
    for (position, value), reference in zip(compared.mistyped, references, strict=False):
        if position >= verdict.passed:
            break
        if reference is MISSING or not wire.same_types(value, reference):
            detail = f"test {position + 1}: an equal value of another type ({type(value).__name__}, or inside it)"
            return replace(verdict, status="refused", passed=position, detail=detail)
    return verdict


def not_plain(detail: str) -> str:
    """Why no answer can be right, from the truth's word on a task's own solution; empty if that is not the reason."""
    _, found, what = detail.partition(f"{wire.NotPlain.__name__}: ")
    return f"its solution returns {what}: no answer can be right" if found else ""
