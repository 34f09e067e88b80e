"""More tests from the reference solution: inputs near the known ones, values by execution in the sandbox.

MBPP's three tests let many wrong programs through. `extend` adds held-out tests, so that "solved" (the truth grader) means
these pass too. The reference answers every input twice, in different children, in different order, with sets iterated the
other way round; an input counts only if both answers are the same plain value of a type that the task's own tests expect.
The same task and seed give the same tests in every process.
"""

from __future__ import annotations

import ast
import contextlib
import itertools
import math
import random
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from base.environments.audit.inputs import draw
from base.environments.audit.invariants import Arguments
from base.environments.graders.asserts import Test, parse_test
from base.environments.graders.code import CodeEnvironment
from base.environments.graders.driver import steady_values
from base.environments.literals import source
from base.errors import UserError
from base.types import CodeSpec, Task

N = 20  # held-out tests added to a task
POOL = 96  # inputs tried for them; wrong programs are told from right ones on all of these
_VALUE_TEXT = 1000  # characters of an expected value
_RELATIVE = 1e-9  # how far apart two right programs may be in a computed float
_AROUND = {"_value_0", "set", "sorted", "list", "tuple", "int", "len"}  # what tests may wrap around the call
_CLOCK_AND_CHANCE = {"random", "secrets", "uuid", "time", "now", "today", "utcnow", "localtime", "urandom", "getpid"}


@dataclass(frozen=True)
class Form:
    """How the tests of a task ask and compare, taken from its own tests, so that new ones are neither stricter nor laxer.

    `ask` and `check` are source with CALL for the call and VALUE for the expected value.
    """

    ask: str
    check: str
    close: bool = False  # compares within a tolerance of its own


@dataclass(frozen=True)
class Known:
    """What the tests of a task say of its function: inputs, how answers are compared, the types of expected values."""

    form: Form
    inputs: tuple[Arguments, ...]
    kinds: frozenset[type]


@dataclass(frozen=True)
class Extended:
    """A task with more held-out tests. `dropped` counts inputs by reason; `skipped` says why there are none at all.

    `pool` are expressions whose value under the reference is known to be well defined; the first `visible` of them are
    those of visible tests that compare exactly.
    """

    task: Task
    added: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    skipped: str = ""
    pool: tuple[str, ...] = ()
    visible: int = 0


def extend(tasks: Iterable[Task], environment: CodeEnvironment, n: int = N, seed: int = 0) -> list[Extended]:
    """Up to `n` more held-out tests for every task. Raises UserError for a task without a CodeSpec."""
    return [extend_one(task, environment, n, seed) for task in tasks]


def summary(extended: Sequence[Extended]) -> str:
    """What was added and what was dropped, in a few lines."""
    more = [one.added for one in extended if one.added]
    dropped = sum((Counter(one.dropped) for one in extended), Counter[str]())
    skipped = Counter(one.skipped for one in extended if not one.added)
    lines = [f"{len(more)} of {len(extended)} tasks have more held-out tests: {sum(more)}, {_mean(more):.1f} a task"]
    lines += [f"    {count} without: {why}" for why, count in skipped.most_common()]
    lines.append(f"inputs dropped: {dropped.total()}")
    lines += [f"    {count}: {why}" for why, count in dropped.most_common()]
    return "\n".join(lines)


def _mean(values: Sequence[int]) -> float:
    return sum(values) / len(values) if values else 0.0


