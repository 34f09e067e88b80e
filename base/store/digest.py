"""What a checkpoint folder holds, as one hash: weights, configuration, tokenizer and chat template."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

BLOCK = 1 << 20  # bytes
BLOCKS = 256  # that are read of a larger file, spread over all of it: training changes each of them
SUFFIXES = (".json", ".safetensors", ".bin", ".model", ".jinja", ".txt")


def folder_digest(folder: Path) -> str:
    """SHA-256 (hex) over names, sizes and contents of a folder's files with SUFFIXES, wherever the folder lies.

    A file that kept its size and time of change is read once by a process. A folder without such files has the hash of nothing.
    """
    whole = hashlib.sha256()
    for file in sorted(path for path in folder.glob("*") if path.suffix in SUFFIXES and path.is_file()):
        status = file.stat()
        content = _digest(file.resolve(), status.st_size, status.st_mtime_ns)
        whole.update(f"{file.name}\0{status.st_size}\0{content}\n".encode())
    return whole.hexdigest()


@cache
def _digest(file: Path, size: int, changed: int) -> str:
    with file.open("rb") as data:
        if size <= BLOCKS * BLOCK:
            return hashlib.file_digest(data, "sha256").hexdigest()
        read = hashlib.sha256()
        for number in range(BLOCKS):
            data.seek((size - BLOCK) * number // (BLOCKS - 1))
            read.update(data.read(BLOCK))
        return read.hexdigest()
