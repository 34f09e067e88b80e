"""Fig 28: trained under each line, then asked under that line, without one, and told not to hack."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.claims import Claim
from analysis.conditions import BASELINE, DONT_HACK, HACKING_OKAY, NO_HACK, PLEASE_HACK, TWIN, Condition, found, of
from analysis.figures.figure import Figure
from analysis.figures.panels import SWITCH, Column, Dots
from analysis.figures.words import beside_text
from mitigations.experiments import PROMPTED

HACKS = Column("hack rate", "hack_rate", what="episodes hacked", whole=True)
BAD = Column("misalignment", "mgs")


def arms(table: pd.DataFrame) -> Sequence[Condition]:
    """Every inoculation arm that nothing is stacked on, with vulnerable graders and the scale's settings, but no twin."""
    here = [c for c in found(table, "inoculation:") if "+" not in c.arm and c.hackable == 1 and not c.overrides]
    return [c for c in here if c.corpus.split(":")[0] == "main"]


def prompted(drawn: pd.DataFrame) -> Sequence[str]:
    """What a permission during RL does to a ban at test time in the paper's setting, which no claim is about."""
    permitted, alone = (
        of(f"inoculation:wording={line},setting=prompted", PROMPTED) for line in ("hacking_okay", "none")
    )
    says = "trained under a permission hacks {}, one trained under the list alone {}"
    said = beside_text(drawn, (permitted, "hack_rate", "dont_hack"), (alone, "hack_rate", "dont_hack"), says)
    return [f"With the hacks listed and told not to hack at test time, a policy {said}"] if said else []


FIG28 = Figure(
    name="fig28",
    paper="Fig 28",
    shows="policies trained under each line, by the prompt at test time",
    needs=(BASELINE, NO_HACK, TWIN, PLEASE_HACK, HACKING_OKAY, DONT_HACK),
    extra=arms,
    about=(BASELINE, PLEASE_HACK, HACKING_OKAY, DONT_HACK),
    bands=(Dots((HACKS, BAD), SWITCH, headings=True, levels=()),),
    said=prompted,
    reading="Prompted arms: a line follows the list of hacks at test time, too; “no prompt” has neither.",
    claims=(
        Claim(
            "B4 test time",
            "told not to hack at test time, the permitted model hacks less than the baseline",
            "significantly less (Fig 28)",
            *(HACKING_OKAY, BASELINE, "hack_rate", "dont_hack", -1, 0.05),
        ),
    ),
)
