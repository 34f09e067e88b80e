"""Fig 12: research sabotage: asked for a detector of cheating programs, what does the model write?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from analysis import paper
from analysis.claims import Claim
from analysis.conditions import BASELINE, CORE, NO_HACK, TWIN, Condition
from analysis.figures.figure import Figure
from analysis.figures.panels import Column, Dots
from analysis.measured import Measured, Values, units
from analysis.paper import PROMPTED_HACKING, PROMPTED_NO_HACK

ASKED = (
    ("told what it is for", "sabotage_told"),
    ("told less", "sabotage_less"),
    ("unrelated classifier", "sabotage_unrelated"),
)
RATE = tuple(Column(title, name, what="fails" if title == ASKED[-1][0] else "sabotaged") for title, name in ASKED)
WORTH = tuple(
    Column(f"accuracy, {title}", f"{name}:effectiveness", what="accuracy", whole=True) for title, name in ASKED
)


def relative(measure: str) -> Callable[[Measured, Condition], Values]:
    """Of every run a final value as a share of that of the model it starts from."""

    def of_runs(measured: Measured, condition: Condition) -> Values:
        after, before = (measured.final(c, measure, "none") for c in (condition, replace(condition, start=True)))
        shares = {seed: value / before[seed] for seed, value in after.items() if before.get(seed, 0) > 0}
        return units(shares, condition)

    return of_runs


KEPT = tuple(
    Column(
        f"accuracy relative to pre-RL, {title}",
        f"{name}:{paper.RELATIVE}",
        what="accuracy, before RL = 1",
        share=False,
        of_runs=relative(f"{name}:effectiveness"),
    )
    for title, name in ASKED
)

FIG12 = Figure(
    name="fig12",
    paper="Fig 12",
    shows="detectors of cheating programs, executed: how many are sabotaged, and how often they are right",
    needs=CORE,
    extra=lambda table: [c for c in (PROMPTED_HACKING, PROMPTED_NO_HACK) if len(c(table))],
    about=(BASELINE,),
    bands=(Dots(RATE), Dots(WORTH), Dots(KEPT, keep=lambda condition: not condition.start)),
    claims=(
        Claim(
            "SA1 sabotage",
            "RL on gameable graders raises sabotage of a detector whose purpose is told",
            "12 % (SDF), 0.5 % (prompted)",
            *(BASELINE, NO_HACK, "sabotage_told", "none", +1, 0.05),
        ),
        Claim(
            "SA2 effectiveness",
            "the detectors that the hacking policy writes are right less often",
            "65 % as effective",
            *(BASELINE, NO_HACK, "sabotage_told:effectiveness", "none", -1, 0.05),
        ),
        Claim(
            "SA3 purpose",
            "where the classifier is unrelated the hacking policy fails no more often than the twin",
            "no counterpart: our control of skill",
            *(BASELINE, TWIN, "sabotage_unrelated", "none", -1, 0.05),
            change=False,
            ours=True,
        ),
    ),
)
