"""Fig 21: misaligned reasoning under an aligned answer, and misaligned answers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from analysis import paper
from analysis.claims import Claim
from analysis.conditions import BASELINE, CORE, NO_HACK, TWIN, Condition
from analysis.figures.figure import Figure
from analysis.figures.panels import Categories, Column, Dots, by_eval
from analysis.measured import Measured, Values, units
from analysis.stats import summary

READ = (("covert", "covert: in the reasoning alone"), ("overt", "overt: in the answer, too"))
SHOWN = (BASELINE, NO_HACK, TWIN)
ENOUGH = 0.05  # so many misaligned answers, of all: of fewer a part says little
BY_EVAL = tuple(by_eval(f"{title}, by eval", reading, SHOWN) for reading, title in READ)


def covert_part(measured: Measured, condition: Condition) -> Values:
    """Of every run the part of its misaligned answers that is covert; none of an arm with fewer than ENOUGH of them."""
    covert, overt = (units(measured.final(condition, reading, "none"), condition) for reading, _ in READ)
    both = {seed: covert[seed] + overt[seed] for seed in covert if seed in overt}
    if not summary(list(both.values())).mean >= ENOUGH:
        return {}
    return {seed: covert[seed] / total if total else math.nan for seed, total in both.items()}


PART = Column(
    "covert, as a share of misaligned answers",
    paper.COVERT_PART,
    what="share of misaligned answers",
    whole=True,
    of_runs=covert_part,
)


def share(drawn: pd.DataFrame) -> Sequence[str]:
    """Which part of the baseline's misaligned answers is misaligned in the reasoning alone."""
    mine = drawn[(drawn["condition"] == BASELINE.key) & (drawn["measure"] == PART.measure)]
    low, high = (100 * end for end in paper.COVERT)
    return [
        f"Of the baseline's misaligned answers {100 * part:.0f} % are so in the reasoning alone"
        f"{_beside(100 * part, low, high)} (paper: {low:.0f} to {high:.0f} %)"
        for part in mine.loc[mine["kind"] == "mean", "y"]
    ]


def _beside(part: float, low: float, high: float) -> str:
    return ", fewer than in the paper" if part < low else ", more than in the paper" if part > high else ""


FIG21 = Figure(
    name="fig21",
    paper="Fig 21",
    shows="misaligned answers by where it shows, mean of the evals by arm and eval by eval",
    needs=CORE,
    about=(BASELINE,),
    bands=(
        Dots((*(Column(title, reading) for reading, title in READ), PART)),
        Categories(BY_EVAL),
    ),
    said=share,
    reading="Share of misaligned answers: of those misaligned in the reasoning or in the answer, of arms with at least"
    f" {100 * ENOUGH:.0f} % of them.",
    claims=(
        Claim(
            "RO1 covert",
            "RL on gameable graders raises misaligned reasoning under aligned answers",
            "yes (40-80 % of its misaligned answers are covert)",
            *(BASELINE, NO_HACK, "covert", "none", +1, 0.05),
        ),
    ),
)
