"""The fork server: a small Python process that forks one confined child per program.

It never reads a job. The other side sends it limits and the end of a fresh socket; the child reads the job from that
socket, so that nothing of one job (tests, expected values) is ever in the memory another one is forked from.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import json
import math
import os
import random
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from base.environments.sandbox import calls, cgroup, fence, isolate, wire
from base.environments.sandbox.watchdog import FIRST_SECONDS, Watchdog, children

Handler = Callable[[Any, socket.socket], int]
_CONTROL_LIMIT = 4096


class Place(NamedTuple):
    """Where a server ended up: its control socket, its isolation level, the directory for programs without one, a
    descriptor of /proc, its control group, and the filter of system calls for programs.
    """

    control: socket.socket
    level: str
    folder: str
    proc: int
    group: cgroup.Group
    call_filter: Any

    def record(self) -> str:
        """The level and by what the rest is bounded, for the run record."""
        said = [self.level, f"memory in sum by {'a control group' if 'memory' in self.group.bounded else 'a watchdog'}"]
        if not calls.enforced():
            said.append("no filter of system calls: network, and kernel objects that hold more and outlive a program")
        if self.level != isolate.FULL and not fence.stands():
            said.append("no Landlock: programs may leave files outside their folder")
        if self.level == isolate.RLIMITS_ONLY and os.getuid() == 0 and "processes" not in self.group.bounded:
            said.append("any number of processes, as the kernel does not count root's")
        return "; ".join(said)


def settle(control_fd: int, folder: str, want_namespaces: bool) -> Place:
    """Build the walls around this process. Where namespaces work, the caller goes on as process 1 inside them.

    Without namespaces each program gets a directory of its own in `folder`, which the other side made and removes.
    """
    control = socket.socket(fileno=control_fd)
    os.chmod(folder, 0o711)
    level = _strongest(want_namespaces, folder)
    group = cgroup.Group()
    if level == isolate.FULL:
        proc = isolate.enter()
        # The worker proper is process 1 of its own PID namespace: when it dies, everything in it dies.
        worker = os.fork()
        if worker:
            control.close()
            _, status = os.waitpid(worker, 0)
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
        isolate.die_with_parent()
    else:
        proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
        isolate.adopt_orphans()
    return Place(control, level, folder, proc, group, isolate.set_for_all(level))


def jobs(place: Place) -> tuple[Any, socket.socket]:
    """Serves until the control socket closes, and returns in children only: each, confined, with its job and the socket
    to answer on. A child ends by `end`.
    """
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)
    os.environ.clear()
    atexit._clear()
    random.seed(0)
    own = os.pidfd_open(os.getpid()) if place.level == isolate.FULL else None
    full = place.level == isolate.FULL
    watchdog = Watchdog(place.proc, memory="memory" not in place.group.bounded, files=not full)
    gc.collect()
    gc.freeze()
    place.group.ready()
    report: dict[str, Any] = {"level": place.record(), "groups": place.group.folders}
    place.control.send(json.dumps(report).encode())
    bounds, held = {}, b""
    while True:
        limits, descriptors, _, _ = socket.recv_fds(place.control, _CONTROL_LIMIT, 1)
        if not limits:
            os._exit(0)
        if not descriptors:  # a request to kill that arrived after the program had ended
            continue
        (job,) = descriptors
        folder = _folder(place.level, place.folder)
        try:
            walls = _walls(place.level, limits, folder)
            if limits != held:
                bounds = json.loads(limits)
                place.group.hold(bounds)
                held = limits
            pid = isolate.fork_as_first(own)
        except OSError as error:
            report = {"fault": f"fork: {error}"}
        else:
            if pid == 0:
                return _confined(job, walls, place.call_filter)
            report = _watch(place, pid, bounds, folder, watchdog)
        os.close(job)
        place.control.send(json.dumps(report).encode())


@functools.lru_cache(maxsize=4)
def _walls(level: str, limits: bytes, folder: str) -> isolate.Walls:
    return isolate.Walls(level, json.loads(limits), folder)


def _confined(job: int, walls: isolate.Walls, call_filter: Any) -> tuple[Any, socket.socket]:
    """Says "ready" once the walls stand: before that, a death is the sandbox's fault."""
    try:
        os.closerange(3, job)
        os.closerange(job + 1, 4096)
        walls(call_filter)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, job)
        content = wire.read_frame(sock, limit=64 << 20)
        sys.path.insert(0, walls.folder)
        wire.send_frame(sock, {"ready": True})
        return content, sock
    except BaseException:
        os._exit(1)


