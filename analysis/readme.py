"""The tables of the documentation that are made from shipped results, between `<!-- NAME -->` and `<!-- /NAME -->`."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from analysis import appears, filters
from analysis.arms import listed, overview_rows
from analysis.claims import Finding, Verdict
from analysis.conditions import BASELINE, NO_HACK, PRE_RL, TWIN, Condition, found
from analysis.evidence import Evidence
from analysis.figures import CLAIMS
from analysis.findings import (
    APART,
    HOW_TO_READ,
    STATED,
    apart_rows,
    effect_text,
    seeds_text,
    show_more,
    twin_text,
    verdict_text,
    verdict_word,
)
from analysis.measured import Measured, units
from analysis.table import load, select
from analysis.tabular import Row, cell
from analysis.targets import LINES, target_rows
from base.errors import UserError

ROOT = Path(__file__).parents[1]
HEADLINES = ("A2", "A3", "B1", "PL2", "RF2", "FS2")  # chosen by what they ask, before the last three were run
OPEN = "inconclusive"
ARMS = (PRE_RL, BASELINE, NO_HACK, TWIN, *LINES)
COLUMNS = {"mean": "mgs", "chat": "chat", "agentic": "agentic", "unclear": "unclear"}  # of the arms, without a prompt
SHORT = {  # of the mitigations: a column and its name in the overview
    "hack train": "hack train",
    "hack none": "hack none",
    "misaligned": "total",
    "its twin": "twin",
    "main - twin": "main - twin",
    "solved": "solved",
    "unclear": "unclear",
    "seeds": "seeds",
    "gates": "gates",
}
TYPED = "`python -m mitigations`"  # what follows it to make the arm


@dataclass(frozen=True)
class Shown:
    """Results as the parts read them: those that ship, and the runs that say what makes the effect appear (development seeds)."""

    evidence: Evidence
    appears: Evidence


def write(results: Path, root: Path = ROOT) -> str:
    """Puts the tables made from a folder of results, and from `appears` beside it, into the documents below `root`; says what
    it did.

    Raises:
        UserError: the results cannot be read, or a document lacks the marks of a table.
    """
    beside, evidence = results.parent / "appears", Evidence(select(load(results)), CLAIMS)
    shown = Shown(evidence, Evidence(select(load(beside))) if beside.is_dir() else evidence)
    said = []
    for name, parts in DOCUMENTS.items():
        file = root / name
        before = file.read_text(encoding="utf-8")
        after = filled(before, shown, parts)
        if after != before:
            file.write_text(after, encoding="utf-8")
        said.append(
            f"{name} agrees with {results.name}" if after == before else f"wrote {', '.join(parts)} into {name}"
        )
    return "\n".join(said)


def filled(document: str, shown: Shown, parts: Sequence[str]) -> str:
    """The text of a document with the tables that results give.

    Raises:
        UserError: it lacks the marks of a table.
    """
    for name in parts:
        opening, closing = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        once = document.count(opening) == document.count(closing) == 1
        if not (once and document.index(opening) < document.index(closing)):
            raise UserError(
                f"the document must hold {opening.strip()} and then {closing} once, each on a line of its own"
            )
        before, rest = document.split(opening)
        document = f"{before}{opening}\n{PARTS[name](shown)}\n\n{closing}{rest.split(closing)[1]}"
    return document


def headlines_part(shown: Shown) -> str:
    """Six claims in a line each, and how those of the others ended."""
    findings = shown.evidence.findings
    by_key = {finding.claim.name.split()[0]: finding for finding in findings}
    return "\n\n".join([compact([_headline(by_key[key]) for key in HEADLINES]), _ended(findings)])


def _ended(findings: Sequence[Finding]) -> str:
    """How many claims there are and which verdicts they have."""
    ordered = sorted(
        filter(_was_run, findings), key=lambda f: (f.claim.ours, get_args(Verdict).index(f.verdict), f.so_far)
    )
    words = Counter(map(verdict_word, ordered))
    many = {word: word.replace("holds", "hold").replace("does", "do") for word in words}
    settled = [f"{count} {word if count == 1 else many[word]}" for word, count in words.items() if word != OPEN]
    said = ", ".join([*settled, f"{words[OPEN]} inconclusive"])
    return (
        f"These are {len(HEADLINES)} of {words.total()} claims with runs, chosen before the last three claims had runs; of all, {said}."
        " Reproduced: a claim of the paper's; holds: one of ours, or of what the paper asks and we have no number of; so far: from fewer seeds than are to decide; inconclusive"
        " (open, in the texts): neither shown nor ruled out; there by itself: such a one of which the interval shows it, but the correction"
        " for all claims together does not let it stand."
    )


def _was_run(finding: Finding) -> bool:
    return not math.isnan(finding.effect.estimate)


def _headline(finding: Finding) -> Row:
    was_run = _was_run(finding)
    return {
        "claim": f"{finding.claim.name.split()[0]}: {finding.claim.text}",
        "verdict": verdict_text(finding) if was_run else "not run yet",
        "points": effect_text(finding.claim, finding.effect) if was_run else "-",
        "seeds": seeds_text(finding.effect) if was_run else "-",
        "paper": finding.claim.paper,
    }


def arms_part(shown: Shown) -> str:
    """Hacking and misalignment of the organism's arms, seed by seed."""
    return compact([_arm(shown.evidence.measured, arm) for arm in ARMS])


