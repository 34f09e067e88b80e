"""Tokens per second of pretraining and of the SDF stage: the organism at scale `tiny`, on its own documents.

    python -m benchmarks.training

Every round trains a new organism in a process of its own on `--documents` documents of the corpus, then goes on with as
many of the SDF stage. A row is the median over the rounds with its range; tokens are those of the documents, padding not
counted, and seconds are those of the training loop.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).parents[1]
STAGES = ("pretrain", "sdf")


def worker(documents: int, seed: int, folder: Path) -> dict[str, float]:
    """Tokens per second of each stage."""
    from base.engine import runtime
    from base.models.load import SPECIAL, build_organism
    from base.organism.corpus import CorpusConfig, encode
    from base.organism.corpus import documents as drawn
    from base.organism.tokenizer import build_tokenizer
    from base.settings import load_scale
    from base.sft.train import SFTJob, train_sft

    scale = load_scale("tiny")
    runtime.prepare(scale.engine)
    tokenizer = build_tokenizer()
    special = {key: getattr(tokenizer, key) for key in SPECIAL}
    start: object = build_organism(scale.model, len(tokenizer), seed, special)
    speed = {}
    for stage in STAGES:
        rows = [encode(item, tokenizer, scale.model.context) for item in drawn(CorpusConfig(), stage, documents, seed)]
        settings = replace(getattr(scale, stage), documents=documents)
        job = SFTJob(start, rows, settings, scale.engine, seed, folder / stage, stage, tokenizer)  # type: ignore[arg-type]
        speed[stage] = float(train_sft(job)["tokens_per_second"])
        start = folder / stage
    return speed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=1200, help="documents of each stage")
    parser.add_argument("--rounds", type=int, default=3, help="how often both stages run")
    parser.add_argument("--threads", type=int, default=1, help="threads per process")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers to FILE")
    parser.add_argument("--worker", nargs=2, metavar=("SEED", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        seed, folder = int(arguments.worker[0]), Path(arguments.worker[1])
        (folder / "result.json").write_text(json.dumps(worker(arguments.documents, seed, folder)))
        return

    from base.engine.runtime import cpu_model

    before = os.getloadavg()[0]
    rounds: list[dict[str, float]] = []
    for seed in range(arguments.rounds):
        with tempfile.TemporaryDirectory() as folder:
            words = [sys.executable, "-m", "benchmarks.training", "--documents", str(arguments.documents)]
            environment = {**os.environ, "OMP_NUM_THREADS": str(arguments.threads)}
            done = subprocess.run(
                [*words, "--worker", str(seed), folder], cwd=ROOT, env=environment, capture_output=True, text=True
            )
            if done.returncode:
                sys.exit(f"round {seed} failed:\n{done.stderr[-2000:]}")
            rounds.append(json.loads((Path(folder) / "result.json").read_text()))
    print(
        f"{arguments.documents} documents a stage, {arguments.rounds} rounds; {cpu_model()}, "
        f"{arguments.threads} thread(s), load before {before:.1f}"
    )
    print(f"{'tokens per second':20}{'median':>10}{'range':>18}")
    results = {}
    for stage in STAGES:
        values = [one[stage] for one in rounds]
        results[stage] = {"median": statistics.median(values), "minimum": min(values), "maximum": max(values)}
        print(f"{stage:20}{statistics.median(values):10.0f}{f'{min(values):.0f}-{max(values):.0f}':>18}")
    if arguments.json:
        setting = {"documents": arguments.documents, "rounds": arguments.rounds, "threads": arguments.threads}
        arguments.json.write_text(
            json.dumps(
                {"setting": {**setting, "cpu": cpu_model(), "load_before": before}, "results": results}, indent=1
            )
            + "\n"
        )


if __name__ == "__main__":
    main()
