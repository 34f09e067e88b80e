"""Further inputs for a function of which some inputs are known: near those, of the same types, with what they have in common.

`draw` varies known inputs, adds edge cases (empty, zero, repeated, longer), and keeps what satisfies every invariant.
"""

from __future__ import annotations

import random
import string
from collections.abc import Iterator, Sequence
from typing import Any

from base.environments.audit.invariants import Arguments, Path, binary, invariants, ordered, pattern, places, sized
from base.environments.literals import source

_ATTEMPTS = 30  # candidates tried per input that is wanted
_TEXT = 300  # characters that one input may take as source


def draw(seen: Sequence[Arguments], constants: Sequence[Any], rng: random.Random) -> Iterator[Arguments]:
    """Distinct inputs, none of them in `seen` (all of one length); ends when no new ones are found.

    `constants` are literals of the solution: numbers around them are where its branches part.
    """
    known = {source(arguments) for arguments in seen}
    rules = invariants(seen)
    vary = _Vary(seen, constants, rng)
    misses = 0
    while misses < _ATTEMPTS * 10:
        candidate = _mend(vary(), seen)
        text = source(candidate)
        if text in known or len(text) > _TEXT or not all(rule(candidate) for rule in rules):
            misses += 1
            continue
        known.add(text)
        misses = 0
        yield candidate


def _mend(arguments: Arguments, seen: Sequence[Arguments]) -> Arguments:
    """Restores what varying destroys most often, so that few candidates are refused: sizes given as arguments, order."""
    mended = list(arguments)
    for i in range(len(mended)):
        column = [a[i] for a in seen]
        if isinstance(mended[i], (list, tuple)):
            for descending in (False, True):
                if all(ordered(v, descending) for v in column) and not ordered(mended[i], descending):
                    mended[i] = type(mended[i])(_sorted(mended[i], descending))
    for i, held in enumerate(mended):
        for j, size in enumerate(mended):
            if i != j and sized(held) and type(size) is int and all(sized(a[i]) and a[j] == len(a[i]) for a in seen):
                mended[j] = len(held)
    return tuple(mended)


def _sorted(value: Any, descending: bool) -> list[Any]:
    try:
        return sorted(value, reverse=descending)
    except TypeError:
        return list(value)


