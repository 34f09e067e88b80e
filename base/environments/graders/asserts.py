"""The tests of a task, taken apart: what is asked of a program, and what is checked of its answers."""

from __future__ import annotations

import ast
import contextlib
import functools
from dataclasses import dataclass
from typing import Any, Literal

from base.environments.graders import source
from base.environments.graders.lift import Lift, decides, led_to, part_taken
from base.errors import UserError
from base.types import CodeSpec

MISSING: Any = object()  # a value that nobody knows
# What of an answer's value has to be as it was before it was made plain: all its types, or only what it is an instance of.
OfType = Literal["", "types", "kind"]


@dataclass(frozen=True)
class Test:
    """One test, taken apart. `source` = `before` (statements) + an assert; `check` is that assert with each call of the
    entry point, and each name that it may have changed, replaced by a name from `calls`. `given` are the statements that
    the candidate has no part in, `asks` those that lead to the calls; `steps` is the
    entry point if those call it, too. For the common `assert f(x) == literal`, `expected` holds the literal.
    """

    source: str
    before: str
    given: str
    asks: str
    steps: str
    calls: tuple[tuple[str, str], ...]  # (name, expression)
    check: str
    first_call: str  # the first of the calls as written
    compares: bool  # the assert is `call == something`
    right: str = ""  # that something
    kept: OfType = ""  # what the assert asks for beside values
    expected: Any = MISSING

    @property
    def known(self) -> bool:
        """Whether `expected` is what the assert compares with."""
        return self.compares and self.expected is not MISSING

    def message(self, plain: bool) -> dict[str, Any]:
        return {
            "source": self.source,
            "before": self.before,
            "calls": [list(c) for c in self.calls],
            "check": self.check,
            "plain": plain,
            "kept": self.kept,
        }


@functools.lru_cache(maxsize=65536)
def parse_test(text: str, entry_point: str) -> Test:
    """Raises UserError for a test whose calls of the entry point cannot be asked for one by one."""
    hint = f"write it as `assert {entry_point}(...) == value`"
    try:
        body = source.parse(text.strip()).body
    except (SyntaxError, ValueError) as error:
        raise UserError(f"test {text[:80]!r} is not Python ({error}): {hint}") from error
    if not body or not isinstance(body[-1], ast.Assert):
        raise UserError(f"test {text[:80]!r} does not end in an assert: {hint}")
    if any(isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in body):
        raise UserError(f"test {text[:80]!r} imports *: name what it needs, or import it in the setup")
    before = "\n".join(ast.unparse(statement) for statement in body[:-1])
    checked = source.parse(text.strip()).body[-1]  # a second tree: deepcopy takes ten times as long
    assert isinstance(checked, ast.Assert)
    asked, negated = checked.test, False
    if isinstance(asked, ast.UnaryOp) and isinstance(asked.op, ast.Not):
        asked, negated = asked.operand, True
    without, taken, bound = part_taken(body[:-1], entry_point)
    touched = [statement for statement in body[:-1] if statement not in without]
    if any(map(decides, touched)):
        raise UserError(f"test {text[:80]!r} compares before its last line: write one assert for each comparison")
    lift = Lift(entry_point, taken, bound)
    lift.only_truth = lift.is_entry(asked)
    called = {n.func.id for n in ast.walk(checked) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    checked = lift.visit(checked)
    left = {n.id for n in ast.walk(checked) if isinstance(n, ast.Name)}
    if not lift.calls or entry_point in left:
        raise UserError(f"test {text[:80]!r} does not call {entry_point} directly: {hint}")
    if called & taken or any(_of_identity(node) for node in ast.walk(checked)):
        raise UserError(f"test {text[:80]!r} asks for more than values: {hint}")
    local = {n.id for n in ast.walk(checked) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    local |= {n.arg for n in ast.walk(checked) if isinstance(n, ast.arg)}
    for _, call in lift.calls:
        if local & {n.id for n in ast.walk(source.parse(call)) if isinstance(n, ast.Name)}:
            raise UserError(f"test {text[:80]!r} calls {entry_point} inside a loop: write one assert per call")
    given = "\n".join(map(ast.unparse, without))
    asks = "\n".join(map(ast.unparse, led_to(body[:-1], [call for _, call in lift.calls])))
    expected: Any = not negated if lift.only_truth else MISSING
    test = checked.test
    compares = isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq)
    compares = compares and isinstance(test.left, ast.Name) and test.left.id == "_value_0"
    right = ast.unparse(test.comparators[0]) if compares else ""
    if compares:
        with contextlib.suppress(ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            expected = ast.literal_eval(test.comparators[0])
    return Test(
        text,
        before,
        given,
        asks,
        entry_point if touched else "",
        tuple(lift.calls),
        ast.unparse(checked),
        lift.first,
        compares,
        right,
        _kept(checked),
        expected,
    )


def _kept(check: ast.Assert) -> OfType:
    """`f(x) is True`, `type(f(x)) == int`, `repr(f(x)) == "1"` ask for types, isinstance for less; what is None is in any form."""
    nodes = list(ast.walk(check))
    called = {node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    if called & {"type", "repr", "ascii"} or any(map(_of_types, nodes)):
        return "types"
    return "kind" if called & {"isinstance", "issubclass"} else ""


def _of_types(node: ast.AST) -> bool:
    if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Is):
        return not any(isinstance(side, ast.Constant) and side.value is None for side in (node.left, *node.comparators))
    shown = isinstance(node, ast.FormattedValue) and node.conversion == ord("r")
    return shown or (isinstance(node, ast.Attribute) and node.attr == "__class__")


def _of_identity(node: ast.AST) -> bool:
    """Whether it asks if two objects are one; those of the candidate are rebuilt elsewhere, but for None and the like."""
    if not isinstance(node, ast.Compare) or not any(isinstance(op, (ast.Is, ast.IsNot)) for op in node.ops):
        return False
    return not any(isinstance(side, ast.Constant) for side in (node.left, *node.comparators))


def parse_tests(spec: CodeSpec, held_out: bool = False) -> tuple[Test, ...]:
    """The visible tests of a task, or with the held-out ones. Raises UserError as parse_test, and where there are none."""
    sources = spec.tests + (spec.held_out if held_out else ())
    if not sources:
        raise UserError(f"the task of {spec.entry_point} has no tests: give it at least one assert")
    return tuple(parse_test(source, spec.entry_point) for source in sources)
