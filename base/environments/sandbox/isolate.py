"""Walls around a worker and around each program: namespaces where the kernel allows them (elsewhere a fence around the
program's folder), rlimits everywhere, and a filter of system calls for what namespaces do not separate.

Once per worker `enter` makes user, mount, network, IPC and PID namespaces with a root file system that shows Python and
the system libraries, read-only, and nothing else. Per program `Walls` adds an own PID, mount and IPC namespace with an
empty temporary directory, drops every capability and sets the limits. Linux manual pages: unshare(2), pivot_root(2),
user_namespaces(7), mount_setattr(2), capset(2).

Starting a child costs its page faults: each page that it or the server writes to after the fork (a reference count is
enough) is copied. So what a child needs is made before the fork, and `fork` leaves out what Python does after one.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import resource
import struct
import sys
import time
from collections.abc import Mapping
from importlib.machinery import PathFinder
from typing import Any

from base.environments.sandbox import calls, fence

FULL = "namespaces (user, mount, pid, net, ipc) + rlimits"
NOBODY_ONLY = "rlimits only, as nobody"
RLIMITS_ONLY = "rlimits only"


def walled(isolation: str) -> bool:
    """Whether the level in force, as the record has it, is the full one."""
    return isolation.startswith(FULL)


_CLONE_NEWNS, _CLONE_NEWUTS, _CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
_CLONE_NEWUSER, _CLONE_NEWPID, _CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_REMOUNT = 1, 2, 4, 32
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18
_MNT_DETACH = 2
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_SYS_MOUNT_SETATTR = 442  # the same number on every architecture
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}.get(os.uname().machine, 155)
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS, _PR_SET_CHILD_SUBREAPER = 1, 4, 38, 36
_SIGKILL = 9
_NOBODY = 65534
_INSIDE_UID = 1000
_PYTHON = (sys.prefix, sys.base_prefix, os.path.dirname(os.__file__))
# Where a program works inside its walls; /tmp, unless that would cover the Python it runs on.
WORK = "/box" if any(os.path.realpath(path).startswith("/tmp/") for path in _PYTHON) else "/tmp"
_NEW_ROOT = "/sys"  # any directory that Python does not live in; covered only inside our own mount namespace

_libc = ctypes.CDLL(None, use_errno=True)
_with_lock = ctypes.PyDLL(None, use_errno=True)  # calls that keep Python's lock


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _unshare(flags: int) -> None:
    _check(_libc.unshare(flags), "unshare")


def _mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    texts = [None if t is None else os.fsencode(t) for t in (source, target, kind, data)]
    _check(_libc.mount(texts[0], texts[1], texts[2], ctypes.c_ulong(flags), texts[3]), f"mount {target}")


def _read_only(target: str, devices: bool = False) -> None:
    """Read-only, no set-uid, no devices but on request, submounts included (an old kernel: the top mount alone)."""
    attributes = struct.pack("QQQQ", 1 | 2 | 4 * (not devices), 0, 0, 0)  # MOUNT_ATTR_RDONLY | NOSUID | NODEV
    done = _libc.syscall(
        _SYS_MOUNT_SETATTR, _AT_FDCWD, os.fsencode(target), _AT_RECURSIVE, attributes, ctypes.c_size_t(len(attributes))
    )
    if done != 0:
        kept = os.statvfs(target).f_flag & (_MS_NOSUID | _MS_NODEV | 8 | 1024 | 2048)
        _mount("none", target, None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | kept)


def _prctl(option: int, value: int) -> None:
    _check(_libc.prctl(option, value, 0, 0, 0), f"prctl {option}")


def remove(folder: str) -> None:
    """Removes a tree of any depth and mode: shutil gives up where a program nested directories deeper than Python
    recurses, or took from itself the right to look into them.
    """
    import shutil
    import subprocess

    with contextlib.suppress(RecursionError):
        shutil.rmtree(folder, ignore_errors=True)
    if os.path.exists(folder):
        for command in (["chmod", "-R", "u+rwx"], ["rm", "-rf"]):
            subprocess.run([*command, folder], check=False, stderr=subprocess.DEVNULL)


def die_with_parent() -> None:
    _prctl(_PR_SET_PDEATHSIG, _SIGKILL)


def adopt_orphans() -> None:
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _visible() -> tuple[list[str], dict[str, str]]:
    """Directories that Python and its libraries need, outermost only, and top-level links to keep ({link: target})."""
    system = ["/lib", "/lib64", "/lib32", "/usr/lib", "/usr/lib64", "/usr/local/lib"]
    links = {p: os.readlink(p) for p in system if os.path.islink(p) and os.path.dirname(p) == "/"}
    specs = [PathFinder.find_spec(name) for name in ("pytest", "pluggy")]
    site = {os.path.dirname(os.path.dirname(spec.origin)) for spec in specs if spec and spec.origin}
    wanted = {p for p in [*system, *_PYTHON, *site] if p != "/" and os.path.isdir(p) and p not in links}
    wanted |= {os.path.realpath(p) for p in wanted}
    outermost = [p for p in sorted(wanted) if not any(p != q and p.startswith(q + "/") for q in wanted)]
    return outermost, links


def _write(folder: int, name: str, text: str) -> None:
    descriptor = os.open(name, os.O_WRONLY, dir_fd=folder)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _map_user(proc: int, uid: int, gid: int) -> None:
    _write(proc, "self/setgroups", "deny")
    _write(proc, "self/uid_map", f"{_INSIDE_UID} {uid} 1")
    _write(proc, "self/gid_map", f"{_INSIDE_UID} {gid} 1")


def enter() -> int:
    """Move this process into the worker's namespaces; its next child is process 1 inside. Returns a descriptor of the
    host's /proc, for this worker alone. Raises OSError.
    """
    uid, gid = os.geteuid(), os.getegid()
    folders, links = _visible()
    proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
    mounts = _CLONE_NEWNS | _CLONE_NEWNET | _CLONE_NEWIPC | _CLONE_NEWUTS
    privileged = False
    if uid == 0:
        try:
            _unshare(mounts)
            privileged = True
        except OSError:  # root without CAP_SYS_ADMIN, as in most containers: go the way of an ordinary user
            pass
    if not privileged:
        _unshare(mounts | _CLONE_NEWUSER | _CLONE_NEWPID)
        _map_user(proc, uid, gid)
    _new_root(folders, links)
    if privileged:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
        _prctl(_PR_SET_DUMPABLE, 1)  # a change of user makes /proc/self unwritable
        _unshare(_CLONE_NEWUSER | _CLONE_NEWPID)
        _map_user(proc, _NOBODY, _NOBODY)
    with contextlib.suppress(OSError):  # a program could otherwise regain capabilities in a user namespace of its own
        _write(proc, "sys/user/max_user_namespaces", "0")
    return proc


def _new_root(folders: list[str], links: Mapping[str, str]) -> None:
    _mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    _mount("tmpfs", _NEW_ROOT, "tmpfs", _MS_NOSUID, "mode=755,size=1m")
    for folder in folders:
        inside = _NEW_ROOT + folder
        os.makedirs(inside, exist_ok=True)
        _mount(folder, inside, None, _MS_BIND | _MS_REC)
        _read_only(inside)
    for link, target in links.items():
        os.symlink(target, _NEW_ROOT + link)
    for file in ("/dev/null", "/dev/zero", "/dev/urandom", "/etc/ld.so.cache"):
        if os.path.exists(file):
            inside = _NEW_ROOT + file
            os.makedirs(os.path.dirname(inside), exist_ok=True)
            open(inside, "w").close()
            _mount(file, inside, None, _MS_BIND)
            _read_only(inside, devices=True)  # devices can still be written to; their owner, mode and times cannot
    os.makedirs(_NEW_ROOT + "/dev", exist_ok=True)
    os.symlink(WORK, _NEW_ROOT + "/dev/shm")  # where libc keeps semaphores, which multiprocessing wants
    os.mkdir(_NEW_ROOT + WORK)
    os.chmod(_NEW_ROOT + WORK, 0o777)
    os.chdir(_NEW_ROOT)
    _check(_libc.syscall(_SYS_PIVOT_ROOT, b".", b"."), "pivot_root")
    _check(_libc.umount2(b".", _MNT_DETACH), "umount of the old root")
    os.chdir("/")
    attributes = struct.pack("QQQQ", 1, 0, 0, 0)
    _libc.syscall(_SYS_MOUNT_SETATTR, _AT_FDCWD, b"/", 0, attributes, ctypes.c_size_t(len(attributes)))


def fork() -> int:
    """fork(2), without Python's own care for threads, locks and random seeds: this process has a single thread."""
    pid: int = _with_lock.fork()
    if pid < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"fork: {os.strerror(number)}")
    return pid


