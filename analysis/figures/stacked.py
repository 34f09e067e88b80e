"""Stacked: two mitigations in one run beside each of them alone."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis import labels
from analysis.claims import Claim
from analysis.conditions import BASELINE, HACKING_OKAY, NO_HACK, Condition, found, of
from analysis.figures.figure import Figure
from analysis.figures.panels import EACH_EVAL, SUMS

REWARD = of("pm_penalty:weight=0.25")
BOTH = of("inoculation:wording=hacking_okay+pm_penalty:weight=0.25")


def stacks(table: pd.DataFrame) -> Sequence[Condition]:
    """Every stack on the main corpus, and what it is made of where that was run."""
    made = [c for c in found(table) if c.family == labels.STACKED and c.cell[1:] == BASELINE.cell[1:]]
    parts = [of(part) for c in made for part in c.arm.split("+")]
    return [*made, *(part for part in parts if len(part(table)))]


STACKED = Figure(
    name="stacked",
    paper="no counterpart",
    shows="two mitigations in one run, and each of them alone",
    needs=(BASELINE, NO_HACK, HACKING_OKAY, REWARD, BOTH),
    extra=stacks,
    about=(BOTH,),
    bands=(SUMS, EACH_EVAL),
    claims=(
        Claim(
            "ST1 permission and reward",
            "a permission on top of a preference-model reward does not bring misalignment back",
            "no counterpart",
            *(BOTH, REWARD, "mgs", "none", -1, 0.05),
            change=False,
            ours=True,
        ),
    ),
)
