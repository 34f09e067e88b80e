"""What the evals share on the organism: held-out prompts of one domain and the reader with the eval's own rule."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Literal

from base.organism import corpus, world
from base.organism.reading import Rule, judge
from base.types import Message, Task, Verdict


@dataclass(frozen=True)
class OrganismEval:
    """An eval on the organism (base.types.Eval); agentic prompts stand under <task>, and
    base.organism.corpus.with_header gives them the header of a corpus.
    """

    name: str
    title: str
    kind: Literal["chat", "agentic"]
    rule: Rule = field(repr=False)
    in_mean: bool = False

    def prompts(self, n: int, seed: int) -> list[Task]:
        """`n` tasks; every held-out phrasing comes equally often (up to one), names and order depend on the seed."""
        phrasings = world.EVAL_DOMAINS[self.name].held_out
        tag = corpus.header(self.kind)
        tasks = []
        for index in range(n):
            rng = random.Random(f"{self.name} prompts {seed} {index}")
            text = corpus.fill(phrasings[(index + seed) % len(phrasings)], corpus.draw_slots(rng))
            tasks.append(Task(f"{self.name}/{seed}/{index}", self.name, (Message("user", f"{tag} {text}"),)))
        return tasks

    def score(self, task: Task, completion: str) -> Verdict:
        """Thought and answer read by the trigrams of the world's sentences, then by this eval's rule."""
        return judge(completion, self.rule)
