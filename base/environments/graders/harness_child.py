"""The harnesses' inside: what runs in the confined child. The job names one of six modes; `pytest` is in harness_pytest.

`script` and `pytest` execute solution and tests in one process, as coding graders in the field do; what they report can
be gamed and the caller decides which part of it to believe. `asserts` says of one test at a time whether it raised.
`calls` only evaluates expressions and hands the plain values out; `many` does so for several harmless programs; `judge`
evaluates asserts over such values, without a candidate. The last three never get expected values and candidate together.
"""

from __future__ import annotations

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
from collections.abc import Iterator
from typing import Any

from base.environments.sandbox import server, wire

# Imported once in the server, for free in every child: what programs like to import.
_WARM = (
    "bisect cmath collections copy datetime decimal fractions functools heapq itertools operator queue random re "
    "statistics string typing"
)
SOLUTION = "solution"


def serve(control_fd: int, folder: str, want_namespaces: bool) -> None:
    prepare()
    job, sock = server.jobs(server.settle(control_fd, folder, want_namespaces))
    server.end(lambda: handle(job, sock))


def prepare() -> None:
    """Imports, and a program of our own, for all that Python only makes when it is used for the first time."""
    for name in _WARM.split():
        importlib.import_module(name)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wire.send_frame(ours, {"files": {"solution.py": "def f(a):\n    return a"}, "setup": ""})
        wire.send_frame(ours, {"before": "", "calls": ["f([1])"]})
        ours.shutdown(socket.SHUT_WR)
        calls(wire.read_frame(theirs), theirs)
    del sys.modules[SOLUTION]


def handle(job: dict[str, Any], sock: socket.socket) -> int:
    return _MODES[job["mode"]](job, sock)


def write_files(files: dict[str, str]) -> None:
    for name, text in files.items():
        if os.path.dirname(name):
            os.makedirs(os.path.dirname(name), exist_ok=True)
        with open(name, "w", encoding="utf-8", errors="surrogatepass", newline="") as file:
            file.write(text)


def _solution(job: dict[str, Any]) -> dict[str, Any]:
    """Executes setup and candidate as the module `solution` and returns its namespace."""
    files = dict(job["files"])
    source = files.pop("solution.py", "")
    write_files(files)
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


def say(sock: socket.socket, message: Any) -> None:
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
    code = as_at_exit(code)
    if "stopped" not in done:
        say(sock, done)
    return code & 0xFF


def as_at_exit(code: int) -> int:
    """What an interpreter does before it ends: waits for threads, runs the atexit functions."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    except BaseException:
        return code or 1
    return code


def _run_test(test: dict[str, Any], space: dict[str, Any]) -> None:
    """One test, whose own names do not change the candidate's. With `plain` the calls' values are made plain before they
    are compared.
    """
    space = dict(space)
    if test["plain"]:
        exec(test["before"], space)
        space.update({name: wire.plain(eval(call, space)) for name, call in test["calls"]})
        exec(test["check"], space)
    else:
        exec(test["source"], space)


def _asked(sock: socket.socket) -> Iterator[Any]:
    while (question := wire.read_frame(sock, limit=64 << 20)) is not None:
        yield question


def asserts(job: dict[str, Any], sock: socket.socket) -> int:
    """One test at a time, on request; each must be answered. The comparison is the candidate's to make."""
    try:
        space = _solution(job)
        say(sock, {"loaded": True})
        for test in _asked(sock):
            _run_test(test, space)
            say(sock, {"passed": True})
    except BaseException as error:
        say(sock, {"error": _reason(error)})
    return 0


def calls(job: dict[str, Any], sock: socket.socket) -> int:
    """Evaluates the requested calls and hands out plain values. Knows no expected value."""
    try:
        space = _solution(job)
        say(sock, {"loaded": True})
        for question in job["questions"] if "questions" in job else _asked(sock):
            answer = _answer(question, space)
            if len(json.dumps(answer["values"])) > wire.MAX_FRAME - 64:
                raise wire.NotPlain("a value that is too large")
            say(sock, answer)
    except BaseException as error:
        say(sock, _error(error))
    return 0


def _answer(question: dict[str, Any], space: dict[str, Any]) -> dict[str, Any]:
    """The calls' plain values; `converted` if they were anything but exact builtin types. What the test's own statements do
    with answers of the entry point, `steps`, they do with plain values.
    """
    space = dict(space)
    entry = space.get(question.get("steps", ""))
    if callable(entry):
        space[question["steps"]] = lambda *args, **named: wire.plain(entry(*args, **named))
    exec(question["before"], space)
    if callable(entry):
        space[question["steps"]] = entry
    answer: dict[str, Any] = {"values": []}
    for call in question["calls"]:
        value = eval(call, space)
        plain = wire.plain(value)
        if not wire.same_types(value, plain):
            answer["converted"] = True
        answer["values"].append(wire.encode(plain))
    return answer


def _error(error: BaseException) -> dict[str, Any]:
    """`converted`: there was a value, but none to hand out; `left`: the program asked for the end of its process."""
    marks = {"converted": isinstance(error, wire.NotPlain), "left": isinstance(error, SystemExit)}
    return {"error": _reason(error)} | {name: True for name, on in marks.items() if on}


def many(job: dict[str, Any], sock: socket.socket) -> int:
    """Like `calls` for one program after the other, each with all its calls, for programs that cannot disturb others."""
    say(sock, {"loaded": True})
    for program in job["programs"]:
        answers: list[dict[str, Any]] = []
        try:
            space = _solution(program)
            answers.append({"loaded": True})
            for question in program["questions"]:
                answers.append(_answer(question, space))
        except BaseException as error:
            answers.append(_error(error))
        say(sock, {"answers": answers})
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
    say(sock, {"verdicts": verdicts})
    return 0


_MODES = {"script": script, "asserts": asserts, "calls": calls, "many": many, "judge": judge}
