"""A row of the table that `python -m benchmarks` prints: what was measured, what it should be, how quiet the machine was.

A benchmark that has rows is a module with `rows(quick: bool) -> Iterable[Row]`; `quick` is the form that `make bench` runs.
"""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """`value` is the median of its repeats in `unit`; `spread` the lowest and the highest of them.

    `target`: what `value` should be at least, or at most where `lower`; None: an anchor. `load`: the machine's
    load average of one minute when the row was done. `note`: against what, and how often.
    """

    name: str
    value: float
    unit: str
    target: float | None = None
    spread: tuple[float, float] | None = None
    load: float | None = None
    note: str = ""
    lower: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        if self.target is None:
            return None
        return self.value <= self.target if self.lower else self.value >= self.target


def load() -> float:
    """Processes that wanted a core in the last minute, on average."""
    return os.getloadavg()[0]
