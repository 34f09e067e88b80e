"""A control group for each worker, where this process may make one: it bounds the memory and the tasks of a program in
sum, and with them memory that no process holds (files in memory, pipes, sockets, what the kernel keeps). cgroups(7).

The worker joins its group once, so that its programs are born inside and cost nothing; as it runs one at a time, what is
used beyond what it used itself when it was ready is the program's. Out of memory, the kernel kills in the group alone,
and programs before the worker (Watchdog).
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

_PREFIX = "edmund-"
_OWN = "/proc/self"


class _Bound(NamedTuple):
    """A file that sets a limit, the one that says what is used, the one that must follow (swap), and the field of Limits."""

    limit: str
    used: str
    swap: str
    field: str


_BOUNDS = {
    1: {
        "memory": _Bound("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.memsw.limit_in_bytes", "memory"),
        "pids": _Bound("pids.max", "pids.current", "", "processes"),
    },
    2: {
        "memory": _Bound("memory.max", "memory.current", "memory.swap.max", "memory"),
        "pids": _Bound("pids.max", "pids.current", "", "processes"),
    },
}


class _Open(NamedTuple):
    """One bound of a group that was joined. Descriptors, as the files are out of sight and of other owners behind walls;
    `swap` is -1 where no second limit has to follow.
    """

    field: str
    limit: int
    used: int
    swap: int


class Group:
    """The group of this process and of its children from now on. `bounded` names what it bounds, fields of Limits, which
    may be nothing; `folders` are for `remove`, once the process is dead.
    """

    def __init__(self) -> None:
        self.folders: list[str] = []
        self._open: list[_Open] = []
        self._base: dict[str, int] = {}
        self._set: dict[str, int] = {}
        for version, place, controllers in _places():
            wanted = {
                name: _BOUNDS[version][name] for name in controllers if _BOUNDS[version][name].field not in self.bounded
            }
            if wanted:
                with contextlib.suppress(OSError):
                    self._join(version, place, list(wanted.values()))

    @property
    def bounded(self) -> frozenset[str]:
        return frozenset(one.field for one in self._open)

    def _join(self, version: int, place: Path, bounds: list[_Bound]) -> None:
        """Raises OSError, and leaves nothing behind, where this process may not."""
        _clear(place)
        folder = place / f"{_PREFIX}{os.getppid()}-{os.getpid()}"
        folder.mkdir()
        found: list[_Open] = []
        try:
            for bound in bounds:
                limit, used = os.open(folder / bound.limit, os.O_RDWR), os.open(folder / bound.used, os.O_RDONLY)
                swap, swaps = -1, bool(bound.swap) and (folder / bound.swap).exists()
                if swaps and version == 2:
                    (folder / bound.swap).write_text("0")
                elif swaps:  # the older version limits memory and swap together
                    swap = os.open(folder / bound.swap, os.O_RDWR)
                found.append(_Open(bound.field, limit, used, swap))
            (folder / "cgroup.procs").write_text("0")
        except OSError:
            for one in found:
                for descriptor in (one.limit, one.used, *([one.swap] * (one.swap >= 0))):
                    os.close(descriptor)
            folder.rmdir()
            raise
        self.folders.append(str(folder))
        self._open += found

    def ready(self) -> None:
        """Called when the worker uses what it will always use: limits count from here."""
        self._base = {one.field: int(os.pread(one.used, 64, 0)) for one in self._open}

    def hold(self, limits: Mapping[str, int]) -> None:
        """Sets the limits of the next program. Raises OSError where the kernel refuses."""
        for one in self._open:
            value, before = self._base[one.field] + limits[one.field], self._set.get(one.field)
            if value == before:
                continue
            files = [file for file in (one.limit, one.swap) if file >= 0]
            # Memory may at no time be allowed more than memory and swap.
            for file in files if before is None or value < before else reversed(files):
                os.pwrite(file, str(value).encode(), 0)
            self._set[one.field] = value


def remove(folders: list[str]) -> None:
    """Removes the groups of a worker that is dead; its last processes may take a moment more."""
    for folder in folders:
        for _ in range(200):
            try:
                os.rmdir(folder)
            except FileNotFoundError:
                break
            except OSError:
                time.sleep(0.01)
            else:
                break


def _clear(place: Path) -> None:
    """Removes the groups of workers whose starter was killed before it could."""
    for folder in place.glob(f"{_PREFIX}*-*"):
        starter = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if not os.path.exists(f"/proc/{starter}"):
            with contextlib.suppress(OSError):
                folder.rmdir()


def _places() -> Iterator[tuple[int, Path, list[str]]]:
    """Groups that may have a new group below them, the nearest first: version, folder, controllers."""
    try:
        groups = Path(_OWN, "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in groups:
        _, names, path = line.split(":", 2)
        if not names:
            for own in _folders("cgroup2", "", path):
                root = _mount("cgroup2", "")
                for place in [own, *own.parents]:
                    if root is None or not place.is_relative_to(root[1]):
                        break
                    with contextlib.suppress(OSError):
                        enabled = (place / "cgroup.subtree_control").read_text().split()
                        yield 2, place, [name for name in _BOUNDS[2] if name in enabled]
        for name in set(names.split(",")) & set(_BOUNDS[1]):
            for own in _folders("cgroup", name, path):
                yield 1, own, [name]


def _folders(kind: str, controller: str, path: str) -> Iterator[Path]:
    """Where the group `path` is seen in the file system, if it is."""
    mount = _mount(kind, controller)
    if mount is not None:
        root, point = mount
        with contextlib.suppress(ValueError):
            found = point / Path(path).relative_to(root)
            if found.is_dir():
                yield found


def _mount(kind: str, controller: str) -> tuple[Path, Path] | None:
    """The root of a hierarchy as mounted here: which group it shows, and where. proc_pid_mountinfo(5)."""
    for line in Path(_OWN, "mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        found, _, options = rest.split(" ", 2)
        if found == kind and (not controller or controller in options.split(",")):
            _, _, _, root, point, *_ = fields.split(" ")
            return Path(root), Path(point)
    return None
