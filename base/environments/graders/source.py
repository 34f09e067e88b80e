"""Python text of a task, parsed alike under every setting of the interpreter.

With `-W error` Python takes a text with an invalid escape for a syntax error. Only for texts of tasks: what a policy wrote
is parsed in the sandbox.
"""

from __future__ import annotations

import ast
import warnings
from typing import cast


def parse(text: str) -> ast.Module:
    """Raises SyntaxError, ValueError; also where a text is nested too deeply to be parsed."""
    return cast(ast.Module, _parse(text, "exec"))


def parse_expression(text: str) -> ast.expr:
    """Raises SyntaxError, ValueError."""
    return cast(ast.Expression, _parse(text, "eval")).body


def _parse(text: str, mode: str) -> ast.AST:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text, mode=mode)
        except (RecursionError, MemoryError) as error:
            raise SyntaxError("nested too deeply, or too large") from error
