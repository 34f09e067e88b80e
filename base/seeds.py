"""Where every random number comes from: a seed derived from what it is for, so that no two uses share one."""

from __future__ import annotations

import hashlib
import operator

from base.errors import UserError

LARGEST = 2**32 - 1  # what numpy's and the trainers' generators take


def derive_seed(*parts: object) -> int:
    """A seed in [0, 2**56) for the use that `parts` name, e.g. `derive_seed("rollout", run.seed, step)`.

    A hash: other parts give unrelated numbers, so neighbouring runs, steps and uses share none; the same parts give the
    same number in every process. Sums such as `100 * seed + step` collide and are not used.
    """
    return int.from_bytes(hashlib.sha256(" ".join(map(str, parts)).encode()).digest()[:7])


def checked_seed(value: int, option: str) -> int:
    """A seed that a user gave, as an int.

    Raises:
        UserError: it is no whole number that every generator takes.
    """
    try:
        value = operator.index(value)
    except TypeError:
        raise UserError(f"{option} must be a whole number, not {value!r}") from None
    if not 0 <= value <= LARGEST:
        raise UserError(f"{option} must lie between 0 and {LARGEST}, not {value}")
    return value
