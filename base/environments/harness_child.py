"""The harnesses' inside: what runs in the confined child. The job names one of six modes.

`script` and `pytest` execute solution and tests in one process, as coding graders in the field do; what they report can
be gamed and the caller decides which part of it to believe. `asserts` says of one test at a time whether it raised.
`calls` only evaluates expressions and hands the plain values out; `many` does so for several harmless programs; `judge`
evaluates asserts over such values, without a candidate. The last three never get expected values and candidate together.
"""

from __future__ import annotations

import ast
import atexit
import contextlib
import importlib
import json
import math
import os
import socket
import sys
import threading
import types
from collections.abc import Callable
from typing import Any

import pytest
from _pytest.config import default_plugins

from base.environments.sandbox import isolate, server, wire

# Imported once in the server, for free in every child: what programs like to import, and pytest's plugins.
_WARM = (
    "bisect cmath collections copy datetime decimal fractions functools heapq itertools operator queue random re "
    "statistics string typing"
)
SOLUTION = "solution"
# No assertion rewriting, capture, report or other comfort: they cost more than the tests, and nobody reads the output.
_UNUSED_PLUGINS = (
    "cacheprovider debugging doctest faulthandler junitxml legacypath logging pastebin recwarn setuponly setupplan "
    "stepwise subtests terminal threadexception tmpdir unittest unraisableexception warnings"
)
_PYTEST_FLAGS = ["-s", "--disable-plugin-autoload", "--assert=plain", "-c", os.devnull]
_PYTEST_FLAGS += ["-o", "python_functions=checks_*", "-o", "python_classes=checks"]  # a solution may be named test_...
_PYTEST_FLAGS += [f"-pno:{name}" for name in _UNUSED_PLUGINS.split()]


def serve(control_fd: int, folder: str, want_namespaces: bool) -> None:
    for name in (*_WARM.split(), *(f"_pytest.{plugin}" for plugin in default_plugins)):
        importlib.import_module(name)
    place = server.settle(control_fd, folder, want_namespaces)
    if place.level == isolate.FULL:
        # Every program's directory is the same: pytest can be set up for it before there is a program. It is not entered yet,
        # or pytest would look for a conftest.py there now and not again.
        pytest.main(
            [*_PYTEST_FLAGS, f"--rootdir={isolate.WORK}", f"{isolate.WORK}/test_solution.py"],
            plugins=[_Prepared(place)],
        )
    else:
        server.loop(place, handle)


class _Prepared:
    """A pytest plugin that serves programs from within a pytest that has read its options and loaded its plugins.

    A child that wants pytest goes on from there, which saves half of pytest's time.
    """

    def __init__(self, place: server.Place) -> None:
        self.place = place
        self.config: pytest.Config | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> int | None:
        if self.config is not None:  # in a child: let pytest itself answer
            return None
        self.config = config
        server.loop(self.place, self.handle)
        os._exit(0)

    def handle(self, job: dict[str, Any], sock: socket.socket) -> int:
        if job["mode"] != "pytest" or self.config is None:
            return handle(job, sock)
        config = self.config
        return run_pytest(job, sock, lambda: config.hook.pytest_cmdline_main(config=config))


def handle(job: dict[str, Any], sock: socket.socket) -> int:
    return _MODES[job["mode"]](job, sock)


def _write_files(files: dict[str, str]) -> None:
    for name, text in files.items():
        if os.path.dirname(name):
            os.makedirs(os.path.dirname(name), exist_ok=True)
        with open(name, "w", encoding="utf-8", errors="surrogatepass", newline="") as file:
            file.write(text)


def _solution(job: dict[str, Any]) -> dict[str, Any]:
    """Executes setup and candidate as the module `solution` and returns its namespace."""
    files = dict(job["files"])
    source = files.pop("solution.py", "")
    _write_files(files)
    module = types.ModuleType(SOLUTION)
    sys.modules[SOLUTION] = module
    space = module.__dict__
    if job["setup"]:
        exec(compile(job["setup"], "setup.py", "exec"), space)
    exec(compile(source, "solution.py", "exec"), space)
    return space


