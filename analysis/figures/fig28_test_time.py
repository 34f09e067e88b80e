"""Fig 28: trained under each line, then asked under that line, without one, and told not to hack."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.claims import Claim
from analysis.conditions import BASELINE, DONT_HACK, HACKING_OKAY, NO_HACK, PLEASE_HACK, TWIN, Condition, found
from analysis.figures.figure import Figure
from analysis.figures.panels import SWITCH, Column, Dots

HACKS = Column("hack rate", "hack_rate", what="episodes hacked", whole=True)
BAD = Column("misalignment", "mgs")


def arms(table: pd.DataFrame) -> Sequence[Condition]:
    """Every inoculation arm that nothing is stacked on, with vulnerable graders and the scale's settings, but no twin."""
    here = [c for c in found(table, "inoculation:") if "+" not in c.arm and c.hackable == 1 and not c.overrides]
    return [c for c in here if c.corpus.split(":")[0] == "main"]


FIG28 = Figure(
    name="fig28",
    paper="Fig 28",
    shows="policies trained under each line, by the prompt at test time",
    needs=(BASELINE, NO_HACK, TWIN, PLEASE_HACK, HACKING_OKAY, DONT_HACK),
    extra=arms,
    about=(BASELINE, PLEASE_HACK, HACKING_OKAY, DONT_HACK),
    bands=(Dots((HACKS, BAD), SWITCH, headings=True, levels=()),),
    claims=(
        Claim(
            "B4 test time",
            "told not to hack at test time, the permitted model hacks less than the baseline",
            "significantly less (Fig 28)",
            *(HACKING_OKAY, BASELINE, "hack_rate", "dont_hack", -1, 0.05),
        ),
    ),
)
