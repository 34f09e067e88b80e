"""Bad input from the user: one line that names the fix, and exit code 2."""

from __future__ import annotations

import argparse
import difflib
import io
import os
import sys
from collections.abc import Callable, Iterable
from typing import NoReturn


class UserError(Exception):
    """Bad input from the user; the message is one line that names the fix. Command lines exit with code 2."""


class Parser(argparse.ArgumentParser):
    """Of a command line: what it cannot read is one line and exit code 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; see {self.prog} --help\n")


def exit_code(work: Callable[[], int]) -> int:
    """What a command line exits with: that of `work`, or 2 and one line if the user has to change something.

    A terminal that lacks a letter (an ASCII locale) shows `?` in its place.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        code = work()
        sys.stdout.flush()
        return code
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of the output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def near(word: str, known: Iterable[str]) -> str:
    """' (did you mean ...?)' or the list of what is known."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    return f"did you mean '{close[0]}'? known: {', '.join(names)}" if close else f"known: {', '.join(names) or 'none'}"
