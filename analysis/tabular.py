"""Rows of results as aligned text, as markdown and as a data frame: one place for how a number is printed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import tabulate

from analysis.stats import Difference, Summary

tabulate.MIN_PADDING = 0  # two blanks between columns are enough; there is no other way to say so
Row = Mapping[str, Any]  # column -> text, a count, a Summary or a Difference; None is missing


def text(rows: Sequence[Row], as_markdown: bool = False) -> str:
    """The rows as a table: first column left, the others right aligned. Shares are in per cent."""
    cells = [[cell(value) for value in row.values()] for row in rows]
    if as_markdown:
        cells = [[value.strip().replace("|", "\\|") for value in row] for row in cells]
    align = ("left", *["right"] * (len(rows[0]) - 1))
    form = "pipe" if as_markdown else "simple"
    made = tabulate.tabulate(
        *(cells, list(rows[0]), form), colalign=align, disable_numparse=True, preserve_whitespace=True
    )
    return "\n".join(line.rstrip() for line in made.splitlines())


def frame(rows: Sequence[Row]) -> pd.DataFrame:
    """The rows as numbers: a share and its half width in per cent as two columns (`NAME`, `NAME ±`); missing is NaN."""
    made = []
    for row in rows:
        flat: dict[str, Any] = {}
        for name, value in row.items():
            if isinstance(value, Summary | Difference):
                mean = value.mean if isinstance(value, Summary) else value.estimate
                half = math.nan if value.high is None else value.high - mean
                flat |= {name: 100 * mean, f"{name} ±": 100 * half}
            else:
                flat[name] = value
        made.append(flat)
    return pd.DataFrame(made)


def cell(value: Any) -> str:
    """`mean ±half width` in per cent, `mean` where there is none; a difference with its sign; `-` if missing."""
    if isinstance(value, Summary):
        half = f" ±{100 * (value.high - value.mean):.1f}" if value.high is not None else ""
        return f"{100 * value.mean:.1f}{half}" if value.seeds else "-"
    if isinstance(value, Difference):
        half = f" ±{100 * (value.high - value.estimate):.1f}" if value.high is not None else ""
        return "-" if math.isnan(value.estimate) else f"{100 * value.estimate:+.1f}{half}"
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.1f}"
    return "-" if value is None else str(value)
