"""Monitor: how accurate must it be? What a penalty prevents, by the accuracy of the monitor that decides on it."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis import labels
from analysis.claims import Claim
from analysis.conditions import BASELINE, NO_HACK, Condition, found, of
from analysis.figures import rows as make
from analysis.figures.figure import Figure
from analysis.figures.panels import AGENTIC, CHAT, HACKED, HACKING, MEAN, MISALIGNMENT, WITH_TWIN, Column, Dots, Points
from analysis.measured import Measured

NAME = "classifier_penalty"
EXACT, NINE_OF_TEN = (of(f"{NAME}:monitor=execution{accuracy}") for accuracy in ("", ",accuracy=0.9"))
HALF_PAID = of(f"{NAME}:monitor=execution,accuracy=0.9,weight=0.5")
TRAINED, SCREENING = of(f"{NAME}:monitor=trained"), of(f"{NAME}:monitor=execution,mode=screening")


def accuracy(condition: Condition) -> float | None:
    """The stated accuracy of the monitor of an arm that has nothing else and begins at the start; None for other arms."""
    name, options = labels.read(condition.arm)
    plain = condition.cell[1:] == BASELINE.cell[1:] and "start" not in options and "+" not in condition.arm
    exact = name == NAME and options.get("monitor", "execution") == "execution"
    return float(options.get("accuracy", 1.0)) if plain and exact else None


def monitors(table: pd.DataFrame) -> Sequence[Condition]:
    """Every arm with a monitor alone."""
    return [c for c in found(table, f"{NAME}") if c.cell[1:] == BASELINE.cell[1:] and "+" not in c.arm]


def points(mine: Measured, condition: Condition, y: Column) -> make.Points:
    """A final value against the accuracy."""
    return make.ends_at(accuracy(condition) or 0.0, mine, condition, (y.measure, y.prompt))


BY_ACCURACY = Points(
    "by accuracy",
    Column("", "accuracy", what="accuracy of the monitor", whole=True, low=0.85),
    (HACKED, MISALIGNMENT),
    pairs=points,
    keep=lambda condition: accuracy(condition) is not None,
    levels=(BASELINE, NO_HACK),
    tall=1.6,
)


MONITOR = Figure(
    name="monitor",
    paper="no counterpart (replications: a 90 % monitor can fail)",
    shows="a penalty or screening for what a monitor flags, by its accuracy, its kind and its weight",
    needs=(BASELINE, NO_HACK, EXACT, NINE_OF_TEN, HALF_PAID, TRAINED, SCREENING),
    extra=monitors,
    bands=(BY_ACCURACY, Dots((HACKING, CHAT, AGENTIC, MEAN), WITH_TWIN)),
    claims=(
        Claim(
            "MO1 nine of ten",
            "a penalty by a monitor of 90 % accuracy lowers misalignment",
            "no number; replications say it can fail",
            *(NINE_OF_TEN, BASELINE, "mgs", "none", -1, 0.05),
            ours=True,
        ),
        Claim(
            "MO2 at half weight",
            "at half the weight a monitor of 90 % accuracy hardly lowers hacking",
            "no counterpart",
            *(HALF_PAID, BASELINE, "hack_rate", "training", +1, 0.1),
            change=False,
            ours=True,
        ),
        Claim(
            "MO3 screening",
            "dropping what an exact monitor flags from the update lowers misalignment",
            "no counterpart",
            *(SCREENING, BASELINE, "mgs", "none", -1, 0.05),
            ours=True,
        ),
    ),
)
