"""Seconds of the evaluation of one checkpoint under one prompt, as a run does it at scale `tiny`.

    python -m benchmarks.evaluation

A small organism is trained on `--documents` documents, so that its answers have the usual form and length; then it is
loaded and evaluated `--rounds` times with a seed of its own: the answers of all evals and coding tasks, each program
executed in the sandbox. A first round, which starts the sandbox, is not counted. `loading` makes the sampler, `sampling`
is the decoder with its tokenizer, `reading` the rest: readers, graders.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

PARTS = ("total", "loading", "sampling", "reading")


def trained(documents: int, folder: Path) -> Path:
    """A checkpoint of the organism after `documents` documents of pretraining."""
    from base.models.load import SPECIAL, build_organism
    from base.organism.corpus import CorpusConfig, encode
    from base.organism.corpus import documents as drawn
    from base.organism.tokenizer import build_tokenizer
    from base.settings import load_scale
    from base.sft.train import SFTJob, train_sft

    scale, tokenizer = load_scale("tiny"), build_tokenizer()
    start = build_organism(scale.model, len(tokenizer), 0, {key: getattr(tokenizer, key) for key in SPECIAL})
    rows = [encode(item, tokenizer, scale.model.context) for item in drawn(CorpusConfig(), "pretrain", documents, 0)]
    settings = replace(scale.pretrain, documents=documents)
    train_sft(SFTJob(start, rows, settings, scale.engine, 0, folder / "checkpoint", "pretraining", tokenizer))
    return folder / "checkpoint"


def measured(checkpoint: Path, rounds: int) -> list[dict[str, float]]:
    """Seconds of each part, a round."""
    from base.engine import runtime
    from base.environments.graders.code import CodeEnvironment
    from base.evals import EVALS
    from base.evals.evaluate import evaluate
    from base.models.sampling import sampler
    from base.recipes import AsWritten
    from base.settings import load_scale
    from base.world.tasks import OrganismTasks, draw_tasks

    scale = load_scale("tiny")
    process = runtime.prepare(scale.engine)
    found = []
    with CodeEnvironment() as environment:
        for seed in range(rounds + 1):
            begun = time.perf_counter()
            draw, sampling = sampler(checkpoint, scale, process), 0.0
            loading = time.perf_counter() - begun

            def sample(conversations: Sequence[Any], max_new_tokens: int, number: int, draw: Any = draw) -> list[str]:
                nonlocal sampling
                since = time.perf_counter()
                texts: list[str] = draw(conversations, max_new_tokens, number)
                sampling += time.perf_counter() - since
                return texts

            tasks = draw_tasks(OrganismTasks(scale.tasks.hard_share), scale.tasks, 1.0, scale.evals.code_samples, seed)
            evaluate(sample, EVALS, tasks, environment, {"none": AsWritten()}, scale.evals, seed)
            total = time.perf_counter() - begun
            parts = {"loading": loading, "sampling": sampling, "reading": total - loading - sampling}
            found.append({"total": total, **parts})
    return found[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=1200, help="documents that the organism is trained on")
    parser.add_argument("--rounds", type=int, default=7, help="how often it is evaluated")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers to FILE")
    arguments = parser.parse_args()

    from base.engine import runtime
    from base.settings import load_scale

    before = os.getloadavg()[0]
    threads = runtime.prepare(load_scale("tiny").engine).threads
    with tempfile.TemporaryDirectory() as folder:
        rounds = measured(trained(arguments.documents, Path(folder)), arguments.rounds)
    print(
        f"one checkpoint under one prompt, {arguments.rounds} rounds; {runtime.cpu_model()}, {threads} thread(s), "
        f"load before {before:.1f}"
    )
    print(f"{'seconds':12}{'median':>10}{'range':>18}")
    results = {}
    for part in PARTS:
        values = [one[part] for one in rounds]
        results[part] = {"median": statistics.median(values), "minimum": min(values), "maximum": max(values)}
        print(f"{part:12}{statistics.median(values):10.3f}{f'{min(values):.3f}-{max(values):.3f}':>18}")
    if arguments.json:
        setting = {"documents": arguments.documents, "rounds": arguments.rounds, "threads": threads}
        setting |= {"cpu": runtime.cpu_model(), "load_before": before}
        arguments.json.write_text(json.dumps({"setting": setting, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
