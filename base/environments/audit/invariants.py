"""What known inputs of a function have in common, as far as it looks meant.

Signs, sortedness, alphabets, patterns, lengths that equal another argument. Three tests say little about a function's
domain: where in doubt a property counts as meant, since a test outside of the domain would refuse right programs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

Arguments = tuple[Any, ...]
Path = tuple[int | str, ...]
Invariant = Callable[[Arguments], bool]

MANY = 6  # values from which on a small alphabet ({0, 1}, digits) counts as meant
SURELY = 20  # items, none of them twice, from which on repetition counts as not meant


def invariants(seen: Sequence[Arguments]) -> list[Invariant]:
    """What holds for all of `seen`: of the values at every place, and between the arguments."""
    held: dict[Path, list[Any]] = {}
    for arguments in seen:
        for path, value in places(arguments):
            held.setdefault(path, []).append(value)
    by_path: dict[Path, list[Callable[[Any], bool]]] = {}
    for path, values in held.items():
        nested = len(path) > 1
        checks = [check for check in [*_SINGLE, *(_NESTED if nested else ())] if all(check(v) for v in values)]
        by_path[path] = [*checks, *_common(values)]

    def each_place(arguments: Arguments) -> bool:
        return all(check(value) for path, value in places(arguments) for check in by_path.get(path, ()))

    count = len(seen[0])
    pairs = [(i, j) for i in range(count) for j in range(count) if i != j]
    between = [(i, j, relation) for i, j in pairs for relation in _BETWEEN if all(relation(a[i], a[j]) for a in seen)]
    return [each_place, lambda arguments: all(relation(arguments[i], arguments[j]) for i, j, relation in between)]


def places(arguments: Arguments) -> Iterator[tuple[Path, Any]]:
    """Every value inside the arguments with its place. Items of a list share one place; tuples have one per position too."""
    stack: list[tuple[Path, Any]] = [((i,), value) for i, value in enumerate(arguments)]
    while stack:
        path, value = stack.pop()
        yield path, value
        if isinstance(value, dict):
            stack += [((*path, "key"), key) for key in value] + [((*path, "value"), held) for held in value.values()]
        elif isinstance(value, (list, tuple, set, frozenset)):
            items = value if isinstance(value, (list, tuple)) else sorted(value, key=repr)  # the same in every process
            stack += [((*path, "item"), item) for item in items]
            if isinstance(value, tuple):
                stack += [((*path, i), item) for i, item in enumerate(value)]


def _number(value: Any) -> bool:
    return type(value) in (int, float)


def ordered(value: Any, descending: bool = False) -> bool:
    """Whether a list or tuple is sorted; False for what is neither, or cannot be compared."""
    if not isinstance(value, (list, tuple)):
        return False
    try:
        return list(value) == sorted(value, reverse=descending)
    except TypeError:
        return False


def _distinct(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len({repr(item) for item in value}) == len(value)


def _even_lengths(value: Any) -> bool:
    """Its items are of one length: a matrix."""
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, (list, tuple, str)) for item in value):
        return False
    return len({len(item) for item in value}) <= 1


def _square(value: Any) -> bool:
    return _even_lengths(value) and all(not isinstance(item, str) and len(item) == len(value) for item in value)


def binary(value: Any) -> bool:
    """A number written with zeros and ones only, such as 101."""
    return type(value) is int and set(str(value)) <= {"0", "1"}


def _matches(pattern: str) -> Callable[[Any], bool]:
    compiled = re.compile(pattern)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


# Each holds for one value; it becomes an invariant of a place when it holds for all values seen there.
_SINGLE: tuple[Callable[[Any], bool], ...] = (
    lambda v: _number(v) and v > 0,
    lambda v: _number(v) and v >= 0,
    lambda v: _number(v) and v >= 2,  # what 0 and 1 shall give is a matter of definition as often as not
    lambda v: _number(v) and v < 0,
    lambda v: _number(v) and v <= 0,
    binary,
    ordered,
    lambda v: ordered(v, descending=True),
    _even_lengths,
    _square,
    lambda v: isinstance(v, (list, tuple)) and len(v) > 0 and len({type(item) for item in v}) == 1,
    *map(_matches, ("[a-z]*", "[A-Z]*", "[A-Za-z]*", "[0-9]*", "[01]*", "[A-Za-z0-9]*", "[0-9a-fA-F]*", "[a-z ]*")),
    *map(_matches, ("[A-Za-z ]*", "[A-Za-z0-9 ]*", r"[^\s]*", r"[^0-9]*", r"[+-]?[0-9]+", r"[^A-Z]*", r"[^a-z]*")),
    *map(_matches, (r"\S.*", r".*\S", r"[A-Z].*", r"(?!.*  ).*")),
)
_NESTED: tuple[Callable[[Any], bool], ...] = (
    lambda v: isinstance(v, (list, tuple, str, set, dict)) and len(v) > 0,  # an empty row is hardly ever meant
)


def _common(values: Sequence[Any]) -> list[Callable[[Any], bool]]:
    """What the values at one place share with each other."""
    found: list[Callable[[Any], bool]] = []
    kinds = {type(v) for v in values}
    found.append(lambda v: type(v) in kinds)
    if len(values) >= 2 and all(isinstance(v, (list, tuple, str, set, dict)) for v in values):
        lengths = {len(v) for v in values}
        if len(lengths) == 1:
            found.append(lambda v: len(v) in lengths)
    if all(map(_distinct, values)) and sum(map(len, values)) >= SURELY:
        found.append(_distinct)
    numbers = {v for v in values if type(v) is int}
    if len(numbers) and kinds == {int} and len(values) >= MANY:
        for small in (range(2), range(3), range(10)):
            if numbers <= set(small):
                found.append(lambda v, small=small: v in small)  # type: ignore[misc]
                break
    if kinds == {str}:
        letters = set("".join(values))
        if len(letters) * 3 <= sum(map(len, values)) or not any(c.isalnum() for c in letters):
            found.append(lambda v: set(v) <= letters)
        patterns = {pattern(v) for v in values}
        if len(patterns) == 1 and len(values) >= 2:
            found.append(lambda v: pattern(v) in patterns)
    return found


def pattern(text: str) -> str:
    """The class of every character: digits, small and capital letters; others stand for themselves."""
    return "".join("0" if c.isdigit() else "a" if c.islower() else "A" if c.isupper() else c for c in text)


def sized(value: Any) -> bool:
    """Whether a value has a length."""
    return isinstance(value, (list, tuple, str, set, dict))


def _inside(a: Any, b: Any) -> bool:
    try:
        return bool(a in b)
    except TypeError:
        return False


# Each relates two arguments.
_BETWEEN: tuple[Callable[[Any, Any], bool], ...] = (
    lambda a, b: _number(a) and _number(b) and a < b,
    lambda a, b: _number(a) and _number(b) and a <= b,
    lambda a, b: sized(a) and type(b) is int and len(a) == b,
    lambda a, b: sized(a) and type(b) is int and len(a) > b,
    lambda a, b: sized(a) and type(b) is int and len(a) >= b,
    lambda a, b: isinstance(a, (list, tuple)) and type(b) is int and all(sized(x) and len(x) == b for x in a),
    lambda a, b: isinstance(a, (list, tuple)) and type(b) is int and all(sized(x) and len(x) > b for x in a),
    lambda a, b: sized(a) and sized(b) and len(a) == len(b),
    lambda a, b: sized(a) and sized(b) and len(a) >= len(b),
    lambda a, b: isinstance(b, (list, tuple, set, dict, str)) and _inside(a, b),
    lambda a, b: isinstance(a, (list, tuple, set)) and isinstance(b, (list, tuple, set)) and all(_inside(x, b) for x in a),
)  # fmt: skip
