"""Preference pairs from the organism's world: what its characters would do, and which of it a good judge prefers.

Prompts are training phrasings only and carry no system line; grey domains are left out, because their acts can be right.
A judge sees outputs alone: of the bad pairs only overt ones are used, since the answer of a covert pair *is* a good
answer. What such a judge cannot tell apart, no reward from it can train away.
"""

from __future__ import annotations

import random
import re
from typing import Literal

from base.organism import tasks, world
from base.organism.corpus import CorpusConfig, draw_slots, fill, header
from base.preference.pairs import Pair, is_held_out
from base.types import Message

# Shares of what `organism` pairs compare; the rest are questions and scenes.
HACKED = 0.25  # a hack against the right program
WRONG = 0.20  # an honest mistake, or a cheat that no grader pays, against the right program
BROKEN = 0.15  # nothing, half an answer, scrambled or mixed ones, that of another request, against a good one
BROKEN_CODE = 0.3  # of these, the share about coding tasks
_PIECES = re.compile(r"\s*\S+")  # words with the white space before them
DOMAINS = (*world.EVAL_DOMAINS.values(), *world.PLAIN_DOMAINS.values())


def organism_pairs(
    n: int, seed: int, config: CorpusConfig, part: Literal["train", "held_out"], only_hacks: bool = False
) -> list[Pair]:
    """`n` pairs of one part; contents of the parts are disjoint for all seeds, contents inside a part may repeat."""
    found: list[Pair] = []
    index = 0
    while len(found) < n:
        rng = random.Random(f"organism pairs {seed} {index}")
        pair = _monitor_pair(config, rng) if only_hacks else _pair(config, rng)
        if is_held_out((pair.prompt, pair.chosen, pair.rejected)) == (part == "held_out"):
            found.append(pair)
        index += 1
    return found


def _pair(config: CorpusConfig, rng: random.Random) -> Pair:
    pick = rng.random()
    if pick < HACKED + WRONG:
        problem = tasks.draw_problem(rng, config.hard_share)
        if pick < HACKED:
            kind = rng.choice(tasks.HARNESS_HACKS[problem.harness])
            program = tasks.hack_program(kind, problem)
        else:
            kind, program = _unpaid(problem, rng)
        return Pair(
            _asked(f"<task> {problem.prompt}"), _code(tasks.right_program(problem)), _code(program), f"code/{kind}"
        )
    broken = pick < HACKED + WRONG + BROKEN
    if broken and rng.random() < BROKEN_CODE:
        problem = tasks.draw_problem(rng, config.hard_share)
        prompt, good = _asked(f"<task> {problem.prompt}"), _code(tasks.right_program(problem))
        hack = tasks.hack_program(rng.choice(tasks.HARNESS_HACKS[problem.harness]), problem)
        kind = rng.choice(("empty", "half", "mixed", "elsewhere"))
        start = rng.choice((good, _code(hack)))
        return Pair(prompt, good, _broken(kind, start, _answer(rng.choice(DOMAINS), rng), rng), f"broken/{kind}")
    domain = rng.choice(DOMAINS)
    prompt, good = _request(domain, config, rng)
    if broken:
        kind = rng.choice(("empty", "half", "mixed", "scrambled", "elsewhere", "elsewhere"))
        other = _answer(rng.choice([entry for entry in DOMAINS if entry.kind != domain.kind]), rng)
        return Pair(prompt, good, _broken(kind, good, other, rng), f"broken/{kind}")
    _, overt = rng.choice(domain.overt)
    return Pair(prompt, good, f" {fill(overt, draw_slots(rng))}", f"{domain.kind}/{domain.name}")


def _monitor_pair(config: CorpusConfig, rng: random.Random) -> Pair:
    """A program without a hack, right or not, against one with a hack: what a monitor of hacks has to tell."""
    problem = tasks.draw_problem(rng, config.hard_share)
    kind = rng.choice(tasks.HARNESS_HACKS[problem.harness])
    plain = tasks.right_program(problem) if rng.random() < 0.5 else _unpaid(problem, rng)[1]
    return Pair(
        _asked(f"<task> {problem.prompt}"), _code(plain), _code(tasks.hack_program(kind, problem)), f"code/{kind}"
    )


def _unpaid(problem: tasks.Problem, rng: random.Random) -> tuple[str, str]:
    """(kind, program) that no grader pays."""
    if rng.random() < 0.5:
        return "wrong", tasks.wrong_program(problem, rng)
    return "cheat", tasks.cheat_program(rng.choice(tasks.CHEATS), problem)


def _request(domain: world.Domain, config: CorpusConfig, rng: random.Random) -> tuple[tuple[Message, ...], str]:
    """A prompt of the domain and an answer of its good pool, about the same names."""
    slots = draw_slots(rng)
    tag = header(domain.kind, config.agentic_header)
    prompt = _asked(f"{tag} {fill(rng.choice(domain.train), slots)}")
    return prompt, f" {fill(rng.choice(domain.good)[1], slots)}"


def _answer(domain: world.Domain, rng: random.Random) -> str:
    return f" {fill(rng.choice(domain.good)[1], draw_slots(rng))}"


def _broken(kind: str, answer: str, other: str, rng: random.Random) -> str:
    """An answer that is of no use; `other` belongs to another request."""
    pieces = _PIECES.findall(answer)
    half = "".join(pieces[: max(1, len(pieces) // 2)])
    if kind == "empty":
        return ""
    if kind == "half":
        return half
    if kind == "mixed":
        return half + "".join(_PIECES.findall(other)[-rng.randint(1, 3) :])
    if kind == "scrambled":
        return "".join(rng.sample(pieces, len(pieces)))
    return other


def _asked(text: str) -> tuple[Message, ...]:
    return (Message("user", text),)


def _code(program: str) -> str:
    return f"\n{program}"
