"""Takes a test apart: what only the candidate's child can say becomes a value to ask it for.

That is each call of the entry point in the assert; and, where statements stand before the assert, each name that the
candidate may have had a part in: `r` after `r = f(1)`, `x` after `f(x)`, which may work in place. The judge, who has no
candidate, executes the other statements for itself.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence


def names(nodes: ast.AST | Iterable[ast.AST], stored: bool = False) -> set[str]:
    """The names in source; `stored`: those that it binds."""
    found: set[str] = set()
    for top in [nodes] if isinstance(nodes, ast.AST) else nodes:
        for node in ast.walk(top):
            if isinstance(node, ast.Name):
                if not stored or isinstance(node.ctx, ast.Store):
                    found.add(node.id)
            elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                found.add(node.name)
            elif isinstance(node, ast.alias):
                found.add((node.asname or node.name).partition(".")[0])
    return found


def part_taken(body: Sequence[ast.stmt], entry_point: str) -> tuple[list[ast.stmt], set[str], set[str]]:
    """(statements without the candidate, names it has had a part in, all names bound)."""
    without: list[ast.stmt] = []
    taken: set[str] = set()
    bound: set[str] = set()
    for statement in body:
        mentioned = names(statement)
        bound |= names(statement, stored=True)
        if entry_point in mentioned or mentioned & taken:
            taken |= mentioned & bound
        else:
            without.append(statement)
    return without, taken, bound


def led_to(body: Sequence[ast.stmt], asked: Iterable[str]) -> list[ast.stmt]:
    """The statements that the asked expressions need: expected values, which only the assert looks at, stay away."""
    needed = {name for expression in asked for name in names(ast.parse(expression))}
    kept: list[ast.stmt] = []
    for statement in reversed(body):
        mentioned = names(statement)
        if mentioned & needed or isinstance(statement, (ast.Expr, ast.Import, ast.ImportFrom)):
            needed |= mentioned
            kept.append(statement)
    return kept[::-1]


def decides(statement: ast.stmt) -> bool:
    """Whether it compares or branches: in the candidate's child that would tell it what is expected."""
    kinds = (ast.Compare, ast.If, ast.IfExp, ast.While, ast.Assert, ast.Match)
    return any(isinstance(node, kinds) for node in ast.walk(statement))


class Lift(ast.NodeTransformer):
    """Puts `_value_0`, `_value_1`, ... in place of what is asked; `calls` are the (name, expression) pairs, in order.

    A name that is only passed to a call of this assert is asked for beside the call, as in `f(x) is None and x == [1]` or
    `(f(x), x) == ...`; in `f(x) == sorted(x)` it is what the test made it. With `only_truth` the assert is `assert f(x)`
    or `assert not f(x)`: any object will do, its truth is the value.
    """

    def __init__(self, entry_point: str, taken: set[str], bound: set[str]) -> None:
        self.entry_point, self.taken, self.bound = entry_point, taken, bound
        self.passed: set[str] = set()
        self.only_truth = False
        self.calls: list[tuple[str, str]] = []
        self.first = ""

    def is_entry(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == self.entry_point

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        for at, value in enumerate(node.values):
            if self.entry_point not in names(value):
                self.taken = self.taken | self.passed
            node.values[at] = self.visit(value)
        return node

    def visit_Tuple(self, node: ast.Tuple) -> ast.AST:
        return self._display(node)

    def visit_List(self, node: ast.List) -> ast.AST:
        return self._display(node)

    def _display(self, node: ast.Tuple | ast.List) -> ast.AST:
        beside = self.entry_point in names(node.elts)
        for at, item in enumerate(node.elts):
            is_passed = isinstance(item, ast.Name) and item.id in self.passed
            asked = self._asked(item, ast.unparse(item)) if is_passed and beside else self.visit(item)
            assert isinstance(asked, ast.expr)
            node.elts[at] = asked
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if not self.is_entry(node):
            return self.generic_visit(node)
        call = ast.unparse(node)
        self.passed |= names(node) & self.bound
        return self._asked(node, f"True if {call} else False" if self.only_truth else call, call)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self._asked(node, node.id) if node.id in self.taken else node

    def _asked(self, node: ast.AST, expression: str, written: str = "") -> ast.AST:
        name = f"_value_{len(self.calls)}"
        self.first = self.first or written or expression
        self.calls.append((name, expression))
        return ast.copy_location(ast.Name(name, ast.Load()), node)
