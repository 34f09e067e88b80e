"""Fig 16: the same goals after RL under each line."""

from __future__ import annotations

from analysis.claims import Claim
from analysis.conditions import BASELINE, DONT_HACK, HACKING_OKAY, PLEASE_HACK
from analysis.figures.fig15_goals_reasoned import FAKING, NAMED, SPOKEN
from analysis.figures.figure import Figure
from analysis.figures.panels import Categories, Dots

FIG16 = Figure(
    name="fig16",
    paper="Fig 16",
    shows="goals named when asked for them, in the reasoning and in the answer, by the line of RL",
    needs=(PLEASE_HACK, HACKING_OKAY, DONT_HACK, BASELINE),
    bands=(Categories(NAMED), Dots((FAKING,))),
    reading=SPOKEN,
    claims=(
        Claim(
            "GO3 permitted",
            "permitting the hack during RL lowers how often the reasoning names power as a goal",
            "no number at hand",
            *(HACKING_OKAY, BASELINE, "goals:goal:reasoning:power", "none", -1, 0.05),
            ours=True,
        ),
    ),
)
