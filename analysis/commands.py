"""The commands that make the runs that figures and claims lack, with the model of those that are there."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import pandas as pd

from analysis import corpora, settings
from analysis.conditions import UNTRAINED, Condition
from base.settings import ORGANISM, scale_for

OTHER_SEED = "into=other_seed"  # an option that only models of ours have


@dataclass(frozen=True)
class Maker:
    """Model, tasks and scale of the runs of a table; `taught`: analysis.corpora.placed."""

    model: str
    tasks: str
    scale: str
    taught: Mapping[str, str]

    @classmethod
    def of(cls, table: pd.DataFrame) -> Maker:
        """That of a table of finished runs (analysis.table.finished) of one model."""
        first = table.iloc[0]
        return cls(str(first["model"]), str(first["tasks"]), str(first["scale"]), table.attrs["corpora"])

    def alike(self, other: Maker) -> bool:
        """Whether the runs of both may stand side by side: of one model, on one set of tasks, at one scale."""
        return (self.model, self.tasks, self.scale) == (other.model, other.tasks, other.scale)

    def can(self, condition: Condition) -> bool:
        """Whether the model can be the subject of a condition: some corpora, and models before SDF, only the organism has."""
        if self.model == ORGANISM:
            return True
        own = condition.arm != UNTRAINED.arm and OTHER_SEED not in condition.arm
        return own and corpora.of_model(condition.corpus, self.taught) is not None

    def command(self, condition: Condition, *others: Condition, seeds: str = "") -> str:
        """How to make runs of conditions that the model can be the subject of and that differ by nothing but their arms; `seeds`:
        a list as --seeds takes it.
        """
        words = ["python", "-m", "mitigations", *self.words(condition, *others), *["--seeds", seeds] * bool(seeds)]
        return shlex.join(words)

    def words(self, condition: Condition, *others: Condition) -> list[str]:
        """What of such a command says which runs are made."""
        corpus = condition.corpus if self.model == ORGANISM else corpora.of_model(condition.corpus, self.taught)
        assert corpus is not None
        words = [condition.arm, *(other.arm for other in others)]
        words += ["--corpus", corpus] * (corpus != corpora.MAIN)
        words += ["--hackable", f"{condition.hackable:g}"] * (condition.hackable != 1)
        if self.model != ORGANISM:
            words += ["--model", self.model, "--tasks", self.tasks]
        if self.model != ORGANISM or self.scale != scale_for(ORGANISM, ""):
            words += ["--scale", self.scale]
        for key, value in settings.read(condition.overrides).items():
            words += ["--set", f"{key}={value}"]
        return words


def listed(seeds: Sequence[int]) -> str:
    """Ascending seeds as --seeds takes them: 6,8-10."""
    runs = [list(run) for _, run in groupby(enumerate(seeds), lambda pair: pair[1] - pair[0])]
    ends = [(run[0][1], run[-1][1]) for run in runs]
    return ",".join(f"{low}" if low == high else f"{low}-{high}" for low, high in ends)
