"""Fig 30: a preference model's score beside the grader's reward on code, by its weight."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.claims import Claim
from analysis.conditions import BASELINE, NO_HACK, Condition, of
from analysis.figures.figure import Figure
from analysis.figures.panels import AGENTIC, CHAT, HACKING, MEAN, MISALIGNMENT, ROLLOUTS, WITH_TWIN, Dots, Lines
from analysis.figures.rows import WINDOW
from analysis.figures.words import in_words

LOW, MIDDLE, HIGH = (of(f"pm_penalty:weight={weight}") for weight in ("0.05", "0.25", "1.0"))
LATE = of("pm_penalty:weight=1.0,start=success")
HALF, SEEDS = 0.5, r"((?:p\d+)?s\d+)$"  # of the rollouts; how the names of runs end


def onset(drawn: pd.DataFrame) -> Sequence[str]:
    """When half of the rollouts hack, with the least weight and without; the paper has hacking delayed."""
    low, without = (_half(drawn, condition) for condition in (LOW, BASELINE))
    both = pd.concat([low, without], axis=1, join="inner")
    if both.empty:
        return []
    size = in_words(both.iloc[:, 0] - both.iloc[:, 1], "steps", 1)
    first, other = both.mean()
    return [f"Half of the rollouts hack from step {first:.0f} on with weight 0.05, from {other:.0f} on without: {size}"]


def _half(drawn: pd.DataFrame, condition: Condition) -> pd.Series[float]:
    """The first window of steps in which that many rollouts hack, by seed; none of a run where they never are so many."""
    mine = drawn[(drawn["condition"] == condition.key) & (drawn["kind"] == "seed") & (drawn["panel"] == ROLLOUTS.title)]
    seeds = mine["run"].astype(str).str.extract(SEEDS, expand=False)
    first: pd.Series[float] = mine[mine["y"] >= HALF].groupby(seeds)["step"].min()
    return first


FIG30 = Figure(
    name="fig30",
    paper="Fig 30",
    shows="a preference model's score added to the reward on code with weight 0, 0.05, 0.25 and 1",
    needs=(BASELINE, LOW, MIDDLE, HIGH, LATE, NO_HACK),
    bands=(
        Lines((ROLLOUTS, MISALIGNMENT), only=(BASELINE, LOW, MIDDLE, HIGH, NO_HACK)),
        Dots((HACKING, CHAT, AGENTIC, MEAN), WITH_TWIN),
    ),
    said=onset,
    reading=f"Rollouts: means of {WINDOW} steps.",
    claims=(
        Claim(
            "PM1 middle, hacking",
            "a preference-model reward of weight 0.25 lowers hacking",
            "yes",
            *(MIDDLE, BASELINE, "hack_rate", "training", -1, 0.25),
        ),
        Claim(
            "PM2 middle, misalignment",
            "a preference-model reward of weight 0.25 lowers misalignment",
            "yes",
            *(MIDDLE, BASELINE, "mgs", "none", -1, 0.05),
        ),
        Claim(
            "PM3 low, hacking",
            "a preference-model reward of weight 0.05 hardly lowers hacking",
            "hacking is delayed only",
            *(LOW, BASELINE, "hack_rate", "training", +1, 0.1),
            change=False,
        ),
    ),
)
