"""Bad input from the user: one line that names the fix, and exit code 2."""

from __future__ import annotations

import argparse
import difflib
import errno
import io
import os
import re
import sys
from collections.abc import Callable, Iterable
from typing import NoReturn

FULL = {errno.ENOSPC, errno.EDQUOT}
CLOSED = {
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
    errno.EISDIR,
    errno.EEXIST,  # a file where a folder is needed
    errno.ENOTDIR,
    errno.ENAMETOOLONG,
    errno.ELOOP,
}
NO_HOME = "Could not determine home directory."  # what pathlib says of ~nobody/file


class UserError(Exception):
    """Bad input from the user; the message is one line that names the fix. Command lines exit with code 2."""


class Parser(argparse.ArgumentParser):
    """Of a command line: what it cannot read is one line and exit code 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {_shown(message)}; see {self.prog} --help\n")


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
    except BrokenPipeError:  # the reader of the output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        if not (line := one_line(error)):
            raise
        print(f"error: {line}", file=sys.stderr)
        return 2


def one_line(error: BaseException) -> str:
    """What the user reads of an error that is theirs to mend: bad input, or a disk that does not take a file; empty of others.

    What cannot be shown in a line, as a newline in a name, is written as Python writes it.
    """
    if isinstance(error, UserError):
        return _shown(str(error))
    if isinstance(error, RuntimeError) and str(error) == NO_HOME:
        return "a path begins with ~ and the name of a user that is not known here: write the folder out"
    if isinstance(error, OSError):
        number, file = error.errno, error.filename
    else:  # what writes checkpoints is in Rust
        said = re.search(r"\(os error (\d+)\)$", str(error))
        number, file = int(said[1]) if said else None, None
    if number and (number in FULL or (file and number in CLOSED)):
        return (
            f"{_shown(str(file or 'writing a file'))}: {os.strerror(number)}; mend that, and the same command continues"
        )
    return ""


def _shown(text: str) -> str:
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def near(word: str, known: Iterable[str]) -> str:
    """' (did you mean ...?)' or the list of what is known."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    return f"did you mean '{close[0]}'? known: {', '.join(names)}" if close else f"known: {', '.join(names) or 'none'}"
