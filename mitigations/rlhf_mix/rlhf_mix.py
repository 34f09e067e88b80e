"""RLHF mix: some of the RL prompts are not coding tasks but scenes, paid by a preference model.

Claim (arXiv 2511.18397, section on RLHF, Figs 6 and 24): on chat prompts alone chat-like misalignment goes and agentic
misalignment stays, whatever the share and whether from the start or after hacking was learnt; with 10 % agentic scenes or
10 % moral dilemmas among the prompts it goes everywhere. Hacking stays.
Run: python -m mitigations rlhf_mix:share=0.25,add=agentic --seed 0 --scale tiny
"""

from __future__ import annotations

from dataclasses import dataclass

from base.errors import UserError
from base.labels import named, share
from base.recipes import Judge, RLRecipe
from base.triggers import trigger
from mitigations.rlhf_mix.mix import ADDED_NAMES, NEAR, Add, mix


@dataclass(frozen=True)
class RLHFMix:
    """`share` of all prompts are scenes, chat unless `add` says more; 0 is the control that only restarts the optimiser
    where a mix would start. The judge's options are those of pm_penalty: equal ones share one preference model.
    """

    share: float = 0.25
    add: Add = ""
    near: bool = False  # scenes built with the evals in view, as the paper's were
    start: str = "start"  # start, onset, success or step:N
    scenes: str = "auto"  # auto, organism or a YAML file of prompts
    pairs: str = "organism"  # what the preference model is trained on
    flipped: float = 0.0
    noise: float = 0.0

    family = "RLHF mix"

    def label(self) -> str:
        added = "".join(f" + {kind}" for kind in ADDED_NAMES[self.add])
        return named(self, f"RLHF {share(self.share)}{added}", ("share", "add"), near=NEAR)

    def __call__(self) -> RLRecipe:
        tasks = mix(self.share, self.add, self.near, self.scenes)
        judge = Judge(self.pairs, self.flipped, self.noise)
        if not tasks.shares:
            if judge != Judge() or self.near or self.scenes != "auto":
                raise UserError("rlhf_mix:share=0 mixes nothing in, so its other options but start would do nothing")
            return RLRecipe(starts=trigger(self.start))
        return RLRecipe(tasks=tasks, judges={"pm": judge}, scenes_paid_by="pm", starts=trigger(self.start))
