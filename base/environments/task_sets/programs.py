"""Problems for whole programs (standard input, standard output) as problems for one function.

`solve(text: str) -> str` is given the whole standard input and returns everything the program would print, tidied: spaces
at line ends and empty lines at the end removed. Expected outputs are tidied in the same way, and so are the reference
solution's, which are programs as published.
"""

from __future__ import annotations

from collections.abc import Iterable

from base.rows import Odd

ENTRY_POINT = "solve"
NOTE = """The problem describes a program that reads standard input and prints. Write `solve(text: str) -> str` instead: \
it is given the whole standard input and returns everything the program would print, without spaces at the ends of lines \
and without line breaks at the end."""

# Runs the program as a process of its own would be: its input on descriptor 0, its output read from descriptor 1, threads
# waited for, exit functions called. Programs read `input()`, `sys.stdin.buffer`, `open(0)` or `os.read(0, n)`.
_REFERENCE = """\
import atexit
import contextlib
import os
import sys
import tempfile
import threading

PROGRAM = {program!r}


def solve(text):
    streams = sys.stdin, sys.stdout, sys.__stdin__, sys.__stdout__, atexit.register
    limit, threads, kept, at_exit = sys.getrecursionlimit(), threading.enumerate(), (os.dup(0), os.dup(1)), []
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as printed:
        given.write(text.encode("utf-8", "surrogatepass"))
        given.seek(0)
        os.dup2(given.fileno(), 0)
        os.dup2(printed.fileno(), 1)
        sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", errors="surrogatepass", closefd=False)
        sys.stdout = sys.__stdout__ = own = open(1, "w", encoding="utf-8", errors="surrogatepass", closefd=False)
        atexit.register = lambda function, *args, **names: at_exit.append((function, args, names)) or function
        try:
            with contextlib.suppress(SystemExit):
                exec(compile(PROGRAM, "program.py", "exec"), {{"__name__": "__main__"}})
            for thread in threading.enumerate():
                if thread not in threads:
                    thread.join()
            for function, args, names in reversed(at_exit):
                function(*args, **names)
        finally:
            for stream in (sys.stdout, own):
                with contextlib.suppress(Exception):
                    stream.flush()
            sys.stdin, sys.stdout, sys.__stdin__, sys.__stdout__, atexit.register = streams
            sys.setrecursionlimit(limit)
            for number, copy in enumerate(kept):
                os.dup2(copy, number)
                os.close(copy)
        printed.seek(0)
        output = printed.read().decode("utf-8", "surrogatepass").replace("\\r\\n", "\\n")
    return "\\n".join(line.rstrip() for line in output.split("\\n")).rstrip("\\n")
"""


def reference(program: str) -> str:
    """A program that reads standard input and prints, as a function `solve(text) -> str`."""
    return _REFERENCE.format(program=program)


def _tidy(output: str) -> str:
    return "\n".join(line.rstrip() for line in output.replace("\r\n", "\n").split("\n")).rstrip("\n")


def tests(pairs: Iterable[tuple[str, str]], known: dict[str, str]) -> list[str]:
    """Asserts from (input, output) texts, one for each distinct input. `known` (input -> output) is filled as it goes."""
    sources = []
    for given, printed in pairs:
        given, printed = given.replace("\r\n", "\n"), _tidy(printed)
        if known.setdefault(given, printed) != printed:
            raise Odd("two outputs for one input")
        sources.append(f"assert {ENTRY_POINT}({given!r}) == {printed!r}")
    return list(dict.fromkeys(sources))
