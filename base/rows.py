"""Rows that users bring: of a JSON, JSON lines or parquet file, or of a data set on the hub.

A row that cannot be used is odd: it is left out and counted by its reason, so that one of them refuses no whole file.
"""

from __future__ import annotations

import codecs
import gzip
import json
import re
import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from base.errors import UserError

FILES = (".json", ".jsonl", ".json.gz", ".jsonl.gz", ".parquet")
DIGITS = 4000  # Python refuses to read or write longer whole numbers as text
_MARKS = {codecs.BOM_UTF32_LE: "UTF-32", codecs.BOM_UTF32_BE: "UTF-32", codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}  # fmt: skip


class Odd(Exception):
    """A row that cannot be used; the message is the reason, the same for all such rows."""


@dataclass(frozen=True)
class NotJson:
    """Stands for a line that cannot be read; `reason` is what an Odd says of it."""

    reason: str = "not JSON"


HALVED = NotJson("a character that is cut in half (a lone surrogate)")
_HALF = re.compile(r"\\u[dD][89a-fA-F]")  # as JSON writes halves of a character


@dataclass
class LeftOut:
    """Counts odd rows: reason -> how many, and the place of the first."""

    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)

    def add(self, place: str, reason: Odd) -> None:
        """Counts a row at `place` (`FILE, line 7`) that is left out for a reason."""
        why = str(reason)
        self.counts[why] = self.counts.get(why, 0) + 1
        self.first.setdefault(why, place.rpartition(", ")[2])

    def __bool__(self) -> bool:
        return bool(self.counts)

    def __str__(self) -> str:
        """`no tests (3, first line 7), ...`, the most frequent reason first."""
        ordered = sorted(self.counts.items(), key=lambda item: -item[1])
        return ", ".join(f"{why} ({n}, first {self.first[why]})" for why, n in ordered)

    def warn(self, source: str, kept: int) -> None:
        """One warning that counts what was left out of `source`, if anything was; `kept` rows stayed."""
        if self:
            rows = sum(self.counts.values())
            warnings.warn(f"{source}: {rows} of {rows + kept} rows left out: {self}", stacklevel=3)


def rows_of(source: str, noun: str, others: Sequence[str] = ()) -> Iterator[tuple[str, Any]]:
    """(place for messages, row) pairs of a file, or of a hub data set `ID`, `ID:SPLIT` or `ID:CONFIG:SPLIT`.

    A line that is not JSON comes as NotJson. `noun` is what the rows are ("tasks"), `others` what the user could have
    named instead; both are for messages.

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


def text_of(path: Path, wanted: str) -> str:
    """The text of a file, packed by gzip or not, without a byte order mark. `wanted` is for messages: "a .jsonl file".

    Raises:
        UserError: it cannot be read, or is not UTF-8.
    """
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        encoding = next(
            (name for mark, name in _MARKS.items() if data.startswith(mark)), "UTF-16" if b"\0" in data[:64] else None
        )
        if encoding is not None:
            raise UserError(f"{path} is {encoding}: save it as UTF-8")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = f"0x{data[error.start]:02x}"
        raise UserError(
            f"{path} is not UTF-8 (byte {byte} in line {line}; Latin-1 or Windows-1252 perhaps): save {wanted} as UTF-8"
        ) from None
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} cannot be read ({error}): give {wanted}") from error


def _text_rows(path: Path, noun: str) -> Iterator[tuple[str, Any]]:
    text = text_of(path, f"a .jsonl file of {noun}")
    listed = None if ".jsonl" in path.suffixes else _listed(path, text, noun)
    if listed is not None:
        yield from ((f"{path}, entry {number}", row) for number, row in enumerate(listed, 1))
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield f"{path}, line {number}", _line(line)


def _line(text: str) -> Any:
    try:
        row = read_json(text.lstrip("\ufeff"))  # where files were joined
    except (ValueError, RecursionError):
        return NotJson()
    return whole(row) if _HALF.search(text) else row


def whole(row: Any) -> Any:
    """A row, or HALVED for one that no tokenizer and no file can take."""
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return HALVED
    return row


def read_json(text: str) -> Any:
    """Whole numbers that Python cannot read become NaN. Raises ValueError, RecursionError."""
    return json.loads(text, parse_int=lambda digits: int(digits) if len(digits) <= DIGITS else float("nan"))


def _listed(path: Path, text: str, noun: str) -> list[Any] | None:
    """The entries of a file that is one JSON list; None if it has one row a line, whatever its name says."""
    is_list = text.lstrip().startswith("[")
    if not is_list and ".json" not in path.suffixes:
        return None
    try:
        rows = read_json(text)
    except (ValueError, RecursionError) as error:
        if not is_list:
            return None
        raise UserError(f"{path} is not JSON ({error}): mend it, or name it .jsonl if it has one row a line") from None
    if not isinstance(rows, list):
        raise UserError(f"{path} must hold one JSON list of {noun}, not a {type(rows).__name__}")
    return [whole(row) for row in rows] if _HALF.search(text) else rows


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
    except (OSError, ValueError, pyarrow.ArrowException) as error:  # a text that is no UTF-8 is a ValueError
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
