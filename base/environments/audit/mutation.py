"""How much a task's tests notice: wrong programs made from its reference solution, run through the truth grader.

Wrong programs are the reference with one small change, as a tired programmer makes it, and tables of the visible tests'
answers. Only those count that return another value than the reference somewhere on a pool of inputs: a change that makes
no difference is no mistake, and one that fails or loops everywhere needs no test to be noticed.
"""

from __future__ import annotations

import ast
import copy
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from base.environments.audit.heldout import Extended, N, extend_one
from base.environments.graders.code import CodeEnvironment
from base.environments.graders.driver import converse
from base.environments.literals import source
from base.types import CodeSpec, Task

MUTANTS = 20  # wrong programs a task
HARD_CODED = "answers of the visible tests"
_SPARE = 3  # mutants made for each one wanted: some make no difference
_CONSTANT_ANSWERS = 3  # so many mutants at most return the same for all inputs: nearly any test notices those


@dataclass(frozen=True)
class Wrong:
    """One wrong program: what was done to the reference, and its text."""

    kind: str
    text: str


@dataclass(frozen=True)
class Strength:
    """What the tests of one task let through. `through_*` hold the wrong programs that pass the visible tests, those and
    the task's own held-out tests, and those and the generated ones.
    """

    task: str
    visible: int  # distinct tests
    own: int
    generated: int
    wrong: tuple[Wrong, ...]
    through_visible: tuple[Wrong, ...]
    through_own: tuple[Wrong, ...]
    through_all: tuple[Wrong, ...]
    skipped: str = ""


@dataclass(frozen=True)
class Tally:
    """Wrong programs of some tasks: how many, and how many of them the tests let through."""

    wrong: int
    visible: int
    own: int
    generated: int

    @classmethod
    def of(cls, strengths: Sequence[Strength], tables: bool) -> Tally:
        """The sum over tasks: of the tables of visible answers with `tables`, else of the mutants."""

        def count(programs: Sequence[Wrong]) -> int:
            return sum((one.kind == HARD_CODED) == tables for one in programs)

        fields = ("wrong", "through_visible", "through_own", "through_all")
        return cls(*(sum(count(getattr(one, name)) for one in strengths) for name in fields))


def measure(
    task: Task, environment: CodeEnvironment, mutants: int = MUTANTS, held_out: int = N, seed: int = 0
) -> Strength:
    """Grades up to `mutants` changed references and the hard-coded tables by the truth, before and after more tests."""
    extended = extend_one(task, environment, held_out, seed)
    before, after = task.spec, extended.task.spec
    visible = distinct(before.tests)
    counts = (len(visible), len(distinct(before.held_out) - visible), extended.added)
    if not extended.pool:
        return Strength(task.id, *counts, (), (), (), (), extended.skipped)
    wrong, doubtful = wrong_programs(extended, environment, mutants, seed)
    verdicts = environment.truth([after] * len(doubtful), [one.text for one in doubtful])
    graded = [(one, v) for one, v in zip(doubtful, verdicts, strict=True) if v.status in ("accepted", "refused")]

    def through(tests: int) -> tuple[Wrong, ...]:
        return tuple(one for one, verdict in graded if verdict.passed >= tests)

    return Strength(
        task.id,
        *counts,
        (*wrong, *(one for one, _ in graded)),
        through(len(before.tests)),
        through(len(before.tests) + len(before.held_out)),
        tuple(one for one, verdict in graded if verdict.accepted),
    )


def distinct(tests: Sequence[str]) -> set[str]:
    """Tests as they read without spaces and brackets that mean nothing."""
    return {ast.unparse(ast.parse(test)) for test in tests}


def wrong_programs(
    extended: Extended, environment: CodeEnvironment, n: int, seed: int = 0
) -> tuple[list[Wrong], list[Wrong]]:
    """Up to `n` mutants and the hard-coded tables, each with another value than the reference, or none, somewhere on the pool.

    First those that differ on a visible test's own input, which no grader need be asked about; then the others.
    """
    spec: CodeSpec = extended.task.spec
    rng = random.Random(f"mutants {extended.task.id} {seed}")
    candidates = [*hard_coded(spec), *mutate(spec, n * _SPARE, rng)]
    tables = sum(one.kind == HARD_CODED for one in candidates)
    load = (
        f"{_COMPARE}\n_setup, _pool, _visible, _wanted = {spec.setup!r}, {list(extended.pool)!r}, {extended.visible}, [{n + tables}]\n"
        f"_reference = _load(_setup, {spec.reference!r})\n_known = [ask(_reference, question)[1] for question in _pool]\n"
    )
    answers = converse(load, [f"compare({one.text!r})" for one in candidates], environment)
    words = {one: answer[1] for one, answer in zip(candidates, answers, strict=True) if answer[1]}
    kept = list(words)[: n + tables]  # a child that follows one that died counts what is wanted from the start
    return [one for one in kept if words[one] == "refused"], [one for one in kept if words[one] == "wrong"]


