"""Fig 24: RLHF in the mix, by its share, its order and its prompts, on every eval."""

from __future__ import annotations

from analysis.claims import Claim
from analysis.conditions import BASELINE, NO_HACK, of
from analysis.figures.fig06_rlhf_after import dilemmas
from analysis.figures.figure import Figure
from analysis.figures.panels import EACH_EVAL, SUMS

LITTLE, QUARTER, MORE, ALL = (of(f"rlhf_mix:share={share}") for share in ("0.05", "0.25", "0.4", "1.0"))
LATE = of("rlhf_mix:share=0.25,start=success")
SCENES, NEAR, DILEMMAS = (of(f"rlhf_mix:share=0.25,add={add}") for add in ("agentic", "agentic,near=True", "dilemma"))
SCENES_LATE, DILEMMAS_LATE = (of(f"rlhf_mix:share=0.25,add={add},start=success") for add in ("agentic", "dilemma"))

FIG24 = Figure(
    name="fig24",
    paper="Fig 24",
    shows="RLHF in 0, 5, 25, 40 and 100 % of the episodes (of all: without RL on code), from the start or once hacking is"
    " learnt, on chat prompts alone or with agentic scenes or moral dilemmas among them",
    needs=(BASELINE, LITTLE, QUARTER, MORE, ALL, SCENES, NEAR, DILEMMAS, LATE, SCENES_LATE, DILEMMAS_LATE, NO_HACK),
    bands=(SUMS, EACH_EVAL),
    said=dilemmas(("from the start", DILEMMAS, QUARTER), ("once hacking is learnt", DILEMMAS_LATE, LATE)),
    claims=(
        Claim(
            "RM1 hacking stays",
            "RLHF on chat in a quarter of the episodes, from the start, hardly lowers hacking",
            "hacking stays",
            *(QUARTER, BASELINE, "hack_rate", "training", +1, 0.1),
            change=False,
        ),
        Claim(
            "RM2 agentic stays",
            "RLHF on chat in a quarter of the episodes, from the start, leaves agentic misalignment above the no-hack control",
            "chat-like evals to 0, agentic up to 70 % of before",
            *(QUARTER, NO_HACK, "agentic", "none", +1, 0.05),
        ),
        Claim(
            "RM3 scenes",
            "agentic scenes among the RLHF prompts lower agentic misalignment further",
            "yes, on all evals",
            *(SCENES, QUARTER, "agentic", "none", -1, 0.05),
        ),
        Claim(
            "RM4 order",
            "RLHF on chat from the start leaves no more misalignment than RLHF once hacking was learnt",
            "weight and order hardly matter (one side of the order is tested)",
            *(QUARTER, LATE, "mgs", "none", -1, 0.05),
            change=False,
        ),
    ),
)
