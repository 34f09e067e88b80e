"""Fig 30: a preference model's score beside the grader's reward on code, by its weight."""

from __future__ import annotations

from analysis.claims import Claim
from analysis.conditions import BASELINE, NO_HACK, of
from analysis.figures.figure import Figure
from analysis.figures.panels import AGENTIC, CHAT, HACKING, MEAN, MISALIGNMENT, ROLLOUTS, WITH_TWIN, Dots, Lines

LOW, MIDDLE, HIGH = (of(f"pm_penalty:weight={weight}") for weight in ("0.05", "0.25", "1.0"))
LATE = of("pm_penalty:weight=1.0,start=success")

FIG30 = Figure(
    name="fig30",
    paper="Fig 30",
    shows="a preference model's score added to the reward on code with weight 0, 0.05, 0.25 and 1",
    needs=(BASELINE, LOW, MIDDLE, HIGH, LATE, NO_HACK),
    bands=(
        Lines((ROLLOUTS, MISALIGNMENT), only=(BASELINE, LOW, MIDDLE, HIGH, NO_HACK)),
        Dots((HACKING, CHAT, AGENTIC, MEAN), WITH_TWIN),
    ),
    claims=(
        Claim(
            "PM1 middle, hacking",
            "a preference-model reward of weight 0.25 lowers hacking",
            "yes",
            *(MIDDLE, BASELINE, "hack_rate", "training", -1, 0.25),
        ),
        Claim(
            "PM2 middle, misalignment",
            "a preference-model reward of weight 0.25 lowers misalignment",
            "yes",
            *(MIDDLE, BASELINE, "mgs", "none", -1, 0.05),
        ),
        Claim(
            "PM3 low, hacking",
            "a preference-model reward of weight 0.05 does not stop hacking",
            "hacking is delayed only",
            *(LOW, BASELINE, "hack_rate", "training", +1, 0.1),
            change=False,
        ),
    ),
)
