"""The harnesses' inside: what runs in the confined child. The job names one of seven modes; `pytest` is in harness_pytest.

`script` and `pytest` execute solution and tests in one process, as coding graders in the field do; what they report can
be gamed and the caller decides which part of it to believe. `asserts` says of one test at a time whether it raised.
`calls` only evaluates expressions and hands the plain values out; `many` does so for several programs that can reach
nothing of each other; `judge`
evaluates asserts over such values, without a candidate. These three never get expected values and candidate together.
`reach` parses programs and runs none.

Whatever the mode, a program is the bytes of solution.py, imported after the task's setup, and each test runs in a copy of
its namespace, with as much room for recursion and (where there is a limit) as much processor time as on its own: so that
equal programs get equal grades. No text is compiled with a flag of this file.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import dataclasses
import gc
import importlib
import importlib.machinery
import importlib.util
import json
import math
import os
import resource
import signal
import socket
import sys
import threading
import types
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from base.environments.graders.reach import reach
from base.environments.sandbox import server, wire

# Imported once in the server, for free in every child: what programs like to import.
_WARM = (
    "bisect cmath collections copy datetime decimal fractions functools heapq itertools operator queue random re "
    "statistics string typing"
)
SOLUTION = "solution"
REHEARSALS = 10  # after as many runs Python rewrites a function no more
RECURSION = 1000  # what Python starts with
_REHEARSED = "import math\nclass A:\n    def f(self, a): return [a + 1 for b in (1, 'x') if not self.f(b)]\n"


def serve(control_fd: int, folder: str, want_namespaces: bool) -> None:
    prepare(folder)
    place = server.settle(
        control_fd, folder, want_namespaces
    )  # kept: to free it costs a child as much as a small program
    job, sock = server.jobs(place)
    server.end(lambda: handle(job, sock))


def prepare(folder: str) -> None:
    """Imports, and a program of our own, for all that Python only makes when it is used for the first time."""
    sys.argv = ["solution.py"]  # as `python solution.py` has it
    for name in _WARM.split():
        importlib.import_module(name)
    # As process 1 of its namespace a child is spared signals without a handler, and Python's own handlers wait for C code.
    # It ends with the signal's number as its exit code (harness.LATE).
    libc = ctypes.CDLL(None)
    libc.signal(signal.SIGPROF, libc._exit)
    os.chdir(folder)
    for _ in range(REHEARSALS + 1):
        Solution.made.append(_module())
    for _ in range(REHEARSALS):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            wire.send_frame(ours, {"files": {"solution.py": "def f(a):\n    return a"}, "setup": "", "cpu": 0})
            for _ in range(2):
                wire.send_frame(ours, {"before": "", "calls": ["f([1])"]})
            ours.shutdown(socket.SHUT_WR)
            calls(wire.read_frame(theirs), theirs)
        del sys.modules[SOLUTION], sys.meta_path[0]
        sys.setrecursionlimit(RECURSION)
        reach({"solution.py": _REHEARSED})
    os.unlink("solution.py")
    os.chdir("/")


def handle(job: dict[str, Any], sock: socket.socket) -> int:
    return _MODES[job["mode"]](job, sock)


def write_files(files: dict[str, str]) -> None:
    for name, text in files.items():
        if os.path.dirname(name):
            os.makedirs(os.path.dirname(name), exist_ok=True)
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        try:
            os.write(file, text.encode("utf-8", "surrogatepass"))
        finally:
            os.close(file)


class Solution:
    """Finds the module `solution` for whoever imports it: the task's setup and the candidate's file, in one namespace."""

    made: ClassVar[list[types.ModuleType]] = []  # before the fork, for `load` to take one

    def __init__(self, job: dict[str, Any], alone: bool = True) -> None:
        """Its files are written, and others can import it, if it is `alone` here."""
        self.job = job
        self.cpu: int | None = job.get("cpu")
        self.space: dict[str, Any] = {}
        self.limit = sys.getrecursionlimit()
        if alone:
            # A package `solution` would stand beside solution.py, which is what is graded.
            write_files({name: text for name, text in job["files"].items() if not name.startswith("solution/")})
            sys.meta_path.insert(0, self)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name != SOLUTION:
            return None
        return importlib.machinery.ModuleSpec(SOLUTION, self)  # type: ignore[arg-type]

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        return None

    def exec_module(self, module: types.ModuleType) -> None:
        module.__file__ = os.path.join(os.getcwd(), "solution.py")
        self.space = module.__dict__
        self.level()
        self.allow()
        _execute(self.job, self.space)

    def load(self) -> None:
        """What `import solution` does, without the cost of finding it."""
        module = sys.modules[SOLUTION] = self.made.pop() if self.made else _module()
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self  # type: ignore[assignment]
        self.exec_module(module)

    def allow(self) -> None:
        """The time of one test, from here on."""
        if self.cpu is not None:
            signal.setitimer(signal.ITIMER_PROF, self.cpu)

    def level(self) -> None:
        """From here on as much room for recursion as a program of its own has, unless it has chosen that itself."""
        if sys.getrecursionlimit() == self.limit:
            self.limit = RECURSION + _depth()
            sys.setrecursionlimit(self.limit)

    def copy(self) -> dict[str, Any]:
        """The namespace for one test: what a test binds, the next one and the program do not see."""
        self.allow()
        return {**self.space}


def _module() -> types.ModuleType:
    return importlib.util.module_from_spec(importlib.machinery.ModuleSpec(SOLUTION, None))


def _depth() -> int:
    """How many frames there are. By halving: to walk them would make an object of each, in pages of this child's own."""
    low, high = 0, 256
    while low < high:
        middle = (low + high) // 2
        try:
            sys._getframe(middle)
            low = middle + 1
        except ValueError:
            high = middle
    return low


