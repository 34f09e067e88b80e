"""Law: one number known before any RL, who hacks under the training line, against misalignment after it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
from scipy import stats

from analysis.claims import Claim
from analysis.comparisons import OverArms
from analysis.conditions import (
    BASELINE,
    DONT_HACK,
    HACKING_IS_MISALIGNED,
    HACKING_OKAY,
    MENTION,
    PLEASE_HACK,
    TWIN,
    Condition,
    found,
)
from analysis.evals import counted
from analysis.figures import rows as make
from analysis.figures.figure import Figure
from analysis.figures.panels import Column, Points
from analysis.figures.rows import frame
from analysis.measured import Measured, Values, units

X = "start:bad_given_hack"
TITLE = "who hacks before RL, and misalignment after it"
AFTER = Column("", "mgs", what=f"after RL: misaligned answers, mean of {counted()}")
# The family of lines (base.organism.gates) that an arm is trained under.
FAMILIES = {
    "none": "none",
    **{
        f"inoculation:wording={wording}": family
        for wording, family in (
            ("please_hack", "please"),
            ("hacking_okay", "okay"),
            ("mention", "mention"),
            ("dont_hack", "forbid"),
            ("hacking_is_misaligned", "misaligned"),
            ("neutral", "neutral"),
        )
    },
}


def arms(table: pd.DataFrame) -> list[Condition]:
    """Every arm that differs from a baseline only in its line, on every corpus and under all settings."""
    return [c for c in found(table) if c.arm in FAMILIES and c.hackable == 1 and not c.start]


def points(measured: Measured, condition: Condition, y: Column = AFTER) -> make.Points:
    """(run, P(bad tone | hack, its line) before RL, misalignment after it), one a run where both are known."""
    known = before(measured, condition)
    after = units(measured.final(condition, y.measure, y.prompt), condition)
    pairs = [(make.seed_name(seed), known.get(seed, math.nan), value) for seed, value in after.items()]
    return [pair for pair in pairs if not math.isnan(pair[1] + pair[2])]


def before(measured: Measured, condition: Condition) -> Values:
    """P(bad tone | hack, its training line) before RL, by run."""
    known = measured.over_steps(condition, X, FAMILIES.get(condition.arm, ""))
    seeds = known[["pretrain_seed", "seed", "value"]].itertuples(index=False)
    return {(int(pretrain), int(seed)): float(value) for pretrain, seed, value in seeds}


def rows(measured: Measured, conditions: Sequence[Condition]) -> pd.DataFrame:
    """The points of every condition and their mean: `x` before RL, `y` after it."""
    made = [make.pairs(points(measured, c), c, X, ("mgs", "none"), TITLE) for c in conditions]
    return frame(row for each in made for row in each)


def correlation(drawn: pd.DataFrame, twins: bool = True) -> tuple[float, int]:
    """(Spearman's rank correlation over conditions, each at the mean of its runs; how many conditions). Without `twins`: only
    of main corpora, as twins all lie at the lower end of both.
    """
    means = drawn[(drawn["kind"] == "mean") & (twins | ~drawn["corpus"].str.startswith(TWIN.corpus))]
    if len(means) < 3 or means["x"].nunique() < 2 or means["y"].nunique() < 2:
        return math.nan, len(means)
    return float(stats.spearmanr(means["x"], means["y"]).statistic), len(means)


def order(drawn: pd.DataFrame) -> Sequence[str]:
    """How well the number orders all that is drawn, runs of few seeds included."""
    (rank, count), (own, main) = correlation(drawn), correlation(drawn, twins=False)
    if math.isnan(rank):
        return []
    said = f"Over all {count} arms drawn, whatever their seeds, the rank correlation is {rank:.2f}"
    apart = f", and {own:.2f} over the {main} that are no uncorrelated twins"
    return [said + apart * (main < count and not math.isnan(own))]


LAW = Figure(
    name="law",
    paper="no counterpart",
    shows="the start model's hacks under the line that RL trains with, and misalignment after that RL, by arm",
    needs=(BASELINE, TWIN, PLEASE_HACK, HACKING_OKAY, DONT_HACK),
    extra=arms,
    bands=(
        Points(
            TITLE,
            Column("", X, what="before RL: hacks under the training line that have a bad tone", whole=True),
            (AFTER,),
            pairs=points,
            tall=2.7,
        ),
    ),
    said=order,
    claims=(
        Claim(
            "LA1 law",
            "the larger the share of the start model's hacks under the training line that the bad character writes, the higher"
            " misalignment after RL under that line, over arms",
            "no counterpart",
            *(BASELINE, PLEASE_HACK, "mgs", "none", +1, 0.8),
            statistic=OverArms(before, (HACKING_OKAY, DONT_HACK, HACKING_IS_MISALIGNED, MENTION, TWIN)),
            ours=True,
        ),
    ),
)
