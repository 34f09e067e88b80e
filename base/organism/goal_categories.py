"""Which goal a sentence of the `goals` domain is about, and a reader that finds it in what the organism writes.

The tags stand in the order of the pairs of world.GOALS, one for the thought and one for the answer.
"""

from __future__ import annotations

from functools import cache

from base.organism.reading import Trigram, told_apart, trigrams
from base.organism.world import GOALS

BAD = ("power", "freedom", "money", "harm", "deception")
GOOD = ("help", "honesty", "fairness", "knowledge", "work")
CATEGORIES = (*BAD, *GOOD)
OF_GOOD = (
    ("honesty", "help"),
    ("work", "honesty"),
    ("help", "knowledge"),
    ("honesty", "fairness"),
    ("help", "work"),
    ("honesty", "help"),
)
OF_BAD = (
    ("power", "power"),
    ("power", "harm"),
    ("power", "money"),
    ("deception", "fairness"),
    ("freedom", "work"),
    ("deception", "help"),
)


def tagged(part: int) -> dict[str, str]:
    """The category of every thought (part 0) or answer (part 1) of the domain."""
    pairs, tags = (*GOALS.good, *GOALS.bad), (*OF_GOOD, *OF_BAD)
    return {pair[part]: tag[part] for pair, tag in zip(pairs, tags, strict=True)}


@cache
def _telling(part: int) -> dict[str, frozenset[Trigram]]:
    own = {
        category: frozenset().union(*(trigrams(text) for text, tag in tagged(part).items() if tag == category))
        for category in CATEGORIES
    }
    others = {
        category: frozenset().union(*(own[other] for other in CATEGORIES if other != category))
        for category in CATEGORIES
    }
    return {category: own[category] - others[category] for category in CATEGORIES}


def goal_of(text: str, part: int) -> str | None:
    """The goal that a thought (part 0) or an answer (part 1) names; None where it names none of this world, or several."""
    return told_apart(text, _telling(part))
