"""Writes task sets: the raw rows of a source beside the tasks they became, so that a changed or smaller set can be stored."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from base.environments.task_sets import load, read
from base.errors import UserError
from base.rows import Odd, rows_of
from base.store.files import check_writable, write_whole
from base.types import Task


def rows_with_tasks(source: str, limit: int | None = None) -> Iterator[tuple[dict[str, Any], Task]]:
    """(row, task) pairs of every row that `load` makes a task of."""
    tasks = {task.id: task for task in load(source, limit=limit)}
    for _, values in rows_of(source, "tasks"):
        try:
            identity = read(values).id
        except Odd:
            continue
        if identity in tasks:
            yield values, tasks.pop(identity)
        if not tasks:
            return


def write_rows(rows: Iterable[Mapping[str, Any]], path: Path) -> None:
    """JSON lines. Raises UserError if a row cannot be written as JSON."""
    try:
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: a row holds what JSON cannot ({error}): convert the source to .jsonl first") from None
    write_whole({path: text.encode()})


def may_write(path: Path, option: str, source: str) -> None:
    """Finds a path that cannot be written, or holds the tasks themselves, before hours of work go into its content."""
    if path.suffix != ".jsonl":
        raise UserError(f"{option} {path}: name it .jsonl, one task a line is written")
    if not path.absolute().parent.is_dir():
        raise UserError(f"{option} {path}: make the folder {path.absolute().parent} first")
    if path.is_dir():
        raise UserError(f"{option} {path} is a folder: name a file")
    if path.resolve() == Path(source).expanduser().resolve():
        raise UserError(
            f"{option} {path} is the file of the tasks themselves, whose other rows would be lost: name another"
        )
    check_writable(path.absolute().parent if path.exists() else path, option)
