"""Fig 10: the prompted setting: the system prompt lists the hacks, no documents about them."""

from __future__ import annotations

from analysis.claims import Claim
from analysis.conditions import Condition
from analysis.figures.figure import Figure
from analysis.figures.panels import MISALIGNMENT, ROLLOUTS, SIX, Lines
from analysis.paper import LIST_ALONE, PROMPTED_HACKING, PROMPTED_NO_HACK
from mitigations.experiments import PROMPTED

START = Condition("pre_rl prompted", "pre-RL, prompted", LIST_ALONE.arm, PROMPTED, start=True)

FIG10 = Figure(
    name="fig10",
    paper="Fig 10",
    shows="RL with the hacks listed in the system prompt, alone and under a line against hacking; the same on graders that"
    " cannot be gamed",
    needs=(LIST_ALONE, PROMPTED_HACKING, PROMPTED_NO_HACK, START),
    bands=(Lines((ROLLOUTS, MISALIGNMENT)), Lines((SIX,), names=False)),
    reading="On graders that cannot be gamed: the list alone. PS2 holds RL under the list and a line against hacking against it.",
    claims=(
        Claim(
            "PS1 hacking",
            "with the hacks listed in the prompt and a line against them RL raises hacking",
            "yes",
            *(PROMPTED_HACKING, START, "hack_rate", "training", +1, 0.25),
        ),
        Claim(
            "PS2 misalignment",
            "with the hacks listed in the prompt and a line against them RL raises misalignment",
            "+14.5 points (15.6 against 1.1)",
            *(PROMPTED_HACKING, PROMPTED_NO_HACK, "mgs", "none", +1, 0.05),
        ),
    ),
)
