"""HumanEval (Chen et al. 2021, "Evaluating large language models trained on code", MIT).

A row's `check(candidate)` is taken apart into one test for each assert. Asserts in a loop give a test for each of its first
LOOP_TESTS rounds, which runs the loop up to that round. Half of the tests, at most three, are visible, plain asserts first;
the rest is held out. What stands before the function in the prompt (imports, helpers) is given to every candidate.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

from base.environments.graders.lift import names
from base.environments.task_sets.rows import Problem, Row, python, split
from base.rows import Odd

LOOP_TESTS = 10


def read(row: Row) -> Problem:
    """The problem of a row, `check` taken apart into single asserts. Raises Odd where it cannot be graded."""
    prompt, function = row.text("prompt"), row.text("entry_point").strip()
    tested = row.python("test").body
    reference, at = completed(row, function)
    body = python(reference, "prompt + canonical_solution").body
    helpers, check = [], None
    for node in tested:
        if isinstance(node, ast.FunctionDef) and node.name == "check":
            check = node
        elif not isinstance(node, ast.Expr) and not _sets(node, "METADATA"):
            helpers.append(node)
    if check is None or len([n for n in ast.walk(check.args) if isinstance(n, ast.arg)]) != 1:
        raise Odd("test must define check(candidate)")
    tests = sorted(dict.fromkeys(_Check(function).tests(check)), key=lambda test: "\n" in test)  # plain asserts first
    if not tests:
        raise Odd("check has no assert that calls its candidate")
    visible, held_out = split([], tests)
    number = row.identity("task_id").removeprefix("HumanEval/")
    return Problem(
        id=f"humaneval/{number}",
        text=f"Complete this code:\n\n{prompt.strip()}",
        entry_point=function,
        tests=visible,
        held_out=held_out,
        reference=reference,
        setup="\n".join(ast.unparse(node) for node in [*body[:at], *helpers]),
    )


def completed(row: Row, function: str) -> tuple[str, int]:
    """(prompt + canonical_solution, how many statements stand before the function)."""
    reference = f"{row.text('prompt').rstrip()}\n{row.text('canonical_solution').rstrip()}\n"
    body = python(reference, "prompt + canonical_solution").body
    for at, node in enumerate(body):
        if isinstance(node, ast.FunctionDef) and node.name == function:
            return reference, at
    raise Odd("the prompt does not define its entry_point")


def _sets(node: ast.stmt, name: str) -> bool:
    return isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets)


@dataclass
class _Check:
    """Walks through the body of a check function. `known` are variables that hold what the candidate returned, by the calls that
    give it; None once what a call was given may have changed, so that it would be asked for something else.
    """

    function: str
    known: dict[str, ast.expr | None] = field(default_factory=dict)

    def tests(self, check: ast.FunctionDef) -> list[str]:
        stored = {n.id for n in ast.walk(check) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        names = {name: f"_check_{name}" for name in stored} | {check.args.args[0].arg: self.function}
        body = [_Rename(names).visit(copy.deepcopy(statement)) for statement in check.body]
        imported = {a.name for n in ast.walk(check) if isinstance(n, ast.Import) for a in n.names}
        imported |= {n.module for n in ast.walk(check) if isinstance(n, ast.ImportFrom) and n.module}
        # The candidate's child and the judge run what stands before an assert each for themselves.
        seed = ast.parse("__import__('random').seed(0)").body if "random" in imported else []
        return ["\n".join(map(ast.unparse, lines)) for lines in self._walk(body, seed)]

    def _walk(self, body: list[ast.stmt], before: list[ast.stmt]) -> Iterator[list[ast.stmt]]:
        """Statements of one test after the other, the last of each an assert."""
        before = list(before)
        for place, node in enumerate(body):
            if isinstance(node, ast.For) and not node.orelse and any(isinstance(n, ast.Assert) for n in node.body):
                left = yield from self._loop(node, before)
                if _changed([node.target, *left]) & names(body[place + 1 :]):
                    before.append(ast.For(node.target, node.iter, left or [ast.Pass()], []))
                    ast.fix_missing_locations(before[-1])
            elif isinstance(taken := self._take(node), ast.Assert):
                yield [*before, taken]
            elif taken is not None:
                before.append(taken)

    def _loop(self, loop: ast.For, before: list[ast.stmt]) -> Generator[list[ast.stmt], None, list[ast.stmt]]:
        """The same of a loop; returns the statements inside of it that no test is made of."""
        if any(isinstance(n, ast.Break | ast.Continue | ast.Return) for n in ast.walk(loop)):
            raise Odd("a loop of tests that leaves rounds out")
        inside: list[ast.stmt] = []
        asserts: list[tuple[list[ast.stmt], ast.Assert]] = []
        for node in loop.body:
            if isinstance(taken := self._take(node), ast.Assert):
                asserts.append((list(inside), taken))
            elif taken is not None:
                inside.append(taken)
        for turn in range(_rounds(_written_out(loop.iter, before))):
            for start, one in asserts:
                turns = ast.parse(f"zip(range({turn + 1}), 0)", mode="eval").body
                assert isinstance(turns, ast.Call)
                turns.args[1] = loop.iter
                target = ast.Tuple([ast.Name("_check_turn", ast.Store()), loop.target], ast.Store())
                again = ast.For(target, turns, start or [ast.Pass()], [])
                yield [*before, ast.fix_missing_locations(again), one]
        return inside

    def _take(self, node: ast.stmt) -> ast.stmt | None:
        """An assert about the candidate, ready to stand alone; a statement that has nothing to do with it; or None for
        what needs no place: other asserts, and variables that hold its answer (remembered in `known`).
        """
        filled = _Fill(self.known).visit(copy.deepcopy(node))
        if not any(isinstance(n, ast.Name) and n.id == self.function for n in ast.walk(filled)):
            if isinstance(node, ast.Assert):
                return None
            self._forget(_changed([node]))
            return node
        if isinstance(filled, ast.Assert):
            test = filled.test
            if isinstance(test, ast.Compare) and all(ast.dump(test.left) == ast.dump(c) for c in test.comparators):
                return None  # it compares the candidate with itself
            filled.msg = None
            return filled
        if isinstance(filled, ast.Assign) and len(filled.targets) == 1 and isinstance(filled.targets[0], ast.Name):
            self._forget({filled.targets[0].id})
            self.known[filled.targets[0].id] = filled.value
            return None
        raise Odd("tests that are more than asserts")

    def _forget(self, changed: set[str]) -> None:
        """Statements that stay in their place give some names other values: so do calls that these were given to."""
        for name in changed & self.known.keys():
            del self.known[name]
        for name, value in self.known.items():
            if value is not None and changed & names([value]):
                self.known[name] = None


@dataclass
class _Rename(ast.NodeTransformer):
    """The variables of a check function become globals of the test: they must not hide the candidate's own names."""

    names: dict[str, str]

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.copy_location(ast.Name(self.names.get(node.id, node.id), node.ctx), node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.arg = self.names.get(node.arg, node.arg)
        return node


@dataclass
class _Fill(ast.NodeTransformer):
    known: dict[str, ast.expr | None]

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id not in self.known or not isinstance(node.ctx, ast.Load):
            return node
        held = self.known[node.id]
        if held is None:
            raise Odd("tests that change what the candidate was given")
        return copy.deepcopy(held)


def _changed(nodes: Iterable[ast.AST]) -> set[str]:
    """Names that may have another value after some statements: what is stored, and all that stands in a statement for its effect."""
    found: set[str] = set()
    for node in nodes:
        for n in ast.walk(node):
            if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load):
                found.add(n.id)
            elif isinstance(n, ast.Expr) or (
                isinstance(n, ast.Attribute | ast.Subscript) and not isinstance(n.ctx, ast.Load)
            ):
                found |= names([n])
    return found


