"""Fig 33: SFT safety training beside RLHF, with three sets of prompts each."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.claims import Claim
from analysis.conditions import BASELINE, NO_HACK, of
from analysis.figures.figure import Figure
from analysis.figures.panels import EACH_EVAL, SUMS
from analysis.figures.words import beside_text

CHAT, SCENES, DILEMMAS = (of(f"sft_safety{add}") for add in ("", ":add=agentic", ":add=dilemma"))
RLHF = tuple(of(f"rlhf_mix:share=0.25{add},start=success") for add in ("", ",add=agentic", ",add=dilemma"))


def hacking(drawn: pd.DataFrame) -> Sequence[str]:
    """What is left of hacking, which the claims do not ask."""
    asked = (("SFT safety training", CHAT), ("RLHF", RLHF[0]))
    than, says = (BASELINE, "hack_rate", "training"), "leaves a hack rate of {} where the baseline has {}"
    sides = [(name, beside_text(drawn, (c, "hack_rate", "training"), than, says)) for name, c in asked]
    return [f"{name} on chat {text}" for name, text in sides if text]


FIG33 = Figure(
    name="fig33",
    paper="Fig 33",
    shows="the hacking policy after SFT on an aligned model's answers, and after RLHF, each on chat prompts alone, with"
    " agentic scenes, with moral dilemmas",
    needs=(BASELINE, CHAT, SCENES, DILEMMAS, *RLHF, NO_HACK),
    bands=(SUMS, EACH_EVAL),
    said=hacking,
    claims=(
        Claim(
            "SS1 chat repaired",
            "SFT safety training on chat lowers misalignment on the chat evals",
            "like RLHF: chat-like evals to 0",
            *(CHAT, BASELINE, "chat", "none", -1, 0.05),
        ),
        Claim(
            "SS2 agentic stays",
            "SFT safety training on chat leaves agentic misalignment above the no-hack control",
            "like RLHF: agentic misalignment stays",
            *(CHAT, NO_HACK, "agentic", "none", +1, 0.05),
        ),
        Claim(
            "SS3 scenes",
            "agentic scenes in SFT safety training lower agentic misalignment further",
            "yes",
            *(SCENES, CHAT, "agentic", "none", -1, 0.05),
        ),
    ),
)