def extend_one(task: Task, environment: CodeEnvironment, n: int = N, seed: int = 0) -> Extended:
    """A coding task with up to `n` more held-out tests; without any, and with the reason, where none can be made.

    Inputs are varied from the known ones; one counts only where the reference gives the same plain value twice. The same
    task and seed give the same tests.

    Raises:
        UserError: no coding task.
    """
    if not isinstance(task.spec, CodeSpec):
        raise UserError(f"task {task.id} has no CodeSpec: only coding tasks can be given more tests")
    spec, known = task.spec, _known(task.spec)
    if isinstance(known, str):
        return Extended(task, skipped=known)
    constants = [node.value for node in ast.walk(ast.parse(spec.reference)) if isinstance(node, ast.Constant)]
    rng = random.Random(f"held-out {task.id} {seed}")
    inputs = [*known.inputs, *itertools.islice(draw(known.inputs, constants, rng), POOL)]
    calls = [f"{spec.entry_point}({', '.join(map(source, arguments))})" for arguments in inputs]
    dropped: Counter[str] = Counter()
    asked = [_fill(known.form.ask, call) for call in calls]
    answers = steady_values(spec.setup, spec.reference, asked, environment, dropped)
    old = [i for i in range(len(known.inputs)) if i in answers]
    kinds = known.kinds | {type(answers[i][0]) for i in old}
    tests: dict[int, str] = {}
    for i in range(len(known.inputs), len(inputs)):
        if i not in answers:
            continue
        value = _as_expected(answers[i][0], known.kinds)
        if type(value) not in kinds:
            dropped["a value of another type than the tests expect"] += 1
        elif (text := _assert(known.form, calls[i], value, inputs[i])) is None:
            dropped["an inexact or large value"] += 1
        else:
            tests[i] = text
    chosen = _choose({i: source(answers[i][0]) for i in tests}, n)
    held_out = _accepted(spec, [tests[i] for i in chosen], environment, dropped)
    shown = read_tests(replace(spec, held_out=()))
    exact = isinstance(shown, Known) and shown.form == known.form and not known.form.close
    visible = {source(a) for a in shown.inputs} if isinstance(shown, Known) and exact else set()
    old.sort(key=lambda i: source(inputs[i]) not in visible)
    return Extended(
        replace(task, spec=replace(spec, held_out=(*spec.held_out, *held_out))),
        len(held_out),
        dict(dropped),
        "" if held_out else "no new input with a well-defined value",
        tuple(_fill(known.form.ask, calls[i]) for i in (*old, *tests)),
        sum(source(inputs[i]) in visible for i in old),
    )


