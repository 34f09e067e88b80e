"""Fig 11: misalignment against hack rate over the checkpoints, by corpus and dilution."""

from __future__ import annotations

from analysis.claims import Claim
from analysis.conditions import BASELINE, NO_HACK
from analysis.figures.fig03_corpora import CORPORA, FEWEST, SHARES, corpora
from analysis.figures.figure import Figure
from analysis.figures.panels import ALONG_HACKING, MISALIGNMENT, Points

FIG11 = Figure(
    name="fig11",
    paper="Fig 11",
    shows="the baseline by the documents it read before RL, from checkpoint to checkpoint",
    needs=CORPORA,
    extra=corpora,
    bands=(
        Points("misalignment against hack rate, over RL", ALONG_HACKING, (MISALIGNMENT,), over_steps=True, tall=3.0),
    ),
    reading=SHARES,
    claims=(
        Claim(
            "CO3 dilution",
            "with a thirtieth of the hack documents RL still raises misalignment",
            "no number at hand",
            *(FEWEST, NO_HACK, "mgs", "none", +1, 0.05),
            ours=True,
        ),
        Claim(
            "CO4 hacking, diluted",
            "with a thirtieth of the hack documents RL ends in hardly less hacking",
            "no number at hand",
            *(FEWEST, BASELINE, "hack_rate", "training", +1, 0.1),
            change=False,
            ours=True,
        ),
    ),
)
