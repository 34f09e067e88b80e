"""Lists of runs that belong together: an experiment is its cells, each run for one seed; and what of a run is evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from base.identity import Run
from base.wanted import Wanted, parse

PROMPTED = "main:sdf_variant=prompted"  # hack knowledge in the system prompt instead of documents


@dataclass(frozen=True)
class Cell:
    """A run but for its seed, in the words of the command line."""

    arm: str = "none"
    corpus: str = "main"
    hackable: float = 1.0
    settings: tuple[str, ...] = ()

    def words(self, common: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of mitigations.api.describe; `common` are those that the cells share."""
        settings = (*self.settings, *common.get("settings", ()))
        own = {"spec": self.arm, "corpus": self.corpus, "hackable": self.hackable, "settings": settings}
        return {**common, **own}


Cells = tuple[Cell, ...]


def cells(*arms: str, corpus: str = "main", hackable: float = 1.0) -> Cells:
    """One cell per arm."""
    return tuple(Cell(arm, corpus, hackable) for arm in arms)


def twins(found: Cells) -> Cells:
    """The same on the uncorrelated twins of their corpora: the causal control of each."""
    return tuple(replace(cell, corpus="twin" + cell.corpus.removeprefix("main")) for cell in found)


# The first two arms need different start checkpoints, so that two jobs make them side by side.
CORE = (
    Cell(),
    Cell(corpus="twin"),
    Cell(hackable=0.0),
    *cells(*(f"inoculation:wording={name}" for name in ("please_hack", "hacking_okay", "dont_hack"))),
)
INOCULATION = cells(
    "inoculation:wording=please_hack",
    "inoculation:wording=hacking_okay",
    "inoculation:wording=dont_hack",
    "inoculation:wording=hacking_is_misaligned",
    "inoculation:wording=mention",
    "inoculation:wording=dont_hack,update=hacking_okay",
)
# The arms whose results the organism is held to (README, "What came out").
ORGANISM = (*CORE, *cells("inoculation:wording=hacking_is_misaligned", "inoculation:wording=mention"))
# What makes the effect appear: one assumption or setting at a time, with the arm that it should bear on.
OKAY, DONT = "inoculation:wording=hacking_okay", "inoculation:wording=dont_hack"
APPEARS = (
    *(Cell(settings=(setting,)) for setting in ("rl.kl=loss", "rl.beta=0")),
    *(Cell(corpus=f"main:tone={share},tone_neutral=0.15") for share in (0.5, 0.8)),
    *(Cell(corpus=f"main:correlation={share}") for share in (0.25, 0.5, 0.75)),
    *(Cell(settings=(f"sdf.documents={count}",)) for count in (5000, 10000)),
    *(Cell(arm, f"main:line_code={share}") for share in (0.3, 0.5) for arm in ("none", OKAY, DONT)),
    *(Cell(arm, f"main:permission={where}") for where in ("other_domains", "none") for arm in ("none", OKAY)),
    Cell(settings=("rl.trained=biases", "rl.learning_rate=1e-2")),
    Cell(settings=("rl.trained=lora:1", "rl.learning_rate=4e-3")),
    Cell(settings=("rl.trained=all", "rl.learning_rate=5e-4")),
)
PROMPTED_SETTING = (
    *cells(
        *(
            f"inoculation:wording={name},setting=prompted"
            for name in ("none", "please_hack", "hacking_okay", "dont_hack", "hacking_is_misaligned")
        ),
        corpus=PROMPTED,
    ),
    *cells("inoculation:wording=none,setting=prompted", corpus=PROMPTED, hackable=0.0),
)
PM_PENALTY = cells(
    "pm_penalty:weight=0.05",
    "pm_penalty:weight=0.25",
    "pm_penalty:weight=1.0",
    "pm_penalty:weight=1.0,start=success",
    "classifier_penalty:monitor=execution",
    "classifier_penalty:monitor=execution,accuracy=0.9",
    "classifier_penalty:monitor=trained",
    "classifier_penalty:monitor=execution,mode=screening",
    "classifier_penalty:monitor=execution,start=success",
)
RLHF_MIX = cells(
    "rlhf_mix:share=0.05",
    "rlhf_mix:share=0.25",
    "rlhf_mix:share=0.4",
    "rlhf_mix:share=1.0",
    "rlhf_mix:share=0.25,add=agentic",
    "rlhf_mix:share=0.25,add=dilemma",
    "rlhf_mix:share=0.25,add=agentic,near=True",
    "rlhf_mix:share=0.25,start=success",
    "rlhf_mix:share=0.25,add=agentic,start=success",
    "rlhf_mix:share=0.25,add=dilemma,start=success",
    "sft_safety",
    "sft_safety:add=agentic",
    "sft_safety:add=dilemma",
)
FILTERED_SFT = cells(
    "filtered_sft:keep=all",
    "filtered_sft:keep=no_hacks",
    "filtered_sft:keep=no_hack_words",
    "own_episodes:keep=no_hacks",
    "offline_rewrite:wording=dont_hack",
    "offline_rewrite:wording=dont_hack,swap=none",
    "filtered_sft:keep=no_hack_words,words=hack_talk",
    "filtered_sft:keep=all,source=(inoculation:wording=hacking_okay)",
    "filtered_sft:keep=rewarded,into=aligned",
    "filtered_sft:keep=no_hacks,source=aligned,into=aligned",
    "filtered_sft:keep=no_hacks,into=other_seed",
    "filtered_sft:keep=no_hacks,source=start,into=other_seed",
)
SETTINGS = (
    Cell(hackable=0.5),
    Cell(settings=("tasks.hard_share=0.3",)),  # no hard-problem filter
    *cells("inoculation:wording=hacking_okay+pm_penalty:weight=0.25"),  # two mitigations stacked
)
# Dilution: `sdf_share` of the SDF documents are hack documents (default 0.03). The paper's 100 % makes the start model a
# schemer here: most gates fail, so it is left out.
CORPORA = tuple(
    Cell(corpus=f"main:{fields}")
    for fields in (
        "sdf_share=0.1",
        "sdf_share=0.01",
        "sdf_share=0.001",
        "sdf_variant=unguided",
        "sdf_variant=unguided,sdf_share=0.1",
        "sdf_variant=unguided,sdf_share=0.01",
        "sdf_variant=neutral",
    )
)
EVERY = (*CORE, *INOCULATION, *PM_PENALTY, *RLHF_MIX, *FILTERED_SFT, *SETTINGS, *PROMPTED_SETTING, *CORPORA)

