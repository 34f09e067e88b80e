"""The table of speeds: what meets a target, and what a line says."""

from __future__ import annotations

import importlib
import inspect

import pytest

from benchmarks.__main__ import MODULES, line
from benchmarks.rows import Row


def test_a_target_is_met_from_its_own_side() -> None:
    assert Row("a", 5.0, "x").met is None
    assert Row("a", 5.0, "x", 5.0).met is True
    assert Row("a", 4.9, "x", 5.0).met is False
    assert Row("a", 0.9, "s", 1.0, lower=True).met is True
    assert Row("a", 1.1, "s", 1.0, lower=True).met is False


def test_a_line_holds_value_target_range_load_and_what_was_measured() -> None:
    text = line(Row("start", 1.46, "s", 1.0, (1.38, 1.52), 2.54, "7 runs", lower=True))
    assert text.split() == ["start", "1.46", "s", "<=", "1.00", "missed", "1.38", "to", "1.52", "2.5", "7", "runs"]
    assert line(Row("anchor", 12345.6, "/s")).split() == ["anchor", "12,346", "/s"]


@pytest.mark.parametrize("name", MODULES)
def test_every_module_of_the_table_has_rows(name: str) -> None:
    rows = importlib.import_module(f"benchmarks.{name}").rows
    assert list(inspect.signature(rows).parameters) == ["quick"]
