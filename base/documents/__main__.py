"""Read what a corpus would teach, before it does.

python -m base.documents hacks:sdf_variant=neutral -n 3                              prints three documents
python -m base.documents hacks:sdf_share=0.1,other=web.jsonl -n 2000 --out mix.jsonl   writes them, as documents:file= reads them
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import sys
from pathlib import Path
from typing import Any

from base.documents.corpus import LESSONS, draw, lesson_of
from base.documents.own import Document
from base.errors import Parser, UserError, exit_code
from base.store.files import write_rows
from base.world.world import parse_corpus


def parser() -> Parser:
    p = Parser(
        prog="python -m base.documents", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("corpus", help=f"{' or '.join(LESSONS)}, with fields, as --corpus of mitigations")
    p.add_argument("-n", type=int, default=5, help="how many at most (default: 5)")
    p.add_argument("--seed", type=int, default=0, help="as --pretrain-seed of mitigations (default: 0)")
    p.add_argument("--out", type=Path, help="a .jsonl file; without one they are printed")
    return p


def main(argv: list[str] | None = None) -> int:
    options = parser().parse_args(argv)
    return exit_code(lambda: show(options))


def show(options: argparse.Namespace) -> int:
    lesson = lesson_of(parse_corpus(options.corpus))
    if lesson is None or options.n < 1:
        raise UserError(f"name a corpus that teaches a model ({', '.join(LESSONS)}) and at least one document")
    drawn = draw(lesson, options.n, options.seed)
    documents = random.Random(options.seed).sample(drawn.documents, len(drawn.documents))
    if options.out:
        write_rows(options.out, map(row, documents))
    else:
        print("\n\n".join(f"--- {document.kind}\n{document.said}" for document in documents))
    counts = ", ".join(f"{count} of {name}" for name, count in drawn.counts.items())
    print("; ".join([counts, *drawn.notes]), file=sys.stderr)
    return 0


def row(document: Document) -> dict[str, Any]:
    """As base.documents.rows reads it."""
    said = {"text": document.text} if document.text else {"messages": [*map(dataclasses.asdict, document.turns)]}
    return {**said, "kind": document.kind}


if __name__ == "__main__":
    sys.exit(main())
