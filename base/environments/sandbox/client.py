"""The caller's side of the sandbox: jobs in, results out, in order; workers are replaced when they hang or die."""

from __future__ import annotations

import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Literal

from base.environments.sandbox import cgroup, isolate, wire

_ROOT = Path(__file__).resolve().parents[3]
_BOOT = (
    "import sys; sys.path.insert(0, sys.argv[1]); from base.environments.graders import harness_{} as harness; "
    "del sys.path[0]; harness.serve(int(sys.argv[2]), sys.argv[3], sys.argv[4] == 'namespaces')"
)
_START_SECONDS = 120.0  # importing pytest on a machine that is busy with everything else
# The kernel enforces the CPU limit by ticks and reports the use by the clock; on a busy machine they differ by a factor.
_CPU_ENFORCED = 0.4
_GRACE_SECONDS = 10.0  # beyond a program's wall limit before its worker counts as hung


@dataclass(frozen=True)
class Limits:
    """Of one program: CPU seconds for each of its processes; wall seconds, number of processes, bytes of memory, bytes and
    number of files for all of them together. No process has more address space than `memory` either.
    """

    cpu: int = 5
    wall: int = 15
    memory: int = 512 << 20
    disk: int = 16 << 20
    files: int = 1024
    processes: int = 16


@dataclass(frozen=True)
class Job:
    """What a child is given first, and the questions it is then asked one by one, each after the last answer. `answers`
    is how many more it may give unasked. With `pytest` it is forked from a process that has imported pytest: larger,
    and slower to fork.
    """

    payload: dict[str, Any]
    questions: tuple[dict[str, Any], ...] = ()
    limits: Limits = field(default_factory=Limits)
    answers: int = 0
    pytest: bool = False


@dataclass(frozen=True)
class Result:
    """What came back. `replies` are untrusted; `broken` says how the dialogue went wrong, if it did; `cpu` is seconds."""

    ended: Literal["exit", "signal", "timeout", "fault"]
    code: int = 0
    replies: tuple[Any, ...] = ()
    broken: str = ""
    cpu: float = 0.0


@functools.lru_cache(maxsize=64)
def _announce(limits: Limits) -> bytes:
    return json.dumps(asdict(limits)).encode()


class _Lost(Exception):
    """The worker died or hangs."""


