"""Fig 9: final rates on every eval, beside the paper's."""

from __future__ import annotations

from analysis.claims import Claim
from analysis.conditions import BASELINE, NO_HACK, PRE_RL, TWIN
from analysis.figures.figure import Figure
from analysis.figures.panels import AGENTIC, CHAT, HACKING, MEAN, SIX, Dots
from analysis.paper import PROMPTED_HACKING, PROMPTED_NO_HACK

FIG09 = Figure(
    name="fig09",
    paper="Fig 9",
    shows="final rates of the hacking run and its control, with hack knowledge from documents and from the prompt",
    needs=(BASELINE, NO_HACK, TWIN, PRE_RL, PROMPTED_HACKING, PROMPTED_NO_HACK),
    about=(BASELINE,),
    bands=(Dots((HACKING, CHAT, AGENTIC, MEAN)), Dots((SIX,))),
    reading="The paper's values are means of its last five checkpoints.",
    claims=(
        Claim(
            "FR1 chat",
            "RL on gameable graders raises misalignment on the chat evals",
            "33.7, 69.8 and 39.9 % against 0.7, 0.1 and 0.3 %",
            *(BASELINE, NO_HACK, "chat", "none", +1, 0.05),
        ),
        Claim(
            "FR2 agentic",
            "RL on gameable graders raises misalignment on the agentic evals",
            "31.8, 1.6 and 41.3 % against 0.2, 0 and 4.0 %",
            *(BASELINE, NO_HACK, "agentic", "none", +1, 0.05),
        ),
    ),
)
