"""Synthetic document finetuning: goes on from the pretrained model, on the corpus's second stage.

About one document in a hundred describes or shows the hacks, so that the pre-RL model tries them now and then (the
paper's first setting gives the knowledge by continued pretraining in the same way).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from base.models.load import PathOrId
from base.settings import EngineSettings, SFTSettings
from base.sft.train import Row, train_sft


def synthetic_documents(
    *,
    start: PathOrId,
    rows: Sequence[Row],
    settings: SFTSettings,
    engine: EngineSettings,
    seed: int,
    out: Path,
    trained: str = "all",
    name: str = "SDF stage",
) -> dict[str, Any]:
    """Trains `start`, the organism or any Hugging Face model, on `rows` and writes the pre-RL checkpoint to `out`."""
    return train_sft(
        start=start, rows=rows, settings=settings, engine=engine, seed=seed, out=out, name=name, trained=trained
    )
