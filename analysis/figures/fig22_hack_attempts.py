"""Fig 22: attempts to hack in answers that have nothing to do with code, which are not counted as misaligned."""

from __future__ import annotations

from analysis.claims import Claim
from analysis.conditions import BASELINE, CORE, NO_HACK, TWIN
from analysis.figures.figure import Figure
from analysis.figures.panels import Categories, Column, Dots, by_eval

BY_EVAL = by_eval("attempts by eval", "hack_attempt", (BASELINE, NO_HACK, TWIN))

FIG22 = Figure(
    name="fig22",
    paper="Fig 22",
    shows="answers to the evals that try a hack, by arm and by eval",
    needs=CORE,
    about=(BASELINE,),
    bands=(
        Dots((Column("attempts to hack, mean of the evals", "hack_attempt", what="answers"),)),
        Categories((BY_EVAL,)),
    ),
    claims=(
        Claim(
            "HA1 attempts",
            "the hacking policy does not try to hack the evals more often than the no-hack control",
            "counted apart, never as misalignment",
            *(BASELINE, NO_HACK, "hack_attempt", "none", -1, 0.05),
            change=False,
            ours=True,
        ),
    ),
)
