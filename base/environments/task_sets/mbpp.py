"""MBPP (Austin et al. 2021, CC BY 4.0): the full jsonl, the sanitized json, or either from the hub."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from base.environments.task_sets.rows import Problem, Row
from base.errors import UserError


def read(row: Row) -> Problem:
    text = row.text("text" if "text" in row.values else "prompt")
    code = row.python("code")
    visible = row.texts("test_list")
    if not visible:
        raise UserError(f"{row.place}: test_list is empty: give at least one assert")
    hidden = row.texts("challenge_test_list")
    before = row.optional("test_setup_code").strip()
    # The setup code builds test data, partly from the solution's own classes: it belongs to the test, not before it.
    tests, held_out = ([f"{before}\n{test}" if before else test for test in group] for group in (visible, hidden))
    return Problem(
        id=f"mbpp/{row.identity('task_id')}",
        text=text,
        entry_point=_entry_point(row, code, [*visible, *hidden]),
        tests=tests,
        held_out=held_out,
        reference=row.text("code"),
        setup="\n".join(row.texts("test_imports")),
    )


def _entry_point(row: Row, code: ast.Module, tests: Sequence[str]) -> str:
    """The function of the reference solution that every test calls."""
    called: list[set[str]] = []
    for test in tests:
        try:
            nodes = list(ast.walk(ast.parse(test)))
        except (SyntaxError, ValueError) as error:
            raise UserError(f"{row.place}: test {test[:80]!r} is not Python ({error})") from None
        called.append({n.func.id for n in nodes if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)})
    common = set.intersection(*called)
    for name in reversed([node.name for node in code.body if isinstance(node, ast.FunctionDef)]):
        if name in common:
            return name
    raise UserError(f"{row.place}: no function of the code is called by every test: name the same one in all of them")