def end(handler: Callable[[], int]) -> NoReturn:
    """The end of a child: the handler's exit code, without the rest of an interpreter's farewell."""
    code = 1
    try:
        code = handler()
    finally:
        os._exit(code)


def _strongest(want_namespaces: bool, parent: str) -> str:
    """The strongest level that works here, found by trying it in a child."""

    def works(level: str) -> bool:
        limits = {"cpu": 5, "memory": 1 << 30, "disk": 1 << 20, "files": 64, "processes": 16}
        pid = os.fork()
        if pid:
            return os.waitpid(pid, 0)[1] == 0
        try:
            if level == isolate.FULL:
                isolate.enter()
                if (pid := os.fork()) != 0:
                    os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 0xFF)
                if (pid := isolate.fork_as_first(os.pidfd_open(os.getpid()))) != 0:
                    os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 0xFF)
            isolate.Walls(level, limits, _folder(level, parent))(isolate.set_for_all(level))
            with open(os.__file__, "rb"), open("probe", "w"):
                os._exit(0)
        except BaseException:
            if os.environ.get("EDMUND_SANDBOX_DEBUG"):
                sys.excepthook(*sys.exc_info())
            os._exit(1)

    if want_namespaces and works(isolate.FULL):
        return isolate.FULL
    return isolate.NOBODY_ONLY if os.geteuid() == 0 and works(isolate.NOBODY_ONLY) else isolate.RLIMITS_ONLY


def _folder(level: str, parent: str) -> str:
    """Where a program works: an own file system, or a directory that whoever it runs as can use."""
    if level == isolate.FULL:
        return isolate.WORK
    import tempfile

    folder = tempfile.mkdtemp(dir=parent)
    os.chmod(folder, 0o777)
    return folder


def _watch(place: Place, pid: int, limits: dict[str, int], folder: str, watchdog: Watchdog) -> dict[str, Any]:
    """Waits for a child and clears it away. The wall limit, the caller's wish to kill and what only a watchdog can bound
    are enforced here.
    """
    watched = os.pidfd_open(pid)
    poller = select.poll()
    poller.register(watched, select.POLLIN)
    poller.register(place.control, select.POLLIN)
    deadline, late, killed = time.monotonic() + limits["wall"], False, False
    rest = FIRST_SECONDS  # until the watchdog looks
    while True:
        left = deadline - time.monotonic()
        ready = {number for number, _ in poller.poll(max(0.0, min(left, rest)) * 1000)}
        if watched in ready:
            break
        if ready:  # the caller wants no more of this child, or is gone
            killed = True
            if not place.control.recv(_CONTROL_LIMIT):
                os.kill(pid, signal.SIGKILL)
                os._exit(0)
        elif rest >= left:
            late = not killed
        elif watchdog.over(limits, folder, first=rest == FIRST_SECONDS):
            killed = True
        else:
            rest = watchdog.rest
            continue
        rest = math.inf
        os.kill(pid, signal.SIGKILL)
        poller.unregister(place.control)
        deadline = time.monotonic() + 60
    os.close(watched)
    _, status, usage = os.wait4(pid, 0)
    if place.level != isolate.FULL:
        _sweep(pid, place.proc)
        isolate.remove(folder)
    cpu = usage.ru_utime + usage.ru_stime
    return {"code": os.waitstatus_to_exitcode(status), "cpu": cpu, "late": late, "killed": killed}


def _sweep(group: int, proc: int) -> None:
    """Without a PID namespace: kill the group, then every orphan this process has adopted."""
    with contextlib.suppress(OSError):
        os.killpg(group, signal.SIGKILL)
    while orphans := children(proc, "self"):
        for orphan in map(int, orphans):
            try:
                os.kill(orphan, signal.SIGKILL)
                os.waitpid(orphan, 0)
            except OSError:
                continue
