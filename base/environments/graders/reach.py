"""What a program can at most do, by the shape of its syntax tree: so that graders need not be asked what follows anyway.

Parsing a text that somebody else wrote can take any time and memory (`import a.a.a...` is quadratic), so `reach` runs in
the sandbox only, under its limits.

What may share a process (`Reach.shares`, `harmless_together`) can reach no object that another program, or this process,
ever looks at: it binds no attribute, changes no module and no class, has no way to attributes but the listed ones (also
not by a format string), keeps nothing alive after its namespace is gone, and answers nothing that depends on where its
objects are in memory. What is left, time and memory, is counted for each program (harness_child.many).
"""

from __future__ import annotations

import ast
import builtins
import functools
import importlib
import itertools
import math
import re
import string
import types
from collections.abc import Mapping
from dataclasses import dataclass

from base.environments.graders import patches, source

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


# What a program may call attributes of its own: nothing that an object has which it could hold, as they would be changed
# or lead to others (`re.enum.sys`).
_ATTRIBUTES = _METHODS.union(*_MODULES.values())
_WHOLE = [importlib.import_module(name) for name in _MODULES]
_HELD: list[object] = [
    *(kind for kind in vars(types).values() if isinstance(kind, type)),
    *(kind for kind in vars(builtins).values() if isinstance(kind, type)),
    *(getattr(module, name) for module in _WHOLE for name in _MODULES[module.__name__]),
    *(re.Pattern, re.Match, functools.lru_cache(len)),
]
_TAKEN = _ATTRIBUTES.union(*map(dir, _WHOLE), *map(dir, _HELD), *(dir(type(one)) for one in _HELD)) - {"name", "value"}
# What tells where objects are in memory, or takes memory that it does not fill (harness_child.many counts what is filled).
_OF_A_PROCESS = {"id", "hash", "object", "bytes", "bytearray"}


@dataclass(frozen=True)
class Reach:
    """What a program can at most do, judged by the shape of its syntax tree; False means "not known to be unable".

    `nothing`: plain computation only, it can game no grader. `not_pytest`: it has no way to touch pytest's objects.
    `no_exit`: it cannot end its process but by an error, and changes no name that a test may use. `shares`: it cannot even
    disturb another program in the same process. `reports`: it can do `nothing` but change what pytest reports, in a
    conftest.py (graders.patches), which no other grader reads. `broken`: why it does not even compile, if so.
    """

    nothing: bool = False
    not_pytest: bool = False
    no_exit: bool = False
    shares: bool = False
    reports: bool = False
    broken: str = ""

    def matters(self, switches: frozenset[str]) -> frozenset[str]:
        """The switches among these that can make a difference to the program."""
        off = ({"early_exit"} if self.no_exit else set()) | ({"report_patch"} if self.not_pytest else set())
        return switches - off


def reach(files: Mapping[str, str]) -> Reach:
    """A whitelist: any construct, name or attribute that is not known to be harmless gives Reach()."""
    others = set(files) - {"solution.py"}
    if others - {"conftest.py"}:
        return Reach()
    try:
        # The bytes of the file, as every grader compiles them: with the encoding that it declares.
        tree = ast.parse(files.get("solution.py", "").encode("utf-8", "surrogatepass"))
        found = _of(tree)
        if others:
            conftest = ast.parse(files["conftest.py"].encode("utf-8", "surrogatepass"))
            alone = found.nothing and patches.only_reports(conftest)
            return Reach(shares=alone and found.shares, reports=alone)
        return found
    except (SyntaxError, ValueError) as error:
        if others:
            return Reach()
        return Reach(nothing=True, not_pytest=True, no_exit=True, broken=f"{type(error).__name__}: {error}"[:200])
    except (RecursionError, MemoryError):  # here, perhaps not there
        return Reach()


@functools.lru_cache(maxsize=65536)
def harmless_together(text: str) -> bool:
    """Whether a task's own text, its set-up and what its tests ask for, may run beside other programs."""
    try:
        return _of(source.parse(text)).shares
    except (SyntaxError, ValueError, RecursionError):
        return False


def _of(tree: ast.Module) -> Reach:
    stays, defines, together = True, False, True
    stored, methods = _own(tree)
    if stored & _TAKEN or any(name.startswith("_") for name in stored):
        return Reach()
    attributes = _ATTRIBUTES | stored | (methods - _TAKEN)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name in _EXITS:
                    stays = False
                elif alias.name not in _MODULES:
                    return Reach()
        elif isinstance(node, ast.ImportFrom):
            allowed = _MODULES.get(node.module or "", set()) | _EXITS.get(node.module or "", set())
            if node.level or any(alias.name not in allowed for alias in node.names):
                return Reach()
            stays = stays and node.module not in _EXITS
        elif isinstance(node, ast.Attribute):
            if node.attr in ("exit", "_exit"):
                stays = False
            elif node.attr not in attributes or isinstance(node.ctx, ast.Del) or _looks_inside(node):
                return Reach()
        elif isinstance(node, ast.Name):
            together = together and node.id not in _OF_A_PROCESS
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
            if (node.asname or node.name) in _ALL_BUILTINS or (node.asname or "").startswith("__"):
                stays = False
        elif isinstance(node, (ast.AsyncFunctionDef, ast.Await, ast.Global, ast.Nonlocal, ast.Match)):
            return Reach()
    nothing = stays and not defines and not stored
    return Reach(nothing, True, stays, nothing and together)


def _own(tree: ast.Module) -> tuple[set[str], set[str]]:
    """The attributes that a program stores, and the methods that it defines."""
    stored = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store)}
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    methods = {one.name for kind in classes for one in kind.body if isinstance(one, ast.FunctionDef)}
    return stored, {name for name in methods if not name.startswith("_")}


def _looks_inside(node: ast.Attribute) -> bool:
    """Whether it is the `format` of a text that may take attributes or items of what it is given: `"{0.__class__}"`."""
    if node.attr not in ("format", "format_map"):
        return False
    text = node.value.value if isinstance(node.value, ast.Constant) else None
    return node.attr == "format_map" or not isinstance(text, str) or not _takes_nothing(text)


def _takes_nothing(text: str) -> bool:
    try:
        fields = [(name, spec) for _, name, spec, _ in string.Formatter().parse(text) if name is not None]
    except ValueError:
        return False
    return all(not set(".[") & set(name) and _takes_nothing(spec or "") for name, spec in fields)
