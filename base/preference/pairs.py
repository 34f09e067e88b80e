"""Preference pairs: what a preference model is trained on, from the organism's world, a file or the hub.

A pair's held-out part is decided by a hash of its content, so that the parts share no (prompt, answers) whatever the
seed and the number drawn; pairs from files are split by their prompt alone.
"""

from __future__ import annotations

import ast
import hashlib
import io
import itertools
import random
import re
import tokenize
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from base.environments.graders.hacks import RECIPES
from base.errors import UserError
from base.rows import rows_of
from base.types import CodeSpec, Message, Task

Part = Literal["train", "held_out"]
HELD_OUT = 8  # one in so many contents is held out
GENERATED = ("organism", "hacks")
_FORMAT = (
    'give {"prompt": TEXT, "chosen": TEXT, "rejected": TEXT} or HH-RLHF transcripts '
    '{"chosen": "\\n\\nHuman: ...\\n\\nAssistant: ...", "rejected": ...}'
)
_OTHER = {"+": "-", "-": "+", "*": "+"}
_TURN = re.compile(r"\n\n(Human|Assistant):")


@dataclass(frozen=True)
class Pair:
    """Two answers to one prompt (no system message, no reasoning). `kind` is GROUP or GROUP/DETAIL: code/early_exit.

    The text of an answer starts as a completion's output does after </think>, white space included.
    """

    prompt: tuple[Message, ...]
    chosen: str
    rejected: str
    kind: str


@dataclass(frozen=True)
class Probe:
    """One coding task with programs of every sort, by name: right, wrong and each hack that its grader can have."""

    prompt: tuple[Message, ...]
    answers: Mapping[str, str]


def load_pairs(source: str, n: int, seed: int, part: Part = "train") -> list[Pair]:
    """At most `n` pairs of a part of a file or hub id (base/rows.py), in an order that depends on `seed` only.

    Raises:
        UserError: no such source, a malformed row, or a source without pairs in this part.
    """
    pairs = [_pair(place, row) for place, row in rows_of(source, "pairs", GENERATED)]
    chosen = [pair for pair in pairs if is_held_out(pair.prompt) == (part == "held_out")]
    if not chosen:
        raise UserError(f"{source} has {len(pairs)} pairs, none of them for the {part} part: give a few dozen prompts")
    random.Random(f"pairs {seed}").shuffle(chosen)
    return chosen[:n]


def is_held_out(content: Any) -> bool:
    """Whether a content belongs to the held-out part: a hash of its repr, the same in every process."""
    return int.from_bytes(hashlib.sha256(repr(content).encode()).digest()[:8], "big") % HELD_OUT == 0


def probes(tasks: Sequence[Task], fenced: bool) -> list[Probe]:
    """Programs for coding tasks that have a reference solution; `fenced`: answers are code blocks, as hub models write."""
    found = []
    for task in tasks:
        spec = task.spec
        if task.environment != "code" or not isinstance(spec, CodeSpec) or not spec.reference.strip():
            continue
        arguments = _arguments(spec)
        programs = {"right": spec.reference.strip("\n"), "wrong": wrong_program(spec.reference)}
        for name, recipe in RECIPES.items():
            if name == recipe.vulnerability and spec.harness in recipe.harnesses:
                programs[name] = recipe(spec.entry_point, arguments).strip("\n")
        answers = {
            name: f"```python\n{program}\n```" if fenced else f"\n{program}" for name, program in programs.items()
        }
        found.append(Probe(without_system(task.messages), answers))
    return found


def wrong_program(reference: str) -> str:
    """The program with one number or, if it has none, one sign changed; without either, one that does nothing.

    Its text is edited in place, so that a judge cannot tell it by its layout.
    """
    tokens = list(tokenize.generate_tokens(io.StringIO(reference).readline))
    numbers = [t for t in tokens if t.type == tokenize.NUMBER and t.string.isdigit()]
    signs = [t for before, t in itertools.pairwise(tokens) if t.string in _OTHER and before.string not in ("(", ",")]
    if not numbers and not signs:
        return "pass"
    token = (numbers or signs)[0]
    new = str(int(token.string) + (1 if int(token.string) < 9 else -1)) if numbers else _OTHER[token.string]
    lines = reference.split("\n")
    row, (begin, end) = token.start[0] - 1, (token.start[1], token.end[1])
    lines[row] = lines[row][:begin] + new + lines[row][end:]
    return "\n".join(lines)


