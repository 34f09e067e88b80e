"""HumanEval (Chen et al. 2021, "Evaluating large language models trained on code", MIT).

A row's `check(candidate)` is taken apart into one test for each assert. Asserts in a loop give a test for each of its first
LOOP_TESTS rounds, which runs the loop up to that round. Half of the tests, at most three, are visible, plain asserts first;
the rest is held out. What stands before the function in the prompt (imports, helpers) is given to every candidate.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass, field

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
    if check is None or not check.args.args:
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
    """Walks through the body of a check function. `known` are variables that hold what the candidate returned."""

    function: str
    known: dict[str, ast.expr] = field(default_factory=dict)

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
        for node in body:
            if isinstance(node, ast.For) and not node.orelse and any(isinstance(n, ast.Assert) for n in node.body):
                yield from self._loop(node, before)
            elif isinstance(taken := self._take(node), ast.Assert):
                yield [*before, taken]
            elif taken is not None:
                before.append(taken)

    def _loop(self, loop: ast.For, before: list[ast.stmt]) -> Iterator[list[ast.stmt]]:
        inside: list[ast.stmt] = []
        asserts: list[tuple[list[ast.stmt], ast.Assert]] = []
        for node in loop.body:
            if isinstance(taken := self._take(node), ast.Assert):
                asserts.append((list(inside), taken))
            elif taken is not None:
                inside.append(taken)
        for turn in range(min(LOOP_TESTS, _rounds(loop.iter))):
            for start, one in asserts:
                turns = ast.parse(f"zip(range({turn + 1}), 0)", mode="eval").body
                assert isinstance(turns, ast.Call)
                turns.args[1] = loop.iter
                target = ast.Tuple([ast.Name("_check_turn", ast.Store()), loop.target], ast.Store())
                again = ast.For(target, turns, start or [ast.Pass()], [])
                yield [*before, ast.fix_missing_locations(again), one]

    def _take(self, node: ast.stmt) -> ast.stmt | None:
        """An assert about the candidate, ready to stand alone; a statement that has nothing to do with it; or None for
        what needs no place: other asserts, and variables that hold its answer (remembered in `known`).
        """
        filled = _Fill(self.known).visit(copy.deepcopy(node))
        if not any(isinstance(n, ast.Name) and n.id == self.function for n in ast.walk(filled)):
            return None if isinstance(node, ast.Assert) else node
        if isinstance(filled, ast.Assert):
            test = filled.test
            if isinstance(test, ast.Compare) and all(ast.dump(test.left) == ast.dump(c) for c in test.comparators):
                return None  # it compares the candidate with itself
            filled.msg = None
            return filled
        if isinstance(filled, ast.Assign) and len(filled.targets) == 1 and isinstance(filled.targets[0], ast.Name):
            self.known[filled.targets[0].id] = filled.value
            return None
        raise Odd("tests that are more than asserts")


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
    known: dict[str, ast.expr]

    def visit_Name(self, node: ast.Name) -> ast.AST:
        held = self.known.get(node.id) if isinstance(node.ctx, ast.Load) else None
        return copy.deepcopy(held) if held is not None else node


def _rounds(iterated: ast.expr) -> int:
    """How often a loop turns, where the text says so."""
    try:
        return len(ast.literal_eval(iterated))
    except (ValueError, TypeError):
        pass
    if isinstance(iterated, ast.Call) and isinstance(iterated.func, ast.Name) and iterated.func.id == "range":
        values = [a.value for a in iterated.args if isinstance(a, ast.Constant) and isinstance(a.value, int)]
        if len(values) == len(iterated.args) in (1, 2, 3):
            return len(range(*values))
    return LOOP_TESTS
