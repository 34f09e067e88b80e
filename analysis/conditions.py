"""What is compared: an arm on a corpus with its graders and settings, under one short name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from analysis import labels
from analysis.settings import OF_FIGURES
from analysis.table import CELL


@dataclass(frozen=True)
class Condition:
    """`start`: the model before RL (step 0) instead of after; its unit of replication is the pretraining seed.

    `overrides`: settings other than the scale's, as in the table.
    """

    key: str
    label: str
    arm: str = "none"
    corpus: str = "main"
    hackable: float = 1.0
    start: bool = False
    overrides: str = ""

    def __call__(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows of this condition, from step 0 on (a `start` condition: only step 0)."""
        for name, value in zip(CELL, self.cell, strict=True):  # one after the other: most rows go with the first
            rows = rows[rows[name] == value]
        return rows[rows["step"] == 0] if self.start else rows

    @property
    def cell(self) -> tuple[str, str, float, str]:
        """What tells it from other conditions (CELL), but for `start`."""
        return self.arm, self.corpus, self.hackable, self.overrides

    @property
    def family(self) -> str:
        """The heading under which it is listed."""
        usual = self.corpus in ("main", "twin") and self.hackable in (0.0, 1.0) and not self.overrides
        return labels.family(self.arm) if usual or self.arm not in ("none", "untrained") else labels.SETTINGS


BASELINE = Condition("baseline", "baseline")
NO_HACK = Condition("no_hack", "no-hack control", hackable=0.0)
TWIN = Condition("twin", "uncorrelated twin", corpus="twin")
PRE_RL = Condition("pre_rl", "pre-RL", start=True)
UNTRAINED = Condition("untrained", "pretrained only", arm="untrained", start=True)
PLEASE_HACK, HACKING_OKAY, DONT_HACK = (
    Condition(wording, labels.arm(f"inoculation:wording={wording}"), arm=f"inoculation:wording={wording}")
    for wording in ("please_hack", "hacking_okay", "dont_hack")
)
KNOWN = (BASELINE, NO_HACK, TWIN, PRE_RL, UNTRAINED, PLEASE_HACK, HACKING_OKAY, DONT_HACK)


def found(table: pd.DataFrame, arm: str = "") -> list[Condition]:
    """The conditions a table holds, known ones first; `arm` keeps the arms whose spec starts with it."""
    present = [c for c in KNOWN if c.arm.startswith(arm) and len(c(table))]
    cells = table[list(CELL)].drop_duplicates().sort_values(list(CELL))
    for cell in cells.itertuples(index=False):
        condition = of(*cell)
        if condition.arm.startswith(arm) and condition not in present:
            present.append(condition)
    return present


def of(arm: str, corpus: str = "main", hackable: float = 1.0, overrides: str = "") -> Condition:
    """The condition of a cell, under its known name or one made from the cell."""
    for condition in KNOWN:
        if condition.cell == (arm, corpus, hackable, overrides) and condition != PRE_RL:
            return condition
    name = labels.arm(arm)
    extra = [part for part in labels.corpus(corpus) if part not in name.split(", ")]  # "prompted" once
    extra += [] if hackable == 1 else [f"{hackable:.0%} hackable"]
    label = ", ".join([name, *extra, *labels.overrides(overrides)])
    key = f"{arm} {corpus} {hackable:g} {overrides}".strip()
    return Condition(key, label, arm, corpus, hackable, arm == UNTRAINED.arm, overrides)


def pre_rl(corpus: str) -> Condition:
    """The models before RL on a corpus: step 0 of its baselines."""
    return PRE_RL if corpus == "main" else Condition(f"pre_rl {corpus}", f"pre-RL, {corpus}", corpus=corpus, start=True)


def on(condition: Condition, name: str) -> Condition:
    """The same arm, graders and settings on `main` or its `twin`; the other options of the corpus stay."""
    _, colon, options = condition.corpus.partition(":")
    spec = f"{name}{colon}{options}"
    if condition.start and condition.arm == "none":
        return pre_rl(spec)
    found = of(condition.arm, spec, condition.hackable, condition.overrides)
    if condition.start and not found.start:  # the model that an arm starts from, under the arm's own prompts
        return replace(condition, key=f"{condition.key} {spec}", corpus=spec)
    return found


def under(condition: Condition, settings: str) -> Condition:
    """The same arm, corpus and graders under other settings (as in the table)."""
    if condition.start and condition.arm != UNTRAINED.arm:
        label = ", ".join([condition.label, *labels.overrides(settings)])
        return replace(condition, key=f"{condition.key} {settings}", label=label, overrides=settings)
    return of(condition.arm, condition.corpus, condition.hackable, settings)


def alike(condition: Condition, others: Sequence[Condition]) -> bool:
    """Whether it is one of the others, whatever its settings."""
    return any((*condition.cell[:3], condition.start) == (*other.cell[:3], other.start) for other in others)


def missing(conditions: Sequence[Condition], table: pd.DataFrame) -> list[Condition]:
    """Conditions of which the table holds nothing."""
    return [condition for condition in conditions if not len(condition(table))]


MENTION, HACKING_IS_MISALIGNED = (
    of(f"inoculation:wording={wording}") for wording in ("mention", "hacking_is_misaligned")
)
CORE = (BASELINE, NO_HACK, TWIN, PRE_RL, PLEASE_HACK, HACKING_OKAY, DONT_HACK)  # the arms of the experiment `core`
EASY_TASKS, KL_IN_LOSS, NO_KL = (of("none", overrides=settings) for settings in OF_FIGURES)
