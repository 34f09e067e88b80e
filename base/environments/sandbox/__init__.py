"""Runs untrusted programs: a warm fork server per worker, one forked and confined child per program.

With namespaces a program sees Python and the system libraries, read-only, and an empty temporary directory; it has no
network, no other process, no environment, no capability, no keyring and no descriptor but the socket it answers on; its
time, memory, processes, files and output are limited, memory in sum over all that it starts and all that the kernel keeps
for it (cgroup.py; watchdog.py where control groups are not to be had); whatever it started or made dies with it. It
shares the kernel with us: a kernel bug is not contained. Without namespaces (a warning says so) the limits, the filter
of system calls (calls.py), the fence around its folder (fence.py) and the killing remain: such programs can read this
user's files. The record of the level says what of this a machine lacks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from base.environments.sandbox.client import Job, Limits, Result, Sandbox

__all__ = ["Job", "Limits", "Result", "Sandbox"]


def __getattr__(name: str) -> Any:
    """The caller's side is loaded when it is asked for: what a worker does not import, its children need not copy."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from base.environments.sandbox import client

    return getattr(client, name)