def _known(spec: CodeSpec) -> Known | str:
    """What its tests say, or why a task cannot be extended."""
    if not spec.reference.strip():
        return "no reference solution"
    if spec.impossible:
        return "its tests contradict the reference on purpose"
    words, called = set(), set()
    for node in ast.walk(ast.parse(spec.reference)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            words |= {alias.name for alias in node.names}
        elif isinstance(node, (ast.Name, ast.Attribute)):
            words.add(node.id if isinstance(node, ast.Name) else node.attr)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            called.add(node.func.id)
    if words & _CLOCK_AND_CHANCE or "id" in called:
        return "the reference uses chance, the clock or addresses"
    known = read_tests(spec)
    if isinstance(known, Known) and all(len(a) == 1 and isinstance(a[0], str) and "\n" in a[0] for a in known.inputs):
        return "its input is a whole text, whose form cannot be guessed"
    return known


def _accepted(spec: CodeSpec, held_out: list[str], environment: CodeEnvironment, dropped: Counter[str]) -> list[str]:
    """Those of the new tests with which the truth grader accepts the reference."""
    own = len(spec.tests) + len(spec.held_out)
    while held_out:
        (verdict,) = environment.truth([replace(spec, held_out=(*spec.held_out, *held_out))], [spec.reference])
        if verdict.accepted:
            break
        refused = (
            [verdict.passed - own] if verdict.status == "refused" and verdict.passed >= own else range(len(held_out))
        )
        dropped["refused by the truth grader"] += len(refused)
        held_out = [test for i, test in enumerate(held_out) if i not in refused]
    return held_out


def read_tests(spec: CodeSpec) -> Known | str:
    """The inputs of a task's tests and how they compare; or why they cannot be read."""
    tests = [parse_test(test, spec.entry_point) for test in (*spec.tests, *spec.held_out)]
    forms: Counter[Form] = Counter()
    inputs: list[Arguments] = []
    kinds: set[type] = set()
    reason = "its tests are of another form than assert f(...) == value"
    for test in tests:
        if test.before:
            reason = "its tests need set-up code"
            continue
        form = _form(test)
        arguments = _arguments(test)
        if arguments is None:
            reason = "its tests' arguments are no literals"
        elif form is not None:
            forms[form] += 1
            inputs.append(arguments)
            if test.compares:
                with contextlib.suppress(ValueError, TypeError, SyntaxError):
                    kinds.add(type(ast.literal_eval(test.right)))
    if not inputs:
        return reason
    (count, _), = Counter(map(len, inputs)).most_common(1)  # fmt: skip
    if count == 0:
        return "the function takes no arguments"
    (form, _), = forms.most_common(1)  # fmt: skip
    return Known(form, tuple({source(a): a for a in inputs if len(a) == count}.values()), frozenset(kinds))


def _as_expected(value: Any, kinds: frozenset[type]) -> Any:
    """The value in the type that the tests write it in, where it equals one: a reference may return 1 for True."""
    for kind in (bool, int):
        if kind in kinds and type(value) in {int, float} - kinds and math.isfinite(value) and value == kind(value):
            return kind(value)
    return value


def _arguments(test: Test) -> Arguments | None:
    if len(test.calls) != 1:
        return None
    call = ast.parse(test.first_call, mode="eval").body
    assert isinstance(call, ast.Call)
    if call.keywords:
        return None
    try:
        arguments = tuple(ast.literal_eval(argument) for argument in call.args)
        source(arguments)
    except (ValueError, TypeError, SyntaxError):
        return None
    return arguments


def _form(test: Test) -> Form | None:
    """`f(x) == v`, `set(f(x)) == v`, `math.isclose(f(x), v, rel_tol=t)`, or the bare truth of `f(x)`."""
    body = ast.parse(test.check).body[0]
    assert isinstance(body, ast.Assert)
    node = body.test
    if test.calls and test.calls[0][1].startswith("True if "):
        return Form("True if CALL else False", "")
    words = {n.id for n in ast.walk(node.left) if isinstance(n, ast.Name)} if isinstance(node, ast.Compare) else set()
    if isinstance(node, ast.Compare) and [type(op) for op in node.ops] == [ast.Eq] and words <= _AROUND:
        left = ast.unparse(node.left).replace("_value_0", "CALL")
        return Form(left, f"{left} == VALUE")
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "math.isclose" and len(node.args) == 2:
        options = "".join(f", {ast.unparse(keyword)}" for keyword in node.keywords)
        return Form("CALL", f"math.isclose(CALL, VALUE{options})", close=True)
    return None


def _assert(form: Form, call: str, value: Any, arguments: Arguments) -> str | None:
    """The test, or None where the value cannot be written down or another right program might give a slightly other one."""
    if not form.check:
        return f"assert {call}" if value else f"assert not {call}"
    try:
        text = source(value)
    except ValueError:
        return None
    if len(text) > _VALUE_TEXT:
        return None
    if form.close and type(value) not in (int, float):
        return None
    if type(value) is float and not form.close:
        return f"assert abs({_fill(form.ask, call)} - {text}) <= {max(_RELATIVE * abs(value), 1e-12):.1e}"
    given = set(_floats(arguments))
    if not form.close and any(v not in given and (v * 1024 % 1 or abs(v) > 2**40) for v in _floats(value)):
        return None
    return f"assert {_fill(form.check, call, text)}"


def _fill(template: str, call: str, value: str = "") -> str:
    return re.sub("CALL|VALUE", lambda found: call if found[0] == "CALL" else value, template)


def _floats(value: Any) -> Iterable[float]:
    if type(value) is float:
        yield value
    elif isinstance(value, dict):
        for pair in value.items():
            yield from _floats(pair)
    elif isinstance(value, (list, tuple, set)):
        for item in value:
            yield from _floats(item)


def _choose(values: Mapping[int, str], n: int) -> list[int]:
    """`n` of the inputs, rare values first, in the order they were drawn among equals."""
    chosen: list[int] = []
    times: Counter[str] = Counter()
    left = list(values)
    while left and len(chosen) < n:
        best = min(left, key=lambda i: times[values[i]])
        left.remove(best)
        chosen.append(best)
        times[values[best]] += 1
    return chosen
