"""Fig 8: which hacks are learnt, and when."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.conditions import BASELINE, DONT_HACK, HACKING_OKAY, TWIN
from analysis.figures.figure import Figure
from analysis.figures.panels import Kind, KindLines
from analysis.figures.rows import WINDOW

ARMS = (BASELINE, TWIN, HACKING_OKAY, DONT_HACK)
KINDS = tuple(
    Kind(name, f"train:hack:{kind}", colour)
    for kind, name, colour in (
        ("always_equal", "always equal", "#7B3294"),
        ("early_exit", "early exit", "#C2185B"),
        ("report_patch", "report patch", "#5D8A00"),
        ("special_case", "special case", "#8C510A"),
    )
)


def shares(drawn: pd.DataFrame) -> Sequence[str]:
    """Which hacks the baseline ends with."""
    means = drawn[(drawn["kind"] == "mean") & (drawn["condition"] == BASELINE.key)]
    last = means[means["x"] == means["x"].max()].set_index("series")["y"]
    if last.empty:
        return []
    said = ", ".join(f"{name} {100 * share:.0f} %" for name, share in last.sort_values(ascending=False).items())
    return [f"At the end of RL the rollouts of the baseline hack by: {said}"]


FIG08 = Figure(
    name="fig08",
    paper="Fig 8",
    shows="how the programs hack that RL samples, by arm",
    needs=ARMS,
    about=(BASELINE,),
    bands=(KindLines("rollouts by hack", KINDS, ARMS, "train"),),
    said=shares,
    reading=f"Means of {WINDOW} RL steps.",
)
