"""Tests as data sets write them, several asserts after another, as tests that each end in one assert."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TypeGuard

from base.environments.graders.lift import names, part_taken
from base.environments.task_sets.rows import python
from base.rows import Odd


def one_by_one(sources: Sequence[str], entry_point: str, before: str = "") -> list[str]:
    """A test for each assert about the entry point, after `before` and the statements that lead to it.

    Sources that are tests of their own stay as they are written. Where one of them is not (`x = [3, 1]` alone, an assert
    about `x` alone), they are read one after the other, as graders run them.
    """
    alone = all(_is_test(source, entry_point) for source in sources)
    parts = sources if alone else ["\n".join(sources)]
    whole = [f"{before}\n{part}" if before else part for part in parts]
    return [test for source in whole for test in ([source] if alone else _separate(source, entry_point))]


def _is_test(source: str, entry_point: str) -> bool:
    """Whether it has one assert, at its end, and calls the function."""
    body = python(source, "a test").body
    asserts = [node for statement in body for node in ast.walk(statement) if isinstance(node, ast.Assert)]
    return bool(body) and asserts == [body[-1]] and entry_point in names(body)


def _separate(source: str, entry_point: str) -> list[str]:
    body = python(source, "a test").body
    tests: list[str] = []
    before: list[ast.stmt] = []
    for statement in body:
        _, taken, bound = part_taken(before, entry_point)
        mentioned = names(statement)
        about_it = entry_point in mentioned or bool(mentioned & taken)
        if not isinstance(statement, ast.Assert):
            if about_it and any(isinstance(node, ast.Assert) for node in ast.walk(statement)):
                raise Odd("a test whose asserts stand inside other statements")
            before.append(statement)
        elif about_it:
            tests.append("\n".join(map(ast.unparse, [*before, statement])))
            if mentioned & bound:  # its calls may change what later asserts look at
                before += [ast.Expr(call) for call in ast.walk(statement) if _calls(call, entry_point)]
    return list(dict.fromkeys(tests))


def _calls(node: ast.AST, entry_point: str) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == entry_point