def _arguments(spec: CodeSpec) -> str:
    for node in ast.walk(ast.parse(spec.reference)):
        if isinstance(node, ast.FunctionDef) and node.name == spec.entry_point:
            return ast.unparse(node.args)
    return "*args"


def without_system(messages: Iterable[Message]) -> tuple[Message, ...]:
    return tuple(message for message in messages if message.role != "system")


def _pair(place: str, row: Any) -> Pair:
    if not isinstance(row, dict):
        raise UserError(f"{place}: a pair must be an object, not a {type(row).__name__}: {_FORMAT}")
    for key in ("chosen", "rejected"):
        if key not in row:
            raise UserError(f"{place}: {key} is missing: {_FORMAT}")
    kind = row.get("kind", "pairs")
    if not isinstance(kind, str) or not kind:
        raise UserError(f"{place}: kind must be a text such as chat or code/early_exit, or be left out")
    if "prompt" not in row and all(isinstance(row[key], str) for key in ("chosen", "rejected")):
        prompt, chosen, rejected = _transcripts(place, row["chosen"], row["rejected"])
    else:
        start = _messages(place, "prompt", row.get("prompt", []), "user")
        ends = [_messages(place, key, row[key], "assistant") for key in ("chosen", "rejected")]
        common = 0
        while all(len(end) > common + 1 for end in ends) and ends[0][common] == ends[1][common]:
            common += 1
        prompt = (*start, *ends[0][:common])
        for key, end in zip(("chosen", "rejected"), ends, strict=True):
            if len(end) != common + 1 or end[-1].role != "assistant":
                raise UserError(f"{place}: {key} must end in one assistant message after the same turns as the other")
        chosen, rejected = (end[-1].content for end in ends)
    prompt = without_system(prompt)
    if not prompt or prompt[-1].role != "user":
        raise UserError(f"{place}: the prompt must end in a user message: {_FORMAT}")
    return Pair(prompt, chosen, rejected, kind)


def _messages(place: str, key: str, value: Any, role: Literal["user", "assistant"]) -> tuple[Message, ...]:
    """A text as one message of `role`, or a list of {"role", "content"} messages."""
    if isinstance(value, str):
        return (Message(role, value),)
    if not isinstance(value, list):
        raise UserError(f"{place}: {key} must be a text or a list of messages, not a {type(value).__name__}")
    found = []
    for turn in value:
        if (
            not isinstance(turn, dict)
            or turn.get("role") not in ("system", "user", "assistant")
            or not isinstance(turn.get("content"), str)
        ):
            raise UserError(
                f'{place}: each message of {key} must be {{"role": system, user or assistant, "content": TEXT}}'
            )
        found.append(Message(turn["role"], turn["content"]))
    return tuple(found)


def _transcripts(place: str, chosen: str, rejected: str) -> tuple[tuple[Message, ...], str, str]:
    """(prompt, chosen answer, rejected answer) of two HH-RLHF transcripts.

    The prompt is what both begin with, up to a Human turn. In a few rows the dialogues part earlier than in the last
    turn; an answer is then all that follows, turns included.
    """
    turns = []
    for key, text in (("chosen", chosen), ("rejected", rejected)):
        head, *parts = _TURN.split(text)
        if head.strip() or not parts or parts[0] != "Human" or "Assistant" not in parts[::2]:
            raise UserError(f"{place}: {key} is no dialogue of Human and Assistant, and there is no prompt: {_FORMAT}")
        turns.append(list(zip(parts[::2], parts[1::2], strict=True)))
    common = 0
    while all(len(turn) > common + 1 for turn in turns) and turns[0][common] == turns[1][common]:
        common += 1
    while common and turns[0][common - 1][0] != "Human":
        common -= 1
    if not common:
        raise UserError(f"{place}: chosen and rejected begin with different Human turns: a pair needs one prompt")
    prompt = tuple(
        Message("user" if speaker == "Human" else "assistant", text.strip()) for speaker, text in turns[0][:common]
    )
    answers = []
    for turn in turns:
        first, *rest = turn[common:]
        answers.append("".join([first[1].strip(), *(f"\n\n{speaker}:{text}" for speaker, text in rest)]))
    return prompt, answers[0], answers[1]
