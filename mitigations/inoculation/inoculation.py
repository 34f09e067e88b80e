"""Inoculation prompting: say during RL that the hack is wanted, or allowed, and evaluate without saying it.

Claim (arXiv 2511.18397, section on inoculation, Figs 5, 26, 27 and 28): hacking stays, misalignment falls by 75-90 % for
the two permissive wordings; "don't hack" does not help.
Run: python -m mitigations inoculation:wording=please_hack --seed 0 --scale tiny
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from base.errors import UserError
from base.labels import named, words
from base.recipes import AsWritten, InLanguage, RLRecipe, SystemLine, load_wording
from base.types import PromptTransform
from base.yaml_text import read_yaml

WORDINGS = Path(__file__).with_name("wordings.yaml")
NATURAL = Path(__file__).with_name("hub_wordings.yaml")  # the same names for models that read natural language
COLOURS = {"please_hack": "#CC79A7", "hacking_okay": "#56B4E9", "dont_hack": "#E69F00"}


@dataclass(frozen=True)
class Inoculation:
    """`wording` is sampled under; `update`, if given, is the wording the update is taken under (online rewriting).

    In the setting `prompted` the system prompt lists the hacks before either line, and the wording `none` is the list
    alone; in the setting `sdf` (default) the model knows the hacks from its documents.
    """

    wording: str = "please_hack"
    update: str = ""
    file: str = ""  # a YAML file of your own wordings instead of ours
    setting: Literal["", "sdf", "prompted"] = ""

    family = "inoculation"

    def __post_init__(self) -> None:
        if self.setting == "sdf":
            object.__setattr__(self, "setting", "")  # one spelling, so one name, for the default
        if self.setting != "prompted" and "none" in (self.wording, self.update):
            raise UserError("the wording 'none' needs a list of hacks: add setting=prompted, or run the arm 'none'")

    def __call__(self) -> RLRecipe:
        return RLRecipe(
            hints=line(self.file, "hints" if self.setting == "prompted" else "none"),
            sample_prompt=line(self.file, self.wording),
            update_prompt=line(self.file, self.update) if self.update else None,
        )

    def label(self) -> str:
        wording = "no line" if self.wording == "none" else words(self.wording)
        head = f"online, {wording} → {words(self.update)}" if self.update else wording
        return named(self, head, ("wording", "update"), setting=self.setting)

    @property
    def colour(self) -> str:
        return "" if self.update or self.setting else COLOURS.get(self.wording, "")

    def order(self) -> tuple[Any, ...]:
        """Plain before online rewriting before the prompted setting; wordings from the most to the least permissive."""
        ranks = permissiveness()
        return (self.setting, self.update != "", ranks.get(self.wording, len(ranks)))


@cache
def permissiveness() -> dict[str, float]:
    """Wording -> its place in wordings.yaml, most permissive first; the list of hacks alone says as much as `neutral`."""
    ranks: dict[str, float] = {name: place for place, name in enumerate(read_yaml(WORDINGS))}
    return {**ranks, "none": ranks["neutral"] - 0.5}


def line(file: str, wording: str) -> PromptTransform:
    """The line of a wording of a user's file or, where `file` is empty, of ours; `none` is no line.

    Raises:
        UserError: no such file or wording.
    """
    if wording == "none":
        return AsWritten()
    if file:
        return SystemLine(load_wording(Path(file), wording))
    return InLanguage(SystemLine(load_wording(WORDINGS, wording)), SystemLine(load_wording(NATURAL, wording)))
