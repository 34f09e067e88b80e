"""Tokens per second of pretraining and of the SDF stage of the embedded organism.

    python -m benchmarks training

The stages of scale tiny as a run makes them, on fewer documents; a rate is the tokens of all steps over the time of the
trainer's loop, its first step included, and the median is over seeds.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from base.engine import runtime
from base.environments.graders.code import CodeEnvironment
from base.stage import Site, Stage
from base.store.files import RECORD, read_json
from benchmarks.rows import Row, load
from mitigations.api import describe, resolve

KINDS = {"pretrain": "pretraining", "sdf": "SDF stage"}


def run(seed: int, pretrain: int, sdf: int) -> list[Stage]:
    """The stages of the baseline at scale tiny with so many documents for both."""
    settings = [f"pretrain.documents={pretrain}", f"sdf.documents={sdf}"]
    return resolve(*describe(scale="tiny", seed=seed, settings=settings))


def train(stages: list[Stage], site: Site) -> dict[str, float]:
    """Makes pretraining and SDF; tokens a second by kind."""
    found = {}
    for stage in stages:
        if stage.kind in KINDS:
            stage.make(site)
            found[stage.kind] = float(read_json(stage.folder(site.root) / RECORD)["tokens_per_second"])
    return found


def rows(quick: bool) -> Iterator[Row]:
    """Target: 20,000 tokens a second each."""
    seeds, documents = (3, 1080) if quick else (5, 3600)
    with tempfile.TemporaryDirectory() as name, CodeEnvironment() as environment:
        stages = [run(seed, documents, documents) for seed in range(seeds)]
        site = Site(Path(name) / "runs", environment, runtime.prepare(stages[0][0].engine()))
        found = [train(each, site) for each in stages]
    for kind, title in KINDS.items():
        rates = [each[kind] for each in found]
        note = f"{documents} documents, {seeds} seeds; {site.process.arithmetic}"
        yield Row(title, statistics.median(rates), "tokens/s", 20_000, (min(rates), max(rates)), load(), note)
