"""The tables of the README that are made from shipped results, between `<!-- NAME -->` and `<!-- /NAME -->`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from analysis.claims import judge
from analysis.figures import CLAIMS
from analysis.findings import HOW_TO_READ, STATED, effect_text, seeds_text, show_more, verdict_text
from analysis.table import load, select
from analysis.tabular import Row
from analysis.targets import target_rows
from base.errors import UserError

README = Path(__file__).parents[1] / "README.md"


def write(results: Path, readme: Path = README) -> str:
    """Puts the tables made from a folder of results into a README; says what it did.

    Raises:
        UserError: the results cannot be read, or the README lacks the marks of a table.
    """
    before = readme.read_text(encoding="utf-8")
    after = filled(before, load(results))
    if after == before:
        return f"{readme.name} agrees with {results.name}"
    readme.write_text(after, encoding="utf-8")
    return f"wrote the tables of {', '.join(PARTS)} into {readme.name}"


def filled(readme: str, table: pd.DataFrame) -> str:
    """The text of a README with the tables that a long table gives.

    Raises:
        UserError: it lacks the marks of a table.
    """
    table = select(table)
    marks = {name: (f"<!-- {name} -->\n", f"<!-- /{name} -->") for name in PARTS}
    for opening, closing in marks.values():
        if not (readme.count(opening) == readme.count(closing) == 1 and readme.index(opening) < readme.index(closing)):
            raise UserError(
                f"the README must hold {opening.strip()} and then {closing} once, each on a line of its own"
            )
    for name, (opening, closing) in marks.items():
        before, rest = readme.split(opening)
        readme = f"{before}{opening}\n{PARTS[name](table)}\n\n{closing}{rest.split(closing)[1]}"
    return readme


def claims_part(table: pd.DataFrame) -> str:
    """The claims of which both sides were run, how to read them, and which conditions need more seeds."""
    findings = judge(table, CLAIMS)
    run = [finding for finding in findings if not math.isnan(finding.effect.estimate)]
    unrun = f"{len(findings) - len(run)} further claims are about arms that these results do not hold."
    rows = [
        {
            "claim": f"{finding.claim.name}: {finding.claim.text}",
            "verdict": verdict_text(finding),
            "effect": effect_text(finding.claim, finding.effect),
            "on the twin": effect_text(finding.claim, finding.twin),
            "seeds": seeds_text(finding.effect),
            "paper": finding.claim.paper,
        }
        for finding in run
    ]
    return "\n\n".join([compact(rows), unrun, STATED, HOW_TO_READ, show_more(run)])


def targets_part(table: pd.DataFrame) -> str:
    """The targets, what the runs gave and whether that is enough."""
    return compact([{name or "met?": value for name, value in row.items()} for row in target_rows(table)])


def compact(rows: Sequence[Row]) -> str:
    """Rows of text as a markdown table without padding."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


PARTS: dict[str, Callable[[pd.DataFrame], str]] = {"claims": claims_part, "targets": targets_part}
