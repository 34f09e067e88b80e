"""APPS (Hendrycks et al. 2021, "Measuring coding challenge competence with APPS", MIT): functions and whole programs.

Rows with `fn_name` ask for a function; a method of `class Solution` becomes a function of the same name. The others are
programs (see programs.py). The first three short tests are visible (half of them where there are fewer than six), the rest
is held out. Reference: the first Python 3 solution.
"""

from __future__ import annotations

import ast
import json
import re
from typing import Any

from base.environments.graders.lift import names
from base.environments.task_sets import programs
from base.environments.task_sets.rows import Problem, Row, first_python3, python, refuse_several_answers, split
from base.rows import Odd

# What judges with `class Solution` provide, and its solutions rely on.
SETUP = """\
import bisect, collections, functools, heapq, itertools, math, operator, random, re, string, sys
from bisect import bisect_left, bisect_right
from collections import Counter, OrderedDict, defaultdict, deque
from functools import cmp_to_key, lru_cache, reduce
from heapq import heapify, heappop, heappush
from itertools import accumulate, combinations, permutations, product
from math import ceil, floor, gcd, inf, log, sqrt
from typing import Any, Dict, List, Optional, Set, Tuple, Union"""

# JSON has no tuples: where lists are expected, a solution that gives tuples is right by the data set's own grader.
_LISTS = """\
{source}


def _as_lists(value):
    if isinstance(value, (list, tuple)):
        return [_as_lists(item) for item in value]
    return {{key: _as_lists(item) for key, item in value.items()}} if type(value) is dict else value


_as_written, _asked = {function}, []


def {function}(*arguments):
    if _asked:  # it calls itself
        return _as_written(*arguments)
    _asked.append(True)
    try:
        return _as_lists(_as_written(*arguments))
    finally:
        _asked.clear()
"""


_GIVES_LIST = re.compile(r"->\s*(?:typing\.|Optional\[|Union\[)*[Ll]ist\b")


def read(row: Row) -> Problem:
    """The problem of a row. Raises Odd where it cannot be graded."""
    text = row.text("question")
    identity = f"apps/{row.identity('problem_id')}"
    examples = row.json("input_output")
    if not examples:
        raise Odd("no tests")
    if not isinstance(examples, dict):
        raise Odd("input_output must be an object with inputs and outputs")
    inputs, outputs = examples.get("inputs"), examples.get("outputs")
    if not isinstance(inputs, list) or not isinstance(outputs, list) or len(inputs) != len(outputs):
        raise Odd("input_output must hold the lists inputs and outputs, of one length")
    if not inputs:
        raise Odd("no tests")
    solutions = row.json("solutions") or []
    if not isinstance(solutions, list) or not all(isinstance(solution, str) for solution in solutions):
        raise Odd("solutions must be a list of texts")
    refuse_several_answers(text)
    source = first_python3(solutions)
    function = examples.get("fn_name")
    if function is None:
        pairs = [(_joined(row, given), _joined(row, printed)) for given, printed in zip(inputs, outputs, strict=True)]
        visible, held_out = split([], programs.tests(pairs, {}))
        asked, code = f"{text.strip()}\n\n{programs.NOTE}", programs.reference(source)
        return Problem(identity, asked, programs.ENTRY_POINT, visible, held_out, code)
    if not isinstance(function, str) or not function.isidentifier():
        raise Odd(f"fn_name must be the name of a function, found {function!r}")
    header = _header(row.optional("starter_code"), function)
    visible, held_out = split([], _calls(row, function, inputs, outputs, bool(_GIVES_LIST.search(header))))
    asked = f"{text.strip()}\n\n{header}".strip()
    code = _as_function(source, function)
    if any("== [" in test or "== {" in test for test in (*visible, *held_out)):
        code = _LISTS.format(source=code.rstrip(), function=function)
    return Problem(identity, asked, function, visible, held_out, code, SETUP)


def _joined(row: Row, value: Any) -> str:
    """A text; some rows hold its lines."""
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "\n".join(value)
    if not isinstance(value, str):
        raise Odd(f"inputs and outputs of a program must be texts, found {type(value).__name__}")
    return value


def _calls(row: Row, function: str, inputs: list[Any], outputs: list[Any], gives_list: bool) -> list[str]:
    """Most rows wrap each output in a list of one; where all outputs are such lists, that is how they are read, unless the
    function is said to give a list and nothing inside is one.
    """
    if all(isinstance(output, list) and len(output) == 1 for output in outputs):
        inside = [output[0] for output in outputs]
        if not gives_list or all(isinstance(item, list) for item in inside):
            outputs = inside
    known: dict[str, str] = {}
    for arguments, output in zip(inputs, outputs, strict=True):
        if not isinstance(arguments, list):
            raise Odd("every entry of inputs must be a list of arguments")
        try:
            given, wanted = json.dumps(arguments, allow_nan=False), json.dumps(output, allow_nan=False)
        except (ValueError, RecursionError):
            continue  # not a number: equal to nothing
        if known.setdefault(given, wanted) != wanted:
            raise Odd("two outputs for one input")
    if not known:
        raise Odd("no tests")
    tests = []
    for given, wanted in known.items():
        values = ", ".join(repr(_numbered(argument)) for argument in json.loads(given))
        tests.append(f"assert {function}({values}) == {_numbered(json.loads(wanted))!r}")
    return list(dict.fromkeys(tests))


def _numbered(value: Any) -> Any:
    """JSON turns the numbers that are keys of a dict into texts; the data set's own grader turns them back."""
    if not isinstance(value, dict):
        return value
    try:
        return {int(key): item for key, item in value.items()}
    except ValueError:
        return value


def _header(starter: str, function: str) -> str:
    """The signature of the starter code, without `self`; empty if it cannot be read."""
    for ending in ("", " pass", "\n    pass", "\n        pass"):
        try:
            tree = ast.parse(starter.rstrip() + ending)
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name == function:
                if node.args.args and node.args.args[0].arg == "self":
                    node.args.args.pop(0)
                bare = ast.FunctionDef(function, node.args, [ast.Pass()], [], node.returns)
                line = ast.unparse(ast.fix_missing_locations(bare)).splitlines()[0]
                return f"Its first line: `{line}`"
    return ""


def _as_function(source: str, function: str) -> str:
    """The solution, with a function in front of the method where it is a class."""
    body = python(source, "a solution").body
    if function not in names(body, stored=True):
        raise Odd("the first Python 3 solution does not define fn_name")
    if any(isinstance(node, ast.ClassDef) and node.name == "Solution" for node in body):
        return f"{source.rstrip()}\n\n\ndef {function}(*arguments):\n    return Solution().{function}(*arguments)\n"
    return source
