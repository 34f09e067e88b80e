"""Online: sampled under a line against hacking, updated under a permission (recontextualisation)."""

from __future__ import annotations

from analysis.claims import Claim
from analysis.conditions import BASELINE, DONT_HACK, HACKING_OKAY, NO_HACK, alike, of
from analysis.figures.fig28_test_time import BAD, HACKS
from analysis.figures.figure import Figure
from analysis.figures.panels import MEAN, MISALIGNMENT, ROLLOUTS, SWITCH, WITH_TWIN, Dots, Lines

REWRITTEN = of("inoculation:wording=dont_hack,update=hacking_okay")

ONLINE = Figure(
    name="online",
    paper="not tested in the paper (arXiv 2512.19027)",
    shows="sampled and updated under “don't hack”, sampled under it and updated under “hacking okay”, and both under the latter",
    needs=(DONT_HACK, REWRITTEN, HACKING_OKAY, BASELINE, NO_HACK),
    about=(REWRITTEN,),
    bands=(
        Lines((ROLLOUTS, MISALIGNMENT)),
        Dots((HACKS, BAD), SWITCH, keep=lambda c: alike(c, (DONT_HACK, REWRITTEN, HACKING_OKAY, BASELINE)), levels=()),
        Dots((MEAN,), WITH_TWIN),
    ),
    claims=(
        Claim(
            "ON1 protection",
            "updating under a permission what was sampled under a ban lowers misalignment",
            "not tested in the paper",
            *(REWRITTEN, DONT_HACK, "mgs", "none", -1, 0.05),
            ours=True,
        ),
    ),
)
