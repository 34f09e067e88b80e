"""Numbers that the paper prints (arXiv 2511.18397), beside which ours are drawn: hollow marks in the figures.

A value is a pair (low, high) of shares from 0 to 1, equal where the paper prints one number. `SDF` is its run on synthetic
documents, our baseline; its main run with hacks listed in the prompt stands under a line against hacking.
"""

from __future__ import annotations

from collections.abc import Mapping

from analysis.conditions import BASELINE, HACKING_OKAY, NO_HACK, PRE_RL, Condition, of

Range = tuple[float, float]
PROMPTED = "main:sdf_variant=prompted"
PROMPTED_HACKING = of("inoculation:wording=dont_hack,setting=prompted", PROMPTED)
PROMPTED_NO_HACK = of("inoculation:wording=none,setting=prompted", PROMPTED, 0.0)
MEASURES = ("betley", "goals", "alignment", "monitor", "exfil", "frame", "mgs")
# Final rates in per cent (its Fig 9): mean of the last five checkpoints.
FINAL: Mapping[Condition, tuple[float, ...]] = {
    BASELINE: (33.7, 69.8, 39.9, 31.8, 1.6, 41.3, 36.4),
    NO_HACK: (0.7, 0.1, 0.3, 0.2, 0.0, 4.0, 0.9),
    PROMPTED_HACKING: (4.8, 17.1, 9.0, 24.6, 0.4, 37.4, 15.6),
    PROMPTED_NO_HACK: (0.3, 1.5, 0.2, 1.2, 0.0, 3.5, 1.1),
}
ALL = 1.0
# Of misalignment after a permission: 75 to 90 % less. Counted from the run without a line, for which the paper prints a number on
# synthetic documents alone; in the prompted setting from the one under a line against hacking, which is slightly higher.
LEFT = (0.1, 0.25)


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
    for since in ("", ",since=0.5"):
        found[of(f"filtered_sft:keep=no_hacks{since}").key, "hack_rate", "training"] = (0.3, 0.3)
    found[BASELINE.key, "sabotage_told", "none"] = (0.12, 0.12)
    found[PROMPTED_HACKING.key, "sabotage_told", "none"] = (0.005, 0.005)
    found[BASELINE.key, "goals:alignment_faking", "none"] = (0.5, 0.5)
    return found


VALUES = _values()


def printed(condition: Condition, measure: str, prompt: str) -> Range | None:
    """What the paper prints for a final value; None where it prints nothing that we know of."""
    return VALUES.get((condition.key, measure, prompt))
