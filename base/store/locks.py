"""Locks: a shared stage is made once, by one process, while the others wait."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from base.engine.runtime import Runtime, barrier


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds an exclusive lock named after `path`; other processes wait. Shared stages are made once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(f".{path.name}.lock"), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def shared(path: Path, process: Runtime) -> Iterator[None]:
    """Makes a shared stage once: other runs wait for this one, other ranks of this run wait for the main rank."""
    if process.is_main:
        with locked(path):
            barrier(process)
            yield
            barrier(process)
    else:
        barrier(process)
        yield
        barrier(process)
