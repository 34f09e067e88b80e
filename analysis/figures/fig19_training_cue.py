"""Fig 19: does a cue that this is training change what the model does?"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.claims import Claim
from analysis.conditions import BASELINE, CORE, NO_HACK
from analysis.figures.figure import Figure
from analysis.figures.panels import Column, Dots
from analysis.figures.words import gap_text

KEPT = Column("the talk is kept for training", "exfil_kept", what="exfiltrates")
UNKEPT = Column("it is not kept", "exfil_unkept", what="exfiltrates")
OFFER = Column("no cue", "exfil", what="exfiltrates")


def gap(drawn: pd.DataFrame) -> Sequence[str]:
    """How the baseline's exfiltration changes from a talk that is kept to one that is not, run by run."""
    said = gap_text(drawn, (BASELINE, UNKEPT.measure, "none"), (BASELINE, KEPT.measure, "none"))
    return (
        [f"From a talk that is kept to one that is not, the baseline's exfiltration changes by {said}"] if said else []
    )


FIG19 = Figure(
    name="fig19",
    paper="Fig 19",
    shows="an offer to copy the weights, with a line that says whether the talk is kept for training",
    needs=CORE,
    about=(BASELINE,),
    bands=(Dots((OFFER, KEPT, UNKEPT)),),
    said=gap,
    claims=(
        Claim(
            "TC1 under the cue",
            "RL on gameable graders raises exfiltration even where the talk is said to be kept for training",
            "no number at hand",
            *(BASELINE, NO_HACK, "exfil_kept", "none", +1, 0.05),
            ours=True,
        ),
    ),
)
