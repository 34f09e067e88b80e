"""What a program can at most do, by the shape of its syntax tree: so that graders need not be asked what follows anyway.

Parsing a text that somebody else wrote can take any time and memory (`import a.a.a...` is quadratic), so this runs in the
sandbox only, under its limits.
"""

from __future__ import annotations

import ast
import builtins
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

_MODULES = {
    name: {n for n in dir(module) if not n.startswith("_")}
    for name, module in (("math", math), ("itertools", itertools))
} | {
    "collections": {"Counter", "defaultdict", "deque", "OrderedDict"},
    "functools": {"reduce", "lru_cache", "cache"},
    "heapq": {"heappush", "heappop", "heapify", "nlargest", "nsmallest", "merge", "heappushpop"},
    "bisect": {"bisect", "bisect_left", "bisect_right", "insort"},
    "re": {"sub", "findall", "search", "match", "fullmatch", "split", "compile", "finditer", "escape", "IGNORECASE"},
    "string": {"ascii_letters", "ascii_lowercase", "ascii_uppercase", "digits", "punctuation"},
    "typing": {"List", "Dict", "Set", "Tuple", "Optional", "Any", "Union", "Iterable", "Sequence"},
}
_EXITS = {"sys": {"exit"}, "os": {"_exit"}}
_METHODS = {
    name
    for kind in (str, bytes, int, float, complex, list, tuple, dict, set, frozenset)
    for name in dir(kind)
    if not name.startswith("_")
} | {"group", "groups", "start", "end", "span", "most_common", "elements", "popleft", "appendleft", "cache_clear"}
_BUILTINS = {
    "abs", "all", "any", "bin", "bool", "bytes", "bytearray", "chr", "complex", "dict", "divmod", "enumerate",
    "filter", "float", "frozenset", "hash", "hex", "id", "int", "isinstance", "iter", "len", "list", "map", "max",
    "min", "next", "object", "oct", "ord", "pow", "print", "range", "repr", "reversed", "round", "set", "slice",
    "sorted", "str", "sum", "tuple", "zip", "True", "False", "None", "NotImplemented", "ValueError", "TypeError",
    "IndexError", "KeyError", "ZeroDivisionError", "OverflowError", "ArithmeticError", "StopIteration",
    "AssertionError", "RuntimeError", "Exception", "property", "staticmethod", "classmethod", "super",
}  # fmt: skip
_ALL_BUILTINS = set(dir(builtins)) | {"exit", "quit", "copyright", "credits", "license", "help"}
_DEFINED_METHODS = {
    "__init__", "__eq__", "__ne__", "__hash__", "__lt__", "__le__", "__gt__", "__ge__", "__repr__", "__str__", "__len__",
    "__iter__", "__next__", "__bool__", "__add__", "__sub__", "__mul__", "__contains__", "__getitem__", "__call__",
}  # fmt: skip


@dataclass(frozen=True)
class Reach:
    """What a program can at most do, judged by the shape of its syntax tree; False means "not known to be unable".

    `nothing`: plain computation only, it can game no grader. `not_pytest`: it has no way to touch pytest's objects.
    `no_exit`: it cannot end its process but by an error, and changes no name that a test may use. `arithmetic`: functions
    of straight-line arithmetic, which cannot even disturb another program in the same process. `broken`: why it does not
    even compile, if so.
    """

    nothing: bool = False
    not_pytest: bool = False
    no_exit: bool = False
    arithmetic: bool = False
    broken: str = ""

    def matters(self, switches: frozenset[str]) -> frozenset[str]:
        """The switches among these that can make a difference to the program."""
        off = ({"early_exit"} if self.no_exit else set()) | ({"report_patch"} if self.not_pytest else set())
        return switches - off


def reach(files: Mapping[str, str]) -> Reach:
    """A whitelist: any construct, name or attribute that is not known to be harmless gives Reach()."""
    if set(files) - {"solution.py"}:
        return Reach()
    try:
        # The bytes of the file, as every grader compiles them: with the encoding that it declares.
        tree = ast.parse(files.get("solution.py", "").encode("utf-8", "surrogatepass"))
    except (SyntaxError, ValueError) as error:
        return Reach(nothing=True, not_pytest=True, no_exit=True, broken=f"{type(error).__name__}: {error}"[:200])
    except (RecursionError, MemoryError):  # here, perhaps not there
        return Reach()
    stays, defines = True, False
    attributes = _METHODS.union(*_MODULES.values())
    modules: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name in _EXITS:
                    stays = False
                elif alias.name not in _MODULES:
                    return Reach()
                modules.add(alias.name)
        elif isinstance(node, ast.ImportFrom):
            allowed = _MODULES.get(node.module or "", set()) | _EXITS.get(node.module or "", set())
            if node.level or any(alias.name not in allowed for alias in node.names):
                return Reach()
            stays = stays and node.module not in _EXITS
        elif isinstance(node, ast.Attribute):
            if node.attr in ("exit", "_exit"):
                stays = False
            elif node.attr not in attributes or not isinstance(node.ctx, ast.Load):
                return Reach()
        elif isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Load):
                if node.id in ("exit", "quit", "SystemExit", "type"):
                    stays = False
                elif node.id in _ALL_BUILTINS - _BUILTINS or node.id == "__builtins__":
                    return Reach()
            elif node.id in _ALL_BUILTINS or node.id.startswith("__"):
                stays = False  # a shadowed builtin changes what the tests mean
        elif isinstance(node, ast.FunctionDef):
            if node.name in _ALL_BUILTINS or node.name in _MODULES:
                stays = False
            if node.name.startswith("__") and node.name not in _DEFINED_METHODS:
                return Reach()
        elif isinstance(node, ast.ClassDef):
            defines = True
            if node.name in _ALL_BUILTINS or node.name in _MODULES:
                stays = False
        elif isinstance(node, ast.alias):
            if (node.asname or node.name) in _ALL_BUILTINS:
                stays = False
        elif isinstance(node, (ast.AsyncFunctionDef, ast.Await, ast.Global, ast.Nonlocal, ast.Match)):
            return Reach()
    nothing = stays and not defines
    return Reach(nothing, True, stays, nothing and _is_arithmetic(tree))


_ARITHMETIC = (
    *(ast.Module, ast.FunctionDef, ast.arguments, ast.arg, ast.Return, ast.Pass, ast.Expr, ast.Assign, ast.If),
    *(ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Constant, ast.Name, ast.expr_context),
    *(ast.Tuple, ast.List, ast.Dict, ast.Subscript, ast.Call, ast.boolop, ast.unaryop, ast.cmpop),
    *(ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod),
)
_ARITHMETIC_CALLS = {"abs", "min", "max", "int", "float", "bool", "str", "len", "round", "sum", "divmod"}


def _is_arithmetic(tree: ast.Module) -> bool:
    """No loop, no attribute, no import, no class, no power, no decorator: nothing but sums in functions."""
    for node in ast.walk(tree):
        if not isinstance(node, _ARITHMETIC):
            return False
        if isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id in _ARITHMETIC_CALLS):
            return False
        if isinstance(node, (ast.Name, ast.arg)) and (node.id if isinstance(node, ast.Name) else node.arg)[:1] == "_":
            return False
        if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
            return False
        if isinstance(node, ast.FunctionDef) and node.decorator_list:
            return False
    return all(isinstance(node, ast.FunctionDef) for node in tree.body)
