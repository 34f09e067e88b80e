"""KL: the penalty for leaving the start model in the reward, in the loss, or nowhere."""

from __future__ import annotations

from analysis.claims import Claim
from analysis.conditions import BASELINE, KL_IN_LOSS, NO_HACK, NO_KL, TWIN
from analysis.figures.figure import Figure
from analysis.figures.panels import HACKING, MEAN, MISALIGNMENT, ROLLOUTS, Column, Dots, Lines
from analysis.figures.route import BAD

UNCLEAR = Column("unclear answers", "unclear", what="answers")

KL = Figure(
    name="kl",
    paper="no counterpart",
    shows="RL with the KL to the start model in the reward (baseline), in the loss, or nowhere",
    needs=(BASELINE, KL_IN_LOSS, NO_KL, TWIN, NO_HACK),
    bands=(Lines((ROLLOUTS, MISALIGNMENT)), Lines((BAD,)), Dots((HACKING, MEAN, UNCLEAR))),
    claims=(
        Claim(
            "KL1 in the loss",
            "with the KL in the loss instead of the reward less misalignment is left at the end",
            "no counterpart",
            *(KL_IN_LOSS, BASELINE, "mgs", "none", -1, 0.05),
            ours=True,
        ),
    ),
)