def _execute(job: dict[str, Any], space: dict[str, Any]) -> None:
    """Executes setup and candidate; one that `stays` is asked even if its file ended with a SystemExit. The text is compiled as
    a file's bytes are, with its encoding and no flag of ours.
    """
    if job["setup"]:
        run(job["setup"], space, "setup.py")
    try:
        run(job["files"].get("solution.py", "").encode("utf-8", "surrogatepass"), space, "solution.py")
    except SystemExit:
        if not job.get("stays"):
            raise


def run(source: str | bytes, space: dict[str, Any], name: str = "test.py") -> None:
    exec(compile(source, name, "exec", dont_inherit=True), space)


def value_of(source: str, space: dict[str, Any]) -> Any:
    return eval(compile(source, "test.py", "eval", dont_inherit=True), space)


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
        solution = Solution(job)
        solution.load()
        for test in job["tests"]:
            _run_test(test, solution.copy())
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
    if test["plain"]:
        run(test["before"], space)
        space.update({name: made_plain(value_of(call, space), test["kept"]) for name, call in test["calls"]})
        run(test["check"], space)
    else:
        run(test["source"], space)


def made_plain(value: Any, kept: str) -> Any:
    """Raises AssertionError where the test asks for what the value is no more once it is plain (asserts.OfType)."""
    made = wire.plain(value)
    kind = issubclass(type(value), type(made))
    if (kept == "types" and not wire.same_types(value, made)) or (kept == "kind" and not kind):
        raise AssertionError("a value of another type, and the test asks for types")
    return made


def _asked(sock: socket.socket) -> Iterator[Any]:
    while (question := wire.read_frame(sock, limit=64 << 20)) is not None:
        yield question


def asserts(job: dict[str, Any], sock: socket.socket) -> int:
    """One test at a time, on request; each must be answered. The comparison is the candidate's to make."""
    try:
        solution = Solution(job)
        solution.load()
        say(sock, {"loaded": True})
        for test in _asked(sock):
            _run_test(test, solution.copy())
            say(sock, {"passed": True})
    except BaseException as error:
        say(sock, {"error": _reason(error)})
    return 0


def calls(job: dict[str, Any], sock: socket.socket) -> int:
    """Evaluates the requested calls and hands out plain values. Knows no expected value."""
    for answer in _answers(job, job["questions"] if "questions" in job else _asked(sock)):
        say(sock, answer)
    return 0


