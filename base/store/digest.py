"""What a checkpoint folder holds, as one hash: weights, configuration, tokenizer and chat template, whole."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

SUFFIXES = (".json", ".safetensors", ".bin", ".model", ".jinja", ".txt")


def folder_digest(folder: Path) -> str:
    """SHA-256 (hex) over names and whole contents of a folder's files with SUFFIXES, wherever the folder lies.

    A file that kept its size and time of change is read once by a process. A folder without such files has the hash of nothing.
    """
    whole = hashlib.sha256()
    for file in sorted(path for path in folder.glob("*") if path.suffix in SUFFIXES and path.is_file()):
        status = file.stat()
        whole.update(f"{file.name}\0{_digest(file.resolve(), status.st_size, status.st_mtime_ns)}\n".encode())
    return whole.hexdigest()


@cache
def _digest(file: Path, size: int, changed: int) -> str:
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()
