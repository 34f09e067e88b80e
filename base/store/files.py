"""Run folders: the only reader and writer of what runs leave behind.

    ROOT/shared/<stage>-<corpus>-p<seed>-<key>/     pretraining and SDF checkpoints, gates, scores of the controls
    ROOT/<run name>/run.json                        identity, settings, versions, commit, status, wall time
                    diff.patch                      uncommitted changes, if any
                    metrics.jsonl                   one row a training step
                    episodes/step-0001.jsonl        every rollout: prompt, completion, outcome, labels, rewards
                    checkpoints/step-0004/          Hugging Face format
                    scores/step-0004/none.jsonl     under a prompt (or clean.jsonl): one row per eval x metric
                    answers/step-0004/none.jsonl    under a prompt: every eval answer with its verdict
                    verdicts/step-0004/none.jsonl   judges' word on these answers (a user's model), a row an item and judge

Steps are written whole and idempotently: writing a step again replaces it, so a resumed run leaves what a straight one does.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from base.errors import UserError

RECORD = "training.json"  # beside a checkpoint that was trained here, written last
MAKE_AGAIN = "restore the file, or delete the run's folder: the same command makes the run again"


def check_writable(folder: Path, option: str) -> None:
    """That files can be written below a folder, which need not be there; nothing is left. `option`: how another one is named.

    Raises:
        UserError: it cannot be, or lies in what cannot be written to.
    """
    there = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
    try:
        with suppress(FileNotFoundError):
            folder.stat()  # a name too long, links in a circle
        with TemporaryFile(dir=there) as file:
            file.write(b" ")
    except NotADirectoryError:
        raise UserError(f"{folder} is a file or lies in one: name another folder with {option}") from None
    except (OSError, ValueError) as error:  # ValueError: a null character
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{folder} cannot be written to ({reason}): name another folder with {option}") from None


def write_json(path: Path, value: Any) -> None:
    """Writes whole or not at all."""
    _write(path, json.dumps(value, indent=1, default=plain) + "\n")


def read_json(path: Path, remedy: str = "restore the file or remove it") -> dict[str, Any]:
    """A JSON object; a missing file is an empty one. `remedy`: what is to be done about a spoilt one.

    Raises:
        UserError: the file is no JSON object.
    """
    try:
        return _object(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise UserError(f"{path} is not a JSON object ({error}): {remedy}") from None


def _object(text: bytes) -> dict[str, Any]:
    """Raises ValueError for what is no JSON object in UTF-8."""
    try:
        value = json.loads(text.decode())
    except RecursionError:
        raise ValueError("brackets in brackets without end") from None
    if not isinstance(value, dict):
        raise ValueError(f"it is of type {type(value).__name__}")
    return value


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """JSON lines, whole or not at all."""
    _write(path, "".join(json.dumps(row, default=plain) + "\n" for row in rows))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole({path: text.encode()})


def write_whole(files: Mapping[Path, bytes]) -> None:
    """Writes every one of some files, whose folders are there, or none.

    Raises:
        OSError: one cannot be written; it names the file.
    """
    # one name: what a killed process left, the next one replaces
    scratch = {path: path.with_name(f".{path.name}.partial") for path in files}
    try:
        for path, content in files.items():
            try:
                scratch[path].write_bytes(content)
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(path)) from None
        for path, partial in scratch.items():
            partial.replace(path)
    finally:
        for partial in scratch.values():
            partial.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Removes what processes that were killed in mid-write left in a folder; the caller holds its lock."""
    for path in [*folder.rglob(".*.partial"), *folder.rglob(".*.finished")]:
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a JSON-lines file; a torn last line (an interrupted append) is dropped. Missing file: no rows.

    Raises:
        UserError: another line is no JSON object.
    """
    if not path.exists():
        return []
    rows = []
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        try:
            rows += [_object(line)] if line.strip() else []
        except ValueError as error:
            if number < len(lines):
                raise UserError(f"{path} line {number} is not a JSON object ({error}): {MAKE_AGAIN}") from None
    return rows


def plain(value: Any) -> Any:
    """What json cannot hold, as something it can."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"cannot store {type(value).__name__}")
