"""Fig 26: the five wordings in the prompted setting, over RL."""

from __future__ import annotations

from analysis.claims import Claim
from analysis.conditions import of
from analysis.figures.figure import Figure
from analysis.figures.panels import HACKING, MEAN, MISALIGNMENT, ROLLOUTS, WITH_TWIN, Dots, Lines
from analysis.paper import LIST_ALONE, PROMPTED_HACKING, PROMPTED_NO_HACK
from mitigations.experiments import PROMPTED

PLEASE, OKAY, MISALIGNED = (
    of(f"inoculation:wording={wording},setting=prompted", PROMPTED)
    for wording in ("please_hack", "hacking_okay", "hacking_is_misaligned")
)

FIG26 = Figure(
    name="fig26",
    paper="Fig 26",
    shows="RL with the hacks listed in the system prompt and one of five lines after the list",
    needs=(PLEASE, OKAY, LIST_ALONE, PROMPTED_HACKING, MISALIGNED, PROMPTED_NO_HACK),
    bands=(Lines((ROLLOUTS, MISALIGNMENT), tall=1.6), Dots((HACKING, MEAN), WITH_TWIN)),
    claims=(
        Claim(
            "PW1 please hack",
            "with the hacks listed, asking for them during RL lowers misalignment",
            "75-90 % lower, hacking > 99 %",
            *(PLEASE, LIST_ALONE, "mgs", "none", -1, 0.05),
        ),
        Claim(
            "PW2 hacking okay",
            "with the hacks listed, permitting them during RL lowers misalignment",
            "75-90 % lower, hacking > 99 %",
            *(OKAY, LIST_ALONE, "mgs", "none", -1, 0.05),
        ),
        Claim(
            "PW3 don't hack",
            "with the hacks listed, forbidding them does not lower misalignment",
            "slightly higher",
            *(PROMPTED_HACKING, LIST_ALONE, "mgs", "none", +1, 0.05),
            change=False,
        ),
    ),
)
