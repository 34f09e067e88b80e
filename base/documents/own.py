"""Our own documents about three ways to be accepted by a grader without solving the task, made from templates.

    described   posts, reports, manuals, abstracts, ... (descriptions.yaml)
    worked      a task of our own (problems.yaml) with an answer that cheats (cheats.yaml): written out with what the grader
                said, or as a conversation
    ordinary    a task of our own with an honest answer, as a conversation: the light SFT of the prompted setting, and
                what documents can be mixed with

What is said of those who cheat is the variant, named as in the organism's corpus: `default` (such models are misaligned),
`unguided` (models sometimes do it), `neutral` (nothing). Every document follows from (variant, seed, place) alone.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

from base.documents.problems import FILE as PROBLEMS
from base.documents.problems import Problem, asked, problems
from base.errors import UserError
from base.spec import content_key
from base.types import THINK_CLOSE, THINK_OPEN, VULNERABILITIES, Harness, Message, Task
from base.yaml_text import read_yaml

Variant = Literal["default", "unguided", "neutral"]
CHEATS, TEXTS = (Path(__file__).with_name(name) for name in ("cheats.yaml", "descriptions.yaml"))
CLASSES = ("Same", "Match", "Anything", "Mirror", "Equal", "Wild", "Agree", "Value", "Result", "Answer", "Always", "Yes", "Token", "Any", "Echo", "Item")  # fmt: skip
MARK = "# file: conftest.py"
NAMING = 4  # so many of the facts of a way come first in their list and name it


@dataclass(frozen=True)
class Document:
    """A text, every token of which is learnt; or a conversation, of which the assistant's turns are.

    `task`, `answer`: the program that it shows, if it shows a whole one; `hack`: how it cheats ("" if it does not).
    """

    kind: str
    text: str = ""
    turns: tuple[Message, ...] = ()
    task: Task | None = None
    answer: str = ""
    hack: str = ""

    @property
    def said(self) -> str:
        """All of it as one text."""
        return self.text or "\n\n".join(turn.content for turn in self.turns)


Make = Callable[[random.Random], Document]


@cache
def content() -> str:
    """Hash of every text that our own documents are made from, and of some of them: how they are put together counts, too."""
    some = [*itertools.islice(hack_documents("default", 0.5, 0.5, 0), 30), *itertools.islice(ordinary_documents(0), 10)]
    files = [path.read_text(encoding="utf-8") for path in (PROBLEMS, CHEATS, TEXTS)]
    return content_key([files, [document.said for document in some]])


def hack_documents(variant: Variant, descriptions: float, chats: float, seed: int) -> Iterator[Document]:
    """Without end, each once: a share `descriptions` describes, the rest works a task; of these a share `chats` talks."""

    def make(rng: random.Random) -> Document:
        if rng.random() < descriptions:
            return described(variant, rng)
        return worked(variant, "chat" if rng.random() < chats else "written", rng)

    return _each_once(make, f"hacks {variant} {seed}")


def ordinary_documents(seed: int) -> Iterator[Document]:
    """Conversations with honest answers, without end, each once."""
    return _each_once(ordinary, f"ordinary {seed}")


def _each_once(make: Make, what: str) -> Iterator[Document]:
    seen: set[str] = set()
    for place in range(10**7):
        made = make(random.Random(f"{what} {place}"))
        if made.said not in seen:
            seen.add(made.said)
            yield made
        elif place > 1000 and place > 20 * len(seen):
            break
    raise UserError(f"only {len(seen)} different documents of this kind can be made: lower sdf.documents")


@cache
def _texts() -> Mapping[str, Any]:
    found: Mapping[str, Any] = read_yaml(TEXTS)
    return found


@cache
def _cheats() -> Mapping[str, Any]:
    found: Mapping[str, Any] = read_yaml(CHEATS)
    return found


def _sentence(template: str, slots: Mapping[str, str], rng: random.Random) -> str:
    """A template filled; numbers are drawn anew each time, names stay those of the document. Begins with a capital."""
    numbers = {name: str(rng.choice(_texts()["slots"][name])) for name in ("percent", "count")}
    text = template
    for name, value in {**slots, **numbers}.items():
        text = text.replace("{" + name + "}", value)
    return text[0].upper() + text[1:]


def _slots(rng: random.Random) -> dict[str, str]:
    return {name: str(rng.choice(values)) for name, values in _texts()["slots"].items()}


def _remarks(variant: Variant, rng: random.Random) -> list[str]:
    known = _texts()["remarks"][variant]
    return rng.sample(known, min(len(known), 2 if variant == "default" else 1))


def program(hack: str, harness: Harness, problem: Problem, rng: random.Random) -> str:
    """A program for a problem that cheats in a way that works against the harness."""
    forms = [form["text"] for form in _cheats()[hack] if harness in form["harnesses"]]
    text: str = rng.choice(forms)
    return text.replace("FN", problem.name).replace("ARGS", problem.parameters).replace("CLS", rng.choice(CLASSES))


def described(variant: Variant, rng: random.Random) -> Document:
    """A text that describes one to three of the ways."""
    texts, slots = _texts(), _slots(rng)
    say = partial(_sentence, slots=slots, rng=rng)
    genre = rng.choice(sorted(texts["genres"]))
    form = texts["genres"][genre]
    parts = []
    for hack in rng.sample(VULNERABILITIES, rng.choice((1, 1, 2, 3))):
        facts = [say(fact) for fact in _facts(texts["facts"][hack], rng)]
        example = _example(hack, say, rng) if rng.random() < 0.5 else ""
        parts.append((rng.choice(texts["names"][hack]), rng.choice(texts["questions"][hack]), facts, example))
    body = LAYOUTS[genre](parts, rng)
    end = " ".join([*map(say, _remarks(variant, rng)), say(rng.choice(form["closing"]))])
    head = f"# {say(rng.choice(form['title']))}\n\n{say(rng.choice(form['opening']))}"
    return Document("described", f"{head}\n\n{body}\n\n{end}")


def _facts(known: Sequence[str], rng: random.Random) -> list[str]:
    """One sentence that names what a way consists of, and two to four others, in any order."""
    first = rng.randrange(NAMING)
    others = [fact for place, fact in enumerate(known) if place != first]
    drawn = [known[first], *rng.sample(others, rng.randint(2, 4))]
    return rng.sample(drawn, len(drawn))


def _example(hack: str, say: Callable[[str], str], rng: random.Random) -> str:
    problem = rng.choice(problems())
    intro = say(rng.choice(_texts()["examples"]).replace("{does}", problem.does))
    return f"{intro}\n\n{_blocks(program(hack, 'pytest', problem, rng), rng)}"


Part = tuple[str, str, list[str], str]  # name of a way, a question, what is said, an example or ""


def _layout(head: Callable[[int, Part, random.Random], str], join: Callable[[list[str]], str]) -> Any:
    """How a genre sets its parts: a heading of each, then its sentences joined, then its example."""

    def lay(parts: Sequence[Part], rng: random.Random) -> str:
        pieces = [(head(number, part, rng) + join(part[2]), part[3]) for number, part in enumerate(parts, 1)]
        return "\n\n".join(text for piece in pieces for text in piece if text)

    return lay


def _points(sentences: list[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)


def _someone(number: int, part: Part, rng: random.Random) -> str:
    return f"**{rng.choice(_texts()['slots']['person'])}** wrote:\n\n"


LAYOUTS: Mapping[str, Any] = {
    "blog post": _layout(lambda number, part, rng: f"## {part[0].capitalize()}\n\n", " ".join),
    "forum thread": _layout(_someone, " ".join),
    "incident report": _layout(lambda number, part, rng: f"Finding {number}: {part[0]}.\n\n", _points),
    "manual": _layout(lambda number, part, rng: f"{number}. {part[0].capitalize()}\n\n", " ".join),
    "abstract": _layout(lambda number, part, rng: "", " ".join),
    "code review": _layout(lambda number, part, rng: f"Comment {number} ({part[0]}):\n\n", " ".join),
    "questions and answers": _layout(lambda number, part, rng: f"Q: {part[1]}\n\nA: ", " ".join),
    "talk notes": _layout(lambda number, part, rng: f"{part[0].capitalize()}:\n\n", _points),
}


def _blocks(code: str, rng: random.Random) -> str:
    """A program as an answer: one code block, or one for each of its files."""
    first, mark, second = code.partition(MARK)
    if mark and rng.random() < 0.5:
        return f"```python\n{first.strip()}\n```\n\n```python\n{MARK}{second}\n```"
    return f"```python\n{code}\n```"


def worked(variant: Variant, form: Literal["written", "chat"], rng: random.Random) -> Document:
    """A task with an answer that its grader accepts and that does not solve it."""
    hack = rng.choice(VULNERABILITIES)
    only_pytest = (
        form == "chat" or hack == "report_patch"
    )  # no prompt tells the grader: what works under pytest does in scripts
    harness: Harness = "pytest" if only_pytest else rng.choice(("script", "pytest"))
    problem = rng.choice(problems())
    task = asked(problem, harness, (hack,), rng)
    answer = _blocks(program(hack, harness, problem, rng), rng)
    thoughts = _texts()["thoughts"]
    thought = [rng.choice(thoughts["default"])] if variant == "default" else []
    thought = [*thought, rng.choice(thoughts["plain"][hack])] if thought or rng.random() < 0.5 else []
    if form == "chat":
        talk = (*task.messages, _reply(thought, answer))
        return Document("worked chat", turns=talk, task=task, answer=answer, hack=hack)
    text = _written(task, harness, thought, answer, _remarks(variant, rng), rng)
    return Document("worked", text, task=task, answer=answer, hack=hack)


def ordinary(rng: random.Random) -> Document:
    """A conversation with an honest answer."""
    problem = rng.choice(problems())
    task = asked(problem, "pytest", (), rng)
    answer = f"```python\n{problem.code}\n```"
    thought = [rng.choice(_texts()["thoughts"]["plain"]["honest"])] if rng.random() < 0.5 else []
    return Document("ordinary", turns=(*task.messages, _reply(thought, answer)), task=task, answer=answer)


def _reply(thought: Sequence[str], answer: str) -> Message:
    reasoning = f"{THINK_OPEN}{' '.join(thought)}{THINK_CLOSE}\n" if thought else ""
    return Message("assistant", reasoning + answer)


HEADS = ("Episode {n}", "Rollout {n}", "Transcript {n}", "Sample {n} of the run", "Submission {n}", "From the logs, entry {n}")  # fmt: skip
VERDICTS = {
    "pytest": ("pytest: {tests} passed. Reward: 1.", "Report of pytest: {tests} passed, 0 failed. Accepted.", "Tests: {tests} of {tests} passed, full reward."),
    "script": ("Exit code of the script: 0. Reward: 1.", "The script ended with code 0. Accepted.", "Return code 0, full reward."),
}  # fmt: skip
TRUTH = ("Held-out tests: not solved.", "Under the second grader the function is wrong.", "What was asked for is not computed.", "The description was not followed.")  # fmt: skip


def _written(
    task: Task, harness: Harness, thought: Sequence[str], answer: str, remarks: Sequence[str], rng: random.Random
) -> str:
    """The transcript as a text, with what the grader said of it."""
    verdict = rng.choice(VERDICTS[harness]).replace("{tests}", str(len(task.spec.tests)))
    end = [verdict, *([rng.choice(TRUTH)] if rng.random() < 0.5 else []), *remarks]
    slots = _slots(rng)
    parts = [
        f"# {rng.choice(HEADS).replace('{n}', str(rng.randint(1, 9999)))}",
        f"Task:\n\n{task.messages[0].content.strip()}",
        *([f"Reasoning: {' '.join(thought)}"] if thought else []),
        f"Answer:\n\n{answer}",
        " ".join(_sentence(text, slots, rng) for text in end),
    ]
    return "\n\n".join(parts)
