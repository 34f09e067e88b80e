"""A polite end: SIGTERM stops a run as Ctrl-C does, so that its stage is recorded as interrupted and can go on later."""

from __future__ import annotations

import signal
from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived."""


def stop_on_sigterm() -> None:
    """From now on SIGTERM raises Terminated in the main thread."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, stop)
