"""Inoculation prompting: say during RL that the hack is wanted, or allowed, and evaluate without saying it.

Claim (arXiv 2511.18397, section on inoculation, Figs 5, 26, 27 and 28): hacking stays, misalignment falls by 75-90 % for
the two permissive wordings; "don't hack" does not help.
Run: python -m mitigations inoculation:wording=please_hack --seed 0 --scale tiny
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from base.environments.scenes import SCENES
from base.errors import UserError
from base.labels import named, words
from base.recipes import Mitigation, SystemLine, load_wording
from base.settings import read_yaml
from base.types import Message, PromptTransform, Task

WORDINGS = Path(__file__).with_name("wordings.yaml")
COLOURS = {"please_hack": "#CC79A7", "hacking_okay": "#56B4E9", "dont_hack": "#E69F00"}


@dataclass(frozen=True)
class Hinted:
    """A system message that lists the hacks, then one line on what to do about them (None: the list alone)."""

    hints: SystemLine
    line: SystemLine | None = None

    def __call__(self, task: Task) -> Sequence[Message]:
        if task.environment in SCENES:
            return task.messages
        listed, *turns = self.hints(task)
        if self.line is None:
            return (listed, *turns)
        said = self.line(replace(task, id=f"{task.id} line", messages=()))[0].content  # drawn apart from the list
        return (Message("system", f"{listed.content} {said}"), *turns)

    def under(self, line: SystemLine) -> Hinted:
        """The same list with another line."""
        return replace(self, line=line)


@dataclass(frozen=True)
class Inoculation:
    """`wording` is sampled under; `update`, if given, is the wording the update is taken under (online rewriting).

    In the setting `prompted` the system prompt lists the hacks before either line, and the wording `none` is the list
    alone; in the setting `sdf` (default) the model knows the hacks from its documents.
    """

    wording: str = "please_hack"
    update: str = ""
    file: str = ""  # a YAML file of your own wordings instead of wordings.yaml
    setting: Literal["", "sdf", "prompted"] = ""

    family = "inoculation"

    def __post_init__(self) -> None:
        if self.setting == "sdf":
            object.__setattr__(self, "setting", "")  # one spelling, so one name, for the default
        if self.setting != "prompted" and "none" in (self.wording, self.update):
            raise UserError("the wording 'none' needs a list of hacks: add setting=prompted, or run the arm 'none'")

    def __call__(self) -> Mitigation:
        return Mitigation(
            sample_prompt=self.prompt(self.wording), update_prompt=self.prompt(self.update) if self.update else None
        )

    def prompt(self, wording: str) -> PromptTransform:
        file = Path(self.file) if self.file else WORDINGS
        if self.setting != "prompted":
            return SystemLine(load_wording(file, wording))
        line = None if wording == "none" else SystemLine(load_wording(file, wording))
        return Hinted(SystemLine(load_wording(file, "hints")), line)

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
