"""Inoculation prompting: say during RL that the hack is wanted, or allowed, and evaluate without saying it.

Claim (arXiv 2511.18397, section on inoculation, Fig 5 and 27): hacking stays, misalignment falls by 75-90 % for the two
permissive wordings; "don't hack" does not help.
Run: python -m mitigations inoculation:wording=please_hack --seed 0 --scale tiny
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from base.hooks import Mitigation, SystemLine, load_wording

WORDINGS = Path(__file__).with_name("wordings.yaml")


@dataclass(frozen=True)
class Inoculation:
    """`wording` is sampled under; `update`, if given, is the wording the update is taken under (online rewriting)."""

    wording: str = "please_hack"
    update: str = ""
    file: str = ""  # a YAML file of your own wordings instead of wordings.yaml

    def __call__(self) -> Mitigation:
        file = Path(self.file) if self.file else WORDINGS
        return Mitigation(
            sample_prompt=SystemLine(load_wording(file, self.wording)),
            update_prompt=SystemLine(load_wording(file, self.update)) if self.update else None,
        )
