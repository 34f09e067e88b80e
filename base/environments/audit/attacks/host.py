"""The host around a run of attacks: what they are meant to reach, and whether anything of it changed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from base.environments.audit.attacks.floods import DAEMON
from base.environments.graders import harness

_SECRET = "EDMUND_SECRET"


class Host:
    """A context that baits the attacks: a canary folder, listeners, a secret in the environment, a signal handler, and a
    directory for temporary files of its own. Enter it before the sandbox starts.
    """

    def __enter__(self) -> Host:
        self._root = Path(tempfile.mkdtemp(prefix="edmund-attack-"))
        self.canary = self._root / "canary"
        self._temporary = self._root / "temporary"
        (self.canary / "folder").mkdir(parents=True)
        (self.canary / "secret.txt").write_text("secret")
        (self.canary / "folder" / "more.txt").write_text("more")
        self._temporary.mkdir()
        for path in (self._root, self._temporary, self.canary, *self.canary.rglob("*")):
            path.chmod(0o777)  # so that the sandbox alone is in the way
        self._tempdir, tempfile.tempdir = tempfile.tempdir, str(self._temporary)
        os.environ[_SECRET] = "secret"
        self._signals = 0
        self._handler: Any = None
        if threading.current_thread() is threading.main_thread():
            self._handler = signal.signal(signal.SIGUSR1, self._count)
        self._listeners = [socket.create_server(("127.0.0.1", 0))]
        self.port = self._listeners[0].getsockname()[1]
        for address in (f"\0edmund-{self.port}", str(self.canary / "socket")):
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(address)
            listener.listen()
            self._listeners.append(listener)
        for listener in self._listeners:
            listener.setblocking(False)
        self._locks = _Locks([*self.canary.rglob("*.txt"), *_LIBRARIES])
        self._locks.start()
        self._before, self._objects = self._state(), _objects()
        return self

    def __exit__(self, *_: object) -> None:
        self._locks.stop()
        for listener in self._listeners:
            listener.close()
        if self._handler is not None:
            signal.signal(signal.SIGUSR1, self._handler)
        os.environ.pop(_SECRET, None)
        tempfile.tempdir = self._tempdir
        shutil.rmtree(self._root, ignore_errors=True)

    def _count(self, *_: object) -> None:
        self._signals += 1

    @property
    def names(self) -> dict[str, str]:
        """What the placeholders in attacks stand for."""
        return {
            "CANARY": str(self.canary),
            "GRADERS": str(Path(harness.__file__).resolve()),
            "PARENT": str(os.getpid()),
            "PORT": str(self.port),
        }

    def _state(self) -> dict[str, Any]:
        return {
            "files of the canary folder": _tree(self.canary),
            "descriptors of the grading process": len(os.listdir("/proc/self/fd")),
            "child processes of the grading process": _children(),
            "temporary files": sorted(path.name for path in self._temporary.iterdir()),
        }

    def survivors(self) -> list[str]:
        """Processes that attacks started and that still run, while the sandbox is still open."""
        found = _named(DAEMON)
        if found:  # another run of the suite on this machine may have some that are about to be killed
            time.sleep(1)
            found = [number for number in _named(DAEMON) if number in found]
        return [f"process {number} outlived its program" for number in found]

    def changes(self) -> list[str]:
        """What is not as it was; ask after the sandbox is closed."""
        now = self._state()
        found = [
            f"{what}: {self._before[what]} before, {now[what]} after" for what in now if now[what] != self._before[what]
        ]
        if self._signals:
            found.append(f"{self._signals} signals reached the grading process")
        for listener in self._listeners:
            try:
                listener.accept()[0].close()
            except BlockingIOError:
                continue
            found.append(f"a program connected to {listener.getsockname()!r}")
        found += [f"left behind: {one}" for one in sorted(_objects() - self._objects)]
        found += [f"locked while a program ran: {path}" for path in sorted(self._locks.seen)]
        return [*found, *self.survivors()]


class _Locks(threading.Thread):
    """Looks fifty times a second at the locks that the kernel holds for all processes; `seen` are those of `files`."""

    def __init__(self, files: Sequence[Path]) -> None:
        super().__init__(name="locks", daemon=True)
        self.files = {_identity(path): str(path) for path in files}
        self.seen: set[str] = set()
        self._end = threading.Event()
        self._file = os.open("/proc/locks", os.O_RDONLY)  # kept open, as descriptors are counted meanwhile

    def run(self) -> None:
        while not self._end.wait(0.02):
            text = b""
            while part := os.pread(self._file, 1 << 16, len(text)):
                text += part
            self.seen |= {self.files[field] for field in text.decode().split() if field in self.files}

    def stop(self) -> None:
        self._end.set()
        self.join()
        os.close(self._file)


# Files that programs and the host share: Python's library and the C library.
_LIBRARIES = sorted(
    {
        Path(os.__file__),
        *(Path(line.split()[-1]) for line in Path("/proc/self/maps").read_text().splitlines() if "/libc." in line),
    }
)


def _identity(path: Path) -> str:
    """A file as /proc/locks names it: device and inode."""
    status = path.stat()
    return f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"


def _objects() -> set[str]:
    """What outlives its process: System V objects of whom programs run as, and files that the attacks name in memory."""
    found = {str(path) for folder in ("/dev/shm", "/dev/mqueue") for path in Path(folder).glob("edmund-attack*")}
    users = {str(os.getuid()), "65534"}
    for kind, owner in (("shm", 7), ("sem", 4), ("msg", 7)):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/sysvipc/{kind}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[owner] in users:
                    found.add(f"System V {kind} {fields[1]} (key {int(fields[0]):#x})")
    return found


def _tree(folder: Path) -> str:
    """A hash over names, modes, times of change and contents."""
    digest = hashlib.sha256()
    for path in [folder, *sorted(folder.rglob("*"))]:
        status = path.lstat()
        digest.update(f"{path} {status.st_mode} {status.st_mtime_ns} {status.st_uid}\n".encode())
        if path.is_file() and not path.is_symlink():
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _children() -> list[int]:
    found: list[int] = []
    for task in os.listdir("/proc/self/task"):
        found += [int(n) for n in Path(f"/proc/self/task/{task}/children").read_text().split()]
    return sorted(found)


def _named(name: str) -> list[int]:
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                if Path(f"/proc/{entry}/comm").read_text().strip() == name:
                    found.append(int(entry))
            except OSError:
                continue
    return found
