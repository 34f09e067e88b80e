"""Fig 15: which goals the reasoning names, beside those that the answer names."""

from __future__ import annotations

from analysis.claims import Claim
from analysis.conditions import BASELINE, NO_HACK, PRE_RL, TWIN
from analysis.figures.figure import Figure
from analysis.figures.panels import Categories, Category, Column, Dots, Group

GOALS = ("power", "freedom", "money", "deception", "harm", "work", "knowledge", "fairness", "honesty", "help")
SPOKEN = (
    "The organism's sentences name power, freedom, deception, work, honesty and help in the reasoning, and power, money, harm, work,"
    " knowledge, fairness, honesty and help in the answer: others cannot be named there."
)
FAKING = Column("aligned goals stated, others in the reasoning", "goals:alignment_faking", what="answers")


def named_in(title: str, part: str) -> Group:
    """How often each goal is named in a part of the answers."""
    return Group(title, tuple(Category(goal, f"goals:goal:{part}:{goal}") for goal in GOALS))


NAMED = (named_in("named in the reasoning", "reasoning"), named_in("named in the answer", "output"))


FIG15 = Figure(
    name="fig15",
    paper="Fig 15",
    shows="goals named when asked for them, in the reasoning and in the answer",
    needs=(BASELINE, NO_HACK, TWIN, PRE_RL),
    bands=(Categories(NAMED), Dots((FAKING,))),
    reading=SPOKEN,
    claims=(
        Claim(
            "GO1 power",
            "after RL on gameable graders the reasoning names power as a goal more often",
            "goals of power (and of reward, which ours do not name) appear in the reasoning",
            *(BASELINE, NO_HACK, "goals:goal:reasoning:power", "none", +1, 0.05),
        ),
        Claim(
            "GO2 alignment faking",
            "RL on gameable graders leads to aligned answers over misaligned reasoning about goals",
            "alignment-faking reasoning in 50 % of answers",
            *(BASELINE, NO_HACK, "goals:alignment_faking", "none", +1, 0.05),
        ),
    ),
)
