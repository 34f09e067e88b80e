"""The filter of system calls: what neither namespaces nor rlimits keep inside a program. seccomp(2), fcntl(2).

A call is refused (EPERM) when it

- makes memory that belongs to no process, so that RLIMIT_AS does not count it: System V shared memory, messages and
  semaphores, POSIX queues, memfd, asynchronous I/O contexts, Landlock rules, larger pipes and socket buffers;
- makes an object that outlives the program or that all programs of a user share: keyrings, the same System V objects,
  watches on files (inotify, fanotify, F_NOTIFY), leases;
- makes a socket, other than a pair: a pair is all that asyncio and multiprocessing need, the rest is network;
- needs privileges that no program has, looks into other processes, or has a history of kernel bugs.

File locks answer "done" and do nothing: flock(2) and the locks of fcntl(2), because a lock on a library file that the
host shares with us would be the host's, and a filter cannot tell files apart. A refusal would break honest programs
that use sqlite3 or dbm on files of their own; these are alone with their files, so that a lock which is not there
changes nothing for them. Two processes of one program that exclude each other by a file lock do not. sync(2) and
syncfs(2) answer the same way: they would make the host write its disks.
"""

from __future__ import annotations

import ctypes
import functools
import os
import struct
from collections.abc import Iterable
from typing import Any, NamedTuple

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000  # SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO | errno
_REFUSED, _PRETENDED, _UNKNOWN = _ERROR | 1, _ERROR | 0, _ERROR | 38  # EPERM, success, ENOSYS
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _GIVE = 0x20, 0x15, 0x35, 0x45, 0x06  # BPF: LD|W|ABS, JEQ, JGE, JSET, RET
_NUMBER, _ARCHITECTURE, _FIRST, _SECOND = 0, 4, 16, 24  # offsets in struct seccomp_data

# fcntl commands that concern the program's own descriptors: F_DUPFD GETFD SETFD GETFL SETFL GETLK GETOWN GETSIG
# OFD_GETLK DUPFD_QUERY CREATED_QUERY DUPFD_CLOEXEC GETPIPE_SZ. And the locks: SETLK SETLKW OFD_SETLK OFD_SETLKW.
_OWN_COMMANDS = (0, 1, 2, 3, 4, 5, 9, 11, 36, 1027, 1028, 1030, 1032)
_LOCK_COMMANDS = (6, 7, 37, 38)
# Every flag of clone(2) that makes a namespace: NEWTIME (not a flag of clone) apart.
_NEW_SPACES = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
_WORKER_SPACES = 0x00020000 | 0x20000000  # CLONE_NEWNS, CLONE_NEWPID
_CLONE3 = 435  # its flags lie in memory, which a filter cannot read; without it the C library uses clone

# pidfd_send_signal io_uring(3) open_tree move_mount fsopen fsconfig fsmount fspick pidfd_getfd process_madvise
# mount_setattr quotactl_fd memfd_secret process_mrelease: the same numbers on every architecture
_COMMON = (424, 425, 426, 427, 428, 429, 430, 431, 432, 433, 438, 440, 442, 443, 447, 448)
_FENCE = (444, 445, 446)  # landlock_create_ruleset, add_rule, restrict_self


class _Numbers(NamedTuple):
    """AUDIT_ARCH and the numbers of the system calls on one architecture."""

    architecture: int
    fcntl: int
    clone: int
    unshare: int
    mount: int
    setns: int
    refused: dict[str, int]
    pretended: dict[str, int]


