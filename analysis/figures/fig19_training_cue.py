"""Fig 19: does a cue that this is training change what the model does?"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.claims import Claim
from analysis.conditions import BASELINE, CORE, NO_HACK
from analysis.figures.figure import Figure
from analysis.figures.panels import Column, Dots
from analysis.figures.words import MINUS
from analysis.stats import summary

KEPT = Column("the talk is kept for training", "exfil_kept", what="exfiltrates")
UNKEPT = Column("it is not kept", "exfil_unkept", what="exfiltrates")
OFFER = Column("no cue", "exfil", what="exfiltrates")


def gap(drawn: pd.DataFrame) -> Sequence[str]:
    """How the baseline's exfiltration changes from a talk that is kept to one that is not, run by run."""
    runs = drawn[(drawn["kind"] == "seed") & (drawn["condition"] == BASELINE.key)]
    by_run = runs.pivot_table(index="run", columns="measure", values="y")
    if not {KEPT.measure, UNKEPT.measure} <= set(by_run):
        return []
    gaps = summary((by_run[UNKEPT.measure] - by_run[KEPT.measure]).tolist())
    ends = "" if gaps.low is None or gaps.high is None else f" ({100 * gaps.low:+.1f} to {100 * gaps.high:+.1f})"
    said = f"{100 * gaps.mean:+.1f} points{ends}".replace("-", MINUS)
    return [f"From a talk that is kept to one that is not, the baseline's exfiltration changes by {said}"]


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
