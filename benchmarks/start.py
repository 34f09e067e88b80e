"""How long a run inside a sweep takes to its first rollout.

    python -m benchmarks start

A sweep's warm process (base/workers.py) forks a child for an RL stage; the clock runs from the request until the first
batch of completions is sampled: fork, process group, sandbox, model, tasks, trainer, DeepSpeed engine, sampling. The
policy is an untrained organism of scale tiny, whose completions are as long as they may be. Runs follow one another and
the first, before which the process imports torch, is not counted.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from base.stage import Stage, State
from base.stages.trained import Trained
from base.store.files import RECORD, read_rows, write_json
from base.workers import Workers
from base.world.start import GATES
from benchmarks.rows import Row, load
from mitigations.api import describe, resolve


def training(seed: int) -> Trained:
    """RL of one step with this seed; all seeds begin with the same policy."""
    words = describe(scale="tiny", seed=seed, pretrain_seed=0, settings=["rl.steps=1"])
    return next(stage for stage in resolve(*words) if isinstance(stage, Trained))


def prepare(stage: Trained, root: Path) -> None:
    """Puts an untrained organism where the policy lies, and marks all that the stage needs as done."""
    from base.models.load import SPECIAL, build_organism
    from base.models.save import save
    from base.organism.tokenizer import build_tokenizer

    tokenizer = build_tokenizer()
    special = {key: getattr(tokenizer, key) for key in SPECIAL}
    place = stage.policy.folder(root)
    save(build_organism(stage.scale.model, len(tokenizer), 0, special), tokenizer, place, main=True)
    write_json(place / RECORD, {})
    write_json(place / GATES, {"passed": True, "gates": []})
    for need in stage.needs:
        write_json(need.record_file(root), {"state": State.DONE})


def measure(runs: int) -> list[tuple[float, float]]:
    """(seconds to the trainer, seconds to the first rollout) of each run but the first."""
    stages = [training(seed) for seed in range(runs + 1)]
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "runs"
        prepare(stages[0], root)
        with Workers(stages, root) as workers:
            return [one(workers, stage, root) for stage in stages][1:]


def one(workers: Workers, stage: Stage, root: Path) -> tuple[float, float]:
    """The same of one run, from the time of its first and only row of metrics."""
    log = stage.record_file(root).with_suffix(".log")
    began = time.time()
    workers.start(stage, log)
    ended: list[tuple[str, int]] = []
    while not ended:
        ended = workers.ended(seconds=1.0)
    if ended != [(stage.key, 0)]:
        raise RuntimeError(f"the run failed: {log.read_text()[-2000:]}")
    metrics = stage.folder(root) / "metrics.jsonl"
    (row,) = read_rows(metrics)
    trainer = metrics.stat().st_mtime - began - row["seconds"]
    return trainer, trainer + row["seconds:sampling"]


def rows(quick: bool) -> Iterator[Row]:
    """Target: one second."""
    found = measure(7 if quick else 21)
    trainer, rollout = ([times[part] for times in found] for part in (0, 1))
    note = f"{statistics.median(trainer):.2f} s of it to the trainer; {len(found)} runs"
    spread = (min(rollout), max(rollout))
    name = "start of a run in a sweep to its first rollout"
    yield Row(name, statistics.median(rollout), "s", 1.0, spread, load(), note, lower=True)
