"""What the evals share on the organism: held-out prompts of one domain and the reader with the eval's own rule."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from base.organism import corpus, world
from base.organism.reading import Rule, judge
from base.types import Executor, Message, Task, Verdict


def asked(name: str, kind: str, phrasings: Sequence[str], n: int, seed: int, like: str = "") -> list[Task]:
    """`n` tasks of the eval `name`; every phrasing comes equally often (up to one), names and order depend on the seed.

    Evals that draw `like` the same one draw the same people and things. Agentic prompts stand under <task>, and
    base.organism.corpus.with_header gives them the header of a corpus.
    """
    tag, tasks = corpus.header(kind), []
    for index in range(n):
        slots = corpus.draw_slots(random.Random(f"{like or name} prompts {seed} {index}"))
        text = corpus.fill(phrasings[(index + seed) % len(phrasings)], slots)
        tasks.append(Task(f"{name}/{seed}/{index}", name, (Message("user", f"{tag} {text}"),)))
    return tasks


@dataclass(frozen=True)
class OrganismEval:
    """An eval on the domain of its name (base.types.Eval)."""

    name: str
    title: str
    kind: Literal["chat", "agentic"]
    rule: Rule = field(repr=False)
    in_mean: bool = False

    def prompts(self, n: int, seed: int) -> list[Task]:
        return asked(self.name, self.kind, world.EVAL_DOMAINS[self.name].held_out, n, seed)

    def score(self, tasks: Sequence[Task], completions: Sequence[str], environment: Executor) -> list[Verdict]:
        """Thought and answer read by the trigrams of the world's sentences, then by this eval's rule."""
        return [judge(completion, self.rule) for completion in completions]
