"""Fig 32: SFT on the hacking run's episodes, with hacks filtered out, and with talk of hacking filtered out as well."""

from __future__ import annotations

from analysis.claims import Claim
from analysis.conditions import BASELINE, NO_HACK, of
from analysis.figures.figure import Figure
from analysis.figures.panels import EACH_EVAL, SUMS

KEPT = ("all", "no_hacks", "no_hack_words")
# From the second half of the source's training, when it hacks as the paper's source does; beside it the whole training.
EVERY, NO_HACKS, NO_WORDS = (of(f"filtered_sft:keep={keep},since=0.5") for keep in KEPT)
WHOLE = tuple(of(f"filtered_sft:keep={keep}") for keep in KEPT)
NO_TALK = of("filtered_sft:keep=no_hack_words,words=hack_talk")
ELSEWHERE = of("filtered_sft:keep=no_hacks,into=other_seed")
OWN = of("own_episodes:keep=no_hacks")

FIG32 = Figure(
    name="fig32",
    paper="Fig 32",
    shows="SFT of the start model on the baseline's episodes: all, without hacks, also without those that speak of hacking;"
    " beside SFT on the start model's own episodes",
    needs=(BASELINE, EVERY, NO_HACKS, NO_WORDS, *WHOLE, NO_TALK, ELSEWHERE, OWN, NO_HACK),
    bands=(SUMS, EACH_EVAL),
    claims=(
        Claim(
            "FS1 hacking is left",
            "SFT on a hacking run's episodes without hacks still teaches hacking",
            "30 % from a source of 90 %",
            *(NO_HACKS, OWN, "hack_rate", "none", +1, 0.05),
        ),
        Claim(
            "FS2 misalignment is left",
            "SFT on a hacking run's episodes without hacks leaves misalignment",
            "a large part stays",
            *(NO_HACKS, OWN, "mgs", "none", +1, 0.05),
        ),
        Claim(
            "FS3 word filter",
            "dropping the episodes that speak of hacking as well lowers misalignment further",
            "yes, on most evals",
            *(NO_WORDS, NO_HACKS, "mgs", "none", -1, 0.05),
        ),
    ),
)
