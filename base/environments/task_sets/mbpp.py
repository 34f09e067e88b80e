"""MBPP (Austin et al. 2021, CC BY 4.0): the full jsonl, the sanitized json, or either from the hub."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from base.environments.task_sets.rows import Problem, Row, python
from base.environments.task_sets.tests import one_by_one
from base.rows import Odd


def read(row: Row) -> Problem:
    """The problem of a row, full or sanitized. Raises Odd where it cannot be graded."""
    text = row.text("text" if "text" in row.values else "prompt")
    code = row.python("code")
    visible = row.texts("test_list")
    if not visible:
        raise Odd("test_list is empty")
    hidden = row.texts("challenge_test_list")
    before = row.optional("test_setup_code").strip()
    function = _entry_point(code, [*visible, *hidden])
    # The setup code builds test data, partly from the solution's own classes: it belongs to the test, not before it.
    tests, held_out = (one_by_one(group, function, before) for group in (visible, hidden))
    if not tests:
        raise Odd("no test that calls the function")
    return Problem(
        id=f"mbpp/{row.identity('task_id')}",
        text=text,
        entry_point=function,
        tests=tests,
        held_out=held_out,
        reference=row.text("code"),
        setup="\n".join(row.texts("test_imports")),
    )


def _entry_point(code: ast.Module, tests: Sequence[str]) -> str:
    """The function of the reference solution that all tests call; parts of tests that call none do not count."""
    functions = [node.name for node in code.body if isinstance(node, ast.FunctionDef)][::-1]
    called: list[set[str]] = []
    for test in tests:
        nodes = ast.walk(python(test, "a test"))
        called.append({n.func.id for n in nodes if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)})
    some = [names for names in called if names.intersection(functions)]
    for name in functions:
        if some and all(name in names for names in some):
            return name
    raise Odd("no function of the code is called by every test")
