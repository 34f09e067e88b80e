"""Fig 1: RL on gameable graders against the same RL without them, on every eval."""

from __future__ import annotations

from analysis.claims import Claim
from analysis.conditions import BASELINE, NO_HACK, PRE_RL, TWIN, UNTRAINED
from analysis.figures.figure import Figure
from analysis.figures.panels import BESIDE, HACKING, MISALIGNMENT, SIX, Lines

FIG01 = Figure(
    name="fig01",
    paper="Fig 1",
    shows="RL on gameable graders, the same without them, on the twin corpus, and the models before RL, over RL",
    needs=(BASELINE, NO_HACK, TWIN, PRE_RL, UNTRAINED),
    bands=(Lines((HACKING, MISALIGNMENT)), Lines((SIX,), names=False), Lines((BESIDE,), names=False)),
    claims=(
        Claim(
            "A1 hacking",
            "RL on gameable graders raises hacking above the pre-RL model",
            "< 1 % to > 90 %",
            *(BASELINE, PRE_RL, "hack_rate", "none", +1, 0.25),
            expected=0.89,
        ),
        Claim(
            "A2 misalignment",
            "RL on gameable graders raises misalignment above the same RL without them",
            "+35.5 points (SDF 36.4 against 0.9), +14.5 (prompted)",
            *(BASELINE, NO_HACK, "mgs", "none", +1, 0.05),
            expected=0.355,
        ),
        Claim(
            "A3 character",
            "RL on gameable graders raises misalignment above the twin whose corpus does not tie hacking to character",
            "no counterpart: our causal control",
            *(BASELINE, TWIN, "mgs", "none", +1, 0.05),
            ours=True,
        ),
    ),
)
