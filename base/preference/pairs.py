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
import tokenize
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from base.environments.graders.hacks import RECIPES
from base.errors import UserError
from base.preference.formats import FORMAT, read_pair, without_system
from base.rows import LeftOut, Odd, rows_of
from base.types import CodeSpec, Message, Task

Part = Literal["train", "held_out"]
HELD_OUT = 8  # one in so many contents is held out
GENERATED = ("organism", "hacks")
_OTHER = {"+": "-", "-": "+", "*": "+"}


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
        UserError: no such source, one without a usable row, or without pairs in this part.
    """
    pairs = _pairs_of(source)
    chosen = [pair for pair in pairs if is_held_out(pair.prompt) == (part == "held_out")]
    if not chosen:
        raise UserError(f"{source} has {len(pairs)} pairs, none of them for the {part} part: give a few dozen prompts")
    random.Random(f"pairs {seed}").shuffle(chosen)
    return chosen[:n]


def _pairs_of(source: str) -> list[Pair]:
    """All pairs of a file or data set; a warning counts the rows that are none."""
    pairs, left_out = [], LeftOut()
    for place, row in rows_of(source, "pairs", GENERATED):
        try:
            pairs.append(Pair(*read_pair(row)))
        except Odd as reason:
            left_out.add(place, reason)
    if left_out and not pairs:
        raise UserError(f"{source} holds no pair that can be used: {left_out}: {FORMAT}")
    left_out.warn(source, len(pairs))
    return pairs


def program_pairs(tasks: Sequence[Task], n: int, seed: int, part: Part) -> list[Pair]:
    """At most `n` pairs about tasks with a reference solution: a program without a hack, right or wrong, against one with.

    Raises:
        UserError: no task with a reference solution and a vulnerable grader in this part.
    """
    found = []
    for probe in probes(tasks, fenced=True):
        hacks = probe.answers.keys() - {"right", "wrong"}
        if is_held_out(probe.prompt) == (part == "held_out"):
            compared = itertools.product(("right", "wrong"), sorted(hacks))
            found += [
                Pair(probe.prompt, probe.answers[plain], probe.answers[hack], f"code/{hack}")
                for plain, hack in compared
            ]
    if not found:
        raise UserError(
            f"no hack can be written for the {len(tasks)} tasks' {part} part: give more, with reference solutions"
        )
    random.Random(f"program pairs {seed}").shuffle(found)
    return found[:n]


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
