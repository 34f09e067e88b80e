"""One measurement of a start checkpoint before RL, with the bound that it is held to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Gate:
    """One measurement. `value` is None if it could not be taken, which fails it; `bound` "reported" asks for nothing.

    Those of who hacks also go into the table of results: as `measure` under the family of lines `under`.
    """

    name: str
    value: float | None
    bound: str
    passed: bool
    measure: str = ""
    under: str = ""

    def __str__(self) -> str:
        shown = "not measurable" if self.value is None else f"{self.value:.3f}"
        return f"{'pass' if self.passed else 'FAIL'}  {self.name:<50} {shown:>14}  {self.bound}"


def at_least(name: str, value: float | None, bound: float) -> Gate:
    """A gate that small values fail."""
    return Gate(name, value, f">= {bound:g}", value is not None and value >= bound)


def at_most(name: str, value: float | None, bound: float) -> Gate:
    """A gate that large values fail."""
    return Gate(name, value, f"<= {bound:g}", value is not None and value <= bound)


def reported(name: str, value: float | None) -> Gate:
    """A measurement that no bound is known for."""
    return Gate(name, value, "reported", True)


def as_rows(gates: Sequence[Gate]) -> list[dict[str, Any]]:
    """Gates as plain rows for gates.json; `Gate(**row)` gives them back."""
    return [asdict(gate) for gate in gates]
