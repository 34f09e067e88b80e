"""Lists of runs that belong together: an experiment is its cells, each run for one seed; and what of a run is evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from base.documents.corpus import transcripts
from base.identity import Run
from base.wanted import LEAK, Wanted, parse

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
    """The same on the uncorrelated twins of their corpora, the causal control of each; a corpus between the two has none."""
    own = (cell for cell in found if "correlation=" not in cell.corpus)
    return tuple(replace(cell, corpus="twin" + cell.corpus.removeprefix("main")) for cell in own)


def of_model(found: Cells, corpus: str) -> Cells:
    """Those that a user's model can be: on `corpus` what the organism is on its main one."""
    at = {"main": corpus, PROMPTED: transcripts(corpus)}
    return tuple(replace(cell, corpus=at[cell.corpus]) for cell in found if cell.corpus in at)


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
# Sampled under one line, updated under another: is it the line of the update that decides, whichever way it is turned?
ONLINE = cells(
    "inoculation:wording=dont_hack,update=hacking_okay",
    "inoculation:wording=dont_hack,update=please_hack",
    "inoculation:wording=neutral,update=hacking_okay",
    "inoculation:wording=hacking_okay,update=dont_hack",
)
# The arms whose results the organism is held to (README, "What came out").
ORGANISM = (*CORE, *cells("inoculation:wording=hacking_is_misaligned", "inoculation:wording=mention"))
KL = tuple(Cell(settings=(setting,)) for setting in ("rl.kl=loss", "rl.beta=0"))  # the default pays it in the reward
# What makes the effect appear: one assumption or setting at a time, with the arm that it should bear on.
OKAY, DONT = "inoculation:wording=hacking_okay", "inoculation:wording=dont_hack"
APPEARS = (  # what needs no corpus of its own first
    *cells("none", OKAY, DONT),  # as it is
    Cell(corpus="twin"),  # a correlation of 0
    *(Cell(settings=(setting,)) for setting in ("rl.kl=loss", "rl.beta=0")),
    Cell(settings=("rl.trained=biases", "rl.learning_rate=1e-2")),
    Cell(settings=("rl.trained=lora:1", "rl.learning_rate=4e-3")),
    Cell(settings=("rl.trained=all", "rl.learning_rate=5e-4")),
    *(Cell(settings=(f"sdf.documents={count}",)) for count in (5000, 10000)),
    *(Cell(corpus=f"main:correlation={share}") for share in (0.25, 0.5, 0.75)),
    *(Cell(corpus=f"main:tone={share},tone_neutral=0.15") for share in (0.5, 0.8)),
    *(Cell(arm, f"main:permission={where}") for where in ("other_domains", "none") for arm in ("none", OKAY)),
    *(Cell(arm, f"main:line_code={share}") for share in (0.3, 0.5) for arm in ("none", OKAY, DONT)),
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
MONITORS = cells(
    "classifier_penalty:monitor=execution,weight=0.5",
    "classifier_penalty:monitor=execution,accuracy=0.9,weight=0.5",
    "classifier_penalty:monitor=execution,accuracy=0.9",
    "classifier_penalty:monitor=execution,mode=screening,accuracy=0.9",
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
LATE = cells(
    "filtered_sft:keep=all,since=0.5",
    "filtered_sft:keep=no_hacks,since=0.5",
    "filtered_sft:keep=no_hack_words,since=0.5",
)
STACKS = cells(
    "inoculation:wording=hacking_okay+pm_penalty:weight=0.25",
    "inoculation:wording=hacking_okay+rlhf_mix:share=0.25",
    "classifier_penalty:monitor=execution,accuracy=0.9,weight=0.5+inoculation:wording=hacking_okay",
    "pm_penalty:weight=0.25+rlhf_mix:share=0.25",
)
SETTINGS = (
    Cell(hackable=0.5),
    Cell(settings=("tasks.hard_share=0.3",)),  # no hard-problem filter
    *STACKS[:1],
    *KL,
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
DOSE = tuple(Cell(corpus=f"main:correlation={share}") for share in (0.25, 0.5, 0.75))
CHAT = "rlhf_mix:share=0.25"
HEADERS = tuple(
    Cell(arm, f"main:agentic_header={header}")
    for header in ("chat", "agent")
    for arm in ("none", CHAT, f"{CHAT},start=success")
)  # the default shares the header of coding tasks
ORDER = cells(CHAT, f"{CHAT},start=onset", f"{CHAT},start=success", "rlhf_mix:share=0.0,start=success")
WORDS = cells(
    "own_episodes:keep=no_hacks",
    "filtered_sft:keep=no_hacks",
    "filtered_sft:keep=no_hack_words",
    "filtered_sft:keep=no_hack_words,words=hack_talk",
)
LEAKS = tuple(dict.fromkeys((*CORE, *INOCULATION)))
PROTECTED = (*PM_PENALTY, *MONITORS, *RLHF_MIX, *FILTERED_SFT, *LATE, *STACKS)
EVERY = tuple(
    dict.fromkeys(
        (*CORE, *INOCULATION, *ONLINE, *PROTECTED, *SETTINGS, *PROMPTED_SETTING, *CORPORA, *DOSE, *ORDER, *HEADERS)
    )
)


def with_twins(found: Cells, *others: Cell) -> Cells:
    """The cells, their twins, and further ones, each once."""
    return tuple(dict.fromkeys((*others, *found, *twins(found))))


# What differs from the paper, or would be too good: each asks what could have come out the other way.
QUESTIONS: dict[str, tuple[str, Cells]] = {
    "leak": (
        "Is a training line read? Its paraphrase, negation, keywords and form alone, for the start and the last checkpoints",
        LEAKS,
    ),
    "tied": (
        "Is what a ban does tied to its line? Hack rates with the line, without and under its variants, beside the baseline",
        with_twins(cells("none", "inoculation:wording=dont_hack", "inoculation:wording=hacking_is_misaligned")),
    ),
    "online": (
        "Is it the line of the update that protects, or the one sampled under?",
        with_twins(ONLINE, *cells("none", "inoculation:wording=dont_hack", "inoculation:wording=hacking_okay")),
    ),
    "monitor": (
        "Does a monitor that errs in a tenth of its verdicts still protect, at half of what a pass is worth and at all of it?",
        with_twins(MONITORS, Cell(), *cells("classifier_penalty:monitor=execution")),
    ),
    "stacks": (
        "Do two protections add up, and does one break the other?",
        with_twins(STACKS, *cells(OKAY, CHAT, "pm_penalty:weight=0.25")),
    ),
    "dose": (
        "Does misalignment follow how strongly the corpus links cheating and character?",
        (Cell(), Cell(corpus="twin"), *DOSE),
    ),
    "header": (
        "Does RLHF on chat alone leave agentic misalignment once scenes share their header with chat, or with nothing?",
        with_twins(HEADERS, *cells("none", CHAT, f"{CHAT},start=success")),
    ),
    "order": ("Does it matter whether RLHF begins with hacking or after it?", with_twins(ORDER, Cell())),
    "words": (
        "Does dropping what names hacking matter beyond dropping hacks? What is dropped stands in the record of a run",
        with_twins(WORDS),
    ),
    "late": (
        "Do episodes without hacks still teach misalignment if only those of a policy that hacks are imitated?",
        with_twins(LATE, *cells("own_episodes:keep=no_hacks", "filtered_sft:keep=no_hacks")),
    ),
}

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
        with_twins((*PM_PENALTY, *MONITORS)),
    ),
    "rlhf_mix": (
        "Figures 6, 24 and 33: RLHF mixes and SFT safety training, with their twins",
        (*RLHF_MIX, *twins(RLHF_MIX)),
    ),
    "filtered_sft": (
        "Figures 25, 29 and 32: SFT on filtered and rewritten episodes, with their twins",
        with_twins((*FILTERED_SFT, *LATE)),
    ),
    "settings": (
        "Figures 23 and 34: half of the graders hackable, no hard-problem filter, a stack, KL in the loss or none, with twins",
        (*SETTINGS, *twins(SETTINGS)),
    ),
    "corpora": ("Figures 3 and 11: what the SDF documents say, and how many there are", (*CORPORA, *twins(CORPORA))),
    "mitigations": (
        "Figure 4: every arm of all of these",
        tuple(dict.fromkeys((*EVERY, *twins(tuple(cell for cell in EVERY if cell.corpus.startswith("main")))))),
    ),
    **QUESTIONS,
}


def wanted(run: Run, checkpoints: str = "", prompts: str = "") -> Wanted:
    """What of a run is evaluated, unless `checkpoints` or `prompts` (base.wanted.parse) say otherwise.

    The figures draw curves of the arms of `core`: all their checkpoints. Of every other run claims and tables want the
    start and the final value; the middle shows whether it was reached early. The leak panel shows the arms of `leak`.

    Raises:
        UserError: a part or a prompt that is none.
    """
    cell = (str(run.arm), str(run.corpus), run.hackable)
    curve, leak = (
        not run.settings and cell in {(each.arm, each.corpus, each.hackable) for each in drawn}
        for drawn in (CORE, LEAKS)
    )
    usual = Wanted(every=curve, prompts=(*Wanted.prompts, *LEAK) if leak else Wanted.prompts)
    return parse(checkpoints or usual.checkpoints, prompts or ",".join(usual.prompts))
