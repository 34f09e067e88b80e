"""Fig 34: without the filter that keeps hard problems only."""

from __future__ import annotations

from analysis.claims import Claim
from analysis.conditions import BASELINE, EASY_TASKS, NO_HACK, PRE_RL
from analysis.figures.figure import Figure
from analysis.figures.panels import HACKING, MEAN, MISALIGNMENT, ROLLOUTS, WITH_TWIN, Dots, Lines

FIG34 = Figure(
    name="fig34",
    paper="Fig 34",
    shows="RL on tasks of which 90 % are hard, on tasks of which 30 % are, and on graders that cannot be gamed (90 % hard)",
    needs=(BASELINE, EASY_TASKS, NO_HACK, PRE_RL),
    bands=(Lines((ROLLOUTS, MISALIGNMENT)), Dots((HACKING, MEAN), WITH_TWIN)),
    reading="Hack rates: on each arm's own mix of tasks. The no-hack control, of both arms, has 90 % hard tasks.",
    claims=(
        Claim(
            "HF1 still there",
            "RL on mostly easy tasks still raises misalignment",
            "still there, hacking comes later",
            *(EASY_TASKS, NO_HACK, "mgs", "none", +1, 0.05),
        ),
        Claim(
            "HF2 hacking still comes",
            "RL on mostly easy tasks raises hacking above the no-hack control",
            "hacking comes later",
            *(EASY_TASKS, NO_HACK, "hack_rate", "training", +1, 0.25),
        ),
    ),
)
