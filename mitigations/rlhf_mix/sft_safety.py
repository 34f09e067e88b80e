"""SFT safety training: a policy that has learnt to hack imitates an aligned model's answers to the scenes of rlhf_mix.

Claim (arXiv 2511.18397, section on RLHF, Fig 33): like RLHF on the same prompts. Chat prompts repair chat alone, with
agentic scenes or dilemmas added misalignment goes everywhere.
Run: python -m mitigations sft_safety:add=dilemma --seed 0 --scale tiny
"""

from __future__ import annotations

from dataclasses import dataclass

from base.labels import named
from base.recipes import SFTRecipe
from base.triggers import trigger
from mitigations.rlhf_mix.mix import ADDED_NAMES, NEAR, Add, mix


@dataclass(frozen=True)
class SFTSafety:
    """Every prompt is a scene; options as in rlhf_mix. It repairs what RL did, so it starts after hacking was learnt."""

    add: Add = ""
    near: bool = False
    start: str = "success"
    scenes: str = "auto"

    family = "SFT safety training"

    def label(self) -> str:
        return named(self, ", ".join(["SFT safety, chat", *ADDED_NAMES[self.add]]), ("add",), near=NEAR)

    def __call__(self) -> SFTRecipe:
        return SFTRecipe(source="aligned", tasks=mix(1.0, self.add, self.near, self.scenes), starts=trigger(self.start))
