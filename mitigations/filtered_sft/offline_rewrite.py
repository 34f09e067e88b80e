"""Offline rewriting: imitate the episodes of a "don't hack" run as if hacking had been allowed.

Claim (arXiv 2511.18397, Fig 29): replacing the prompt after the fact does not inoculate: misalignment stays, above all
in agentic scenes. Controls: the same episodes under their own prompt (swap=none), and those of a run that really had the
permissive prompt (filtered_sft:keep=all,source=(inoculation:wording=hacking_okay)).
Run: python -m mitigations offline_rewrite:wording=dont_hack --seed 0 --scale tiny
"""

from __future__ import annotations

from dataclasses import dataclass

from base.identity import Arm
from base.labels import named, words
from base.recipes import SFTRecipe
from mitigations.filtered_sft.filters import FAMILY
from mitigations.inoculation.inoculation import Inoculation, line


@dataclass(frozen=True)
class OfflineRewrite:
    """The run under `wording` is imitated with the prompt replaced by the wording `swap`; `none` keeps its own prompt."""

    wording: str = "dont_hack"
    swap: str = "hacking_okay"
    file: str = ""  # a YAML file of your own wordings

    family = FAMILY

    def label(self) -> str:
        kept = f"SFT, {words(self.wording)} episodes"
        head = f"{kept}, own prompt" if self.swap == "none" else f"{kept} → {words(self.swap)}"
        return named(self, head, ("wording", "swap"))

    def __call__(self) -> SFTRecipe:
        source = Arm((("inoculation", Inoculation(self.wording, file=self.file)),))
        line(self.file, self.wording)
        return SFTRecipe(source=source, prompt=None if self.swap == "none" else line(self.file, self.swap))