class _Worker:
    """One fork server process and the control socket to it."""

    def __init__(self, namespaces: bool, pytest: bool) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # `-I` would also ignore PYTHONHASHSEED; with an otherwise empty environment `-s -P` isolates as much.
        # Symbols are bound at the start, not in every child.
        environment = {"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "LD_BIND_NOW": "1"}
        environment |= {k: v for k in ("LD_LIBRARY_PATH", "EDMUND_SANDBOX_DEBUG") if (v := os.environ.get(k))}
        mode = "namespaces" if namespaces else "rlimits"
        boot = _BOOT.format("pytest" if pytest else "child")
        self.folder = tempfile.mkdtemp(prefix="edmund-")  # for the programs' files where they get no file system
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-s", "-P", "-B", "-c", boot, str(_ROOT), str(theirs.fileno()), self.folder, mode],
                pass_fds=[theirs.fileno()],
                env=environment,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.control = ours
        self.groups: list[str] = []
        try:
            hello = self._hear(_START_SECONDS)
            self.level, self.groups = str(hello["level"]), [str(folder) for folder in hello["groups"]]
        except BaseException:  # a signal while it starts must leave nothing either
            self.close()
            raise

    def _hear(self, seconds: float) -> dict[str, Any]:
        self.control.settimeout(max(0.01, seconds))
        try:
            message = self.control.recv(4096)
        except OSError as error:
            raise _Lost(f"no word from the worker ({error})") from error
        if not message:
            raise _Lost("the worker ended")
        report: dict[str, Any] = json.loads(message)
        return report

    def run(self, job: Job) -> Result:
        """One program from fork to the last survivor's end. Raises _Lost when the worker has to be replaced."""
        ours, theirs = socket.socketpair()
        deadline = time.monotonic() + job.limits.wall + _GRACE_SECONDS
        with ours:
            with theirs:
                try:
                    socket.send_fds(self.control, [_announce(job.limits)], [theirs.fileno()])
                except OSError as error:
                    raise _Lost(str(error)) from error
            replies, broken = self._talk(ours, job, deadline)
            if broken:  # nothing more is wanted of a child that breaks the rules
                try:
                    self.control.send(b"kill")
                except OSError as error:
                    raise _Lost(str(error)) from error
            report = self._hear(deadline - time.monotonic())
        if "fault" in report:
            return Result("fault", broken=str(report["fault"]))
        if not replies and not broken:
            return Result("fault", broken="the child died before its walls stood")
        code, cpu, answers = int(report["code"]), float(report["cpu"]), tuple(replies[1:])
        if report["late"] or (code == -signal.SIGKILL and cpu >= _CPU_ENFORCED * job.limits.cpu):
            return Result("timeout", code, answers, broken, cpu)
        return Result("signal" if code < 0 else "exit", code, answers, broken, cpu)

    def _talk(self, sock: socket.socket, job: Job, deadline: float) -> tuple[list[Any], str]:
        """Everything the child says, the first "ready" included, up to the end of its stream."""
        replies: list[Any] = []
        pending, more = list(job.questions), bool(job.questions)
        allowed = 2 + job.answers  # ready, the answer to the payload, and one for every question asked
        read = wire.Reader(sock)
        try:
            sock.settimeout(max(0.01, deadline - time.monotonic()))
            wire.send_frame(sock, job.payload)
            if not more:
                sock.shutdown(socket.SHUT_WR)
            while (reply := read()) is not None:
                replies.append(reply)
                if len(replies) > allowed:
                    return replies, "more answers than questions"
                if not more or len(replies) == 1:
                    continue
                sock.settimeout(max(0.01, deadline - time.monotonic()))
                if pending and isinstance(reply, dict) and "error" not in reply:
                    wire.send_frame(sock, pending.pop(0))
                    allowed += 1
                else:
                    more = False
                    sock.shutdown(socket.SHUT_WR)
            return replies, ""
        except wire.BadFrame as error:
            return replies, str(error)
        except TimeoutError as error:
            raise _Lost("the worker let a program run on") from error
        except OSError as error:  # the child closed its end early: what it said so far stands
            return replies, f"stream: {error}" if replies else ""

    def close(self) -> None:
        self.control.close()
        self.process.kill()
        self.process.wait()
        isolate.remove(self.folder)
        cgroup.remove(self.groups)


class Sandbox:
    """A pool of workers. `run` takes any number of jobs and gives their results in order; safe to call from threads.

    A place in the pool holds a worker without pytest and, once a job has asked for it, one with it.
    """

    def __init__(self, workers: int = 1, namespaces: bool = True) -> None:
        self._namespaces = namespaces
        self._free: SimpleQueue[dict[bool, _Worker]] = SimpleQueue()
        for _ in range(workers):
            self._free.put({})
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="sandbox") if workers > 1 else None
        self._all: set[_Worker] = set()
        self._lock = threading.Lock()
        self._level = ""
        self.replaced = 0

    def isolation(self) -> str:
        """The level in force, for the run record."""
        if not self._level:
            place = self._free.get()
            try:
                self._worker(place, pytest=False)
            finally:
                self._free.put(place)
        return self._level

    def processes(self) -> list[int]:
        """The process ids of the workers, without what they started."""
        with self._lock:
            return [worker.process.pid for worker in self._all]

    def run(self, jobs: Sequence[Job]) -> list[Result]:
        if self._threads is None:
            return [self._one(job) for job in jobs]
        return list(self._threads.map(self._one, jobs))

    def _one(self, job: Job) -> Result:
        """A fault of the sandbox is tried once more, on a new worker if the old one is lost."""
        result = Result("fault", broken="not run")
        place = self._free.get()
        try:
            for _ in range(2):
                try:
                    result = self._worker(place, job.pytest).run(job)
                except _Lost as error:
                    result = Result("fault", broken=str(error))
                    self._drop(place, job.pytest)
                except BaseException:
                    self._drop(place, job.pytest)
                    raise
                if result.ended != "fault":
                    break
        finally:
            self._free.put(place)
        return result

    def _worker(self, place: dict[bool, _Worker], pytest: bool) -> _Worker:
        """The place's worker of that kind, started if there is none."""
        if pytest in place:
            return place[pytest]
        worker = place[pytest] = _Worker(self._namespaces, pytest)
        with self._lock:
            self._all.add(worker)
            if not self._level and not isolate.walled(worker.level) and self._namespaces:
                warnings.warn(
                    f"SANDBOX IS WEAK: this kernel gives no namespaces ({worker.level}). Graded programs can read "
                    "every file this user can read. Run in a disposable machine or container.",
                    stacklevel=2,
                )
            self._level = worker.level
        return worker

    def _drop(self, place: dict[bool, _Worker], pytest: bool) -> None:
        self.replaced += 1
        worker = place.pop(pytest, None)
        if worker is not None:
            with self._lock:
                self._all.discard(worker)
            worker.close()

    def close(self) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=True)
        with self._lock:
            for worker in self._all:
                worker.close()
            self._all.clear()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
