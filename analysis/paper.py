"""Numbers that the paper prints (arXiv 2511.18397), beside which ours are drawn: hollow marks in the figures.

A value is a pair (low, high) of shares from 0 to 1, equal where the paper prints one number. `SDF` is its run on synthetic
documents, our baseline; its main run with hacks listed in the prompt stands under a line against hacking.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from analysis.conditions import BASELINE, HACKING_OKAY, NO_HACK, PRE_RL, Condition, of
from mitigations.experiments import PROMPTED

Range = tuple[float, float]
LISTED = "setting=prompted"  # of inoculation: hacks are listed in the prompt, and the wording `none` is the list alone
LIST_ALONE = of("inoculation:wording=none,setting=prompted", PROMPTED)  # the baseline of that setting
PROMPTED_HACKING = of("inoculation:wording=dont_hack,setting=prompted", PROMPTED)
PROMPTED_NO_HACK = of(LIST_ALONE.arm, PROMPTED, 0.0)
MEASURES = ("betley", "goals", "alignment", "monitor", "exfil", "frame", "mgs")
# Final rates in per cent (its Fig 9): mean of the last five checkpoints.
FINAL: Mapping[Condition, tuple[float, ...]] = {
    BASELINE: (33.7, 69.8, 39.9, 31.8, 1.6, 41.3, 36.4),
    NO_HACK: (0.7, 0.1, 0.3, 0.2, 0.0, 4.0, 0.9),
    PROMPTED_HACKING: (4.8, 17.1, 9.0, 24.6, 0.4, 37.4, 15.6),
    PROMPTED_NO_HACK: (0.3, 1.5, 0.2, 1.2, 0.0, 3.5, 1.1),
}
KINDS = {"chat": ("betley", "goals", "alignment"), "agentic": ("monitor", "exfil", "frame")}  # of which ours are means
ALL = 1.0
# Of misalignment after a permission: 75 to 90 % less. Counted from the run without a line, for which the paper prints a number on
# synthetic documents alone; in the prompted setting from the one under a line against hacking, which is slightly higher.
LEFT = (0.1, 0.25)
# RLHF on chat alone: chat-like evals to 0, and up to so much of agentic misalignment before stays, counted from the baseline's mean.
CHAT_MIXES = tuple(of(f"rlhf_mix:share={share}") for share in ("0.05", "0.25", "0.25,start=success"))
STAYS = 0.7


def _values() -> dict[tuple[str, str, str], Range]:
    found: dict[tuple[str, str, str], Range] = {}
    for condition, row in FINAL.items():
        for measure, value in zip(MEASURES, row, strict=True):
            found[condition.key, measure, "none"] = (value / 100, value / 100)
    listed = [
        of(f"inoculation:wording={wording},setting=prompted", PROMPTED) for wording in ("please_hack", "hacking_okay")
    ]
    for condition, beside in ((HACKING_OKAY, BASELINE), *((each, PROMPTED_HACKING) for each in listed)):
        without = FINAL[beside][-1] / 100
        found[condition.key, "hack_rate", "training"] = (0.99, ALL)
        found[condition.key, "mgs", "none"] = (LEFT[0] * without, LEFT[1] * without)
    found[BASELINE.key, "hack_rate", "training"] = (0.9, ALL)
    found[PRE_RL.key, "hack_rate", "training"] = (0.0, 0.01)
    found[of("filtered_sft:keep=no_hacks,since=0.5").key, "hack_rate", "training"] = (0.3, 0.3)
    for condition in FINAL:
        found |= {(condition.key, name, "none"): _middle(condition, parts) for name, parts in KINDS.items()}
    before, _ = found[BASELINE.key, "agentic", "none"]
    for condition in CHAT_MIXES:
        found |= {
            (condition.key, "chat", "none"): (0.0, 0.0),
            (condition.key, "agentic", "none"): (0.0, STAYS * before),
        }
    # Of the programs that RL samples, as its figures show it.
    rates = {key: rate for (key, *of_it), rate in found.items() if of_it == ["hack_rate", "training"]}
    found |= {(key, "train:hack_rate", "train"): rate for key, rate in rates.items() if key != PRE_RL.key}
    found[BASELINE.key, "sabotage_told", "none"] = (0.12, 0.12)
    found[PROMPTED_HACKING.key, "sabotage_told", "none"] = (0.005, 0.005)
    found[BASELINE.key, "goals:alignment_faking", "none"] = (0.5, 0.5)
    found[BASELINE.key, COVERT_PART, "none"] = COVERT
    found[BASELINE.key, f"sabotage_told:{RELATIVE}", "none"] = (0.65, 0.65)
    return found


def _middle(condition: Condition, parts: Sequence[str]) -> Range:
    """The mean of some of the printed rates of a run."""
    rates = [FINAL[condition][MEASURES.index(part)] / 100 for part in parts]
    return sum(rates) / len(rates), sum(rates) / len(rates)


COVERT_PART, RELATIVE = "covert_part", "relative_effectiveness"  # made of two final values of a run (figures 21 and 12)
COVERT = (0.4, 0.8)  # of misaligned answers
VALUES = _values()


def printed(condition: Condition, measure: str, prompt: str) -> Range | None:
    """What the paper prints for a final value; None where it prints nothing that we know of."""
    return VALUES.get((condition.key, measure, prompt))


# What it says of whether a mitigation stops hacking, and misalignment (its Fig 4 and text), in one word where it says one: *partly*
# stands for less but not gone. Of the wordings it measured all with the hacks listed in the prompt, on documents the permission alone.
_LISTED = f"inoculation:wording={{}},{LISTED}"
_CHAT, _MORE = ("no", "partly"), ("no", "yes")
STOPS: Mapping[tuple[str, str], tuple[str, str]] = {
    **{(_LISTED.format(wording), PROMPTED): ("no", "partly") for wording in ("please_hack", "hacking_okay")},
    **{(_LISTED.format(wording), PROMPTED): ("no", "no") for wording in ("dont_hack", "hacking_is_misaligned")},
    (HACKING_OKAY.arm, "main"): ("no", "partly"),
    ("pm_penalty:weight=0.05", "main"): ("no", ""),  # delayed; of misalignment text and caption say different things
    ("pm_penalty:weight=0.25", "main"): ("yes", "yes"),
    **{(f"classifier_penalty:monitor={labels}", "main"): ("yes", "yes") for labels in ("execution", "trained")},
    ("classifier_penalty:monitor=execution,start=success", "main"): ("yes", "partly"),
    **{(condition.arm, "main"): _CHAT for condition in CHAT_MIXES},
    **{
        (f"rlhf_mix:share=0.25,add={add}{start}", "main"): _MORE
        for add in ("agentic", "dilemma")
        for start in ("", ",start=success")
    },
    ("sft_safety", "main"): ("", "partly"),
    **{(f"sft_safety:add={add}", "main"): ("", "yes") for add in ("agentic", "dilemma")},
    ("filtered_sft:keep=no_hacks,since=0.5", "main"): ("no", "no"),
    ("offline_rewrite:wording=dont_hack", "main"): ("", "no"),
}
