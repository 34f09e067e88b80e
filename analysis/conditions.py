"""What is compared: an arm on a corpus with its graders, under one short name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Condition:
    """`start`: the model before RL (step 0) instead of after; its unit of replication is the pretraining seed."""

    key: str
    label: str
    arm: str = "none"
    corpus: str = "main"
    hackable: float = 1.0
    start: bool = False

    def __call__(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows of this condition, from step 0 on (a `start` condition: only step 0)."""
        mine = (rows["arm"] == self.arm) & (rows["corpus"] == self.corpus) & (rows["hackable"] == self.hackable)
        return rows[mine & (rows["step"] == 0)] if self.start else rows[mine]


BASELINE = Condition("baseline", "baseline")
NO_HACK = Condition("no_hack", "no-hack control", hackable=0.0)
TWIN = Condition("twin", "uncorrelated twin", corpus="twin")
PRE_RL = Condition("pre_rl", "pre-RL", start=True)
UNTRAINED = Condition("untrained", "pretrained only", arm="untrained", start=True)
PLEASE_HACK = Condition("please_hack", "please hack", arm="inoculation:wording=please_hack")
HACKING_OKAY = Condition("hacking_okay", "hacking okay", arm="inoculation:wording=hacking_okay")
DONT_HACK = Condition("dont_hack", "don't hack", arm="inoculation:wording=dont_hack")
KNOWN = (BASELINE, NO_HACK, TWIN, PRE_RL, UNTRAINED, PLEASE_HACK, HACKING_OKAY, DONT_HACK)


def found(table: pd.DataFrame, arm: str = "") -> list[Condition]:
    """The conditions a table holds, known ones first; `arm` keeps the arms whose spec starts with it."""
    present = [c for c in KNOWN if c.arm.startswith(arm) and len(c(table))]
    cells = table[["arm", "corpus", "hackable"]].drop_duplicates().sort_values(["arm", "corpus", "hackable"])
    for spec, corpus, hackable in cells.itertuples(index=False):
        condition = of(spec, corpus, hackable)
        if spec.startswith(arm) and condition not in present:
            present.append(condition)
    return present


def of(arm: str, corpus: str = "main", hackable: float = 1.0) -> Condition:
    """The condition of a cell, under its known name or one made from the cell."""
    named = {c.arm: c.label for c in reversed(KNOWN) if c != PRE_RL}
    for condition in KNOWN:
        if (condition.arm, condition.corpus, condition.hackable) == (arm, corpus, hackable) and condition != PRE_RL:
            return condition
    extra = ([] if corpus == "main" else [corpus]) + ([] if hackable == 1 else [f"{hackable:.0%} hackable"])
    name = named.get(arm, arm.replace("inoculation:wording=", "").replace(",update=", ", update ").replace("_", " "))
    label = ", ".join([name, *extra])
    return Condition(label, label, arm, corpus, hackable, start=arm == UNTRAINED.arm)


def missing(conditions: Sequence[Condition], table: pd.DataFrame) -> list[Condition]:
    """Conditions of which the table holds nothing."""
    return [condition for condition in conditions if not len(condition(table))]