def _written_out(iterated: ast.expr, before: Sequence[ast.stmt]) -> ast.expr:
    """The same with names that hold a literal replaced by it."""
    held: dict[str, ast.expr | None] = {}
    for node in before:
        for name in _changed([node]):
            held.pop(name, None)
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            held[node.targets[0].id] = node.value
    return cast(ast.expr, _Fill(held).visit(copy.deepcopy(iterated)))


def _rounds(iterated: ast.expr) -> int:
    """How often a loop turns, where the text says so, but LOOP_TESTS times at most."""
    match iterated:
        case ast.Call(func=ast.Attribute(value=value, attr="items" | "keys" | "values"), args=[]):
            return _rounds(value)
        case ast.Call(func=ast.Name(id="enumerate"), args=[value, *_]):
            return _rounds(value)
        case ast.Call(func=ast.Name(id="zip"), args=[_, *_] as values):
            return min(map(_rounds, values))
        case ast.Call(func=ast.Name(id="range"), args=values):
            try:
                return len(range(*map(ast.literal_eval, values))[:LOOP_TESTS])
            except (ValueError, TypeError) as error:
                if all(isinstance(value, ast.Constant) for value in values):
                    raise Odd(f"a loop of tests over no numbers ({error})") from None
    try:
        return min(LOOP_TESTS, len(ast.literal_eval(iterated)))
    except (ValueError, TypeError):
        return LOOP_TESTS
