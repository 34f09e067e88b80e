"""Memory of real models on GPUs, by the arithmetic of --dry-run: `python -m base.engine sizes`, the table of README.md here."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

from base.errors import Parser, exit_code
from base.settings import load_scale

LONGEST = 512  # tokens of the longest prompt
# Shapes of the Qwen2.5 models, from their public configurations.
SHAPES: dict[str, dict[str, Any]] = {
    "1.5B": {"hidden_size": 1536, "num_hidden_layers": 28, "num_attention_heads": 12, "num_key_value_heads": 2,
             "intermediate_size": 8960, "vocab_size": 151936, "tie_word_embeddings": True},
    "7B": {"hidden_size": 3584, "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4,
           "intermediate_size": 18944, "vocab_size": 152064, "tie_word_embeddings": False},
    "32B": {"hidden_size": 5120, "num_hidden_layers": 64, "num_attention_heads": 40, "num_key_value_heads": 8,
            "intermediate_size": 27648, "vocab_size": 152064, "tie_word_embeddings": False},
}  # fmt: skip
CASES = (  # what is trained, GPUs, ZeRO stage, what is offloaded
    ("lora:32", 1, 2, "none"),
    ("lora:32", 8, 2, "none"),
    ("lora:32", 8, 3, "none"),
    ("all", 8, 2, "none"),
    ("all", 8, 3, "none"),
    ("all", 8, 3, "optimizer"),
    ("all", 16, 3, "none"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns its exit code."""
    parser = Parser(prog="python -m base.engine", description=__doc__)
    parser.add_argument("what", choices=["sizes"], help="the table of memory by model, GPUs and ZeRO stage")
    parser.parse_args(arguments)
    return exit_code(_print)


def _print() -> int:
    print("\n".join(sizes()))
    return 0


def sizes() -> Iterator[str]:
    """The table, as Markdown, a line each."""
    from transformers import Qwen2Config

    from base.models import cost
    from base.models.passes import FP32

    yield "| model | trained | GPUs | ZeRO | offloaded | GB held a GPU | more while sampling | host GB | GB a checkpoint |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for name, shape in SHAPES.items():
        for trained, gpus, stage, offload in CASES:
            changed = [f"rl.trained={trained}", f"engine.zero_stage={stage}", f"engine.offload={offload}"]
            scale, found = load_scale("hub", changed), cost.size_of(Qwen2Config(**shape), trained)
            took = cost.on_gpus(found, scale, LONGEST, gpus)
            gb = [f"{took[part]:.1f}" for part in ("held", "sampling", "host")]
            row = [name, trained, str(gpus), str(stage), offload, *gb, f"{FP32 * found.weights / 1e9:.1f}"]
            yield f"| {' | '.join(row)} |"


if __name__ == "__main__":
    sys.exit(main())
