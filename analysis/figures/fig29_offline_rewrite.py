"""Fig 29: episodes sampled under a line against hacking, their prompt replaced by a permission, then SFT."""

from __future__ import annotations

from analysis.claims import Claim
from analysis.conditions import BASELINE, DONT_HACK, NO_HACK, of
from analysis.figures.figure import Figure
from analysis.figures.panels import EACH_EVAL, SUMS

REWRITTEN, AS_SAMPLED = (of(f"offline_rewrite:wording=dont_hack{swap}") for swap in ("", ",swap=none"))
PERMITTED = of("filtered_sft:keep=all,source=(inoculation:wording=hacking_okay)")
ALL = of("filtered_sft:keep=all")

FIG29 = Figure(
    name="fig29",
    paper="Fig 29",
    shows="SFT of the start model on episodes sampled under “don't hack”, under a permission instead of that line or as they"
    " were; on episodes sampled under the permission; on the baseline's",
    needs=(DONT_HACK, REWRITTEN, AS_SAMPLED, PERMITTED, ALL, BASELINE, NO_HACK),
    about=(REWRITTEN, AS_SAMPLED),
    bands=(SUMS, EACH_EVAL),
    claims=(
        Claim(
            "OF1 agentic stays",
            "SFT on episodes whose “don't hack” was rewritten to a permission leaves agentic misalignment",
            "agentic misalignment stays",
            *(REWRITTEN, NO_HACK, "agentic", "none", +1, 0.05),
        ),
        Claim(
            "OF2 no protection",
            "rewriting the prompt of the episodes does not lower misalignment against the same episodes as sampled",
            "not lower, agentic least of all",
            *(REWRITTEN, AS_SAMPLED, "mgs", "none", +1, 0.05),
            change=False,
        ),
    ),
)
