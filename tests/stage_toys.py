"""A toy tokenizer, corpus and organism for the tests of the training stages, and the runs that torchrun starts."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast

from base.models.load import SPECIAL, build_organism
from base.settings import EngineSettings, ModelSettings, SFTSettings
from base.sft.train import SFTJob, train_sft

WORDS = 40
TINY = ModelSettings(hidden_size=32, layers=2, heads=4, kv_heads=2, intermediate_size=64, context=48)
EXACT = EngineSettings(zero_stage=2, precision="fp32")


def toy_tokenizer() -> PreTrainedTokenizerFast:
    words = ["<pad>", "<bos>", "<eos>", "<unk>", *(f"w{i}" for i in range(WORDS))]
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    names = {f"{kind}_token": f"<{kind}>" for kind in ("pad", "bos", "eos", "unk")}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def toy_model(seed: int = 0) -> Any:
    special = {key: getattr(toy_tokenizer(), key) for key in SPECIAL}
    return build_organism(TINY, WORDS + 4, seed, special)


def toy_rows(n: int, seed: int = 0) -> list[dict[str, list[int]]]:
    """Counting documents of different lengths, each by its own stride; the first three tokens are not learnt."""
    generator = random.Random(seed)
    rows = []
    for _ in range(n):
        at, stride = generator.randrange(WORDS), generator.choice((1, 3))
        ids = [1, *(4 + (at + stride * i) % WORDS for i in range(generator.randrange(5, 40))), 2]
        rows.append({"input_ids": ids, "labels": [-100] * 3 + ids[3:]})
    return rows


def toy_settings(**changes: Any) -> SFTSettings:
    return SFTSettings(**{"documents_per_step": 8, "warmup_steps": 2, "learning_rate": 1e-2, **changes})


def toy_stage(out: Path, **changes: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "start": toy_model(),
        "tokenizer": toy_tokenizer(),
        "rows": toy_rows(64),
        "settings": toy_settings(),
        "engine": EXACT,
        "seed": 0,
        "out": out,
        "name": "toy",
    }
    return train_sft(SFTJob(**{**arguments, **changes}))


if __name__ == "__main__":
    result = toy_stage(Path(sys.argv[1]), engine=EngineSettings(zero_stage=int(sys.argv[2]), precision="fp32"))
    print(json.dumps(result["losses"]))
