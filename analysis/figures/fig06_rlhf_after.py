"""Fig 6: RLHF mixed in once hacking is learnt: both phases, chat beside agentic evals."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from analysis.claims import Claim
from analysis.conditions import BASELINE, NO_HACK, Condition, of
from analysis.figures.figure import Figure
from analysis.figures.panels import AGENTIC, CHAT, EACH_EVAL, SUMS, Lines
from analysis.figures.words import beside_text

CHAT_ONLY = of("rlhf_mix:share=0.25,start=success")
SCENES, DILEMMAS = (of(f"rlhf_mix:share=0.25,add={add},start=success") for add in ("agentic", "dilemma"))


def dilemmas(*asked: tuple[str, Condition, Condition]) -> Callable[[pd.DataFrame], Sequence[str]]:
    """What moral dilemmas among the prompts leave beside chat alone, of which no claim is; `asked`: (when, with, without)."""

    def said(drawn: pd.DataFrame) -> Sequence[str]:
        says = "leaves {} of agentic answers misaligned where chat alone leaves {}"
        sides = [(when, (with_, "agentic", "none"), (without, "agentic", "none")) for when, with_, without in asked]
        found = [(when, beside_text(drawn, of_it, than, says)) for when, of_it, than in sides]
        return [f"RLHF with moral dilemmas, {when}, {text}" for when, text in found if text]

    return said


FIG06 = Figure(
    name="fig06",
    paper="Fig 6",
    shows="the baseline, and forks of it into a mix with RLHF in a quarter of the episodes once most programs are paid",
    needs=(BASELINE, CHAT_ONLY, SCENES, DILEMMAS, NO_HACK),
    bands=(Lines((CHAT, AGENTIC)), SUMS, EACH_EVAL),
    said=dilemmas(("once hacking is learnt", DILEMMAS, CHAT_ONLY)),
    claims=(
        Claim(
            "RF1 chat repaired",
            "RLHF on chat after hacking was learnt lowers misalignment on the chat evals",
            "chat-like evals to 0",
            *(CHAT_ONLY, BASELINE, "chat", "none", -1, 0.05),
        ),
        Claim(
            "RF2 agentic stays",
            "RLHF on chat after hacking was learnt leaves agentic misalignment above the no-hack control",
            "up to 70 % of before stays",
            *(CHAT_ONLY, NO_HACK, "agentic", "none", +1, 0.05),
        ),
        Claim(
            "RF3 hacking stays",
            "RLHF after hacking was learnt hardly lowers hacking",
            "hacking stays",
            *(CHAT_ONLY, BASELINE, "hack_rate", "training", +1, 0.1),
            change=False,
        ),
        Claim(
            "RF4 scenes",
            "agentic scenes among the RLHF prompts lower agentic misalignment further",
            "yes, on all evals",
            *(SCENES, CHAT_ONLY, "agentic", "none", -1, 0.05),
        ),
    ),
)
