"""How far judges agree beyond chance; labels are any values, None is missing."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Hashable, Sequence


def cohen_kappa(one: Sequence[Hashable], other: Sequence[Hashable]) -> float:
    """Cohen's kappa over the items that both have judged; NaN where there are none or neither ever varies.

    Cohen, "A coefficient of agreement for nominal scales", 1960.
    """
    both = [(a, b) for a, b in zip(one, other, strict=True) if a is not None and b is not None]
    if not both:
        return math.nan
    n = len(both)
    left, right = Counter(a for a, _ in both), Counter(b for _, b in both)
    chance = sum(left[label] * right[label] for label in left) / n**2
    agreed = sum(a == b for a, b in both) / n
    return math.nan if chance == 1 else (agreed - chance) / (1 - chance)


def krippendorff_alpha(judges: Sequence[Sequence[Hashable]]) -> float:
    """Krippendorff's alpha for nominal labels, [judges][items]; items with fewer than two labels say nothing.

    NaN where there are none, or all labels are the same. Krippendorff, "Computing Krippendorff's alpha-reliability", 2011.
    """
    pairs: Counter[tuple[Hashable, Hashable]] = Counter()
    for labels in zip(*judges, strict=True):
        known = [label for label in labels if label is not None]
        for a, b in itertools.permutations(known, 2):
            pairs[a, b] += 1 / (len(known) - 1)  # type: ignore[assignment]
    total: Counter[Hashable] = Counter()
    for (a, _), weight in pairs.items():
        total[a] += weight
    n = sum(total.values())
    expected = sum(total[a] * total[b] for a, b in itertools.permutations(total, 2))
    if not expected:
        return math.nan
    observed = sum(weight for (a, b), weight in pairs.items() if a != b)
    return 1 - (n - 1) * observed / expected
