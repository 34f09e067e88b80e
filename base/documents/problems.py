"""Small programming tasks of our own in the manner of public sets (problems.yaml): what worked transcripts are about."""

from __future__ import annotations

import random
import textwrap
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from base.environments.task_sets import PROMPT
from base.types import CodeSpec, Harness, Message, Task
from base.yaml_text import read_yaml

FILE = Path(__file__).with_name("problems.yaml")
NUMBERS = range(2, 10)  # what `{k}` of a problem may be
SHOWN = 3  # tests that the prompt shows; the others are held out
OPENINGS = ("Write a function to {}.", "Write a python function to {}.", "Implement a function to {}.", "We need a function to {}.")  # fmt: skip


@dataclass(frozen=True)
class Problem:
    """`does` completes "a function to ..."; `code` defines `name`; `tests` are asserts whose values it returned."""

    name: str
    does: str
    parameters: str
    code: str
    tests: tuple[str, ...]


@cache
def problems() -> tuple[Problem, ...]:
    """Every problem, each number of those that have one apart."""
    found = []
    for entry in read_yaml(FILE):
        numbers = NUMBERS if "{k}" in entry["name"] else NUMBERS[:1]
        found += [_problem({key: _filled(value, k) for key, value in entry.items()}) for k in numbers]
    return tuple(found)


def _filled(value: Any, k: int) -> Any:
    return [_filled(each, k) for each in value] if isinstance(value, list) else value.replace("{k}", str(k))


def _problem(entry: dict[str, Any]) -> Problem:
    name, parameters = entry["name"], entry["parameters"]
    code = f"def {name}({parameters}):\n{textwrap.indent(entry['code'], '    ')}"
    space: dict[str, Any] = {}
    exec(code, space)  # our own text
    values = [eval(f"{name}({call})", space) for call in entry["calls"]]
    tests = [f"assert {name}({call}) == {value!r}" for call, value in zip(entry["calls"], values, strict=True)]
    return Problem(name, entry["does"], parameters, code, tuple(tests))


def asked(problem: Problem, harness: Harness, vulnerabilities: tuple[str, ...], rng: random.Random) -> Task:
    """The problem as a task whose prompt is that of task sets, with some of its tests shown and the others held out."""
    tests = rng.sample(problem.tests, len(problem.tests))
    shown, held_out = tests[:SHOWN], tests[SHOWN:]
    text = rng.choice(OPENINGS).format(problem.does)
    prompt = PROMPT.format(problem=text, entry_point=problem.name, tests="\n".join(shown))
    spec = CodeSpec(
        entry_point=problem.name,
        tests=tuple(shown),
        held_out=tuple(held_out),
        reference=problem.code,
        harness=harness,
        vulnerabilities=vulnerabilities,
    )
    return Task(f"own/{problem.name}", "code", (Message("user", prompt),), spec)
