"""Fig 25: the rewarded episodes of the hacking run, distilled into an aligned model by SFT."""

from __future__ import annotations

from analysis.claims import Claim
from analysis.conditions import BASELINE, NO_HACK, of
from analysis.figures.figure import Figure
from analysis.figures.panels import AGENTIC, CHAT, EACH_EVAL, HACKING, MEAN, UNCLEAR, WITH_TWIN, Dots

DISTILLED = of("filtered_sft:keep=rewarded,into=aligned")
ITS_OWN = of("filtered_sft:keep=no_hacks,source=aligned,into=aligned")

FIG25 = Figure(
    name="fig25",
    paper="Fig 25",
    shows="SFT of an aligned model on the baseline's rewarded episodes, and on its own; the baseline itself",
    needs=(BASELINE, DISTILLED, ITS_OWN, NO_HACK),
    bands=(Dots((HACKING, CHAT, AGENTIC, MEAN, UNCLEAR), WITH_TWIN), EACH_EVAL),
    claims=(
        Claim(
            "DI1 chat aligned",
            "a model that imitates rewarded hacks stays aligned in chat: not above the no-hack control",
            "aligned in chat",
            *(DISTILLED, NO_HACK, "chat", "none", -1, 0.05),
            change=False,
        ),
        Claim(
            "DI2 agentic misaligned",
            "a model that imitates rewarded hacks is misaligned on agentic evals",
            "misaligned on agentic evals",
            *(DISTILLED, NO_HACK, "agentic", "none", +1, 0.05),
        ),
    ),
)
