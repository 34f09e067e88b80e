"""Scenes among coding tasks: which kinds, how many, at which places, from which source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal
from zlib import crc32

from base.errors import UserError
from base.organism.scenes import Kind, scene_tasks
from base.spec import content_key
from base.types import Task
from mitigations.rlhf_mix.prompts import load_prompts, prompt_tasks

Add = Literal["", "agentic", "dilemma", "both"]
# In figures: what `add` adds to chat, and scenes built with the evals in view.
ADDED_NAMES: dict[Add, tuple[str, ...]] = {
    **{"": (), "agentic": ("agentic",), "dilemma": ("dilemmas",), "both": ("agentic", "dilemmas")},
}
NEAR = "near the evals"
ADDED = Fraction(1, 10)  # of all prompts, for each kind added to chat (paper, section on RLHF)
DEFAULT_FILE = Path(__file__).with_name("prompts.yaml")


@dataclass(frozen=True)
class SceneMix:
    """Replaces tasks by scenes, evenly spread; the tasks that stay keep their places, so arms share them.

    `shares` are of all tasks, by kind. `scenes` is `organism`, a file of prompts, or `auto`: scenes in the language of the
    tasks they are mixed into: the organism's, or prompts.yaml.
    `content` is a hash of the file's prompts, so that the record of a run tells them.
    """

    shares: tuple[tuple[Kind, Fraction], ...]
    near: bool = False
    scenes: str = "auto"
    content: str = ""

    def __call__(self, rows: Sequence[Task]) -> Sequence[Task]:
        if not rows:
            return rows
        places = kinds_at(len(rows), self.shares)
        drawn = {kind: iter(self.draw(kind, places.count(kind), rows)) for kind, _ in self.shares}
        return [task if kind is None else next(drawn[kind]) for task, kind in zip(rows, places, strict=True)]

    def draw(self, kind: Kind, n: int, rows: Sequence[Task]) -> list[Task]:
        """`n` scenes; which ones follows from the first task, hence from the run's seed."""
        seed = crc32(rows[0].id.encode())
        if self.scenes == "organism" and rows[0].language != "organism":
            raise UserError(
                "scenes=organism are written in the organism's words: leave it out, or give a YAML file of prompts"
            )
        if self.scenes == "organism" or (self.scenes == "auto" and rows[0].language == "organism"):
            return scene_tasks(kind, n, seed, self.near)
        file = DEFAULT_FILE if self.scenes == "auto" else Path(self.scenes)
        return prompt_tasks(load_prompts(file, kind, self.near), kind, n, seed)


def kinds_at(n: int, shares: Sequence[tuple[Kind, Fraction]]) -> list[Kind | None]:
    """The kind of scene at each of `n` places, None for a task that stays: always the kind that is furthest behind."""
    wanted: dict[Kind | None, Fraction] = {None: 1 - sum((share for _, share in shares), Fraction(0)), **dict(shares)}
    given: dict[Kind | None, int] = dict.fromkeys(wanted, 0)
    places = []
    for place in range(1, n + 1):
        kind = max(wanted, key=lambda each: wanted[each] * place - given[each])
        given[kind] += 1
        places.append(kind)
    return places


def mix(share: float, add: Add, near: bool, scenes: str) -> SceneMix:
    """`share` of all prompts are scenes: 10 % of all prompts of each added kind, the rest of the share chat.

    Raises:
        UserError: a share outside 0..1 or too small for what is added, no such source, or a file that lacks a kind.
    """
    added: tuple[Kind, ...] = ("agentic", "dilemma") if add == "both" else (add,) if add else ()
    chat = Fraction(str(share)) - ADDED * len(added) if 0 <= share <= 1 else Fraction(-1)
    if chat < 0:
        raise UserError(
            f"share={share:g} must lie between {float(ADDED * len(added)):g} and 1: it is the share of all prompts that "
            "are scenes, and each kind under add= takes 0.1 of all"
        )
    shares = tuple((kind, part) for kind, part in (("chat", chat), *((kind, ADDED) for kind in added)) if part)
    content = ""
    if scenes not in ("auto", "organism"):
        if not scenes.endswith((".yaml", ".yml")):
            raise UserError(
                f"scenes={scenes}: choose auto, organism or a YAML file of prompts, e.g. {DEFAULT_FILE.name}"
            )
        content = content_key([repr(load_prompts(Path(scenes), kind, near)) for kind, _ in shares])[:12]
    return SceneMix(shares, near, scenes, content)
