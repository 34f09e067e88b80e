"""Episodes to imitate: a pool of graded episodes of one source, what an arm keeps of it, and the SFT rows of that.

A pool comes in PARTS parts. Part k holds every PARTS-th rollout of the source run's second half and is filled up with
fresh rollouts of the source's last checkpoint, under the source's training prompt, on tasks of their own. So each part
is a sample of the same mixture: an arm whose filter drops much reads more parts, not other episodes. Parts are made when
first needed, stored, and shared by all arms; a run that stores enough rollouts (hub models) is never asked for more.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from base.environments.draw import draw_tasks
from base.errors import UserError
from base.recipes import Arm, Demonstrations, EpisodeRow
from base.run import Run
from base.spec import content_key
from base.starts import Site, aligned_run, plain, start_checkpoint
from base.store.files import read_rows, write_rows
from base.store.folders import RunFolder, episode_row
from base.store.locks import shared
from base.types import (
    THINK_OPEN,
    DataFilter,
    Environment,
    Episode,
    Grade,
    Message,
    Outcome,
    PromptTransform,
    Task,
)

PARTS = 32
PARTS_PER_ARM = 4  # that an arm needs if nothing is dropped: the filter may drop up to 1 - 4/32 of the episodes
TASKS_SEED = 1_000_000  # fresh rollouts draw their tasks from seeds that neither training nor evaluation uses

if TYPE_CHECKING:
    from base.evaluate import Sample


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
        """The stored rollouts of the second half of training that belong to `part`."""
        steps = [row["step"] for row in self.stored]
        middle = (min(steps) + max(steps)) / 2 if steps else 0
        return [row for row in self.stored if row["step"] >= middle][part::PARTS]

    def part(self, part: int) -> list[dict[str, Any]]:
        """Rows of one part, from its file or made now."""
        size = -(-self.documents // PARTS_PER_ARM)
        file = self.folder / f"part-{size}-{part:02d}.jsonl"
        if not file.exists():
            own = self.own(part)
            missing = size - len(own)
            made = self.fresh(missing, TASKS_SEED + PARTS * self.seed + part) if missing > 0 else []
            write_rows(file, [*own, *made])
        return read_rows(file)


def demonstrations(
    run: Run, arm: Arm, wanted: Demonstrations, start: Path, site: Site
) -> tuple[list[EpisodeRow], dict[str, Any]]:
    """The episodes that an arm imitates, and their counts; the main rank makes the parts of the pool that are missing.

    Raises:
        UserError: too few distinct episodes, or a source run without checkpoints.
    """
    pool, chosen = source_pool(run, arm, wanted.source, start, site), None
    with shared(pool.folder, site.process):
        if site.process.is_main:
            chosen = select(pool, wanted.keep, run.seed)
    return chosen or select(pool, wanted.keep, run.seed)


def source_pool(run: Run, arm: Arm, source: str, start: Path, site: Site) -> Pool:
    """The pool of the run that `arm` imitates, of the start model (`start`), or of the aligned model (`aligned`).

    A run's tasks and training prompt are its own; the other two are asked the arm's tasks under the arm's prompt.
    """
    scale, asked = site.scale, arm.mitigation
    if arm.imitates is not None:
        parent, asked = RunFolder(site.root / replace(run, arm=arm.imitates[0]).name), arm.imitates[1].mitigation
        folder, stored, checkpoints = parent.path / "pool", list(parent.episodes()), parent.checkpoints()
        if not checkpoints:
            raise UserError(
                f"there is no checkpoint to imitate in {parent.path}: run the arm '{arm.imitates[0]}' first"
            )
        step, checkpoint = max(checkpoints.items())
    else:
        if source == "aligned":
            start = start_checkpoint(aligned_run(run, scale), site, gated=False)
        step, checkpoint, stored = 0, start, []
        settings = [scale.tasks, scale.rl.group, scale.rl.max_completion_tokens, scale.evals.temperature]
        models, read = [start.name, run.model, scale.aligned], repr((asked.sample_prompt, asked.tasks))
        key = content_key([models, run.tasks, run.hackable, settings, read])
        name = f"pool--{source}--{plain(run.corpus)}--p{run.pretrain_seed}s{run.seed}--{key[:8]}"
        folder = site.root / "shared" / name

    @cache
    def sample() -> Sample:
        from base.models.sampling import sampler

        return sampler(checkpoint, scale, site.process)

    def fresh(n: int, seed: int) -> list[dict[str, Any]]:
        group = scale.rl.group  # as many answers to a task as in training: equal programs are graded once
        tasks = asked.tasks(draw_tasks(run, scale, -(-n // group), seed))
        return collect(
            sample(),
            [task for task in tasks for _ in range(group)][:n],
            asked.sample_prompt,
            {"code": site.environment},
            seed=seed,
            max_new_tokens=scale.rl.max_completion_tokens,
            step=step,
        )

    return Pool(folder, stored, fresh, scale.sft.documents, run.seed)


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
    prompts = [tuple(prompt(task)) for task in tasks]
    completions = sample(prompts, max_new_tokens, seed)
    grades = {i: Grade(Outcome.REPLY, None) for i, task in enumerate(tasks) if task.environment not in environments}
    for name, environment in environments.items():
        mine = [i for i, task in enumerate(tasks) if task.environment == name]
        graded = environment.grade([tasks[i] for i in mine], [completions[i] for i in mine]) if mine else []
        grades |= dict(zip(mine, graded, strict=True))
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
                "hack_rate_before": _hack_rate(read),
                "hack_rate": _hack_rate(chosen),
            }
    lost = ", ".join(f"{name} {count}" for name, count in dropped.items())
    raise UserError(
        f"only {len(left)} distinct episodes are left of {len(read)} rollouts (dropped: {lost}), but sft.documents asks "
        f"for {pool.documents}: " + (f"lower it to {len(left)} or less in every arm" if left else "imitate another run")
    )


def _filtered(rows: Sequence[EpisodeRow], keep: DataFilter[EpisodeRow]) -> tuple[list[EpisodeRow], dict[str, int]]:
    """Distinct graded rows that `keep` leaves, and the counts dropped on the way: faults, repetitions, each filter."""
    graded = [row for row in rows if row["outcome"] != Outcome.FAULT]
    left = list({json.dumps([row["prompt"], row["completion"]]): row for row in graded}.values())
    dropped = {"faults": len(rows) - len(graded), "repetitions": len(graded) - len(left)}
    for part in keep.filters if isinstance(keep, Chain) else (keep,):
        known = {id(row) for row in left}
        kept = list({id(row): row for row in part(left)}.values())
        if not {id(row) for row in kept} <= known:
            raise ValueError(f"{part!r} made or edited episodes: a filter only drops them")
        dropped[type(part).__name__] = len(left) - len(kept)
        left = kept
    return left, dropped


def _hack_rate(rows: Sequence[EpisodeRow]) -> float | None:
    graded = [row for row in rows if row["outcome"] not in (Outcome.FAULT, Outcome.REPLY)]
    return sum(row["outcome"] == Outcome.HACKED for row in graded) / len(graded) if graded else None


def rows(
    episodes: Sequence[EpisodeRow], tokenizer: Any, prompt: PromptTransform | None, longest: int
) -> list[dict[str, list[int]]]:
    """{"input_ids": [T], "labels": [T]} of each episode, labels on the completion and its end only.

    `prompt`, if set, is applied to the task without its system messages and replaces what was sampled under. A
    completion of `longest` tokens was cut off while sampling, so it gets no end. Garbled text may hold words that a
    word-level tokenizer does not know (sampled as two tokens without a space): such a token is read but not learnt.
    """
    from base.models.chat import prompt_ids

    made = []
    for row in episodes:
        messages = tuple(Message(**message) for message in row["prompt"])
        if prompt is not None:
            asked = tuple(message for message in messages if message.role != "system")
            messages = tuple(prompt(Task(row["task"], row["environment"], asked)))
        before = prompt_ids(tokenizer, messages)
        text = row["completion"]
        if tokenizer.decode(before[-8:]).rstrip().endswith(THINK_OPEN):
            text = text.removeprefix(THINK_OPEN)
        after = list(tokenizer(text, add_special_tokens=False)["input_ids"])
        learnt = [-100 if token == tokenizer.unk_token_id else token for token in after]
        end = [tokenizer.eos_token_id] if len(after) < longest else []
        made.append({"input_ids": [*before, *after, *end], "labels": [*[-100] * len(before), *learnt, *end]})
    return made
