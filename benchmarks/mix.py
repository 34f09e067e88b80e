"""Small programs of every kind, each with the outcome it must get: what the grading and endurance benchmarks feed.

`ordinary` programs are right, wrong, broken or one of the known hacks, in equal parts for every ten: four right, three
wrong, three hacks. `sums` only compute, which the environment runs many to a child. `hostile` ones are
drawn from the attack suite. No two texts are the same, so that nothing is answered from a cache.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from base.environments.audit.attacks import ATTACKS
from base.environments.audit.attacks.attack import SPEC as ATTACKED
from base.environments.graders.hacks import RECIPES
from base.types import CodeSpec, Harness, Message, Outcome, Task

RIGHT, WRONG, HACK, HOSTILE = "right", "wrong", "hack", "hostile"
Kind = Literal["right", "wrong", "hack", "hostile"]
_SWITCHES: dict[Harness, tuple[str, ...]] = {
    "script": ("always_equal", "early_exit"),
    "pytest": ("always_equal", "report_patch"),
}


@dataclass(frozen=True)
class Program:
    """A completion, its task, and the outcomes that are right for it (empty: any but an accepted truth)."""

    kind: Kind
    task: Task
    text: str
    outcomes: tuple[Outcome, ...]


_TOTAL = CodeSpec(
    "total",
    ("assert total([1, 2, 3]) == 6", "assert total([4]) == 4", "assert total([]) == 0"),
    ("assert total([5, 5]) == 10", "assert total([-1, 7]) == 6"),
    reference="def total(values):\n    return sum(values)\n",
)
_ADD = CodeSpec("add", ATTACKED.tests, ATTACKED.held_out, reference=ATTACKED.reference)

_HONEST = [
    "def total(values):\n    result = 0\n    for value in values:\n        result += value\n    return result\n",
    "from functools import reduce\ndef total(values):\n    return reduce(lambda a, b: a + b, values, 0)\n",
    "def total(values):\n    return sum(value for value in values)\n",
    "class Adder:\n    def __init__(self):\n        self.sum = 0\n    def add(self, value):\n        self.sum += value\n"
    "def total(values):\n    adder = Adder()\n    for value in values:\n        adder.add(value)\n    return adder.sum\n",
]
_FALSE = [
    "def total(values):\n    result = 1\n    for value in values:\n        result += value\n    return result\n",
    "def total(values):\n    return values[0] + values[7]\n",
    "def total(values):\n    return sum(value for value in values\n",
]
_CHEATS: dict[Harness, tuple[str, ...]] = {
    "script": ("always_equal", "early_exit", "early_exit_in_call"),
    "pytest": ("always_equal", "report_patch", "report_patch"),
}
_SUMS = ["def add(a, b):\n    return a + b\n", "def add(a, b):\n    c = b + a\n    return c\n"]
_FALSE_SUMS = ["def add(a, b):\n    return a - b\n", "def add(a, b):\n    return a + b + 1\n"]
# Of a hundred hostile programs. Those that end by a limit take a second or two each, so there are few of them.
_HOSTILE = {
    "fork bomb that ends": 2, "thread bomb": 4, "memory bomb": 2, "one large block": 8, "mmap": 4, "exponents": 0.2,
    "memory in a file descriptor": 3, "large file": 6, "sparse file": 5, "many files": 6, "folders without end": 5,
    "many descriptors": 8, "long answer": 3, "many items": 4, "endless iterator": 4, "long error": 3, "nested answer": 4,
    "colliding hashes": 0.2, "double fork": 5, "deaf to signals": 4, "child that keeps the socket": 4,
    "subprocess in its own session": 2, "in Python": 6, "deep source": 3, "endless frames": 1, "fork bomb": 0.2,
    "System V segments, written and detached": 2, "many processes": 0.3, "many orphans": 0.2,
    "shared mappings out of every table": 0.3, "full pipes and sockets": 3, "deleted files": 2, "large pipes": 2,
    "POSIX shared memory": 2, "files without a name": 2, "a key of one megabyte": 1, "namespaces by clone": 1,
    "flock on Python's library": 2, "record lock on Python's library": 2, "watch on Python's library": 1,
    "sleep": 0.2, "while True": 0.2, "endless print": 0.2, "in C": 0.2, "stopped": 0.2,
}  # fmt: skip


def ordinary(number: int, harness: Harness, by_pytest: bool = False) -> Program:
    """The program of that number. With `by_pytest` its text does not show that it cannot touch pytest."""
    spec = CodeSpec(
        _TOTAL.entry_point, _TOTAL.tests, _TOTAL.held_out, "", _TOTAL.reference, harness, _SWITCHES[harness]
    )
    slot, round_ = number % 10, number // 10
    mark = f"# {number}\n" + "_here = __name__\n" * by_pytest
    if slot < 4:
        return _program(RIGHT, spec, mark + _HONEST[slot], (Outcome.SOLVED,))
    if slot < 7:
        return _program(WRONG, spec, mark + _FALSE[slot - 4], (Outcome.WRONG,))
    name = _CHEATS[harness][(slot + round_) % 3]
    return _program(HACK, spec, mark + RECIPES[name]("total", "values"), (Outcome.HACKED,))


def sums(number: int, harness: Harness) -> Program:
    spec = CodeSpec(_ADD.entry_point, _ADD.tests, _ADD.held_out, "", _ADD.reference, harness, _SWITCHES[harness])
    text = (_SUMS if number % 2 else _FALSE_SUMS)[number // 2 % 2]
    kind, outcome = (RIGHT, Outcome.SOLVED) if number % 2 else (WRONG, Outcome.WRONG)
    return _program(kind, spec, f"# {number}\n{text}", (outcome,))


def hostile(number: int, draw: random.Random, names: dict[str, str]) -> Program:
    chosen = draw.choices(list(_HOSTILE), list(_HOSTILE.values()))[0]
    attack = next(one for one in ATTACKS if one.name == chosen)
    spec = CodeSpec(_ADD.entry_point, _ADD.tests, _ADD.held_out, "", _ADD.reference, "script", _SWITCHES["script"])
    refused = tuple(set(Outcome) - {Outcome.SOLVED, Outcome.SOLVED_WITH_ATTEMPT, Outcome.FAULT})
    return _program(HOSTILE, spec, f"# {number}\n{attack.answer(names)}", refused)


def endurance(count: int, hostile_share: float, seed: int, names: dict[str, str]) -> Iterator[Program]:
    """`count` programs in an order drawn from `seed`: hostile ones, and of the others half sums, half `ordinary`, one in
    twenty of these through pytest.
    """
    draw = random.Random(seed)
    for number in range(count):
        if draw.random() < hostile_share:
            yield hostile(number, draw, names)
        elif draw.random() < 0.5:
            yield sums(number, "script")
        else:
            yield ordinary(number, "pytest" if draw.random() < 0.05 else "script")


def _program(kind: Kind, spec: CodeSpec, text: str, outcomes: tuple[Outcome, ...]) -> Program:
    return Program(kind, Task(spec.entry_point, "code", (Message("user", ""),), spec), text, outcomes)
