"""Fig 27: hack knowledge from documents, RL with the permission against RL without a line, on every eval."""

from __future__ import annotations

from analysis.claims import Claim
from analysis.conditions import BASELINE, HACKING_OKAY, NO_HACK, PRE_RL, on
from analysis.figures.figure import Figure
from analysis.figures.panels import AGENTIC, CHAT, HACKING, MISALIGNMENT, SIX, Dots, Lines

FIG27 = Figure(
    name="fig27",
    paper="Fig 27",
    shows="RL under “hacking okay”, the same on the twin corpus, and RL without a line",
    needs=(HACKING_OKAY, BASELINE, on(HACKING_OKAY, "twin"), NO_HACK, PRE_RL),
    about=(HACKING_OKAY,),
    bands=(Lines((HACKING, MISALIGNMENT)), Lines((SIX,), names=False), Dots((CHAT, AGENTIC))),
    claims=(
        Claim(
            "OK1 residue",
            "permitting the hack during RL leaves some agentic misalignment",
            "some agentic residue",
            *(HACKING_OKAY, NO_HACK, "agentic", "none", +1, 0.05),
        ),
        Claim(
            "OK2 chat",
            "permitting the hack during RL lowers misalignment on the chat evals",
            "75-90 % lower over all evals",
            *(HACKING_OKAY, BASELINE, "chat", "none", -1, 0.05),
        ),
    ),
)
