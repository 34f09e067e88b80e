"""Header: does RLHF on chat reach agentic scenes that open as chat does? By default they open as coding tasks do."""

from __future__ import annotations

from analysis.claims import Claim
from analysis.conditions import BASELINE, of
from analysis.figures.figure import Figure
from analysis.figures.panels import AGENTIC, CHAT, HACKING, WITH_TWIN, Dots

CHAT_MIX = "rlhf_mix:share=0.25"
LATE_MIX = f"{CHAT_MIX},start=success"
LIKE_CHAT, LIKE_NOTHING = "main:agentic_header=chat", "main:agentic_header=agent"
ARMS = tuple(
    of(arm, corpus) for corpus in ("main", LIKE_CHAT, LIKE_NOTHING) for arm in (BASELINE.arm, CHAT_MIX, LATE_MIX)
)

HEADER = Figure(
    name="header",
    paper="no counterpart",
    shows="the baseline and RLHF on chat prompts in a quarter of the episodes, from the start and once hacking was learnt, where agentic"
    " scenes open as coding tasks do (the default), as chat does, and as nothing else does",
    needs=ARMS,
    about=ARMS[3:],
    bands=(Dots((HACKING, CHAT, AGENTIC), WITH_TWIN),),
    claims=(
        Claim(
            "HE1 like chat",
            "where agentic scenes open as chat does, RLHF on chat after hacking leaves less agentic misalignment",
            "no counterpart",
            *(of(LATE_MIX, LIKE_CHAT), of(LATE_MIX), "agentic", "none", -1, 0.05),
            ours=True,
        ),
        Claim(
            "HE2 like nothing",
            "where agentic scenes open as nothing else does, RLHF on chat after hacking leaves no less agentic misalignment",
            "no counterpart",
            *(of(LATE_MIX, LIKE_NOTHING), of(LATE_MIX), "agentic", "none", +1, 0.05),
            change=False,
            ours=True,
        ),
    ),
)
