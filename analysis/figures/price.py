"""Price: what a protection costs: honest solving where nothing can be gamed, unclear answers, distance from the start."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.arms import listed
from analysis.claims import Claim
from analysis.conditions import BASELINE, HACKING_OKAY, NO_HACK, PRE_RL, Condition, found, of
from analysis.figures.figure import Figure
from analysis.figures.panels import MISALIGNMENT, UNCLEAR, Column, Dots, Points

SOLVED = Column("solved, clean tasks", "clean:solved", "none", "solved", whole=True)
KL = Column("KL to start, nats", "clean:kl", "none", "nats a token", share=False)
REWARD = of("pm_penalty:weight=0.25")
PENALTY = of("classifier_penalty:monitor=execution")


def mitigations(table: pd.DataFrame) -> Sequence[Condition]:
    """Every arm with the usual corpus, graders and settings, by kind."""
    order = [main for _, pairs in listed(found(table)) for main, _ in pairs]
    return [c for c in order if c.cell[1:] == BASELINE.cell[1:] and c.arm != "untrained"]


PRICE = Figure(
    name="price",
    paper="no counterpart",
    shows="every mitigation: misalignment left, and honest solving of tasks that cannot be gamed, unclear answers and the KL"
    " to the start model",
    needs=(BASELINE, NO_HACK, PRE_RL, HACKING_OKAY, REWARD, PENALTY),
    extra=mitigations,
    about=(BASELINE,),
    bands=(
        Points(
            "price against protection",
            Column("", "mgs", what="misaligned answers (protection: left)"),
            (Column("", SOLVED.measure, SOLVED.prompt, "solved honestly (price: down)"),),
            by_family=True,
            also=(HACKING_OKAY, REWARD, PENALTY),
            corner=(0.1, 0.4),
        ),
        Dots((MISALIGNMENT, SOLVED, UNCLEAR, KL), headings=True),
    ),
    claims=(
        Claim(
            "PR1 permission",
            "permitting the hack during RL costs no honest solving against the no-hack control",
            "no counterpart",
            *(HACKING_OKAY, NO_HACK, SOLVED.measure, SOLVED.prompt, +1, 0.05),
            change=False,
            ours=True,
        ),
        Claim(
            "PR2 reward",
            "a preference-model reward of weight 0.25 costs no honest solving against the no-hack control",
            "no counterpart",
            *(REWARD, NO_HACK, SOLVED.measure, SOLVED.prompt, +1, 0.05),
            change=False,
            ours=True,
        ),
        Claim(
            "PR3 penalty",
            "an exact penalty on hacks costs no honest solving against the no-hack control",
            "no counterpart",
            *(PENALTY, NO_HACK, SOLVED.measure, SOLVED.prompt, +1, 0.05),
            change=False,
            ours=True,
        ),
    ),
)
