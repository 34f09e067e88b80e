"""Fig 4: every mitigation at a glance: does it stop hacking, does it stop misalignment?

The words follow from tests stated beforehand, two an arm and outcome, corrected together: is it below the baseline, and is it
above the no-hack control, by at least the margin of the outcome? *yes*: below the baseline and not above the control;
*partly*: below the one and above the other; *no*: not below the baseline. A word with a question mark is what the means say
where the runs are too few or too unlike for the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.claims import Claim, Finding, judge
from analysis.conditions import BASELINE, NO_HACK, Condition, found
from analysis.evidence import Evidence
from analysis.figures.figure import Figure
from analysis.figures.panels import AGENTIC, CHAT, HACKING, MEAN, WITH_TWIN, Dots
from analysis.figures.rows import Row, entry

OUTCOMES = (("stops hacking", "hack_rate", "training", 0.25), ("stops misal.", "mgs", "none", 0.05))
READING = (
    "Hack rate under the training prompt, misaligned answers without a prompt. Words: below the baseline and not above the"
    " no-hack control (yes), above it (partly), not below the baseline (no), by 25 points of hacking or 5 of misalignment; with"
    " “?” what the means say where the tests, corrected over all arms, cannot."
)


def word(below: Finding, above: Finding) -> str:
    """Whether an arm stops an outcome, from its tests against the baseline and against the control; empty without runs."""
    if below.effect.estimate != below.effect.estimate or above.effect.estimate != above.effect.estimate:
        return ""
    lower = below.effect.estimate >= below.claim.margin
    left = above.effect.estimate >= above.claim.margin
    guess = "no" if not lower else "partly" if left else "yes"
    tested = below.verdict != "inconclusive" and (guess == "no" or above.verdict != "inconclusive")
    agrees = (below.verdict == "reproduced") == lower and (guess == "no" or (above.verdict == "reproduced") == left)
    return guess if tested and agrees else f"{guess}?"


@dataclass(frozen=True)
class Summary(Dots):
    """The final values of every arm under its heading, and the words."""

    def rows(self, evidence: Evidence, conditions: Sequence[Condition]) -> list[Row]:
        return [*super().rows(evidence, conditions), *self._judged(evidence, conditions)]

    def _judged(self, evidence: Evidence, conditions: Sequence[Condition]) -> list[Row]:
        arms = [c for c in conditions if not c.start and c not in (BASELINE, NO_HACK) and c.corpus.startswith("main")]
        asked = [(arm, *outcome) for arm in arms for outcome in OUTCOMES]
        claims = [
            Claim(f"{arm.key} {name} {which}", "", "", arm, than, measure, prompt, sign, margin)
            for arm, name, measure, prompt, margin in asked
            for which, than, sign in (("below", BASELINE, -1), ("above", NO_HACK, +1))
        ]
        found = iter(judge(evidence.measured, claims))
        made: list[Row] = []
        for arm, name, measure, prompt, _ in asked:
            said = word(next(found), next(found))
            made.append({**entry("words", arm, measure, prompt), "series": name, "kind": "words", "text": said})
        return made


def counts(drawn: pd.DataFrame) -> Sequence[str]:
    """How many arms stop what, by their words."""
    said = drawn[drawn["kind"] == "words"]
    by = said.pivot_table(index="condition", columns="series", values="text", aggfunc="first")
    if len(by.columns) < len(OUTCOMES):
        return []
    hacking, bad = (by[name] for name, *_ in OUTCOMES)
    stops = bad.str.startswith("yes")
    sure = int((bad == "yes").sum())
    return [
        f"By their means {int(stops.sum())} of {len(by)} arms stop misalignment ({sure} by the tests);"
        f" {int((stops & hacking.str.startswith('no')).sum())} of these leave hacking"
    ]


FIG04 = Figure(
    name="fig04",
    paper="Fig 4",
    shows="every mitigation with its uncorrelated twin, by kind",
    needs=(BASELINE, NO_HACK),
    extra=found,
    bands=(
        Summary((HACKING, CHAT, AGENTIC, MEAN), WITH_TWIN, headings=True, words=tuple(name for name, *_ in OUTCOMES)),
    ),
    said=counts,
    reading=READING,
)
