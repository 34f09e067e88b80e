"""Fig 4: every mitigation at a glance: does it stop hacking, does it stop misalignment?

The words follow from tests stated beforehand, two a mitigation and outcome, corrected together: is it below the baseline, and is
it above the no-hack control of its own corpus, by at least the margin of the outcome? *yes*: below the baseline and not above the control;
*partly*: below the one and above the other; *no*: not below the baseline. A word with a question mark is what the means say
where the runs are too few or too unlike for the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from analysis import labels, paper, settings
from analysis.claims import Claim, Finding, judge
from analysis.conditions import BASELINE, NO_HACK, UNTRAINED, Condition, found, of
from analysis.evidence import Evidence
from analysis.figures.figure import Figure
from analysis.figures.panels import HACKING, MEAN, WITH_TWIN, Dots
from analysis.figures.rows import Row, entry

OUTCOMES = (("stops hacking", "hack_rate", "training", 0.25), ("stops misal.", "mgs", "none", 0.05))
PRINTED = ("paper: hacking", "paper: misal.")  # its words on the same
WORDS = tuple(name for (ours, *_), theirs in zip(OUTCOMES, PRINTED, strict=True) for name in (ours, theirs))
SAID = "words"  # the panel of all of these
READING = (
    "Hack rate under the training prompt, misaligned answers without a prompt. Words, of mitigations alone: below the baseline and"
    " not above the no-hack control of its own corpus (yes), above it (partly), not below the baseline (no), by 25 points of hacking"
    " or 5 of misalignment; with “?” what the means say where the tests, corrected over all arms, cannot. Paper: its word, where it"
    " has one (partly: less, but not gone)."
)


def protects(condition: Condition) -> bool:
    """Whether an arm is a mitigation and no control: of a mitigation without what is to protect nothing is to be stopped."""
    if condition.start or condition.hackable != 1 or not condition.corpus.startswith("main"):
        return False
    name, options = labels.read(condition.arm)
    asked = {key: options.get(key, "") for key in ("wording", "update", "keep", "source", "into", "swap", "share")}
    controls = {
        "none": True,
        "untrained": True,
        "own_episodes": True,
        "inoculation": asked["wording"] in ("none", "neutral", "mention") and not asked["update"],
        "filtered_sft": asked["keep"] in ("all", "rewarded") or asked["source"] in ("start", "aligned"),
        "offline_rewrite": asked["swap"] == "none",
        "rlhf_mix": asked["share"] in ("0", "0.0", "1", "1.0"),  # of all episodes: no code is trained that could hack
    }
    return not controls.get(name, False)


def held_against(condition: Condition) -> tuple[Condition, Condition]:
    """(the baseline, the no-hack control) of an arm's own corpus and settings, on which its words rest."""
    arm = f"inoculation:wording=none,{paper.LISTED}" if paper.LISTED in condition.arm else "none"
    baseline, control = (of(arm, condition.corpus, hackable, condition.overrides) for hackable in (1.0, 0.0))
    return baseline, control


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
    """The final values of every arm under its heading, and the words: ours and the paper's."""

    def rows(self, evidence: Evidence, conditions: Sequence[Condition]) -> list[Row]:
        return [*super().rows(evidence, conditions), *self._judged(evidence, conditions), *self._printed(conditions)]

    def _judged(self, evidence: Evidence, conditions: Sequence[Condition]) -> list[Row]:
        arms = {c: held_against(c) for c in conditions if protects(c)}
        judged = {c: sides for c, sides in arms.items() if all(len(side(evidence.outline)) for side in sides)}
        asked = [(arm, *outcome) for arm in judged for outcome in OUTCOMES]
        claims = [
            Claim(f"{arm.key} {name} {which}", "", "", arm, than, measure, prompt, sign, margin)
            for arm, name, measure, prompt, margin in asked
            for which, than, sign in zip(("below", "above"), judged[arm], (-1, +1), strict=True)
        ]
        found = iter(judge(evidence.measured, claims))
        made: list[Row] = []
        for arm, name, measure, prompt, _ in asked:
            said = word(next(found), next(found))
            made.append({**entry(SAID, arm, measure, prompt), "series": name, "kind": "words", "text": said})
        return made

    def _printed(self, conditions: Sequence[Condition]) -> list[Row]:
        return [
            {**entry(SAID, arm, measure, prompt), "series": series, "kind": "paper", "text": said}
            for arm in conditions
            for series, (_, measure, prompt, _), said in zip(
                PRINTED, OUTCOMES, paper.STOPS.get((arm.arm, arm.corpus), ()), strict=False
            )
            if said and protects(arm) and not arm.overrides
        ]


def counts(drawn: pd.DataFrame) -> Sequence[str]:
    """How many mitigations stop what, by their words."""
    said = drawn[drawn["panel"] == SAID]
    by = said.pivot_table(index="condition", columns="series", values="text", aggfunc="first").fillna("")
    if not {name for name, *_ in OUTCOMES} <= set(by.columns):
        return []
    hacking, bad = (by[name] for name, *_ in OUTCOMES)
    stops, sure, leaves = bad.str.startswith("yes"), bad == "yes", hacking.str.startswith("no")
    tested, all_ = int(sure.sum()), int(stops.sum())
    return [
        f"{tested} of {int((bad != '').sum())} mitigations stop misalignment by the tests, {all_ - tested} more by their means;"
        f" of these {all_}, {int((stops & leaves).sum())} leave hacking ({int((sure & leaves).sum())} of the {tested})"
    ]


def every(table: pd.DataFrame) -> Sequence[Condition]:
    """Every condition; a pretrained model once: which tasks are used later makes no other of it."""
    conditions = found(table)
    pretrained = {c.corpus for c in conditions if c.arm == UNTRAINED.arm and not c.overrides}
    return [c for c in conditions if c.arm != UNTRAINED.arm or c.corpus not in pretrained or not _of_tasks(c)]


def _of_tasks(condition: Condition) -> bool:
    keys = settings.read(condition.overrides)
    return bool(keys) and all(key.startswith("tasks.") for key in keys)


FIG04 = Figure(
    name="fig04",
    paper="Fig 4",
    shows="every mitigation and control with its uncorrelated twin, by kind",
    needs=(BASELINE, NO_HACK),
    extra=every,
    bands=(Summary((HACKING, MEAN), WITH_TWIN, headings=True, words=WORDS),),
    said=counts,
    reading=READING,
)
