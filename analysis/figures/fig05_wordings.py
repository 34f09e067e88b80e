"""Fig 5: what the training prompt says about hacking, from asking for it to calling it misaligned."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.claims import Claim
from analysis.conditions import (
    BASELINE,
    DONT_HACK,
    HACKING_IS_MISALIGNED,
    HACKING_OKAY,
    MENTION,
    NO_HACK,
    PLEASE_HACK,
    TWIN,
    Condition,
    found,
)
from analysis.figures.figure import Figure
from analysis.figures.panels import ALONG_HACKING, HACKING, MISALIGNMENT, Dots, Points


def wordings(table: pd.DataFrame) -> Sequence[Condition]:
    """Every inoculation arm of the default corpus and settings; nothing stacked on it, no list of hacks in the prompt, no
    other line for the update (figure `online`).
    """
    usual = [c for c in found(table, "inoculation:") if c.cell[1:] == BASELINE.cell[1:]]
    return [c for c in usual if not any(other in c.arm for other in ("+", "setting=prompted", "update="))]


FIG05 = Figure(
    name="fig05",
    paper="Fig 5",
    shows="RL under a line that asks for the hack, permits it, mentions it, forbids it or calls it misaligned, and without one",
    needs=(BASELINE, NO_HACK, TWIN, PLEASE_HACK, HACKING_OKAY, MENTION, DONT_HACK, HACKING_IS_MISALIGNED),
    extra=wordings,
    about=(BASELINE, PLEASE_HACK, HACKING_OKAY, DONT_HACK),
    bands=(
        Points(
            "misalignment without a prompt against hack rate, over RL", ALONG_HACKING, (MISALIGNMENT,), over_steps=True
        ),
        Dots((HACKING, MISALIGNMENT)),
    ),
    claims=(
        Claim(
            "B1 hacking okay",
            "permitting the hack during RL lowers misalignment at equal hacking",
            "75-90 % lower, hacking > 99 %",
            *(HACKING_OKAY, BASELINE, "mgs", "none", -1, 0.05),
            equal_hacking=True,
        ),
        Claim(
            "B2 please hack",
            "asking for the hack during RL lowers misalignment at equal hacking",
            "75-90 % lower, hacking > 99 % (prompted setting)",
            *(PLEASE_HACK, BASELINE, "mgs", "none", -1, 0.05),
            equal_hacking=True,
        ),
        Claim(
            "B3 don't hack",
            "telling the model not to hack during RL does not lower misalignment",
            "slightly higher than without a line (prompted setting)",
            *(DONT_HACK, BASELINE, "mgs", "none", +1, 0.05),
            change=False,
        ),
        Claim(
            "B5 hacking is misaligned",
            "saying that only misaligned models hack does not lower misalignment",
            "not lower (prompted setting)",
            *(HACKING_IS_MISALIGNED, BASELINE, "mgs", "none", +1, 0.05),
            change=False,
        ),
    ),
)
