"""How far a stage is, said in one way: a live bar in a terminal, otherwise a line a minute through `logging`.

    [rl none--main--p0s1] step 32/96, 0.8 s a step, about 51 s left, hack 0.12 reward 0.40

A sweep, whose stages write to logs, reads the newest line of each from a file (`watched`).
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

EVERY = 60.0  # seconds between two lines of a log
FIRST = 5.0  # seconds until the first one
WATCHED = 0.5  # seconds between two writes of the file that a sweep reads

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class At:
    """What this process is working on, how often it says so, and the file that is watched, if one is."""

    name: str = ""
    every: float = EVERY
    watched: Path | None = None


_NOWHERE = At()
_at: ContextVar[At] = ContextVar("at", default=_NOWHERE)


@contextmanager
def working_on(name: str, every: float = EVERY, watched: Path | None = None) -> Iterator[None]:
    """Names the work that is done inside."""
    before = _at.set(At(name, every, watched))
    _watch(watched, f"[{name}] at work")
    try:
        yield
    finally:
        _at.reset(before)
        if watched is not None:
            watched.unlink(missing_ok=True)


def _watch(watched: Path | None, line: str) -> None:
    if watched is not None:
        watched.parent.mkdir(parents=True, exist_ok=True)
        watched.write_text(line, encoding="utf-8")


class Progress:
    """Counts `total` units of work, `done` of which an earlier process did.

    `show`: whether this process speaks; `name`: what it does, outside of `working_on`; `clock` gives seconds.
    """

    def __init__(
        self,
        unit: str,
        total: int,
        done: int = 0,
        show: bool = True,
        name: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.at, self.unit, self.total, self.before, self.done = _at.get(), unit, total, done, done
        self.show, self.name, self.clock = show, self.at.name or name, clock
        self.began = self.watched = clock()
        self.next = self.began + min(FIRST, self.at.every)
        self.live = show and sys.stderr.isatty()
        self.bar = tqdm(total=total, initial=done, desc=self.name, unit=unit, mininterval=0.5, disable=not self.live)

    def advance(self, note: str = "") -> None:
        """One more is done; `note` stands behind what is said."""
        self.done += 1
        if self.live:
            self.bar.set_postfix_str(note, refresh=False)
            self.bar.update()
        elif self.show:
            now = self.clock()
            each = (now - self.began) / (self.done - self.before)
            if now + each > self.next:  # the line after the next unit would be late
                self.next = now + self.at.every
                log.info("%s", self.line(each, note))
            if now - self.watched >= WATCHED:
                self.watched = now
                _watch(self.at.watched, self.line(each, note))

    def line(self, each: float, note: str = "") -> str:
        """What a log says, at `each` seconds a unit."""
        speed = f"{each:.1f} s a {self.unit}" if each >= 0.1 else f"{1 / max(each, 1e-9):.0f} {self.unit}s a second"
        left = f"about {in_words(each * (self.total - self.done))} left"
        where = f"{self.unit} {self.done}/{self.total}"
        return f"[{self.name}] " + ", ".join([where, speed, left, *[note] * bool(note)])

    def close(self) -> None:
        """Ends the bar."""
        self.bar.close()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def over(items: Iterable[T], unit: str, total: int, show: bool = True) -> Iterator[T]:
    """The items, counted as they are taken."""
    with Progress(unit, total, show=show) as progress:
        for item in items:
            yield item
            progress.advance()


def in_words(seconds: float) -> str:
    """`51 s`, `4.5 min`, `3.2 h`."""
    return (
        f"{seconds:.0f} s"
        if seconds < 90
        else f"{seconds / 60:.1f} min"
        if seconds < 5400
        else f"{seconds / 3600:.1f} h"
    )


def log_to_stderr() -> None:
    """Lets a command say what `base` logs, line by line; a program that imports `base` has its own settings."""
    base = logging.getLogger("base")
    base.setLevel(logging.INFO)
    if not base.handlers:
        base.addHandler(_Stderr())


class _Stderr(logging.Handler):
    """Whatever standard error is when something is said."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr, flush=True)