def _reason(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"[:200]
    except BaseException:
        return "an exception that cannot be shown"


def _say(sock: socket.socket, message: Any) -> None:
    with contextlib.suppress(OSError):
        wire.send_frame(sock, message)


def script(job: dict[str, Any], sock: socket.socket) -> int:
    """Solution, then the asserts, in one process: the exit code of that process is what the field reads."""
    code = 0
    done: dict[str, Any] = {"passed": 0}
    try:
        space = _solution(job)
        for test in job["tests"]:
            _run_test(test, space)
            done["passed"] += 1
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        done["stopped"] = True
    except BaseException as error:
        code = 1
        done["error"] = _reason(error)
    code = _as_at_exit(code)
    if "stopped" not in done:
        _say(sock, done)
    return code & 0xFF


def _as_at_exit(code: int) -> int:
    """What an interpreter does before it ends: waits for threads, runs the atexit functions."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    except BaseException:
        return code or 1
    return code


def _run_test(test: dict[str, Any], space: dict[str, Any]) -> None:
    """One test in the candidate's namespace. With `plain` the calls' values are made plain before they are compared."""
    if test["plain"]:
        exec(test["before"], space)
        space.update({name: wire.plain(eval(call, space)) for name, call in test["calls"]})
        exec(test["check"], space)
    else:
        exec(test["source"], space)


def asserts(job: dict[str, Any], sock: socket.socket) -> int:
    """One test at a time, on request; each must be answered. The comparison is the candidate's to make."""
    try:
        space = _solution(job)
        _say(sock, {"loaded": True})
        while (test := wire.read_frame(sock, limit=64 << 20)) is not None:
            _run_test(test, space)
            _say(sock, {"passed": True})
    except BaseException as error:
        _say(sock, {"error": _reason(error)})
    return 0


def calls(job: dict[str, Any], sock: socket.socket) -> int:
    """Evaluates the requested calls and hands out plain values. Knows no expected value."""
    try:
        space = _solution(job)
        _say(sock, {"loaded": True})
        while (question := wire.read_frame(sock, limit=64 << 20)) is not None:
            exec(question["before"], space)
            values = [wire.encode(wire.plain(eval(call, space))) for call in question["calls"]]
            if len(json.dumps(values)) > wire.MAX_FRAME - 64:
                raise wire.NotPlain("a value that is too large")
            _say(sock, {"values": values})
    except BaseException as error:
        _say(sock, {"error": _reason(error)})
    return 0


def many(job: dict[str, Any], sock: socket.socket) -> int:
    """Like `calls` for one program after the other, each with all its calls, for programs that cannot disturb others."""
    _say(sock, {"loaded": True})
    while (program := wire.read_frame(sock, limit=64 << 20)) is not None:
        answers: list[dict[str, Any]] = []
        try:
            space = _solution(program)
            answers.append({"loaded": True})
            for question in program["questions"]:
                exec(question["before"], space)
                answers.append({"values": [wire.encode(wire.plain(eval(call, space))) for call in question["calls"]]})
        except BaseException as error:
            answers.append({"error": _reason(error)})
        _say(sock, {"answers": answers})
    return 0


def judge(job: dict[str, Any], sock: socket.socket) -> int:
    """Asserts over values that another child has returned: task code and plain data only, no candidate here.

    Of each: why it failed (empty if it did not), and whether a value compared with `==` is of the same types.
    """
    verdicts: list[tuple[str, bool]] = []
    for test in job["tests"]:
        space: dict[str, Any] = {"math": math}
        try:
            exec(job["setup"], space)
            with contextlib.suppress(Exception):  # it may need the candidate's classes; the assert speaks for itself
                exec(test["before"], space)
            space.update({name: wire.decode(value) for name, value in test["values"]})
            exec(test["check"], space)
        except Exception as error:
            verdicts.append((_reason(error), True))
            continue
        same = True
        with contextlib.suppress(Exception):  # an object of the task's own class has no plain form and no other type
            same = not test["right"] or wire.same_types(space["_value_0"], wire.plain(eval(test["right"], space)))
        verdicts.append(("", same))
    _say(sock, {"verdicts": verdicts})
    return 0


def _new_pytest() -> int:
    return pytest.main([*_PYTEST_FLAGS, "--rootdir=.", "test_solution.py"])


def run_pytest(job: dict[str, Any], sock: socket.socket, main: Callable[[], Any] = _new_pytest) -> int:
    """pytest on solution.py, test_solution.py and whatever else the candidate wrote; its return code is the verdict."""
    passed: list[int] = []
    recorder = types.ModuleType("recorder")
    recorder.__dict__.update(record=passed.append, plain=wire.plain)
    sys.modules["recorder"] = recorder
    # A package `solution` would be imported in place of solution.py, which is what every other grader reads.
    files = {name: text for name, text in job["files"].items() if not name.startswith("solution/")}
    files["solution.py"] = job["setup"] + "\n" * bool(job["setup"]) + files.get("solution.py", "")
    files["test_solution.py"] = _test_file(job["tests"])
    _write_files(files)
    code = int(main())
    code = _as_at_exit(code)
    _say(sock, {"passed": len(set(passed)), "pytest": code})
    return code & 0xFF


def _test_file(tests: list[dict[str, Any]]) -> str:
    lines = ["import solution", "from recorder import plain, record", ""]
    lines += ["globals().update({k: v for k, v in vars(solution).items() if not k.startswith('__')})", ""]
    for number, test in enumerate(tests):
        body = [test["source"]]
        if test["plain"]:
            values = [f"{name} = plain({call})" for name, call in test["calls"]]
            body = [test["before"], *values, test["check"]]
        lines.append(f"def checks_{number}():")
        lines += ["    " + line for part in body for line in ast.unparse(ast.parse(part)).splitlines()]
        lines += [f"    record({number})", ""]
    return "\n".join(lines)


_MODES = {"script": script, "pytest": run_pytest, "asserts": asserts, "calls": calls, "many": many, "judge": judge}
