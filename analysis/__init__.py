"""Figures, claims and reports from the long table of results. Never trains; loads without torch.

    import analysis
    table = analysis.load("results/tiny")          # or a folder of your own runs, "runs/tiny"
    drawing = analysis.figure("fig01", table)     # shown by a notebook; drawing.table, drawing.figure, drawing.save("out")
    analysis.claims(table)                         # the paper's claims as tests
    analysis.compare(table, "inoculation:wording=please_hack")
    evidence = analysis.evidence(table)            # in place of the table: what several calls share is computed once

Every function takes a table, the folder to load it from, or evidence, and raises base.errors.UserError with one line on what
to do.
`python -m analysis` is the same on the command line.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:  # pandas, scipy and matplotlib are imported when they are first used
    import pandas as pd

    from analysis.evidence import Evidence
    from analysis.figures.figure import Drawing

    Given: TypeAlias = Evidence | pd.DataFrame | str | Path | None

__all__ = ["claims", "compare", "evidence", "export", "figure", "load", "overview", "page", "report"]


class _Door(ModuleType):
    """Importing the module `analysis.claims` does not put it in the place of the function `analysis.claims`."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in __all__ or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Door


def load(path: str | Path | None = None, only: str = "", model: str = "") -> pd.DataFrame:
    """The long table of a folder of runs or of results: one row per run x step x prompt x eval x metric.

    Columns: those of base.store.table; `value` is a share from 0 to 1 (a missing one is NaN) of `n` answers. `path`: by
    default `runs/tiny` if it is there and the shipped `results/tiny` otherwise; what is not in the working directory is
    looked for beside the code. `only`: runs whose name contains this. `model`: runs of this model.

    Raises:
        UserError: no such folder, or a table that cannot be used, or no run that fits.
    """
    from analysis import table

    loaded = table.load(table.source(path))
    kept = table.select(loaded, only, model) if only or model else loaded
    return kept.astype(dict.fromkeys(table.WORDS, str))


def evidence(table: Given = None) -> Evidence:
    """A table with what figures, claims and reports compute from it, each once: give it to them in its place.

    Raises:
        UserError: runs that must not be mixed, or none that finished.
    """
    from analysis.evidence import Evidence
    from analysis.figures import CLAIMS

    return table if isinstance(table, Evidence) else Evidence(_table(table), CLAIMS)


def figure(name: str, table: Given = None) -> Drawing:
    """Draws a figure (fig01, fig03, ... as in the paper; route, law, dose, ...; `python -m analysis --list`).

    The drawing has `table` (what is drawn: one row per mark, shares from 0 to 1), `figure` (matplotlib) and
    `save(folder)`, which writes csv, png and svg and returns their paths.

    Raises:
        UserError: no such figure, no run of any of its arms, or runs that must not be mixed.
    """
    from analysis.figures import FIGURES, named

    return FIGURES[named(name)](evidence(table))


def claims(table: Given = None) -> pd.DataFrame:
    """The claims, one row each, with the verdict (reproduced, not reproduced, contradicted, inconclusive).

    Columns as in analysis.findings.frame: effects and margins in percentage points (or the unit that stands beside them), p
    values Holm-corrected.

    Raises:
        UserError: runs that must not be mixed.
    """
    from analysis.findings import frame

    return frame(evidence(table).findings)


def compare(table: Given, arm: str, corpus: str = "main", hackable: float = 1.0) -> pd.DataFrame:
    """An arm beside the baseline and beside the model it starts from, one row per measure.

    Columns: `%` (the measure), then in per cent the mean of each (`NAME`) and half of its 95% interval (`NAME ±`, NaN from fewer
    than three seeds), and the difference of arm and baseline. `attrs["notes"]`: seeds, forks, judges, what was left out.

    Raises:
        UserError: no run of the arm on that corpus, or runs that must not be mixed.
    """
    from analysis.tabular import frame
    from analysis.versus import compare_rows

    rows, notes = compare_rows(evidence(table), arm, corpus, hackable)
    return _noted(frame(rows), notes)


def report(table: Given = None) -> pd.DataFrame:
    """Every arm under every evaluation prompt, one row each.

    Columns: arm, corpus, seeds, then in per cent each measure (`NAME`, and `NAME ±` for half of its 95% interval), and wall
    time in minutes. `attrs["notes"]`: how to read it, and what was left out.

    Raises:
        UserError: runs that must not be mixed.
    """
    from analysis.reports import LEGEND, report_rows
    from analysis.tabular import frame

    one, two, notes = report_rows(evidence(table))
    return _noted(frame([{**a, **b} for a, b in zip(one, two, strict=True)]), [LEGEND, *notes])


def overview(table: Given = None) -> pd.DataFrame:
    """Every arm with its uncorrelated twin, by kind of mitigation (`family`), one row each; in per cent as in `report`.

    Raises:
        UserError: runs that must not be mixed.
    """
    from analysis.arms import LEGEND, overview_rows
    from analysis.tabular import frame

    families, notes = overview_rows(evidence(table))
    rows = [{"family": family, **row} for family, made in families.items() for row in made]
    return _noted(frame(rows), [LEGEND, *notes])


def page(table: Given = None, path: str | Path = "figures/report.html") -> Path:
    """Writes claims, figures, arms, transcripts and what made them as one HTML page; returns its path.

    Raises:
        UserError: runs that must not be mixed.
    """
    from analysis.html.page import write

    return write(evidence(table), Path(path))


def export(runs: str | Path, results: str | Path) -> Path:
    """Merges the finished runs of a folder into a folder of results (`table.parquet`, `manifest.json`); returns the table's
    path.

    Raises:
        UserError: no such folder of runs, runs of another recipe, or a run that was measured twice with other numbers.
    """
    from analysis.results import export

    return export(Path(runs), Path(results)).path


def _table(table: pd.DataFrame | str | Path | None) -> pd.DataFrame:
    """The rows of a table that was given, or of the folder of one.

    Raises:
        UserError: as `load`, or it is no table as `load` returns it.
    """
    import pandas as pd

    from analysis.table import check, select
    from base.errors import UserError

    if table is None or isinstance(table, str | Path):
        return select(load(table))
    if not isinstance(table, pd.DataFrame):
        raise UserError(f"{table!r} is no table: give what analysis.load returns, or the folder to load it from")
    if table.empty:
        raise UserError("the table that was given has no rows: give what analysis.load returns, or some of its rows")
    return select(check(table, "the table that was given"))


def _noted(frame: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    frame.attrs["notes"] = notes
    return frame
