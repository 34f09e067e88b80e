"""A program holds no more than its limit in sum, leaves nothing behind and locks nothing of the host: with namespaces and
without, by a control group and by the watchdog.
"""

import os
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from base.environments.audit.attacks import ATTACKS, SPEC
from base.environments.audit.attacks.host import Host
from base.environments.graders.code import CodeEnvironment
from base.environments.sandbox import Job, Limits, Result, Sandbox, calls, cgroup, isolate, wire

ROOM = Limits(cpu=3, wall=10)
_WATCHED = (
    "import sys; sys.path.insert(0, sys.argv[1]); import base.environments.sandbox.cgroup as c; "
    "c._places = lambda: iter(()); from base.environments.graders import harness_{} as harness; "
    "harness.serve(int(sys.argv[2]), sys.argv[3], sys.argv[4] == 'namespaces')"
)
LEVELS = [(spaces, by) for spaces in ("as strong as here", "rlimits") for by in ("group", "watchdog")]


@pytest.fixture(scope="module", params=LEVELS, ids=lambda level: ", ".join(level))
def level(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """With "watchdog" as on a machine where no control group can be made."""
    spaces, by = request.param
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if by == "watchdog":
            patch.setattr("base.environments.sandbox.client._BOOT", _WATCHED)
        yield spaces, by


@pytest.fixture(scope="module")
def sandbox(level: tuple[str, str]) -> Iterator[Sandbox]:
    spaces, by = level
    with Sandbox(namespaces=spaces != "rlimits") as made:
        if by == "group" and "control group" not in made.isolation():
            pytest.skip(f"no control group can be made here: {made.isolation()}")
        assert by == "group" or "memory in sum by a watchdog" in made.isolation()
        yield made


def run(sandbox: Sandbox, source: str, limits: Limits = ROOM) -> Result:
    """The program's function f() is called once."""
    files = {"mode": "calls", "files": {"solution.py": source}, "setup": ""}
    return sandbox.run([Job(files, ({"before": "", "calls": ["f()"]},), limits)])[0]


def value(sandbox: Sandbox, source: str) -> Any:
    result = run(sandbox, source)
    assert result.ended == "exit", result
    assert "values" in result.replies[-1], result
    return wire.decode(result.replies[-1]["values"][0])


def _needs_filter() -> None:
    if not calls.enforced():
        pytest.skip("no filter of system calls here")


def test_no_hoard_and_no_lock_gets_through(level: tuple[str, str], sandbox: Sandbox) -> None:
    """Nor does the host see anything of it; the worker lives, and the next program is not charged."""
    _needs_filter()
    attacks = [one for one in ATTACKS if one.family in ("memory", "locks")]
    with Host() as host:
        with CodeEnvironment(limits=ROOM, namespaces=level[0] != "rlimits") as environment:
            verdicts = environment.truth([SPEC] * len(attacks), [one.answer(host.names) for one in attacks])
            assert environment.replaced == 0
        assert host.changes() == []
    wrong = [(one.name, verdict) for one, verdict in zip(attacks, verdicts, strict=True) if verdict.status != "refused"]
    assert wrong == []
    assert value(sandbox, "def f(): return len(bytearray(b'x') * (400 << 20))") == 400 << 20


_CROWD = """
import os, time
def hold(size):
    kept = bytearray(b"x") * size
    time.sleep(1.5)
def f():
    for _ in range({number}):
        if os.fork() == 0:
            try: hold({size} << 20)
            finally: os._exit(0)
    ends = []
    try:
        while True: ends.append(os.wait()[1])
    except ChildProcessError: return ends.count(0)
"""


def test_the_sum_of_all_processes_is_what_is_limited(sandbox: Sandbox) -> None:
    assert value(sandbox, _CROWD.format(number=4, size=80)) == 4
    result = run(sandbox, _CROWD.format(number=10, size=300))
    survived = result.ended == "exit" and "values" in result.replies[-1] and result.replies[-1]["values"][0]
    assert not survived or survived < 2, result
    assert value(sandbox, "def f(): return 42") == 42
    assert sandbox.replaced == 0


def test_limits_change_from_one_program_to_the_next(sandbox: Sandbox) -> None:
    small, large = Limits(cpu=3, wall=10, memory=256 << 20), Limits(cpu=3, wall=10, memory=1 << 30)
    crowd = _CROWD.format(number=4, size=150)
    for limits, all_live in ((large, True), (small, False), (large, True)):
        result = run(sandbox, crowd, limits)
        live = result.ended == "exit" and result.replies[-1].get("values") == [4]
        assert live == all_live, (limits, result)


def test_honest_programs_keep_what_they_use(sandbox: Sandbox) -> None:
    """Databases and locks in the program's own folder, temporary files, an event loop, threads, processes."""
    assert value(sandbox, """
import sqlite3
def f():
    one, two = sqlite3.connect("own.db"), sqlite3.connect("own.db", timeout=0.1)
    one.execute("create table t (x)"); one.execute("insert into t values (7)"); one.commit()
    one.execute("pragma journal_mode = wal"); one.execute("insert into t values (8)"); one.commit()
    return two.execute("select sum(x) from t").fetchone()[0]
""") == 15  # fmt: skip
    assert value(sandbox, """
import fcntl, os, tempfile
def f():
    with open("own.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX); fcntl.lockf(file, fcntl.LOCK_UN)
    with tempfile.TemporaryFile() as file, tempfile.TemporaryDirectory() as folder:
        file.write(b"abc"); file.seek(0)
        return file.read().decode() + str(os.path.isdir(folder))
""") == "abcTrue"  # fmt: skip
    assert value(sandbox, """
import asyncio, concurrent.futures, threading
async def add(a): return a + await asyncio.sleep(0, 1)
async def both(): return sum(await asyncio.gather(add(1), asyncio.to_thread(int, 2)))
def f():
    with concurrent.futures.ThreadPoolExecutor(4) as pool: return asyncio.run(both()) + sum(pool.map(int, "123"))
""") == 10  # fmt: skip
    assert value(sandbox, """
import os, subprocess, sys
def f():
    read, write = os.pipe()
    if os.fork() == 0: os.write(write, b"5"); os._exit(0)
    os.wait()
    return int(os.read(read, 1)) + int(subprocess.run([sys.executable, "-c", "print(6)"], capture_output=True).stdout)
""") == 11  # fmt: skip


def test_files_are_limited_in_sum_and_written_in_the_own_folder_only(sandbox: Sandbox, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    many = """
import os, time
def f():
    try:
        for number in range(100):
            with open(f"big{number}", "wb") as file: file.write(bytes(1 << 20))
            time.sleep(0.005)
    except OSError: return "no"
    return "all"
"""
    result = run(sandbox, many)
    assert result.ended == "signal" or result.replies[-1]["values"] == ["no"], result
    if not isolate.walled(sandbox.isolation()) and "no Landlock" in sandbox.isolation():
        pytest.skip("programs can write where their user can")
    spots = [str(tmp_path / "left"), "/dev/shm/edmund-left", "/tmp/edmund-left", "/var/tmp/edmund-left"]
    left = f"""
import os
def f():
    done = []
    for spot in {spots!r}:
        try: open(spot, "w").close(); done.append(spot)
        except OSError: pass
    return done
"""
    own = {"/tmp/edmund-left", "/dev/shm/edmund-left"}  # which are the own folder where they are called so
    assert set(value(sandbox, left)) <= (own if isolate.walled(sandbox.isolation()) else {"/tmp/edmund-left"})
    assert not any(os.path.exists(spot) for spot in spots)


def test_a_group_ends_with_its_worker_and_those_of_the_dead_are_cleared(level: tuple[str, str]) -> None:
    spaces, by = level
    with Sandbox(namespaces=spaces != "rlimits") as made:
        made.isolation()
        groups = [folder for worker in made._all for folder in worker.groups]
        assert (by == "watchdog") <= (groups == [])
        assert all(os.path.isdir(folder) for folder in groups)
    assert not any(os.path.exists(folder) for folder in groups)
    for folder in {os.path.dirname(group) for group in groups}:
        stale = Path(folder, "edmund-999999999-1")
        stale.mkdir()
        cgroup._clear(Path(folder))
        assert not stale.exists()


def test_locks_of_the_host_are_its_own(sandbox: Sandbox) -> None:
    """While a program holds what it takes for a lock of a library file, the host locks it."""
    import fcntl

    _needs_filter()
    source = """
import fcntl, os, time
def f():
    files = [open(os.__file__) for _ in range(3)]
    fcntl.flock(files[0], fcntl.LOCK_EX)
    fcntl.lockf(files[1], fcntl.LOCK_SH)
    time.sleep(0.5)
    return 1
"""
    done: list[Any] = []
    program = threading.Thread(target=lambda: done.append(value(sandbox, source)))
    program.start()
    try:
        time.sleep(0.25)
        with open(os.__file__) as library:
            fcntl.flock(library, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert program.is_alive()
    finally:
        program.join()
    assert done == [1]


def test_the_record_says_what_is_not_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    boot = _WATCHED.replace("c._places", "import base.environments.sandbox.calls as f; f._MACHINES.clear(); c._places")
    monkeypatch.setattr("base.environments.sandbox.client._BOOT", boot)
    with warnings.catch_warnings(), Sandbox(namespaces=False) as made:
        warnings.simplefilter("ignore")
        assert "watchdog" in made.isolation()
        assert "no filter of system calls" in made.isolation()