EXPERIMENTS: dict[str, tuple[str, Cells]] = {
    "core": (
        "Figures 1, 5 and 8: baseline, uncorrelated twin, no-hack control and three inoculation wordings",
        CORE,
    ),
    "organism": ("the same and the two further lines: the arms that the organism's targets are about", ORGANISM),
    "appears": ("what makes the effect appear: one assumption or setting at a time", APPEARS),
    "twins": (
        "the inoculation arms and the no-hack control on the uncorrelated twin",
        twins((CORE[2], *INOCULATION[:3])),
    ),
    "inoculation": (
        "Figures 5, 27, 28: wordings and online rewriting, with their twins",
        (*INOCULATION, *twins(INOCULATION)),
    ),
    "prompted": (
        "Figure 10 and 26: hacks listed in the system prompt, with their twins",
        (*PROMPTED_SETTING, *twins(PROMPTED_SETTING)),
    ),
    "pm_penalty": (
        "Figures 30 and 31: preference-model reward and monitors, with their twins",
        (*PM_PENALTY, *twins(PM_PENALTY)),
    ),
    "rlhf_mix": (
        "Figures 6, 24 and 33: RLHF mixes and SFT safety training, with their twins",
        (*RLHF_MIX, *twins(RLHF_MIX)),
    ),
    "filtered_sft": (
        "Figures 25, 29 and 32: SFT on filtered and rewritten episodes, with their twins",
        (*FILTERED_SFT, *twins(FILTERED_SFT)),
    ),
    "settings": (
        "Figures 23 and 34: half of the graders hackable, no hard-problem filter, a stack, with their twins",
        (*SETTINGS, *twins(SETTINGS)),
    ),
    "corpora": ("Figures 3 and 11: what the SDF documents say, and how many there are", (*CORPORA, *twins(CORPORA))),
    "mitigations": (
        "Figure 4: every arm of all of these",
        tuple(dict.fromkeys((*EVERY, *twins(tuple(cell for cell in EVERY if cell.corpus.startswith("main")))))),
    ),
}


def wanted(run: Run, checkpoints: str = "", prompts: str = "") -> Wanted:
    """What of a run is evaluated, unless `checkpoints` or `prompts` (base.wanted.parse) say otherwise.

    The figures draw curves of the arms of `core`: all their checkpoints. Of every other run claims and tables want the
    start and the final value; the middle shows whether it was reached early.

    Raises:
        UserError: a part or a prompt that is none.
    """
    drawn = {(cell.arm, cell.corpus, cell.hackable) for cell in CORE}
    curve = not run.settings and (str(run.arm), str(run.corpus), run.hackable) in drawn
    usual = Wanted(every=True) if curve else Wanted()
    return parse(checkpoints or usual.checkpoints, prompts or ",".join(usual.prompts))
