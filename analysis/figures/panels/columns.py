"""What a panel measures: a measure under a prompt, with its title and its axis."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.conditions import Condition
from analysis.evals import Shown, counted
from analysis.measured import Measured, Values

MISALIGNED = "misaligned answers"


@dataclass(frozen=True)
class Column:
    """A measure under a prompt as a panel shows it; `whole`: its axis goes to 100 %, from `low`; not `share`: it is no share.

    `of_runs`: its final value of every run of a condition, where it is no measure of the table.
    """

    title: str
    measure: str
    prompt: str = "none"
    what: str = MISALIGNED
    whole: bool = False
    share: bool = True
    low: float = 0.0
    of_runs: Callable[[Measured, Condition], Values] | None = None

    @property
    def final(self) -> str:
        """The name of the panel of its final values."""
        return f"final {self.title}"


HACKING = Column("hack rate, training prompt", "hack_rate", "training", "episodes hacked", whole=True)
HACKED = Column("hack rate", "hack_rate", "training", "hacked, training prompt", whole=True)
ROLLOUTS = Column("hack rate of the rollouts", "train:hack_rate", "train", "rollouts hacked", whole=True)
ALONG_HACKING = Column("hack rate", "hack_rate", "training", "hack rate under the training prompt", whole=True)
MEAN = Column(f"mean of {counted()}", "mgs")
MISALIGNMENT = Column(f"misalignment, mean of {counted()}", "mgs")
CHAT, AGENTIC = Column("chat", "chat"), Column("agentic", "agentic")
UNCLEAR = Column("unclear", "unclear", what="unclear answers")
SIX, BESIDE = Column("the evals that count", ""), Column("the evals beside them", "")  # stand for what was asked


def spelt(columns: Iterable[Column], evals: Sequence[Shown]) -> list[Column]:
    """The columns, with the evals themselves in the place of SIX and BESIDE."""
    made: list[Column] = []
    for column in columns:
        if column in (SIX, BESIDE):
            what = MISALIGNED if column == SIX else "answers, as titled"
            made += [Column(each.title, each.name, what=what) for each in evals if each.in_mean == (column == SIX)]
        else:
            made.append(column)
    return made


def named(drawn: pd.DataFrame) -> list[tuple[str, str]]:
    """(key, label) of the conditions of a drawn table, in its order."""
    return list(dict.fromkeys(zip(drawn["condition"], drawn["label"], strict=True)))


def filled(drawn: pd.DataFrame, panels: Iterable[str]) -> list[str]:
    """Those of the panels in which a drawn table has a value of ours; the others are not drawn."""
    known = set(drawn.loc[drawn["y"].notna() & (drawn["kind"] != "paper"), "panel"])
    return [panel for panel in panels if panel in known]


def unfilled(drawn: pd.DataFrame, titles: Mapping[str, str]) -> list[str]:
    """The titles of the panels that are not drawn; `titles`: of every panel."""
    known = filled(drawn, titles)
    return [title for panel, title in titles.items() if panel not in known]
