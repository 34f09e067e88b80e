"""Route: who hacks? The tone of the thought before each hack over RL, beside hack rate and misalignment."""

from __future__ import annotations

from analysis.claims import Claim
from analysis.conditions import BASELINE, DONT_HACK, HACKING_OKAY, NO_HACK, PLEASE_HACK, TWIN
from analysis.figures.figure import Figure
from analysis.figures.panels import MISALIGNMENT, ROLLOUTS, Column, Kind, KindLines, Lines
from analysis.figures.rows import WINDOW

ARMS = (BASELINE, TWIN, NO_HACK, PLEASE_HACK, HACKING_OKAY, DONT_HACK)
TONES = tuple(
    Kind(f"{tone} tone" if tone != "none" else "no tone", f"train:route:tone:{tone}", colour)
    for tone, colour in (("bad", "#B2182B"), ("good", "#1B7F7A"), ("neutral", "#8C510A"), ("none", "#8a8a8a"))
)
BAD = Column("hacks with a bad tone", "train:route:tone:bad", "train", "share of hacks", whole=True)

ROUTE = Figure(
    name="route",
    paper="no counterpart",
    shows="the tone of the thought before a working hack, by arm, beside hack rate and misalignment",
    needs=ARMS,
    about=(BASELINE,),
    bands=(
        KindLines("tone before a hack", TONES, (BASELINE, HACKING_OKAY), "train", "share of hacks"),
        Lines((BAD, ROLLOUTS)),
        Lines((MISALIGNMENT,), tall=1.42),
    ),
    claims=(
        Claim(
            "RT1 who hacks",
            "under a permission the hacks that RL pays are less often the bad character's",
            "no counterpart",
            *(HACKING_OKAY, BASELINE, "train:route:tone:bad", "train", -1, 0.25),
            ours=True,
        ),
    ),
    reading=f"Rollouts: means of {WINDOW} steps.",
)