def _answers(job: dict[str, Any], questions: Iterable[dict[str, Any]], alone: bool = True) -> Iterator[dict[str, Any]]:
    """That it was loaded, and an answer for each question, up to an error."""
    try:
        solution = Solution(job, alone)
        solution.load()
        yield {"loaded": True}
        for question in questions:
            answer = _answer(question, solution.copy())
            if len(json.dumps(answer["values"])) > wire.MAX_FRAME - 64:
                raise wire.NotPlain("a value that is too large")
            yield answer
    except BaseException as error:
        yield _error(error)


def _answer(question: dict[str, Any], space: dict[str, Any]) -> dict[str, Any]:
    """The calls' plain values; `converted` if they were anything but exact builtin types. What the test's own statements do
    with answers of the entry point, `steps`, they do with plain values.
    """
    entry = space.get(question.get("steps", ""))
    if callable(entry):
        space[question["steps"]] = lambda *args, **named: wire.plain(entry(*args, **named))
    run(question["before"], space)
    if callable(entry):
        space[question["steps"]] = entry
    answer: dict[str, Any] = {"values": []}
    for call in question["calls"]:
        value = value_of(call, space)
        plain = wire.plain(value)
        if not wire.same_types(value, plain):
            answer["converted"] = True
        if not issubclass(type(value), type(plain)):
            answer["other_kind"] = True
        answer["values"].append(wire.encode(plain))
    return answer


def _error(error: BaseException) -> dict[str, Any]:
    """`converted`: there was a value, but none to hand out; `left`: the program asked for the end of its process."""
    marks = {"converted": isinstance(error, wire.NotPlain), "left": isinstance(error, SystemExit)}
    return {"error": _reason(error)} | {name: True for name, on in marks.items() if on}


def many(job: dict[str, Any], sock: socket.socket) -> int:
    """Like `calls` for one program after the other, each with all its calls, for programs that can reach nothing of others
    (graders.reach): each has a module of its own, no file, and is forgotten before the next one.

    What they share is counted: one that takes longer than `share` seconds ends this child, as one does after which more
    than `room` bytes were filled, or that says more than a frame. It is not answered then, and neither are those after it.
    """
    say(sock, {"loaded": True})
    most = _filled() + job["room"]
    for program in job["programs"]:
        signal.setitimer(signal.ITIMER_PROF, job["share"])
        answers = list(_answers(program, program["questions"], alone=False))
        gc.collect()
        if _filled() > most or len(json.dumps(answers)) > wire.MAX_FRAME - 64:
            return 1
        say(sock, {"answers": answers})
    return 0


def _filled() -> int:
    """The most bytes of memory that this process has had at once."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def judge(job: dict[str, Any], sock: socket.socket) -> int:
    """Asserts over values that another child has returned: task code and plain data only, no candidate here.

    Of each: why it failed (empty if it did not), and whether a value compared with `==` is of the same types.
    """
    verdicts: list[tuple[str, bool]] = []
    for test in job["tests"]:
        space: dict[str, Any] = {"math": math}
        try:
            run(job["setup"], space)
            with contextlib.suppress(Exception):  # it may need the candidate's classes; the assert speaks for itself
                run(test["before"], space)
            space.update({name: wire.decode(value) for name, value in test["values"]})
            run(test["check"], space)
        except Exception as error:
            verdicts.append((_reason(error), True))
            continue
        same = True
        with contextlib.suppress(Exception):  # an object of the task's own class has no plain form and no other type
            same = not test["right"] or wire.same_types(space["_value_0"], wire.plain(value_of(test["right"], space)))
        verdicts.append(("", same))
    say(sock, {"verdicts": verdicts})
    return 0


def reaches(job: dict[str, Any], sock: socket.socket) -> int:
    """What each program can at most do. The programs are parsed, not run."""
    for files in job["programs"]:
        say(sock, dataclasses.astuple(reach(files)))
    return 0


_MODES = {"script": script, "asserts": asserts, "calls": calls, "many": many, "judge": judge, "reach": reaches}
