"""The evals that a table speaks of: those of the registry (base.evals), and those that only stored results know."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from base.errors import UserError
from base.evals import EVALS
from base.labels import words
from base.store.table import UNASKED
from base.wanted import CLEAN

NO_EVALS = ("code", CLEAN, *UNASKED)  # what else the column `eval` of the long table holds
KINDS = ("chat", "agentic")
READINGS = ("overt", "covert", "unclear", "hack_attempt")
RESERVED = ("mgs", *KINDS, *READINGS, *NO_EVALS, "hack_rate", "solved", "attempted", "wrong", "timeout", "fault")
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


@dataclass(frozen=True)
class Shown:
    """An eval as figures show it; `kind` is empty where only stored results know of it."""

    name: str
    title: str
    kind: str
    in_mean: bool


def shown(names: Iterable[str]) -> list[Shown]:
    """The evals among the values of the column `eval`, in the registry's order, unknown ones behind by name.

    Raises:
        UserError: an eval has the name of another measure.
    """
    there = set(names) - set(NO_EVALS)
    for name in there & set(RESERVED):
        raise UserError(f"an eval cannot be called '{name}', which is the name of another measure; rename it")
    known = [Shown(n, e.title, e.kind, e.in_mean) for n, e in EVALS.items() if n in there]
    return known + [Shown(name, words(name), "", False) for name in sorted(there - EVALS.keys())]


def beside(names: Iterable[str]) -> list[Shown]:
    """Those that do not count in the mean."""
    return [each for each in shown(names) if not each.in_mean]


def in_mean(kind: str = "") -> tuple[str, ...]:
    """Names of the evals that count in the mean, all of them or those of a kind (chat, agentic)."""
    return tuple(name for name, each in EVALS.items() if each.in_mean and kind in ("", each.kind))


def counted(kind: str = "") -> str:
    """How many count, as a word."""
    number = len(in_mean(kind))
    return NUMBERS[number] if number < len(NUMBERS) else str(number)
