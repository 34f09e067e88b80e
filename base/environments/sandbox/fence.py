"""Where there are no namespaces: a program writes below its own folder only, by Landlock. landlock(7).

A program that could write to /dev/shm, /tmp or a cgroup would hold memory and disk that nobody counts, and leave it
behind. The fence also keeps signals and abstract sockets inside, from kernel 6.12 on. Reading is as before, and so is
what Landlock does not cover: modes, owners, times and attributes of files that the program's user owns.
"""

from __future__ import annotations

import ctypes
import os
import struct

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446  # the same numbers on every architecture
_VERSION, _PATH_BENEATH = 1, 1
_WRITE_FILE, _TRUNCATE, _IOCTL = 1 << 1, 1 << 14, 1 << 15
# By the version of Landlock that knows them: to write, to remove and to make whatever there is; refer; truncate; ioctl.
_RIGHTS = {1: _WRITE_FILE | 0b1111111110000, 2: 1 << 13, 3: _TRUNCATE, 5: _IOCTL}
_TCP = {4: 0b11}  # bind and connect
_SCOPES = {6: 0b11}  # abstract sockets and signals
_SIZES = {1: 8, 4: 16, 6: 24}  # of struct landlock_ruleset_attr

_libc = ctypes.CDLL(None, use_errno=True)


def stands() -> bool:
    """Whether this kernel has Landlock."""
    return _version() > 0


def close_off(folder: str) -> None:
    """Puts this process and all it starts behind the fence around `folder`; nothing where the kernel has no Landlock. It
    needs no_new_privs. Raises OSError.
    """
    version = _version()
    if version < 1:
        return
    files, net, scopes = (
        sum(bits for since, bits in of.items() if since <= version) for of in (_RIGHTS, _TCP, _SCOPES)
    )
    size = max(bytes_ for since, bytes_ in _SIZES.items() if since <= version)
    rules = _check(_libc.syscall(_CREATE, struct.pack("QQQ", files, net, scopes), ctypes.c_size_t(size), 0))
    try:
        for path, rights in ((folder, files), (os.devnull, files & (_WRITE_FILE | _TRUNCATE | _IOCTL))):
            beneath = os.open(path, os.O_PATH)
            try:
                _check(_libc.syscall(_ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", rights, beneath), 0))
            finally:
                os.close(beneath)
        _check(_libc.syscall(_RESTRICT, rules, 0))
    finally:
        os.close(rules)


def _version() -> int:
    found: int = _libc.syscall(_CREATE, None, ctypes.c_size_t(0), _VERSION)
    return found


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"landlock: {os.strerror(number)}")
    return result
