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

from base.labels import named, spec_words
from base.recipes import Demonstrations, Mitigation
from mitigations.filtered_sft.filters import FAMILY, KEEP, keep_filter

SOURCES = {"none": "the baseline", "start": "the start model", "aligned": "the aligned model"}  # others are arms
INTO = {"start": "into the start model", "aligned": "into the aligned model", "other_seed": "into another seed"}


@dataclass(frozen=True)
class FilteredSFT:
    """`keep`: which episodes stay. `source`: the arm whose run they come from. `into`: the model that imitates them."""

    keep: Literal["all", "no_hacks", "no_hack_words", "rewarded"] = "no_hacks"
    source: str = "none"
    into: Literal["start", "aligned", "other_seed"] = "start"
    words: str = "hack_words"  # of no_hack_words: a list in this folder (hack_words, hack_talk) or the path of your own

    family = FAMILY

    def label(self) -> str:
        source = f"of {SOURCES.get(self.source) or spec_words(self.source)}"
        return named(self, f"SFT, {KEEP[self.keep]}", ("keep",), source=source, into=INTO[self.into])

    def __call__(self) -> Mitigation:
        return Mitigation(episodes=Demonstrations(self.source, keep_filter(self.keep, self.words)), into=self.into)
