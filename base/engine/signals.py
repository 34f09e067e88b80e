"""A polite end: SIGTERM stops a run as Ctrl-C does, so that its stage is recorded as interrupted and can go on later.

While a Trainer trains, the first SIGTERM waits for the end of the step, where a resume point is written (base.engine.trainer);
a second one does not wait.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived."""


class _Waiting:
    """Whether SIGTERM waits for the end of a step, and whether one has arrived that does."""

    waits = False
    arrived = False


def stop_on_signals(*further: signal.Signals) -> None:
    """From now on SIGTERM, SIGHUP (a terminal or connection that is closed) and `further` signals raise Terminated in the main
    thread, or end the step that is under way.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        if not _Waiting.waits or _Waiting.arrived:
            raise Terminated
        _Waiting.arrived = True

    for number in (signal.SIGTERM, signal.SIGHUP, *further):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup does with SIGHUP
            signal.signal(number, stop)


@contextmanager
def by_steps() -> Iterator[None]:
    """Inside, the first SIGTERM waits: who works there asks `arrived` at the end of each step."""
    _Waiting.waits = True
    try:
        yield
    finally:
        _Waiting.waits = False


def arrived() -> bool:
    """Whether SIGTERM arrived and waits."""
    return _Waiting.arrived


def stop_if_arrived() -> None:
    """Stops now if SIGTERM arrived and nothing has stopped since.

    Raises:
        Terminated: it did.
    """
    if _Waiting.arrived:
        _Waiting.arrived = False
        raise Terminated
