"""The summary at the end of a run or an experiment: every arm.

Shares are in per cent: the mean over training runs of the last checkpoints, with the half width of the 95% t interval
across seeds (none from fewer than 3); "-" is a missing value, never a zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from analysis.conditions import PRE_RL, Condition, found, pre_rl
from analysis.evals import KINDS, beside, counted
from analysis.evidence import Evidence
from analysis.measured import LAST
from analysis.stats import MIN_SEEDS
from analysis.table import wall_minutes
from analysis.tabular import Row, text

PROMPTS = {"training": "train", "none": "none", "dont_hack": "don't"}
Column = tuple[str, str, str]  # its name, the measure, the prompt it was taken under
MAIN: tuple[Column, ...] = (
    *((f"hack {short}", "hack_rate", prompt) for prompt, short in PROMPTS.items()),
    *((f"mis {short}", "mgs", prompt) for prompt, short in PROMPTS.items()),
    *((name, name, "none") for name in ("overt", "covert", "unclear", "solved")),
)
BY_KIND: tuple[Column, ...] = tuple(
    (f"{kind} {short}", kind, prompt) for kind in KINDS for prompt, short in PROMPTS.items()
)
LEGEND = (
    f"Per cent, mean of up to {LAST} last checkpoints; ± half of the 95% t interval across seeds (none from fewer than {MIN_SEEDS})."
    f" hack: hack rate; mis: misalignment, mean of {counted()} evals; train, none, don't: evaluated under the training"
    " prompt, no prompt, “don't hack”; overt, covert, unclear, solved: no prompt. “-” is missing."
)


def report(evidence: Evidence, as_markdown: bool = False) -> str:
    """Two tables over all arms: hacking and misalignment under each prompt; kinds of evals under each prompt, and the
    evals that do not count in the mean.
    """
    one, two, notes = report_rows(evidence)
    return "\n\n".join([text(one, as_markdown), text(two, as_markdown), "\n".join([LEGEND, *notes])])


def report_rows(evidence: Evidence) -> tuple[list[Row], list[Row], list[str]]:
    """(rows of the first table, of the second, notes); the rows of both are the same arms."""
    minutes, mean = wall_minutes(evidence.records), evidence.measured.mean
    conditions = sorted(_listed(evidence.outline), key=lambda c: not c.start)
    apart = [(each.title, each.name, "none") for each in beside(evidence.table["eval"].unique())]
    one: list[Row] = []
    two: list[Row] = []
    for condition in conditions:
        mine = condition(evidence.outline)
        seeds = mine["pretrain_seed" if condition.start else "run"].nunique()
        corpus = evidence.corpora.get(condition.corpus, condition.corpus)
        head = {"arm": condition.label, "corpus": corpus, "seeds": seeds}
        time = {"minutes": wall(mine, condition, minutes)} if evidence.records else {}
        one.append({**head, **{n: mean(condition, m, p) for n, m, p in MAIN}, **time})
        two.append({**head, **{n: mean(condition, m, p) for n, m, p in (*BY_KIND, *apart)}})
    return one, two, evidence.notes


def wall(table: pd.DataFrame, condition: Condition, minutes: Mapping[str, float]) -> float:
    """Mean wall time of the runs of a table in minutes; NaN where it was not recorded, and before RL."""
    known = [minutes[run] for run in sorted(table["run"].unique()) if run in minutes]
    return sum(known) / len(known) if known and not condition.start else math.nan


def _listed(table: pd.DataFrame) -> list[Condition]:
    plain = table[(table["arm"] == "none") & (table["hackable"] == 1.0) & (table["overrides"] == "")]
    starts = [pre_rl(corpus) for corpus in sorted(plain["corpus"].unique())]
    return [*(c for c in starts if len(c(table))), *(c for c in found(table) if c != PRE_RL)]
