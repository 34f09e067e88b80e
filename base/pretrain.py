"""Pretraining: the organism from scratch, on the corpus's first-stage documents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from base.engine import runtime
from base.models.load import SPECIAL, build_organism
from base.settings import EngineSettings, ModelSettings, SFTSettings
from base.sft.train import Row, train_sft


def pretrain(
    *,
    rows: Sequence[Row],
    tokenizer: PreTrainedTokenizerBase,
    model: ModelSettings,
    settings: SFTSettings,
    engine: EngineSettings,
    seed: int,
    out: Path,
    name: str = "pretraining",
) -> dict[str, Any]:
    """Builds the organism, trains it on `rows` and writes the checkpoint, tokenizer included, to `out`."""
    runtime.prepare(engine)
    special = {key: getattr(tokenizer, key) for key in SPECIAL}
    return train_sft(
        start=build_organism(model, len(tokenizer), seed, special),
        tokenizer=tokenizer,
        rows=rows,
        settings=settings,
        engine=engine,
        seed=seed,
        out=out,
        name=name,
    )