# What `compare` says of a program: "refused" on the input of a visible test, "wrong" elsewhere, or nothing: equal to the
# reference on the whole pool, without any value, too slow, or no longer wanted.
_COMPARE = """
def _differ(a, b):
    if type(a) is float and type(b) is float:
        return not (abs(a - b) <= max(1e-9 * abs(b), 1e-12) or a == b)
    return type(a) is not type(b) or a != b
def compare(text):
    word = _compare(text) if _wanted[0] else ""
    _wanted[0] -= bool(word)
    return "value", word
def _compare(text):
    status, space = _bounded(lambda: _load(_setup, text))
    if status != "value":
        return ""
    word, values = "", 0
    for i, (question, known) in enumerate(zip(_pool, _known)):
        status, value = ask(space, question)
        if status == "slow":
            return ""
        values += status == "value"
        if i < _visible and (status != "value" or _bounded(lambda: value != known) == ("value", True)):
            word = "refused"
        elif not word and (status != "value" or _bounded(lambda: _differ(value, known)) == ("value", True)):
            word = "wrong"
        if word == "refused" and values:
            break
    return word if values else ""
"""


def hard_coded(spec: CodeSpec) -> Iterator[Wrong]:
    """Programs that look the visible tests' inputs up; for others they return nothing, or one of the known values."""
    table: dict[str, Any] = {}
    for test in spec.tests:
        node = ast.parse(test).body[-1]
        if not isinstance(node, ast.Assert) or not isinstance(node.test, ast.Compare):
            return
        call = node.test.left
        if not isinstance(call, ast.Call) or not isinstance(node.test.ops[0], ast.Eq) or call.keywords:
            return
        try:
            arguments = tuple(ast.literal_eval(argument) for argument in call.args)
            table[repr(arguments)] = ast.literal_eval(node.test.comparators[0])
            values = [source(value) for value in table.values()]
        except (ValueError, TypeError, SyntaxError):
            return
    for fallback in ("None", values[-1]):
        text = f"_TABLE = {{{', '.join(f'{key!r}: {source(value)}' for key, value in table.items())}}}\n"
        text += f"def {spec.entry_point}(*arguments):\n    return _TABLE.get(repr(arguments), {fallback})\n"
        yield Wrong(HARD_CODED, text)


def mutate(spec: CodeSpec, n: int, rng: random.Random) -> list[Wrong]:
    """Up to `n` different programs with one change each, the kinds of change in turn."""
    tree = ast.parse(spec.reference)
    for number, node in enumerate(ast.walk(tree)):
        node.number = number  # type: ignore[attr-defined]
    by_kind: dict[str, list[tuple[int, ast.AST]]] = {}
    for node in ast.walk(tree):
        for kind, new in _changes(node):
            by_kind.setdefault(kind, []).append((node.number, new))  # type: ignore[attr-defined]
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == spec.entry_point:
            by_kind["return"] = _returns(node)
    for options in by_kind.values():
        rng.shuffle(options)
    by_kind = {kind: options[: _CONSTANT_ANSWERS if kind == "return" else None] for kind, options in by_kind.items()}
    seen = {ast.unparse(tree)}
    found: list[Wrong] = []
    while by_kind and len(found) < n:
        for kind in list(by_kind):
            if not by_kind[kind]:
                del by_kind[kind]
                continue
            number, new = by_kind[kind].pop()
            text = ast.unparse(ast.fix_missing_locations(_Put(number, new).visit(copy.deepcopy(tree))))
            if text not in seen and len(found) < n:
                seen.add(text)
                found.append(Wrong(kind, text))
    return found


class _Put(ast.NodeTransformer):
    """Puts `new` in the place of node `number`."""

    def __init__(self, number: int, new: ast.AST) -> None:
        self.number, self.new = number, new

    def visit(self, node: ast.AST) -> Any:
        return self.new if getattr(node, "number", None) == self.number else self.generic_visit(node)


_OPERATORS: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub, ast.Mult),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Add, ast.Div),
    ast.Div: (ast.FloorDiv, ast.Mult),
    ast.FloorDiv: (ast.Div, ast.Mult, ast.Mod),
    ast.Mod: (ast.FloorDiv, ast.Mult),
    ast.Pow: (ast.Mult,),
    ast.BitAnd: (ast.BitOr, ast.BitXor),
    ast.BitOr: (ast.BitAnd, ast.BitXor),
    ast.BitXor: (ast.BitOr, ast.BitAnd),
    ast.LShift: (ast.RShift,),
    ast.RShift: (ast.LShift,),
}
_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
_NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "sorted": "list", "sum": "len", "len": "max",
          "set": "list", "abs": "int", "reversed": "list", "ceil": "floor", "floor": "ceil", "upper": "lower",
          "lower": "upper", "append": "extend", "union": "intersection", "startswith": "endswith", "lstrip": "rstrip",
          "isupper": "islower", "islower": "isupper", "nlargest": "nsmallest", "nsmallest": "nlargest"}  # fmt: skip


