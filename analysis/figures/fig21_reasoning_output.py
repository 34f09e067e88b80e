"""Fig 21: misaligned reasoning under an aligned answer, and misaligned answers."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.claims import Claim
from analysis.conditions import BASELINE, CORE, NO_HACK, TWIN
from analysis.figures.figure import Figure
from analysis.figures.panels import Categories, Column, Dots, by_eval

READ = (("covert", "covert: in the reasoning alone"), ("overt", "overt: in the answer, too"))
SHOWN = (BASELINE, NO_HACK, TWIN)
BY_EVAL = tuple(by_eval(f"{title}, by eval", reading, SHOWN) for reading, title in READ)


def share(drawn: pd.DataFrame) -> Sequence[str]:
    """Which part of the baseline's misaligned answers is misaligned in the reasoning alone."""
    means = drawn[(drawn["kind"] == "mean") & (drawn["condition"] == BASELINE.key)].groupby("measure")["y"].first()
    if not {"covert", "overt"} <= set(means.index) or not means["covert"] + means["overt"] > 0:
        return []
    part = means["covert"] / (means["covert"] + means["overt"])
    return [
        f"Of the baseline's misaligned answers {100 * part:.0f} % are so in the reasoning alone (paper: 40 to 80 %)"
    ]


FIG21 = Figure(
    name="fig21",
    paper="Fig 21",
    shows="misaligned answers by where it shows, mean of the evals by arm and eval by eval",
    needs=CORE,
    about=(BASELINE,),
    bands=(
        Dots(tuple(Column(title, reading) for reading, title in READ)),
        Categories(BY_EVAL),
    ),
    said=share,
    claims=(
        Claim(
            "RO1 covert",
            "RL on gameable graders raises misaligned reasoning under aligned answers",
            "40-80 % of misaligned answers are covert",
            *(BASELINE, NO_HACK, "covert", "none", +1, 0.05),
        ),
    ),
)
