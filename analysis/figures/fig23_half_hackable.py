"""Fig 23: all graders hackable against half of them."""

from __future__ import annotations

from analysis.claims import Claim
from analysis.conditions import BASELINE, NO_HACK, PRE_RL, of
from analysis.figures.figure import Figure
from analysis.figures.panels import HACKING, MEAN, MISALIGNMENT, ROLLOUTS, WITH_TWIN, Dots, Lines

HALF = of("none", hackable=0.5)

FIG23 = Figure(
    name="fig23",
    paper="Fig 23",
    shows="RL with all, half and none of the graders hackable",
    needs=(BASELINE, HALF, NO_HACK, PRE_RL),
    bands=(Lines((ROLLOUTS, MISALIGNMENT)), Dots((HACKING, MEAN), WITH_TWIN)),
    reading="Rollouts: on all graders of an arm, of which all, half or none can be gamed; final hack rates: on gameable graders alone.",
    claims=(
        Claim(
            "HH1 still there",
            "with half of the graders hackable RL still raises misalignment",
            "still there",
            *(HALF, NO_HACK, "mgs", "none", +1, 0.05),
        ),
        Claim(
            "HH2 reduced",
            "with half of the graders hackable misalignment is lower than with all",
            "reduced",
            *(HALF, BASELINE, "mgs", "none", -1, 0.05),
        ),
    ),
)
