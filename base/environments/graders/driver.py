"""Asks programs that mean no harm (references, mutants) for many values in one sandboxed child.

The graders stop at a program's first failure; here each question has its own end: a value, an exception, or too long.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from base.environments.graders.code import CodeEnvironment
from base.environments.sandbox import Job, Limits, wire

LINES = 50_000  # lines of Python that one call may execute: a limit that is the same on every machine
SECONDS = 1.0  # and of processor time, for what spends it outside of Python lines
_CHILDREN = 2  # a child that dies of a question is followed by another, so often
_LIMITS = Limits(cpu=3, wall=30)

# What runs in the child. `ask` answers one expression; a call that goes on for too long ends with `_Slow`.
DRIVER = """
import ast, signal, sys
class _Slow(BaseException): pass
def _ring(*_): raise _Slow
signal.signal(signal.SIGVTALRM, _ring)
class _Turned:
    def __iter__(self): return reversed(list(self._kind.__iter__(self)))
def _turned(kind):
    wrap = lambda name: lambda self, *others: made(getattr(kind, name)(self, *others))
    names = "__and__ __or__ __sub__ __xor__ __rand__ __ror__ __rsub__ __rxor__ union intersection difference"
    space = {name: wrap(name) for name in [*names.split(), "symmetric_difference", "copy"]}
    if kind is set:
        def pop(self):
            item = next(iter(self))
            self.remove(item)
            return item
        space["pop"] = pop
    made = type(kind.__name__, (_Turned, kind), {"_kind": kind, **space})
    return made
class _SetCalls(ast.NodeTransformer):
    def visit_Set(self, node):
        self.generic_visit(node)
        return ast.copy_location(ast.Call(ast.Name("set", ast.Load()), [ast.Tuple(node.elts, ast.Load())], []), node)
    def visit_SetComp(self, node):
        self.generic_visit(node)
        inner = ast.GeneratorExp(node.elt, node.generators)
        return ast.copy_location(ast.Call(ast.Name("set", ast.Load()), [inner], []), node)
def _code(text, mode, turned):
    tree = ast.parse(text, mode=mode)
    if turned:
        tree = ast.fix_missing_locations(_SetCalls().visit(tree))
    return compile(tree, "solution.py", mode)
def _bounded(run):
    left = [LINES]
    def trace(frame, event, _):
        left[0] -= 1
        if left[0] < 0:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0.001, 0.001)
            raise _Slow
        return trace
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS, SECONDS / 10)
    sys.settrace(trace)
    try:
        return "value", run()
    except _Slow:
        return "slow", None
    except BaseException as error:
        return "raised", type(error).__name__
    finally:
        sys.settrace(None)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
def _load(setup, text, turned=False):
    space = {"__name__": "solution"}
    if turned:
        space.update(set=_turned(set), frozenset=_turned(frozenset))
    exec(compile(setup, "setup.py", "exec"), space)
    exec(_code(text, "exec", turned), space)
    return space
def ask(space, expression, turned=False):
    code = _code(expression, "eval", turned)
    return _bounded(lambda: eval(code, space))
""".replace("LINES", str(LINES)).replace("SECONDS", str(SECONDS))


def converse(load: str, questions: Sequence[str], environment: CodeEnvironment) -> list[tuple[str, Any]]:
    """Asks the driver one expression after another: ("value", v), ("raised", class), ("slow", None); ("lost", None) where
    the child died or had no plain value. `load` is source that runs first.
    """
    answers: list[tuple[str, Any]] = []
    for _ in range(_CHILDREN):
        asked = tuple({"before": "", "calls": [question]} for question in questions[len(answers) :])
        job = Job({"mode": "calls", "files": {"solution.py": DRIVER + load}, "setup": ""}, asked, _LIMITS)
        (result,) = environment.run([job])
        answers += [_answer(reply) for reply in result.replies[1:] if isinstance(reply, dict) and "values" in reply]
        if len(answers) < len(questions):
            answers.append(("lost", None))
        if len(answers) == len(questions):
            break
    return [*answers, *([("lost", None)] * (len(questions) - len(answers)))]


def steady_values(
    setup: str, reference: str, asked: Sequence[str], environment: CodeEnvironment, dropped: Counter[str]
) -> dict[int, tuple[Any]]:
    """The reference's value, boxed, for every expression that has one and the same plain value twice: in different children,
    in different order, with sets iterated the other way round. The others are counted in `dropped` by reason.
    """

    def ask(order: Sequence[int], turned: bool) -> dict[int, tuple[str, Any]]:
        load = f"_space = _load({setup!r}, {reference!r}, {turned})\n"
        questions = [f"ask(_space, {asked[i]!r}, {turned})" for i in order]
        return dict(zip(order, converse(load, questions, environment), strict=True))

    first = ask(range(len(asked)), turned=False)
    kept = [i for i, (status, _) in first.items() if status == "value"]
    dropped.update(_REASONS[status] for status, _ in first.values() if status != "value")
    again = ask(kept[::-1], turned=True)
    values: dict[int, tuple[Any]] = {}
    for i in kept:
        value, (status, other) = first[i][1], again[i]
        if status == "value" and bool(value == other) and wire.same_types(value, other):
            values[i] = (value,)
        else:
            dropped["the answer is not always the same"] += 1
    return values


_REASONS = {
    "raised": "the reference raises",
    "slow": "the reference takes too long",
    "lost": "no plain value or a crash",
}


def _answer(reply: Mapping[str, Any]) -> tuple[str, Any]:
    try:
        status, value = wire.decode(reply["values"][0])
    except (wire.NotPlain, TypeError, ValueError, LookupError):
        return "lost", None
    return (status, value) if status in ("value", "raised", "slow") else ("lost", None)
