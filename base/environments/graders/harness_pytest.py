"""The pytest harness's inside: pytest in the confined child, on solution.py, test_solution.py and what else was written.

The server of this module has imported pytest, and with namespaces started its session: the larger part of a run of pytest.
"""

from __future__ import annotations

import functools
import importlib
import os
import socket
import sys
import types
from typing import Any

import pytest
from _pytest.config import default_plugins

from base.environments.graders import harness_child
from base.environments.graders.pytest_file import RECORDER
from base.environments.sandbox import isolate, server

# No assertion rewriting, capture, report or other comfort: they cost more than the tests, and nobody reads the output.
_UNUSED_PLUGINS = (
    "cacheprovider debugging doctest faulthandler junitxml legacypath logging pastebin recwarn setuponly setupplan "
    "stepwise subtests terminal threadexception tmpdir unittest unraisableexception warnings"
)
_FLAGS = ["-s", "--disable-plugin-autoload", "--assert=plain", "-c", os.devnull]
_FLAGS += ["-o", "python_functions=checks_*", "-o", "python_classes=checks"]  # a solution may be named test_...
_FLAGS += [f"-pno:{name}" for name in _UNUSED_PLUGINS.split()]
_TESTS = "test_solution.py"
_REHEARSAL = {"solution.py": "def f(a):\n    return a\n"}
_REHEARSED = f"""import sys
import solution

_test = sys.modules[{RECORDER!r}].test


def body_0(_plain):
    assert f(1) == 1


def checks_0():
    _test(0, body_0)


def body_1(_plain):
    assert f(1) == 2


def checks_1():
    _test(1, body_1)
"""


def serve(control_fd: int, folder: str, want_namespaces: bool) -> None:
    for plugin in default_plugins:
        importlib.import_module(f"_pytest.{plugin}")
    harness_child.prepare(folder)
    _rehearse(folder)
    place = server.settle(control_fd, folder, want_namespaces)
    if place.level == isolate.FULL:
        # Every program's directory is the same: pytest can be set up for it before there is a program. It is not entered
        # yet, or pytest would look for a conftest.py there now and not again.
        arguments = [*_FLAGS, f"--rootdir={isolate.WORK}", f"{isolate.WORK}/{_TESTS}"]
        server.end(lambda: _Session(place)(arguments))
    program = _program(place)
    server.end(lambda: program.report(pytest.main([*_FLAGS, "--rootdir=.", _TESTS])))


def _rehearse(folder: str) -> None:
    """Runs pytest on files of our own: what it imports and keeps at first use, and what Python rewrites of functions that
    run often, every child would otherwise make again. Before there are walls, so without any conftest.py.
    """
    path = list(sys.path)
    os.chdir(folder)
    for _ in range(harness_child.REHEARSALS):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            _Program(
                {"files": _REHEARSAL, "setup": "", "cpu": 0, "test_file": _REHEARSED, "tests": [{"kept": ""}] * 2}, ours
            )
            pytest.main([*_FLAGS, "--noconftest", "--rootdir=.", _TESTS])
        for name in ("solution", "test_solution", RECORDER):
            del sys.modules[name]
        del sys.meta_path[0]
        sys.setrecursionlimit(harness_child.RECURSION)
    for name in (*_REHEARSAL, _TESTS):
        os.unlink(name)
    sys.path[:] = path
    os.chdir("/")


class _Program:
    """The files of a pytest job, written where it runs, and what its tests record.

    test_solution.py holds the tests as functions `body_N`; each runs with a copy of the solution's namespace as its
    globals, not in that file, where the names of either would hide the other's and pytest would take some for its own.
    """

    def __init__(self, job: dict[str, Any], sock: socket.socket) -> None:
        self.sock = sock
        self.tests = job["tests"]
        self.passed: list[int] = []
        recorder = types.ModuleType(RECORDER)
        recorder.__dict__.update(record=self.passed.append, test=self.test)
        sys.modules[RECORDER] = recorder
        self.solution = harness_child.Solution(job)
        harness_child.write_files({_TESTS: job["test_file"]})

    def test(self, number: int, body: types.FunctionType) -> None:
        __tracebackhide__ = True  # pytest would parse this file to show the line that failed
        self.solution.level()  # pytest stands deeper while it imports
        plain = functools.partial(harness_child.made_plain, kept=self.tests[number]["kept"])
        types.FunctionType(body.__code__, self.solution.copy())(plain)
        self.passed.append(number)

    def report(self, code: int) -> int:
        code = harness_child.as_at_exit(int(code))
        harness_child.say(self.sock, {"passed": len(set(self.passed)), "pytest": code})
        return code & 0xFF


def _program(place: server.Place) -> _Program:
    """Serves; returns in children with a pytest job."""
    job, sock = server.jobs(place)
    if job["mode"] != "pytest":
        server.end(lambda: harness_child.handle(job, sock))
    try:
        return _Program(job, sock)
    except BaseException:  # a name that cannot be a file's
        os._exit(1)


class _Session:
    """A pytest plugin: pytest waits for programs where it has begun its session, and each child goes on from there."""

    def __init__(self, place: server.Place) -> None:
        self.place = place
        self.program: _Program | None = None

    def __call__(self, arguments: list[str]) -> int:
        code = pytest.main(arguments, plugins=[self])
        if self.program is None:
            print(f"the sandbox's pytest did not start (exit code {int(code)})", file=sys.stderr)
            return 1
        return self.program.report(code)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self) -> None:
        self.program = _program(self.place)
