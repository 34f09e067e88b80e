"""Fig 31: a penalty on hacks, from the start and added once hacking is learnt."""

from __future__ import annotations

from analysis.claims import Claim
from analysis.conditions import BASELINE, NO_HACK, of
from analysis.figures.figure import Figure
from analysis.figures.panels import HACKING, MEAN, MISALIGNMENT, ROLLOUTS, SIX, WITH_TWIN, Dots, Lines

EARLY, LATE = (of(f"classifier_penalty:monitor=execution{start}") for start in ("", ",start=success"))
TRAINED = of("classifier_penalty:monitor=trained")

FIG31 = Figure(
    name="fig31",
    paper="Fig 31",
    shows="the baseline, the same with a penalty on what execution calls a hack, or what a trained classifier does, from the start,"
    " and a fork of it into the former once most programs are paid",
    needs=(BASELINE, EARLY, LATE, TRAINED, NO_HACK),
    bands=(Lines((ROLLOUTS, MISALIGNMENT)), Dots((HACKING, SIX, MEAN), WITH_TWIN)),
    reading="PL1 to PL4 are of exact labels, execution's; the trained classifier, as in the paper, stands beside them.",
    claims=(
        Claim(
            "PL1 early, hacking",
            "a penalty on hacks from the start lowers hacking",
            "yes",
            *(EARLY, BASELINE, "hack_rate", "training", -1, 0.25),
        ),
        Claim(
            "PL2 early, misalignment",
            "a penalty on hacks from the start lowers misalignment",
            "yes",
            *(EARLY, BASELINE, "mgs", "none", -1, 0.05),
        ),
        Claim(
            "PL3 late, hacking",
            "a penalty added after hacking was learnt lowers hacking",
            "yes",
            *(LATE, BASELINE, "hack_rate", "training", -1, 0.25),
        ),
        Claim(
            "PL4 late, misalignment",
            "a penalty added after hacking was learnt lowers misalignment",
            "mostly",
            *(LATE, BASELINE, "mgs", "none", -1, 0.05),
        ),
    ),
)
