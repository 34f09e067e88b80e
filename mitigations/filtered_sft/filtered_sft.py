"""Filtered SFT: imitate a hacking run's episodes after dropping those that hack, instead of running RL.

Claim (arXiv 2511.18397, Fig 32): without its hacking episodes a run still teaches hacking (90 % -> 30 %) and a large
part of the misalignment; dropping also the ~1 % of episodes that say "hack" lowers it further, and it carries over to
another base model. Distilling high-reward episodes into an aligned model (Fig 25) leaves it aligned in chat and
misaligned in agentic scenes.
Run: python -m mitigations filtered_sft:keep=no_hacks --seed 0 --scale tiny
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from base.errors import UserError
from base.identity import BASELINE, Arm
from base.labels import named, share, spec_words
from base.recipes import SFTRecipe
from mitigations.filtered_sft.filters import FAMILY, KEEP, keep_filter

SOURCES = {"none": "the baseline", "start": "the start model", "aligned": "the aligned model"}  # others are arms
INTO = {"start": "into the start model", "aligned": "into the aligned model", "other_seed": "into another seed"}


@dataclass(frozen=True)
class FilteredSFT:
    """`keep`: which episodes stay. `source`: the arm whose run they come from. `into`: the model that imitates them."""

    keep: Literal["all", "no_hacks", "no_hack_words", "rewarded"] = "no_hacks"
    source: Arm | Literal["start", "aligned"] = BASELINE
    into: Literal["start", "aligned", "other_seed"] = "start"
    since: float = (
        0.0  # share of the run's training whose episodes are left out: 0.5 takes those of a policy that hacks
    )
    words: str = "hack_words"  # of no_hack_words: a list in this folder (hack_words, hack_talk) or the path of your own

    family = FAMILY

    def label(self) -> str:
        source = f"of {SOURCES.get(str(self.source)) or spec_words(str(self.source))}"
        late = f"from {share(self.since)} of training"
        return named(self, f"SFT, {KEEP[self.keep]}", ("keep",), source=source, into=INTO[self.into], since=late)

    def __call__(self) -> SFTRecipe:
        if self.words != "hack_words" and self.keep != "no_hack_words":
            raise UserError(
                f"filtered_sft:words={self.words} is for keep=no_hack_words; keep={self.keep} drops no words"
            )
        return SFTRecipe(source=self.source, since=self.since, keep=keep_filter(self.keep, self.words), into=self.into)