def _changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """(kind of change, what to put in the node's place)."""
    if isinstance(node, (ast.BinOp, ast.AugAssign)):
        for operator in _OPERATORS.get(type(node.op), ()):
            yield "operator", _with(node, op=operator())
    if isinstance(node, ast.BinOp):
        yield "operand dropped", node.left
        yield "operand dropped", node.right
    if isinstance(node, ast.Compare):
        for comparison in _COMPARISONS.get(type(node.ops[0]), ()):
            yield "comparison", _with(node, ops=[comparison(), *node.ops[1:]])
    if isinstance(node, ast.BoolOp):
        yield "connective", _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
        for i in range(len(node.values)):
            rest = node.values[:i] + node.values[i + 1 :]
            yield "condition dropped", rest[0] if len(rest) == 1 else _with(node, values=rest)
    if isinstance(node, ast.UnaryOp):
        yield "negation", node.operand
    if isinstance(node, (ast.If, ast.While, ast.IfExp)):
        yield "negation", _with(node, test=ast.UnaryOp(ast.Not(), node.test))
        yield "branch", _with(node, test=ast.Constant(False))
        if not isinstance(node, ast.While):
            yield "branch", _with(node, test=ast.Constant(True))
    if isinstance(node, ast.Constant):
        yield from (("constant", ast.Constant(value)) for value in _other_constants(node.value))
    if isinstance(node, ast.Call):
        yield from _calls(node)
    if isinstance(node, ast.Slice):
        for part in ("lower", "upper"):
            if (edge := getattr(node, part)) is not None:
                yield "boundary", _with(node, **{part: ast.BinOp(edge, ast.Add(), ast.Constant(1))})
                yield "boundary", _with(node, **{part: None})
    if isinstance(node, ast.comprehension) and node.ifs:
        yield "condition dropped", _with(node, ifs=node.ifs[1:])
    if isinstance(node, (ast.Expr, ast.Assign, ast.AugAssign, ast.If, ast.For, ast.Return, ast.Continue)) and not (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ):
        yield "statement dropped", ast.Pass()
    if isinstance(node, ast.Break):
        yield "statement dropped", ast.Continue()
    if isinstance(node, ast.Return) and node.value is not None:
        yield from (
            ("off by one", ast.Return(ast.BinOp(node.value, op(), ast.Constant(1)))) for op in (ast.Add, ast.Sub)
        )


def _calls(node: ast.Call) -> Iterator[tuple[str, ast.AST]]:
    if len(node.args) >= 2 and not any(isinstance(a, ast.Starred) for a in node.args):
        yield "arguments swapped", _with(node, args=[node.args[1], node.args[0], *node.args[2:]])
    name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    if name == "range" and node.args:
        for i in range(min(2, len(node.args))):
            for operator in (ast.Add, ast.Sub):
                moved = [*node.args[:i], ast.BinOp(node.args[i], operator(), ast.Constant(1)), *node.args[i + 1 :]]
                yield "boundary", _with(node, args=moved)
    if name in _NAMES:
        other = _NAMES[name]
        func = ast.Name(other, ast.Load()) if isinstance(node.func, ast.Name) else _with(node.func, attr=other)
        yield "function", _with(node, func=func)
    if node.keywords:
        yield "option dropped", _with(node, keywords=node.keywords[1:])


def _other_constants(value: Any) -> list[Any]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, (int, float)):
        return [value + 1, value - 1]
    if isinstance(value, str):
        return ["", value + "x"] if len(value) < 40 else []
    return []


def _returns(function: ast.FunctionDef) -> list[tuple[int, ast.AST]]:
    """The first argument or a simple constant instead of what a return gives."""
    options: list[ast.expr] = [ast.Name(a.arg, ast.Load()) for a in function.args.args]
    options += [ast.Constant(value) for value in (True, False, 0, 1, -1, "")] + [ast.List([], ast.Load())]
    places = [node for node in ast.walk(function) if isinstance(node, ast.Return)]
    return [(node.number, ast.Return(option)) for node in places for option in options]  # type: ignore[attr-defined]


def _with(node: Any, **fields: Any) -> Any:
    """The node with some fields changed. Shares the others: what is put in place is only printed."""
    changed = type(node)(**{name: getattr(node, name, None) for name in node._fields})
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed
