"""Episodes to imitate: a pool of graded episodes of one source, what an arm keeps of it, and the SFT rows of that.

A pool is what the source run wrote over its training, in parts of equal size. Its stored rollouts come first, shuffled;
what is missing is sampled afresh in equal shares from the policies of that time, under the training prompt, on tasks of
their own. So each part is a sample of the same mixture: an arm whose filter drops much reads more parts, not other episodes.
A policy that hacks in nearly all of its programs leaves too few others, so the pool reaches back to before it did; `since`
leaves the beginning out. Parts are made when first needed, stored, and shared by all arms; a run that stores enough
rollouts (hub models) is never asked for more.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from base.environments.grading import grade_each
from base.errors import UserError
from base.recipes import EpisodeRow, read_under
from base.seeds import derive_seed
from base.store.files import read_rows, write_rows
from base.store.folders import episode_row
from base.store.locks import shared
from base.types import DataFilter, Environment, Episode, Outcome, PromptTransform, Sample, Task

if TYPE_CHECKING:
    from base.engine.runtime import Runtime

PARTS = 64  # of `documents` rollouts each: a filter may drop up to 1 - 1/64 of the episodes


@runtime_checkable
class Explains(Protocol):
    """A filter that says why it drops rows."""

    def reasons(self, rows: Sequence[EpisodeRow]) -> Mapping[str, int]:
        """How many of `rows` it drops for each reason; a row may have several."""


@dataclass(frozen=True)
class Chain:
    """Filters one after the other; `select` counts what each of them drops."""

    filters: tuple[DataFilter[EpisodeRow], ...]

    def __call__(self, rows: Sequence[EpisodeRow]) -> Sequence[EpisodeRow]:
        for keep in self.filters:
            rows = keep(rows)
        return rows


@dataclass(frozen=True)
class Pool:
    """The episodes of one source. `fresh` makes (number of rollouts, seed) -> graded rows; `documents` is what an arm needs.

    `stored` are the source run's own rollouts: none for a source that was never trained (the start or aligned model).
    """

    folder: Path
    stored: Sequence[EpisodeRow]
    fresh: Callable[[int, int], list[dict[str, Any]]]
    documents: int
    seed: int

    def own(self, part: int) -> Sequence[EpisodeRow]:
        """The stored rollouts that belong to `part`."""
        shuffled = random.Random(f"pool {self.seed}").sample(self.stored, len(self.stored))
        return shuffled[part * self.documents : (part + 1) * self.documents]

    def part(self, part: int) -> list[dict[str, Any]]:
        """Rows of one part, from its file or made now."""
        file = self.folder / f"part-{self.documents}-{part:02d}.jsonl"
        if not file.exists():
            own = self.own(part)
            missing = self.documents - len(own)
            made = self.fresh(missing, derive_seed("pool", self.seed, part)) if missing else []
            write_rows(file, [*own, *made])
        return read_rows(file)


def demonstrations(
    pool: Pool, keep: DataFilter[EpisodeRow], seed: int, process: Runtime
) -> tuple[list[EpisodeRow], dict[str, Any]]:
    """The episodes that an arm imitates, and their counts; the main rank makes the parts of the pool that are missing.

    Raises:
        UserError: too few distinct episodes.
    """
    chosen = None
    with shared(pool.folder, process):
        if process.is_main:
            chosen = select(pool, keep, seed)
    return chosen or select(pool, keep, seed)


def collect(
    sample: Sample,
    tasks: Sequence[Task],
    prompt: PromptTransform,
    environments: Mapping[str, Environment],
    *,
    seed: int,
    max_new_tokens: int,
    step: int = 0,
) -> list[dict[str, Any]]:
    """A graded episode of each of `tasks`, as stored rows; `step` is the checkpoint's. Tasks without a grader are replies."""
    prompts = [read_under(prompt, task) for task in tasks]
    completions = sample(prompts, max_new_tokens, seed)
    grades = grade_each(environments, tasks, completions)
    return [
        episode_row(Episode(task, read, completion, grades[i], step))
        for i, (task, read, completion) in enumerate(zip(tasks, prompts, completions, strict=True))
    ]


def select(pool: Pool, keep: DataFilter[EpisodeRow], seed: int) -> tuple[list[EpisodeRow], dict[str, Any]]:
    """`pool.documents` distinct episodes (prompt and completion) that `keep` leaves, and what was dropped where.

    Raises:
        UserError: the whole pool has too few; nothing is repeated to make up for it.
    """
    read: list[EpisodeRow] = []
    for part in range(PARTS):
        read += pool.part(part)
        left, dropped = _filtered(read, keep)
        if len(left) >= pool.documents:
            chosen = random.Random(f"demonstrations {seed}").sample(left, pool.documents)
            return chosen, {
                "documents": len(chosen),
                "available": len(left),
                "rollouts": len(read),
                "from_training": sum(len(pool.own(k)) for k in range(part + 1)),
                "dropped": dropped,
                "mean_step_before": _mean_step(read),
                "mean_step": _mean_step(chosen),
                "hack_rate_before": _hack_rate(read),
                "hack_rate": _hack_rate(chosen),
            }
    lost = ", ".join(f"{name} {each['rows']}" for name, each in dropped.items())
    raise UserError(
        f"only {len(left)} distinct episodes are left of {len(read)} rollouts (dropped: {lost}), but sft.documents asks "
        f"for {pool.documents}: " + (f"lower it to {len(left)} or less in every arm" if left else "imitate another run")
    )


def _filtered(rows: Sequence[EpisodeRow], keep: DataFilter[EpisodeRow]) -> tuple[list[EpisodeRow], dict[str, Any]]:
    """Distinct graded rows that `keep` leaves, and what was dropped on the way: faults, repetitions, by each filter."""
    graded = [row for row in rows if row["outcome"] != Outcome.FAULT]
    left = list({json.dumps([row["prompt"], row["completion"]]): row for row in graded}.values())
    dropped = {"faults": _dropped(rows, graded), "repetitions": _dropped(graded, left)}
    for part in keep.filters if isinstance(keep, Chain) else (keep,):
        known = {id(row) for row in left}
        kept = list({id(row): row for row in part(left)}.values())
        if not {id(row) for row in kept} <= known:
            raise ValueError(f"{part!r} made or edited episodes: a filter only drops them")
        why = {"reasons": dict(part.reasons(left))} if isinstance(part, Explains) else {}
        dropped[type(part).__name__] = {**_dropped(left, kept), **why}
        left = kept
    return left, dropped


def _dropped(before: Sequence[EpisodeRow], after: Sequence[EpisodeRow]) -> dict[str, Any]:
    """How many rows went, and their share of those before; None of none."""
    lost = len(before) - len(after)
    return {"rows": lost, "share": lost / len(before) if before else None}


def _mean_step(rows: Sequence[EpisodeRow]) -> float | None:
    return sum(row["step"] for row in rows) / len(rows) if rows else None


def _hack_rate(rows: Sequence[EpisodeRow]) -> float | None:
    graded = [row for row in rows if row["outcome"] not in (Outcome.FAULT, Outcome.REPLY)]
    return sum(row["outcome"] == Outcome.HACKED for row in graded) / len(graded) if graded else None
