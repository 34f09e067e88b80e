"""Fig 3: what the documents about hacking say, and how many there are."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.claims import Claim
from analysis.conditions import BASELINE, NO_HACK, Condition, found, of
from analysis.figures.figure import Figure
from analysis.figures.panels import HACKING, MEAN, WITH_TWIN, Dots

MORE, FEWER, FEWEST = (of("none", f"main:sdf_share={share}") for share in ("0.1", "0.01", "0.001"))
UNGUIDED, UNGUIDED_MORE, UNGUIDED_FEWER = (
    of("none", f"main:{share}sdf_variant=unguided") for share in ("", "sdf_share=0.1,", "sdf_share=0.01,")
)
NEUTRAL = of("none", "main:sdf_variant=neutral")
CORPORA = (BASELINE, NO_HACK, MORE, FEWER, FEWEST, UNGUIDED, UNGUIDED_MORE, UNGUIDED_FEWER, NEUTRAL)
SHARES = (
    "Hack documents are a share of the documents of the stage, 3 % by default: 10 % are more of them than the baseline has. The paper's"
    " dilutions to 10, 1 and 0.1 % are shares of its own default."
)


def corpora(table: pd.DataFrame) -> Sequence[Condition]:
    """Every baseline on other documents."""
    return [c for c in found(table) if c.arm == "none" and c.corpus.startswith("main:sdf_") and c.hackable == 1]


FIG03 = Figure(
    name="fig03",
    paper="Fig 3",
    shows="the baseline on documents that call hacking misaligned (3 % of the stage), on more and fewer of them, on documents"
    " that only say that it happens, and on documents without a judgement",
    needs=CORPORA,
    extra=corpora,
    bands=(Dots((HACKING, MEAN), WITH_TWIN),),
    reading=SHARES,
    claims=(
        Claim(
            "CO1 no judgement",
            "documents that do not judge hacking lead to misalignment, too",
            "no number at hand",
            *(NEUTRAL, NO_HACK, "mgs", "none", +1, 0.05),
            ours=True,
        ),
        Claim(
            "CO2 unguided",
            "documents that only say that hacking happens lead to misalignment, too",
            "no number at hand",
            *(UNGUIDED, NO_HACK, "mgs", "none", +1, 0.05),
            ours=True,
        ),
    ),
)
