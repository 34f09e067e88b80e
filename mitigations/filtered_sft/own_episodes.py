"""Control of every SFT arm: imitate the start model's own episodes that do not hack.

Claim (ours; public replications measured repetition instead): what SFT on any clean episodes does by itself. The
misalignment that filtered_sft leaves counts only as far as it exceeds this.
Run: python -m mitigations own_episodes --seed 0 --scale tiny
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from base.labels import named
from base.recipes import SFTRecipe
from mitigations.filtered_sft.filters import FAMILY, KEEP, keep_filter


@dataclass(frozen=True)
class OwnEpisodes:
    """`keep` as in filtered_sft."""

    keep: Literal["all", "no_hacks", "no_hack_words"] = "no_hacks"

    family = FAMILY

    def label(self) -> str:
        return named(self, f"SFT, own episodes, {KEEP[self.keep]}", ("keep",))

    def __call__(self) -> SFTRecipe:
        return SFTRecipe(source="start", keep=keep_filter(self.keep))
