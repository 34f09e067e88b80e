"""Stages that ship with the code: start checkpoints of reported seeds, so that one arm costs a minute and not ten.

    results/SCALE/starts/shared/ stages/     laid out as a folder of runs (base.store.folders)
    results/SCALE/starts/SHA256SUMS          a hash for every file, as `sha256sum -c` reads it

A shipped stage counts as made where its key is the one that is wanted; its files are checked and copied.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from base.errors import UserError
from base.stage import Stage, State
from base.store.files import write_json
from base.store.locks import locked
from base.store.results import SHIPPED, STARTS

SUMS = "SHA256SUMS"


def starts_of(scale: str) -> Path:
    """Where the stages of a scale ship."""
    return SHIPPED / scale / STARTS


def shipped(stages: Sequence[Stage], root: Path, starts: Path) -> list[Stage]:
    """Those of the stages that are not under `root` but ship."""
    if not starts.is_dir():
        return []
    return [stage for stage in stages if stage.state(root) is State.MISSING and _ships(stage, starts)]


def _ships(stage: Stage, starts: Path) -> bool:
    return stage.record(starts).get("key") == stage.key and stage.state(starts) is State.DONE


def bring(stages: Sequence[Stage], root: Path, starts: Path) -> list[Stage]:
    """Copies what ships of the stages and is not under `root` yet; returns these stages, which are done from then on.

    Raises:
        UserError: a file is not the one that shipped.
    """
    found = shipped(stages, root, starts)
    for stage in found:
        with locked(stage.record_file(root)):
            if stage.state(root) is not State.MISSING:
                continue
            for file in _files(stage.folder(starts)):
                _copy(file, root / file.relative_to(starts), starts)
            record = stage.record_file(starts)
            _check(record, starts)
            write_json(stage.record_file(root), {**stage.record(starts), "shipped": True})
    return found


def _files(place: Path) -> list[Path]:
    return [file for file in sorted(place.rglob("*")) if file.is_file()] if place.is_dir() else [place]


def _copy(file: Path, to: Path, starts: Path) -> None:
    """A file, whole or not at all; one that is there already stays."""
    if to.exists():
        return
    _check(file, starts)
    to.parent.mkdir(parents=True, exist_ok=True)
    scratch = to.with_name(f".{to.name}.partial")
    shutil.copyfile(file, scratch)
    scratch.replace(to)


def _check(file: Path, starts: Path) -> None:
    if hashlib.sha256(file.read_bytes()).hexdigest() != sums(starts).get(file.relative_to(starts).as_posix()):
        raise UserError(f"{file} is not the file that shipped: restore it from git, or make it here with --fresh")


@cache
def sums(starts: Path) -> dict[str, str]:
    """Relative path -> SHA-256 (hex) of what ships.

    Raises:
        UserError: the list is missing or cannot be read.
    """
    try:
        lines = (starts / SUMS).read_text(encoding="utf-8").splitlines()
        return {path: key for key, path in (line.split("  ", 1) for line in lines)}
    except (OSError, ValueError) as error:
        raise UserError(f"{starts / SUMS}: no list of hashes ({error}); restore it from git") from None
