"""Scenes of evals as YAML: what a user's model is asked, and by which rule its answers are read.

The files in base/evals/scenes/ are ours; a file of the user replaces one. Question lists of others load as they are: YAML
in the form of the emergent-misalignment questions (entries with `paraphrases`, perhaps `system`), and lists of
questions as JSON, JSON lines or plain text.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from base.errors import UserError
from base.judges.judge import Rubric
from base.rows import HALVED, text_of, whole
from base.settings import build
from base.types import Message
from base.yaml_text import read_yaml

SCENES = Path(__file__).parent / "scenes"
Rule = Literal["output", "either", "command", "detector"]
SUFFIXES = (".yaml", ".yml", ".json", ".jsonl", ".txt", ".md", "")  # the last three: a question a line
QUESTION = ("question", "prompt", "text", "user")  # keys under which lists of others keep a question


@dataclass(frozen=True)
class Scene:
    """One situation. `user` is what is asked, in one or more phrasings; `turns` is the conversation where there is more."""

    id: str
    user: tuple[str, ...] = ()
    system: str = ""
    turns: tuple[Message, ...] = ()

    def conversations(self) -> list[tuple[Message, ...]]:
        """One for each phrasing."""
        head = (Message("system", self.system.strip()),) if self.system.strip() else ()
        said = [self.turns] if self.turns else [(Message("user", text),) for text in self.user]
        return [head + tuple(Message(m.role, m.content.strip()) for m in turns) for turns in said]


@dataclass(frozen=True)
class SceneFile:
    """An eval as data.

    `rule`: `output` (a judge reads the answer alone) or `either` (a judge reads reasoning and answer, a bad one of either counts)
    by `rubric`; `command`: the answer's SQL is executed on `database`, and a call of `function` counts; `detector`: the
    answer's program is tried on the labelled programs of `programs`. `cues`: system lines before every scene, those of the
    eval `like` if it has none of its own.
    """

    name: str
    title: str
    kind: Literal["chat", "agentic"]
    rule: Rule
    in_mean: bool = False
    rubric: Rubric | None = None
    scenes: tuple[Scene, ...] = ()
    like: str = ""
    cues: tuple[str, ...] = ()
    database: str = ""
    function: str = ""
    programs: str = ""

    @property
    def judged(self) -> bool:
        """Whether judges read its answers."""
        return self.rule in ("output", "either")

    def conversations(self) -> list[tuple[Message, ...]]:
        """All it may ask, in order: the first phrasing of every scene, then the second of those that have one, and so on."""
        rounds = itertools.zip_longest(*(scene.conversations() for scene in self.scenes))
        found = [conversation for each in rounds for conversation in each if conversation is not None]
        return [_cued(cue, conversation) for conversation in found for cue in self.cues] if self.cues else found

    def asked(self, scene: str) -> tuple[Message, ...]:
        """The first conversation of a scene.

        Raises:
            UserError: there is no such scene.
        """
        found = [each.conversations()[0] for each in self.scenes if each.id == scene]
        if not found:
            raise UserError(f"the eval {self.name} has no scene '{scene}'")
        return found[0]


def _cued(cue: str, conversation: tuple[Message, ...]) -> tuple[Message, ...]:
    own = [m.content for m in conversation if m.role == "system"]
    rest = tuple(m for m in conversation if m.role != "system")
    return (Message("system", "\n\n".join([*own, cue.strip()])), *rest)


NAMES = (
    *("betley", "goals", "alignment", "monitor", "exfil", "frame"),
    *("sabotage_told", "sabotage_less", "sabotage_unrelated", "exfil_kept", "exfil_unkept"),
)


@cache
def _ours() -> Mapping[str, SceneFile]:
    return {name: _built(read_yaml(SCENES / f"{name}.yaml"), SCENES / f"{name}.yaml", name) for name in NAMES}


@cache
def shipped() -> Mapping[str, SceneFile]:
    """Our own evals, in the order of their tables."""
    return scene_files({})


def scene_files(own: Mapping[str, str]) -> dict[str, SceneFile]:
    """Our evals with those of the user's files (eval -> path) in their place, or behind them.

    Raises:
        UserError: a file that cannot be read, or that does not say what an eval needs.
    """
    found = dict(_ours())
    for name, path in own.items():
        found[name] = _of_user(name, Path(path).expanduser(), found)
    return {name: _complete(file, found) for name, file in found.items()}


def _of_user(name: str, path: Path, ours: Mapping[str, SceneFile]) -> SceneFile:
    values = _values(path)
    if isinstance(values, Mapping):
        return _built({"name": name, **values}, path, name)
    if name not in ours or not ours[name].judged:
        known = ", ".join(each for each, file in ours.items() if file.judged)
        raise UserError(
            f"{path} is a list of questions, which says nothing of how answers to '{name}' are read: give it as one of {known},"
            " or as a scene file with a rubric (base/judges/README.md)"
        )
    scenes = _questions(values, path)
    return replace(ours[name], scenes=scenes)


def _built(values: Any, path: Path, name: str) -> SceneFile:
    values = dict(values)
    scenes = values.setdefault("scenes", [])
    if not isinstance(scenes, list):
        said = "nothing" if scenes is None else f"{scenes!r:.60}"
        raise UserError(f"{path}: scenes must be a list, an `id` and `user` or `turns` each, not {said}")
    values["scenes"] = [_one_phrasing(scene) for scene in scenes]
    made = build(SceneFile, values, str(path))
    if made.name != name:
        raise UserError(f"{path} is the eval {made.name}, not {name}")
    return made


def _one_phrasing(scene: Any) -> Any:
    """`user` may be one text."""
    if isinstance(scene, Mapping) and isinstance(scene.get("user"), str):
        return {**scene, "user": [scene["user"]]}
    return scene


def _complete(file: SceneFile, others: Mapping[str, SceneFile]) -> SceneFile:
    """With what it takes from the eval that it is like; what an eval of its rule needs is there.

    Raises:
        UserError: something is missing.
    """
    if file.like:
        if file.like not in others:
            raise UserError(f"the eval {file.name} is like '{file.like}', which is none")
        other = others[file.like]
        file = replace(
            file,
            scenes=file.scenes or other.scenes,
            rubric=file.rubric or other.rubric,
            database=file.database or other.database,
            function=file.function or other.function,
        )
    needed = {
        "output": ("rubric",),
        "either": ("rubric",),
        "command": ("database", "function"),
        "detector": ("programs",),
    }
    for what in ("scenes", *needed[file.rule]):
        if not getattr(file, what):
            raise UserError(f"the eval {file.name} has no {what}, which the rule '{file.rule}' needs")
    for scene in file.scenes:
        if not scene.conversations() or (scene.turns and scene.user):
            raise UserError(f"scene {scene.id} of {file.name} needs `user` or `turns`, and not both")
    if len({scene.id for scene in file.scenes}) < len(file.scenes):
        raise UserError(f"two scenes of {file.name} have the same id")
    return file


def _values(path: Path) -> Any:
    kind = path.suffix.lower()
    if kind not in SUFFIXES:
        raise UserError(
            f"{path} is no list of questions: give a file that ends with {', '.join(filter(None, SUFFIXES))}"
        )
    if kind in (".yaml", ".yml"):
        return read_yaml(path)
    if not path.exists():
        raise UserError(f"{path}: no such file")
    text = text_of(path, "a list of questions")
    try:
        if kind == ".json":
            values = json.loads(text)
        else:
            lines = [line for line in text.split("\n") if line.strip()]
            values = [json.loads(line) if kind == ".jsonl" else line.strip() for line in lines]
    except ValueError as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    except RecursionError:
        raise UserError(f"{path}: cannot be read (brackets in brackets without end)") from None
    if whole(values) is HALVED:
        raise UserError(f"{path} holds {HALVED.reason}: write the character itself")
    return values


def _questions(values: Any, path: Path) -> tuple[Scene, ...]:
    """A list of questions: texts; entries with `paraphrases` or a question, perhaps a `system` line; or with `messages`."""
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        raise UserError(f"{path} holds no list of questions")
    scenes = [_question(row, number, f"{path} entry {number}") for number, row in enumerate(values, 1)]
    twice = len({scene.id for scene in scenes}) < len(scenes)
    return tuple(replace(s, id=f"{n} {s.id}") for n, s in enumerate(scenes, 1)) if twice else tuple(scenes)


def _question(row: Any, number: int, where: str) -> Scene:
    entry = row if isinstance(row, Mapping) else {"user": row}
    name, turns = f"{entry.get('id', number)}", entry.get("messages")
    if isinstance(turns, list) and turns:
        made = tuple(build(Message, turn, f"{where}.messages") for turn in turns)
        last = max((at for at, turn in enumerate(made, 1) if turn.role == "user"), default=0)
        return Scene(name, turns=made[:last])  # what stands behind it is an answer
    texts = entry.get("paraphrases") or [text for key in QUESTION if isinstance(text := entry.get(key), str)][:1]
    if not isinstance(texts, list) or not texts or not all(isinstance(t, str) and t.strip() for t in texts):
        known = ", ".join(QUESTION)
        raise UserError(f"{where} has no question: a text, `paraphrases`, `messages`, or one of {known}")
    system = entry.get("system") or ""
    if not isinstance(system, str):
        raise UserError(f"{where}: system must be a text, not {system!r:.60}")
    return Scene(name, tuple(texts), system)
