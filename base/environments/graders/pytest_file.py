"""test_solution.py as pytest reads it in the child."""

from __future__ import annotations

import ast
import functools
import symtable
from collections.abc import Sequence
from typing import TYPE_CHECKING

from base.environments.graders import source

if TYPE_CHECKING:
    from base.environments.graders.asserts import Test

RECORDER = "recorder of tests"  # in sys.modules, by a name that no import statement and no file of an answer can have
_HEAD = f"""import sys
import solution

_test = sys.modules[{RECORDER!r}].test
"""


def text(tests: Sequence[Test], plain: bool) -> str:
    """What pytest collects: `checks_N`, each of which has `body_N` run with the solution's names (harness_pytest)."""
    return "\n\n".join([_HEAD, *(_functions(number, *_statements(test, plain)) for number, test in enumerate(tests))])


def _statements(test: Test, plain: bool) -> tuple[str, str]:
    """The test, and the name that it has for the function which makes values plain."""
    name = "_plain"
    while name in test.source:
        name += "_"
    if not plain:
        return test.source.strip(), name
    calls = [f"{value} = {name}({call})" for value, call in test.calls]
    return "\n".join([test.before, *calls, test.check]), name


@functools.lru_cache(maxsize=65536)
def _functions(number: int, statements: str, plain: str) -> str:
    """The variables are global, as those of a test that is executed by itself."""
    tree = source.parse(statements)
    table = symtable.symtable(ast.unparse(tree), "test_solution.py", "exec")
    bound = [s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()]
    body: list[ast.stmt] = [*([ast.Global(bound)] if bound else []), *tree.body]
    function = ast.FunctionDef(f"body_{number}", ast.arguments([], [ast.arg(plain)], None, [], [], None, []), body, [])
    written = ast.unparse(ast.fix_missing_locations(ast.Module([function], [])))
    return f"{written}\n\n\ndef checks_{number}():\n    __tracebackhide__ = True\n    _test({number}, body_{number})\n"