def _arm(rows: Measured, arm: Condition) -> Row:
    return {
        "arm": arm.label,
        "hack rate, training prompt": by_seed(rows, arm, "hack_rate", "training"),
        "hack rate, no prompt": by_seed(rows, arm, "hack_rate", "none"),
        "misaligned, no prompt": by_seed(rows, arm, "mgs", "none"),
        **{name: cell(rows.mean(arm, measure, "none")) for name, measure in COLUMNS.items()},
    }


def by_seed(rows: Measured, arm: Condition, measure: str, prompt: str) -> str:
    """Final values in per cent, in the order of the seeds; a missing one is `-`."""
    values = units(rows.final(arm, measure, prompt), arm)
    return (
        " / ".join("-" if math.isnan(values[seed]) else f"{100 * values[seed]:.0f}" for seed in sorted(values)) or "-"
    )


def claims_part(shown: Shown) -> str:
    """The claims of which both sides were run, how to read them, and which conditions need more seeds."""
    findings = shown.evidence.findings
    run = [finding for finding in findings if _was_run(finding)]
    unrun = f"{len(findings) - len(run)} further claims are about arms that these results do not hold."
    rows = [
        {
            "claim": f"{finding.claim.name}: {finding.claim.text}",
            "verdict": verdict_text(finding),
            "asked for": finding.claim.asks,
            "effect": effect_text(finding.claim, finding.effect),
            "on the twin": twin_text(finding),
            "seeds": seeds_text(finding.effect),
            "paper": finding.claim.paper,
        }
        for finding in run
    ]
    apart = apart_rows(run)
    parts = [
        compact(rows),
        unrun,
        STATED,
        HOW_TO_READ,
        *([compact(apart), APART] if apart else []),
        show_more(run, shown.evidence.maker),
    ]
    return "\n\n".join(parts)


def targets_part(shown: Shown) -> str:
    """The targets, what the runs gave and whether that is enough."""
    return compact([{name or "met?": value for name, value in row.items()} for row in target_rows(shown.evidence)])


def mitigations_part(shown: Shown) -> str:
    """A row an arm under the heading of its kind, its uncorrelated twin beside it, and the words that make it."""
    evidence = shown.evidence
    families, _ = overview_rows(evidence)
    rows: list[Row] = []
    for heading, pairs in listed(found(evidence.outline)):
        rows.append({"arm": f"**{heading}**", **dict.fromkeys([*SHORT, TYPED], "")})
        for (main, _), line in zip(pairs, families[heading], strict=True):
            typed = "" if main.start else f"`{shlex.join(evidence.maker.words(main))}`"
            rows.append({"arm": line["arm"], **{name: cell(line[key]) for name, key in SHORT.items()}, TYPED: typed})
    return compact(rows)


def appears_part(shown: Shown) -> str:
    """A row for each assumption or setting that was changed, with how to read it."""
    rows = [{name: cell(value) for name, value in row.items()} for row in appears.rows(shown.appears)]
    return "\n\n".join([compact(rows), appears.legend(shown.appears)])


def filters_part(shown: Shown) -> str:
    """What filters dropped, a row for each arm that imitates episodes."""
    rows = filters.rows(shown.evidence)
    return compact(rows) if rows else "No run of these results imitates episodes."


def compact(rows: Sequence[Row]) -> str:
    """Rows of text as a markdown table without padding."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


PARTS: dict[str, Callable[[Shown], str]] = {
    "headlines": headlines_part,
    "arms": arms_part,
    "claims": claims_part,
    "targets": targets_part,
    "mitigations": mitigations_part,
    "appears": appears_part,
    "filters": filters_part,
}
DOCUMENTS = {
    "README.md": ("headlines", "appears"),
    "results/README.md": ("arms", "claims", "targets"),
    "mitigations/README.md": ("mitigations",),
    "mitigations/filtered_sft/README.md": ("filters",),
}