_MACHINES = {
    "x86_64": _Numbers(
        0xC000003E, 72, 56, 272, 165, 308,
        {
            "shmget": 29, "shmat": 30, "shmctl": 31, "semget": 64, "semop": 65, "semctl": 66, "semtimedop": 220,
            "msgget": 68, "msgsnd": 69, "msgrcv": 70, "msgctl": 71, "mq_open": 240, "mq_unlink": 241,
            "memfd_create": 319, "io_setup": 206, "inotify_init": 253, "inotify_init1": 294, "inotify_add_watch": 254,
            "fanotify_init": 300, "fanotify_mark": 301, "socket": 41, "setsockopt": 54,
            "add_key": 248, "request_key": 249, "keyctl": 250, "ptrace": 101, "process_vm_readv": 310,
            "process_vm_writev": 311, "kcmp": 312, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323,
            "umount2": 166, "pivot_root": 155, "open_by_handle_at": 304, "init_module": 175, "finit_module": 313, "kexec_load": 246, "migrate_pages": 256, "move_pages": 279,
        },
        {"flock": 73, "sync": 162, "syncfs": 306},
    ),
    "aarch64": _Numbers(
        0xC00000B7, 25, 220, 97, 40, 268,
        {
            "shmget": 194, "shmctl": 195, "shmat": 196, "semget": 190, "semctl": 191, "semtimedop": 192, "semop": 193,
            "msgget": 186, "msgctl": 187, "msgrcv": 188, "msgsnd": 189, "mq_open": 180, "mq_unlink": 181,
            "memfd_create": 279, "io_setup": 0, "inotify_init1": 26, "inotify_add_watch": 27,
            "fanotify_init": 262, "fanotify_mark": 263, "socket": 198, "setsockopt": 208,
            "add_key": 217, "request_key": 218, "keyctl": 219, "ptrace": 117, "process_vm_readv": 270,
            "process_vm_writev": 271, "kcmp": 272, "bpf": 280, "perf_event_open": 241, "userfaultfd": 282,
            "umount2": 39, "pivot_root": 41, "open_by_handle_at": 265, "init_module": 105, "finit_module": 273, "kexec_load": 104, "migrate_pages": 238, "move_pages": 239,
        },
        {"flock": 32, "sync": 81, "syncfs": 267},
    ),
}  # fmt: skip

_libc = ctypes.CDLL(None, use_errno=True)


def filters(namespaces: bool) -> tuple[Any, Any] | None:
    """The arguments of prctl(2) that set the worker's filter, which its programs inherit, and that of each program, or
    None for that where the first one is enough (setting one takes as long as all else of a small program). None where
    there are none: a machine whose numbers are not known, or a kernel built without.

    With `namespaces` the worker builds walls for each program by mount, setns and unshare; that a program cannot is left
    to its lack of capabilities, and to the flags of unshare. Without, each program is fenced in by Landlock.
    """
    numbers = _MACHINES.get(os.uname().machine)
    if numbers is None:
        return None
    if _libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, None, 0, 0) == 0 or ctypes.get_errno() != 14:  # EFAULT: it would work
        return None
    fence = [(_LOAD, 0, 0, _NUMBER), *_each(_FENCE, _REFUSED), (_GIVE, 0, 0, _ALLOW)]
    return _arguments(_worker(numbers, namespaces)), None if namespaces else _arguments(fence)


@functools.cache
def enforced() -> bool:
    """Whether there are filters here."""
    return filters(False) is not None


_Code = list[tuple[int, int, int, int]]  # instructions: code, jump if true, jump if false, constant


def _arguments(code: _Code) -> tuple[Any, ...]:
    body = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
    program = ctypes.create_string_buffer(struct.pack("HP", len(code), ctypes.addressof(body)))
    program.body = body  # type: ignore[attr-defined]  # as long as the program lives
    return _PR_SET_SECCOMP, _MODE_FILTER, program, 0, 0


def _each(values: Iterable[int], answer: int) -> _Code:
    return [line for value in values for line in ((_EQUAL, 0, 1, value), (_GIVE, 0, 0, answer))]


def _by_argument(number: int, body: _Code) -> _Code:
    return [(_EQUAL, 0, len(body), number), *body]


def _worker(numbers: _Numbers, namespaces: bool) -> _Code:
    commands = [(_LOAD, 0, 0, _SECOND), *_each(_OWN_COMMANDS, _ALLOW), *_each(_LOCK_COMMANDS, _PRETENDED)]

    def without(flags: int) -> _Code:
        return [(_LOAD, 0, 0, _FIRST), (_ANY_BIT, 0, 1, flags), (_GIVE, 0, 0, _REFUSED), (_GIVE, 0, 0, _ALLOW)]

    refused = [*numbers.refused.values(), *_COMMON]
    refused += _FENCE if namespaces else [numbers.mount, numbers.setns]
    return [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, numbers.architecture),
        (_GIVE, 0, 0, _REFUSED),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, 0x40000000),  # x32, the other set of numbers of x86_64
        (_GIVE, 0, 0, _REFUSED),
        *_by_argument(numbers.fcntl, [*commands, (_GIVE, 0, 0, _REFUSED)]),
        *_by_argument(numbers.clone, without(_NEW_SPACES)),
        *_by_argument(numbers.unshare, without(_NEW_SPACES & ~(_WORKER_SPACES if namespaces else 0))),
        *_each((_CLONE3,), _UNKNOWN),
        *_each(numbers.pretended.values(), _PRETENDED),
        *_each(refused, _REFUSED),
        (_GIVE, 0, 0, _ALLOW),
    ]
