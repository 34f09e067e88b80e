"""Where control groups are not to be had: what a program holds is looked at fifty times a second, and too much is its end.

Memory counts as the address space that its processes have added to what each had from the worker: everything that they
map is in it, also pages shared with nobody's table. The filter of system calls denies memory outside it; what is left
(open files, pipes, pairs of sockets) is bounded by the number of descriptors, 64 for each of at most 16 processes. One
process alone never gets there: its own limit comes first. Without an own file system the files of a program are added up
in the same way. What is filled between two looks comes on top.
"""

from __future__ import annotations

import contextlib
import math
import os
import stat
from collections.abc import Iterator, Mapping

FIRST_SECONDS = 0.019  # most programs are not looked at: they have ended before, also those of pytest
_SECONDS = 0.02  # between two looks
_PAGE = os.sysconf("SC_PAGE_SIZE")
_WALKS = 5  # a process that ends during a walk may have handed on what it held


class Watchdog:
    """`proc` is a descriptor of /proc, where this process is `self`. With `memory` and `files` it looks at these; `over`
    says whether the children of this process together hold more than their limits. Without `memory` a control group
    limits that, and the `first` look tells the kernel whom to kill.
    """

    def __init__(self, proc: int, memory: bool, files: bool) -> None:
        self.proc, self.memory, self.files = proc, memory, files
        self.own = _size(proc, "self") if memory else 0

    @property
    def rest(self) -> float:
        """Seconds until the next look."""
        return _SECONDS if self.memory or self.files else math.inf

    def over(self, limits: Mapping[str, int], folder: str, first: bool) -> bool:
        processes = self._walk(mark=first and not self.memory)
        if self.memory and sum(held for _, held in processes) > limits["memory"]:
            return True
        return self.files and self._files(limits, folder, [pid for pid, _ in processes])

    def _walk(self, mark: bool) -> list[tuple[str, int]]:
        """The processes below this one, each with the bytes of address space that it has added. To `mark` is before to look
        for children, so that none is missed.
        """
        found: list[tuple[str, int]] = []
        for _ in range(_WALKS):
            found, lost = [], False
            todo = list(children(self.proc, "self"))
            while todo:
                pid = todo.pop()
                if mark:
                    self._first_to_go(pid)
                try:
                    todo += children(self.proc, pid)
                    found.append((pid, max(0, _size(self.proc, pid) - self.own)))
                except OSError:
                    lost = True
            if not lost:
                break
        return found

    def _first_to_go(self, pid: str) -> None:
        """Out of memory in its control group, the kernel shall kill the program's processes before the worker. What they
        start inherits that.
        """
        with contextlib.suppress(OSError):
            score = os.open(f"{pid}/oom_score_adj", os.O_WRONLY, dir_fd=self.proc)
            try:
                os.write(score, b"1000")
            finally:
                os.close(score)

    def _files(self, limits: Mapping[str, int], folder: str, processes: list[str]) -> bool:
        """Whether the files below `folder`, and those that are open without a name, are too many or too large."""
        try:
            found = [*_tree(folder, limits["files"]), *self._nameless(processes)]
        except OSError:  # made unreadable, or deeper than a path may be long: nothing honest is
            return True
        return len(found) > limits["files"] or sum(one.st_blocks for one in found) * 512 > limits["disk"]

    def _nameless(self, processes: list[str]) -> Iterator[os.stat_result]:
        seen = set()
        for pid in processes:
            with contextlib.suppress(OSError):
                for name in _list(self.proc, f"{pid}/fd"):
                    with contextlib.suppress(OSError):
                        status = os.stat(f"{pid}/fd/{name}", dir_fd=self.proc)
                        if stat.S_ISREG(status.st_mode) and status.st_nlink == 0 and status.st_ino not in seen:
                            seen.add(status.st_ino)
                            yield status


def children(proc: int, pid: str) -> list[str]:
    """The children of all threads of a process. Raises OSError when it has ended."""
    found: list[str] = []
    try:
        for task in _list(proc, f"{pid}/task"):
            found += _read(proc, f"{pid}/task/{task}/children").split()
    except FileNotFoundError:
        if not _exists(proc, f"{pid}/stat") or _exists(proc, "thread-self/children"):
            raise
        return _by_scan(proc, pid)  # a kernel may be built without that file
    return found


def _by_scan(proc: int, pid: str) -> list[str]:
    own, found = _read(proc, f"{pid}/stat").split()[0], []
    for entry in _list(proc, "."):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                if _read(proc, f"{entry}/stat").rpartition(")")[2].split()[1] == own:
                    found.append(entry)
    return found


def _tree(folder: str, most: int) -> Iterator[os.stat_result]:
    """Every file and folder below, one more than `most` at most. Raises OSError for one that cannot be looked into."""
    todo, left = [folder], most + 1
    while todo:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(todo.pop()) as entries:
            for entry in entries:
                yield entry.stat(follow_symlinks=False)
                left -= 1
                if not left:
                    return
                if entry.is_dir(follow_symlinks=False):
                    todo.append(entry.path)


def _size(proc: int, pid: str) -> int:
    """Bytes of address space."""
    return int(_read(proc, f"{pid}/statm").split()[0]) * _PAGE


def _read(proc: int, name: str) -> str:
    descriptor = os.open(name, os.O_RDONLY, dir_fd=proc)
    try:
        parts = []
        while part := os.read(descriptor, 1 << 16):
            parts.append(part)
        return b"".join(parts).decode("utf-8", "replace")
    finally:
        os.close(descriptor)


def _list(proc: int, name: str) -> list[str]:
    descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=proc)
    try:
        return os.listdir(descriptor)
    finally:
        os.close(descriptor)


def _exists(proc: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=proc)
    except OSError:
        return False
    return True
