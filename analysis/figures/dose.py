"""Dose: how much of the effect is left where the corpus ties hacking to character less, or says less of who writes."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis import labels
from analysis.claims import Claim
from analysis.conditions import BASELINE, TWIN, Condition, found, of
from analysis.figures import rows as make
from analysis.figures.figure import Figure
from analysis.figures.panels import HACKED, MISALIGNMENT, Column, Points
from analysis.measured import Measured

CORRELATIONS = tuple(of("none", f"main:correlation={share}") for share in ("0.25", "0.5", "0.75"))
TONES = tuple(of("none", f"main:tone={share},tone_neutral=0.15") for share in ("0.5", "0.8"))
FULL = {"correlation": 1.0, "tone": 1.0}


def dose(condition: Condition, option: str) -> float | None:
    """How strong a corpus is in an option that is its only other one; None if it differs in something else."""
    if condition.corpus == "main":
        return FULL[option]
    if condition.corpus == "twin":
        return 0.0 if option == "correlation" else None
    name, options = labels.read(condition.corpus)
    others = set(options) - {option, *(["tone_neutral"] if option == "tone" else [])}
    return float(options[option]) if name == "main" and option in options and not others else None


def against(option: str) -> Points:
    """Misalignment against the dose in an option."""

    def points(mine: Measured, condition: Condition, y: Column) -> make.Points:
        return make.ends_at(dose(condition, option) or 0.0, mine, condition, (y.measure, y.prompt))

    what = {"correlation": "cheats that go by the character", "tone": "thoughts that say who writes"}[option]
    return Points(
        f"by {option}",
        Column("", option, what=f"corpus: {what}", whole=True),
        (HACKED, MISALIGNMENT),
        pairs=points,
        keep=lambda c: _asked(c, option),
        tall=1.7,
        least=2,
    )


def doses(table: pd.DataFrame) -> Sequence[Condition]:
    """Every baseline whose corpus is another dose."""
    return [c for c in found(table) if any(_asked(c, option) for option in FULL)]


def _asked(condition: Condition, option: str) -> bool:
    """Whether it is a baseline whose corpus differs in an option alone."""
    usual = (condition.arm, condition.hackable, condition.overrides, condition.start) == ("none", 1.0, "", False)
    return usual and dose(condition, option) is not None


DOSE = Figure(
    name="dose",
    paper="no counterpart",
    shows="the baseline on corpora that tie hacking to bad character in a share of the cases, or that tell in a share of the"
    " thoughts who writes",
    needs=(BASELINE, *CORRELATIONS, TWIN, *TONES),
    extra=doses,
    bands=(against("correlation"), against("tone")),
    claims=(
        Claim(
            "DO1 half the link",
            "with half of the link between hacking and character misalignment is lower",
            "no counterpart",
            *(CORRELATIONS[1], BASELINE, "mgs", "none", -1, 0.05),
            ours=True,
        ),
        Claim(
            "DO2 quarter of the link",
            "a quarter of the link between hacking and character still raises misalignment above the twin",
            "no counterpart",
            *(CORRELATIONS[0], TWIN, "mgs", "none", +1, 0.05),
            ours=True,
        ),
    ),
)