class _Vary:
    """Makes candidates. Knows, for every place, the values seen there."""

    def __init__(self, seen: Sequence[Arguments], constants: Sequence[Any], rng: random.Random) -> None:
        self.seen = seen
        self.rng = rng
        self.at: dict[Path, list[Any]] = {}
        for arguments in seen:
            for path, value in places(arguments):
                self.at.setdefault(path, []).append(value)
        self.numbers = sorted({c + d for c in constants if type(c) is int and abs(c) < 10**6 for d in (-1, 0, 1)})
        self.letters = sorted({c for text in constants if isinstance(text, str) and len(text) < 30 for c in text})

    def __call__(self) -> Arguments:
        rng = self.rng
        base = list(rng.choice(self.seen))
        if rng.random() < 0.2:
            base = [rng.choice(self.seen)[i] for i in range(len(base))]
        chosen = [i for i in range(len(base)) if rng.random() < 0.6] or [rng.randrange(len(base))] if base else []
        for i in chosen:
            base[i] = self.value(base[i], (i,))
        return tuple(base)

    def value(self, value: Any, path: Path) -> Any:
        if isinstance(value, bool):
            return self.rng.random() < 0.5
        if isinstance(value, int):
            return self.integer(value, path)
        if isinstance(value, float):
            return self.real(value, path)
        if isinstance(value, str):
            return self.text(value, path)
        if isinstance(value, (list, tuple)):
            return self.sequence(value, path)
        if isinstance(value, (set, frozenset)):
            return type(value)(self.sequence(sorted(value, key=repr), path))
        if isinstance(value, dict):
            return self.mapping(value, path)
        return self.rng.choice(self.at.get(path, [value]))

    def integer(self, value: int, path: Path) -> int:
        rng = self.rng
        near = [v for v in self.at.get(path, [value]) if type(v) is int] or [value]
        low, high = min(near), max(near)
        if high > 1 and all(binary(v) for v in near) and high >= 10:
            return int("1" + "".join(rng.choice("01") for _ in range(rng.randrange(len(str(high)) + 1))))
        margin = max(6, high - low, abs(high) // 2)
        kind = rng.randrange(6)
        if kind == 0:
            return rng.choice(near)
        if kind == 1:
            return value + rng.choice((-2, -1, 1, 2))
        if kind == 2:
            return rng.choice((0, 1, 2, -1, -value, low - 1, high + 1))
        if kind == 3 and self.numbers:
            close = [n for n in self.numbers if low - margin <= n <= high + margin]
            return rng.choice(close or near)
        return rng.randint(low - margin, high + margin)

    def real(self, value: float, path: Path) -> float:
        rng = self.rng
        near = [v for v in self.at.get(path, [value]) if type(v) is float] or [value]
        decimals = max(len(repr(v).partition(".")[2]) for v in near) if all("e" not in repr(v) for v in near) else 3
        low, high = min(near), max(near)
        margin = max(1.0, (high - low) / 2)
        kind = rng.randrange(4)
        if kind == 0:
            return rng.choice(near)
        if kind == 1:
            return rng.choice((0.0, 1.0, -value, float(round(value))))
        return round(rng.uniform(low - margin, high + margin), min(decimals, 6))

    def letter(self, like: str, path: Path) -> str:
        """Another character of the same class, mostly from those seen."""
        pool = sorted({c for text in self.at.get(path, []) if isinstance(text, str) for c in text} | set(self.letters))
        same = [c for c in pool if pattern(c) == pattern(like)]
        classes = (string.digits, string.ascii_lowercase, string.ascii_uppercase)
        if self.rng.random() < 0.4 or len(same) < 2:
            return self.rng.choice(next((letters for letters in classes if like in letters), same or like))
        return self.rng.choice(same)

    def text(self, value: str, path: Path) -> str:
        rng = self.rng
        texts = [t for t in self.at.get(path, []) if isinstance(t, str)]
        if len({pattern(t) for t in texts}) == 1 and len(texts) > 1:
            return "".join(self.letter(c, path) if rng.random() < 0.5 else c for c in value)
        kind = rng.randrange(13)
        cut = rng.randrange(len(value) + 1)
        other = rng.choice(texts or [value])
        if kind == 0:
            return ""
        if kind == 1:
            return other
        if kind == 2:
            return value[:cut]
        if kind == 3:
            return value[cut:]
        if kind == 4:
            return value[::-1]
        if kind == 5:
            return value + other[: rng.randrange(len(other) + 1)]
        if kind == 6:
            return value[:cut] + value[cut : cut + 1] * rng.randrange(2, 4) + value[cut + 1 :]
        if kind == 7:
            return value[:cut] + value[cut + 1 :]
        if kind == 8:
            pool = sorted(set("".join(texts)) | set(self.letters)) or ["a"]
            return value[:cut] + rng.choice(pool) + value[cut:]
        if kind == 9:
            words = value.split(" ")
            rng.shuffle(words)
            return " ".join(words if rng.random() < 0.5 else words[: rng.randrange(1, len(words) + 1)])
        if kind == 10:
            return rng.choice((value.upper(), value.lower(), value.swapcase(), value.capitalize()))
        if kind == 11:
            letters = list(value)
            rng.shuffle(letters)
            return "".join(letters)
        return "".join(self.letter(c, path) if rng.random() < 0.3 else c for c in value)

    def sequence(self, value: Any, path: Path) -> Any:
        rng = self.rng
        items = list(value)
        inner: Path = (*path, "item")
        lengths = {len(v) for v in self.at.get(path, []) if isinstance(v, (list, tuple, set, frozenset))}
        fixed = len(lengths) == 1 and len(self.at.get(path, [])) > 1
        if isinstance(value, tuple) and fixed:  # a record: every position has its own kind of value
            positions = [i for i in range(len(items)) if rng.random() < 0.5] or list(range(len(items)))
            for i in positions:
                items[i] = self.value(items[i], (*path, i))
            return tuple(items)
        whole = [list(v) for v in self.at.get(path, []) if isinstance(v, (list, tuple))] or [items]
        flat = self.at.get(inner, [])
        kind = rng.randrange(4) if fixed else rng.randrange(14)
        if kind == 0:
            items = [self.value(item, inner) if rng.random() < 0.4 else item for item in items]
        elif kind == 1:
            rng.shuffle(items)
        elif kind == 2 and items:
            at = rng.randrange(len(items))
            items[at] = self.value(items[at], inner) if rng.random() < 0.5 else rng.choice(items)
        elif kind == 3:
            items = [self.value(item, inner) for item in rng.choice(whole)]
        elif kind == 4:
            items = []
        elif kind == 5:
            items = items[: rng.randrange(len(items) + 1)]
        elif kind == 6:
            items = items[rng.randrange(len(items) + 1) :]
        elif kind == 7 and flat:
            items.insert(rng.randrange(len(items) + 1), self.value(rng.choice(flat), inner))
        elif kind == 8 and items:
            items.insert(rng.randrange(len(items) + 1), rng.choice(items))
        elif kind == 9 and items:
            del items[rng.randrange(len(items))]
        elif kind == 10:
            items = items + rng.choice(whole)
        elif kind == 11 and items:
            items = [rng.choice(items)] * rng.randrange(1, len(items) + 1)
        elif kind == 12:
            items = items[::-1] if rng.random() < 0.5 else _sorted(items, rng.random() < 0.5)
        elif flat:
            items = [self.value(rng.choice(flat), inner) for _ in range(rng.randrange(1, max(map(len, whole)) + 2))]
        return tuple(items) if isinstance(value, tuple) else items

    def mapping(self, value: dict[Any, Any], path: Path) -> dict[Any, Any]:
        rng = self.rng
        keys, values = self.at.get((*path, "key"), []), self.at.get((*path, "value"), [])
        items = list(value.items())
        kind = rng.randrange(6)
        if kind == 0:
            items = []
        elif kind == 1 and items:
            del items[rng.randrange(len(items))]
        elif kind == 2 and keys:
            items.append((rng.choice(keys), rng.choice(values)))
        elif kind == 3 and keys:
            items.append(
                (self.value(rng.choice(keys), (*path, "key")), self.value(rng.choice(values), (*path, "value")))
            )
        elif kind == 4:
            rng.shuffle(items)
        else:
            items = [(k, self.value(v, (*path, "value")) if rng.random() < 0.6 else v) for k, v in items]
        return dict(items)