def fork_as_first(own: int | None) -> int:
    """fork(); with `own` (a pidfd of this process) the child is process 1 of a new PID namespace."""
    if own is None:
        return fork()
    _unshare(_CLONE_NEWPID)
    pid = fork()
    if pid:  # unshare(2) refuses a second PID namespace until the pending one is given up
        _check(_libc.setns(own, _CLONE_NEWPID), "setns")
    return pid


def set_for_all(level: str) -> Any:
    """Limits and filter of the worker that its programs inherit. Returns the arguments of prctl(2) for each program's own
    filter, None where there is none. Raises OSError.
    """
    for kind, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_SIGPENDING, 1024),  # signals and timers in the kernel
    ):
        most = resource.getrlimit(kind)[1]
        value = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(kind, (value, value))
    found = calls.filters(level == FULL)
    if found is None:
        return None
    for_worker, for_programs = found
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _check(_libc.prctl(*for_worker), "seccomp")
    return for_programs


class Walls:
    """Called in the child before any foreign code, with what `set_for_all` gave; `folder` becomes its empty, writable
    working directory.
    """

    def __init__(self, level: str, limits: Mapping[str, int], folder: str) -> None:
        self.level, self.folder = level, folder
        # Behind the worker's filter there is no System V object and no queue to separate, and the namespace costs time.
        self.spaces = ctypes.c_int(_CLONE_NEWNS | (0 if calls.enforced() else _CLONE_NEWIPC))
        options = f"mode=777,size={limits['disk']},nr_inodes={limits['files']}"
        flags = ctypes.c_ulong(_MS_NOSUID | _MS_NODEV)
        self.disk = (b"tmpfs", os.fsencode(folder), b"tmpfs", flags, options.encode())
        processes = limits["processes"]
        if level != FULL:
            processes += _processes_of(_NOBODY if level == NOBODY_ONLY else os.getuid())
        self.limits = [
            (kind, (value, value))
            for kind, value in (
                (resource.RLIMIT_CPU, limits["cpu"]),
                (resource.RLIMIT_AS, limits["memory"]),
                (resource.RLIMIT_FSIZE, limits["disk"]),
                (resource.RLIMIT_NPROC, processes),
                (resource.RLIMIT_NOFILE, 64),
            )
        ]
        self.capabilities = (struct.pack("Ii", 0x20080522, 0), bytes(24))  # none
        self.capset = _libc.capset  # ctypes makes the function when it is first asked for: here, not in every child

    def __call__(self, call_filter: Any) -> None:
        full = self.level == FULL
        if full:
            _check(_libc.unshare(self.spaces), "unshare")
            _check(_libc.mount(*self.disk), "mount")
        os.setsid()
        if self.level == NOBODY_ONLY:
            os.setgroups([])
            os.setresgid(_NOBODY, _NOBODY, _NOBODY)
            os.setresuid(_NOBODY, _NOBODY, _NOBODY)
        for kind, pair in self.limits:
            resource.setrlimit(kind, pair)
        if not full:
            die_with_parent()  # after the change of user, which would clear it
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        if not full:
            fence.close_off(self.folder)
        _check(self.capset(*self.capabilities), "capset")
        if call_filter:
            _check(_libc.prctl(*call_filter), "seccomp")
        os.chdir(self.folder)


def _processes_of(uid: int) -> int:
    """RLIMIT_NPROC counts every task of the user on the machine, so without namespaces the limit sits above these."""
    return _count_tasks(uid, int(time.monotonic()))


@functools.lru_cache(maxsize=1)
def _count_tasks(uid: int, second: int) -> int:
    """Looked at once a second: it takes longer than a small program."""
    count = 0
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                if entry.stat().st_uid == uid:
                    count += len(os.listdir(f"/proc/{entry.name}/task"))
            except OSError:
                continue
    return count
