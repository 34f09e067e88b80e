"""Rows that users bring: of a JSON, JSON lines or parquet file, or of a data set on the hub."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from base.errors import UserError

FILES = (".json", ".jsonl", ".json.gz", ".jsonl.gz", ".parquet")


def rows_of(source: str, noun: str, others: Sequence[str] = ()) -> Iterator[tuple[str, Any]]:
    """(place for messages, row) pairs of a file, or of a hub data set `ID`, `ID:SPLIT` or `ID:CONFIG:SPLIT`.

    `noun` is what the rows are ("tasks"), `others` what the user could have named instead; both are for messages.

    Raises:
        UserError: no such source, or one that cannot be read.
    """
    path = Path(source).expanduser()
    if path.is_file():
        yield from _parquet_rows(path) if path.suffix == ".parquet" else _text_rows(path, noun)
    elif source.endswith(FILES) or path.is_dir() or source.startswith((".", "/", "~")):
        raise UserError(f"{source} is no file: give the path of a {', '.join(FILES)} file of {noun}, or a hub id")
    else:
        yield from _hub_rows(source, others)


def _text_rows(path: Path, noun: str) -> Iterator[tuple[str, Any]]:
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as UTF-8 text ({error}): give a .jsonl file of {noun}") from error
    listed = None if ".jsonl" in path.suffixes else _listed(path, text, noun)
    if listed is not None:
        yield from ((f"{path}, entry {number}", row) for number, row in enumerate(listed, 1))
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield f"{path}, line {number}", json.loads(line)
            except ValueError as error:
                raise UserError(f"{path}, line {number} is not JSON ({error}): one JSON object a line") from None


def _listed(path: Path, text: str, noun: str) -> list[Any] | None:
    """The entries of a file that is one JSON list; None if it has one row a line, whatever its name says."""
    is_list = text.lstrip().startswith("[")
    if not is_list and ".json" not in path.suffixes:
        return None
    try:
        rows = json.loads(text)
    except ValueError as error:
        if not is_list:
            return None
        raise UserError(f"{path} is not JSON ({error}): mend it, or name it .jsonl if it has one row a line") from None
    if not isinstance(rows, list):
        raise UserError(f"{path} must hold one JSON list of {noun}, not a {type(rows).__name__}")
    return rows


def _parquet_rows(path: Path) -> Iterator[tuple[str, Any]]:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
        number = 0
        for batch in file.iter_batches(batch_size=64):
            for row in batch.to_pylist():
                number += 1
                yield f"{path}, row {number}", row
    except (OSError, pyarrow.ArrowException) as error:
        raise UserError(f"{path} cannot be read as parquet ({str(error).splitlines()[0]})") from error


def _hub_rows(source: str, others: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Rows of one split, or, if none is named, those of all splits."""
    name, *parts = source.split(":")
    config = parts[0] if len(parts) == 2 else None
    if len(parts) > 2 or not all((name, *parts)):
        raise UserError(f"cannot read '{source}': write ID, ID:SPLIT or ID:CONFIG:SPLIT")
    import datasets

    try:
        splits = datasets.load_dataset(name, config)
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        known = ", ".join((*others, "a file"))
        raise UserError(f"{name} is neither {known} nor a data set that can be loaded ({reason[:200]})") from error
    if parts and parts[-1] not in splits:
        raise UserError(f"{name} has no split '{parts[-1]}': choose among {', '.join(splits)}")
    for split in parts[-1:] or list(splits):
        for number, row in enumerate(splits[split]):
            yield f"{name}, split {split}, row {number}", dict(row)
