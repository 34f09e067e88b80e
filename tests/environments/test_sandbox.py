"""What a program cannot do to us: see, keep, break or outlive."""

import json
import os
import signal
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from base.environments.sandbox import Job, Limits, Result, Sandbox, isolate, wire

QUICK = Limits(cpu=2, wall=6)


@pytest.fixture(scope="module", params=["as strong as here", "rlimits"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Sandbox(namespaces=request.param != "rlimits") as made:
            made.isolation()
            yield made


def run(sandbox: Sandbox, source: str, limits: Limits = QUICK) -> Result:
    """The program's function f() is called once."""
    job = Job(
        {"mode": "calls", "files": {"solution.py": source}, "setup": ""}, ({"before": "", "calls": ["f()"]},), limits
    )
    return sandbox.run([job])[0]


def value(sandbox: Sandbox, source: str) -> Any:
    result = run(sandbox, source)
    assert result.ended == "exit", result
    assert "values" in result.replies[-1], result
    return wire.decode(result.replies[-1]["values"][0])


def strong(sandbox: Sandbox) -> None:
    if not isolate.walled(sandbox.isolation()):
        pytest.skip(f"needs namespaces; here: {sandbox.isolation()}")


def still_works(sandbox: Sandbox) -> None:
    assert value(sandbox, "def f(): return 42") == 42


def test_endless_loops_and_sleep_are_timeouts(sandbox: Sandbox) -> None:
    assert run(sandbox, "def f():\n    while True: pass", Limits(cpu=1, wall=30)).ended == "timeout"
    assert run(sandbox, "import time\ndef f(): time.sleep(60)", Limits(wall=1)).ended == "timeout"
    assert run(sandbox, "def f(): return 10 ** 10 ** 10", Limits(cpu=1, wall=30)).ended == "timeout"
    still_works(sandbox)


def test_a_memory_bomb_hurts_only_itself(sandbox: Sandbox) -> None:
    result = run(sandbox, "def f():\n    x = [0]\n    while True: x = x + x")
    assert "values" not in result.replies[-1]
    assert value(sandbox, "def f():\n    try: return len(bytes(4 << 30))\n    except MemoryError: return 'no'") == "no"
    still_works(sandbox)


def test_a_fork_bomb_is_bounded_and_cleared_away(sandbox: Sandbox) -> None:
    bomb = """
import os, time
def f():
    made = 0
    try:
        while made < 2000:
            if os.fork() == 0:
                time.sleep(30)
                os._exit(0)
            made += 1
    except OSError:
        pass
    return made
"""
    result = run(sandbox, bomb)
    if "any number of processes" in sandbox.isolation():  # the kernel does not count the real root's
        assert result.ended in ("exit", "timeout")
    else:
        assert result.ended == "exit"
        assert result.replies[-1]["values"][0] < 64
    still_works(sandbox)


def test_daemons_do_not_survive(sandbox: Sandbox, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    for folder in tmp_path.parents:
        if folder.stat().st_uid == os.getuid() and str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    mark = tmp_path / "alive"
    daemon = f"""
import os, time
def f():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            while True:
                try: open({str(mark)!r}, "a").close()
                except OSError: pass
                time.sleep(0.05)
        os._exit(0)
    time.sleep(0.3)
    return 1
"""
    assert value(sandbox, daemon) == 1
    mark.unlink(missing_ok=True)
    time.sleep(0.3)
    assert not mark.exists()


def test_floods_of_output_files_and_answers(sandbox: Sandbox) -> None:
    flood = (
        "import sys\ndef f():\n    for _ in range(300): print('x' * 100000); print('x', file=sys.stderr)\n    return 1"
    )
    assert value(sandbox, flood) == 1
    big = "def f():\n    try:\n        open('a', 'wb').write(bytes(1 << 28)); return 'written'\n    except OSError: return 'no'"
    result = run(sandbox, big)
    assert result.ended == "signal" or wire.decode(result.replies[-1]["values"][0]) == "no"
    assert "error" in run(sandbox, "def f(): return 'x' * (1 << 25)").replies[-1]
    many = "def f():\n    kept = []\n    try:\n        while True: kept.append(open('/dev/null'))\n    except OSError: return len(kept)"
    assert value(sandbox, many) < 64


def test_nothing_is_inherited(sandbox: Sandbox) -> None:
    os.environ["EDMUND_TEST_SECRET"] = "secret"
    inherited = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(inherited, True)
    try:
        source = """
import os, stat
def f():
    kinds = []
    for number in range(256):
        try: mode = os.fstat(number).st_mode
        except OSError: continue
        kinds.append("socket" if stat.S_ISSOCK(mode) else "null" if stat.S_ISCHR(mode) else "other")
    return dict(os.environ), kinds
"""
        with Sandbox(namespaces=isolate.walled(sandbox.isolation())) as fresh:
            environment, kinds = value(fresh, source)
    finally:
        os.close(inherited)
        del os.environ["EDMUND_TEST_SECRET"]
    assert environment == {}
    assert kinds == ["null", "null", "null", "socket"]


@pytest.mark.parametrize("pool", ["multiprocessing.pool.ThreadPool", "concurrent.futures.ProcessPoolExecutor"])
def test_a_program_may_share_its_work(sandbox: Sandbox, pool: str) -> None:
    strong(sandbox)
    module, name = pool.rsplit(".", 1)
    assert value(
        sandbox, f"from {module} import {name}\ndef f():\n    with {name}(2) as p: return list(p.map(abs, [-1, 2]))"
    ) == [1, 2]


def test_the_same_program_gives_the_same_answer(sandbox: Sandbox) -> None:
    source = "import random\ndef f(): return [random.random(), hash('a'), list({'a', 'b', 'c', 'd'})]"
    assert value(sandbox, source) == value(sandbox, source)
    with Sandbox(namespaces=isolate.walled(sandbox.isolation())) as other:
        assert value(other, source) == value(sandbox, source)


def test_files_do_not_pass_from_one_program_to_the_next(sandbox: Sandbox) -> None:
    write = "import os\ndef f():\n    open('left.txt', 'w').write('x'); return sorted(os.listdir('.'))"
    assert value(sandbox, write) == ["left.txt", "solution.py"]
    assert value(sandbox, "import os\ndef f(): return os.listdir('.')") == ["solution.py"]


def test_no_network_no_host_files_no_capabilities(sandbox: Sandbox) -> None:
    strong(sandbox)
    secret = Path(__file__).resolve()
    source = f"""
import ctypes, os, socket
def attempt(action):
    try: action()
    except OSError: return False
    return True
def f():
    return {{
        "read": attempt(lambda: open({str(secret)!r})),
        "passwd": attempt(lambda: open("/etc/passwd")),
        "proc": attempt(lambda: os.listdir("/proc")),
        "write": attempt(lambda: open(os.__file__, "a")),
        "root": attempt(lambda: open("/new", "w")),
        "connect": attempt(lambda: socket.create_connection(("127.0.0.1", 22), 1)),
        "send": attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 9))),
        "chroot": attempt(lambda: os.chroot("/")),
        "kill": attempt(lambda: os.kill({os.getpid()}, 0)),
        "setuid": attempt(lambda: os.setuid(0)),
        "user namespace": ctypes.CDLL(None).unshare(0x10000000) == 0,
        "mount namespace": ctypes.CDLL(None).unshare(0x00020000) == 0,
    }}, os.getpid(), len(os.listdir("/"))
"""
    done, pid, entries = value(sandbox, source)
    assert not any(done.values()), done
    assert pid == 1
    assert entries < 12


def test_disk_and_number_of_files_are_limited(sandbox: Sandbox) -> None:
    strong(sandbox)
    source = """
def f():
    written = made = 0
    try:
        for number in range(100):
            with open(f"big{number}", "wb") as file: file.write(bytes(1 << 20))
            written += 1
    except OSError: pass
    try:
        for number in range(10000):
            open(f"small{number}", "w").close(); made += 1
    except OSError: pass
    return written, made
"""
    written, made = value(sandbox, source)
    assert written < 32
    assert made < 2000


def _numbered(number: int) -> Job:
    source = f"import time\ndef f():\n    time.sleep(.1)\n    return {number}"
    return Job({"mode": "calls", "files": {"solution.py": source}, "setup": ""}, ({"before": "", "calls": ["f()"]},), Limits(wall=1))  # fmt: skip


def _answers(results: list[Result]) -> list[Any]:
    return [result.replies[-1]["values"][0] if result.ended == "exit" else result for result in results]


def _server(launcher: int) -> int:
    """With namespaces the server proper is the launcher's child."""
    children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    return int(children[0]) if children else launcher


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSTOP"])
@pytest.mark.parametrize("whom", ["launcher", "server"])
def test_a_lost_worker_is_replaced_and_its_batch_is_whole_and_in_order(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, name: str, whom: str
) -> None:
    """In the middle of a batch, while a program runs."""
    monkeypatch.setattr("base.environments.sandbox.client._GRACE_SECONDS", 1)
    still_works(sandbox)
    (launcher,) = sandbox.processes()
    if name == "SIGSTOP" and whom == "launcher":
        strong(sandbox)  # it only waits, and the programs go on without it
    lost, replaced = _server(launcher) if whom == "server" else launcher, sandbox.replaced
    attacker = threading.Timer(0.35, os.kill, (lost, getattr(signal, name)))
    attacker.start()
    results = sandbox.run([_numbered(number) for number in range(8)])
    attacker.join()
    assert _answers(results) == list(range(8))
    stays = name == "SIGSTOP" and whom == "launcher"
    assert sandbox.replaced == replaced + (0 if stays else 1)
    assert (sandbox.processes() == [launcher]) == stays
    if stays:
        os.kill(launcher, signal.SIGCONT)
    still_works(sandbox)


def test_one_hung_worker_of_several_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("base.environments.sandbox.client._GRACE_SECONDS", 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Sandbox(workers=2) as made:
            made.run([_numbered(number) for number in range(4)])
            hung = _server(made.processes()[0])
            stopper = threading.Timer(0.25, os.kill, (hung, signal.SIGSTOP))
            stopper.start()
            results = made.run([_numbered(number) for number in range(12)])
            stopper.join()
            assert _answers(results) == list(range(12))
            assert made.replaced == 1


def test_a_worker_that_cannot_be_had_is_a_fault_and_not_a_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("base.environments.sandbox.client._BOOT", "raise SystemExit(1)")
    with Sandbox() as made:
        (result,) = made.run([_numbered(1)])
        assert result.ended == "fault"
        assert made.replaced == 2


def test_no_process_or_folder_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        for namespaces in (True, False):
            with warnings.catch_warnings(), Sandbox(namespaces=namespaces) as made:
                warnings.simplefilter("ignore")
                still_works(made)
                processes = [worker.process for worker in made._all]
                assert os.listdir(folder)
            assert all(process.poll() is not None for process in processes)
            assert os.listdir(folder) == []
        monkeypatch.undo()


def test_hostile_programs_leave_nothing_in_parent_or_worker() -> None:
    hostile = ["import os\nos._exit(0)", "import os\ndef f():\n    os.fork()\n    return 1", "import os\nos.abort()"]
    sources = ["def f(): return 1", *hostile] * 10

    def job(source: str) -> Job:
        return Job(
            {"mode": "calls", "files": {"solution.py": source}, "setup": ""}, ({"before": "", "calls": ["f()"]},), QUICK
        )

    with Sandbox() as made:
        if not isolate.walled(made.isolation()):
            pytest.skip(f"needs namespaces; here: {made.isolation()}")
        (launcher,) = made.processes()
        server = _server(launcher)

        def state() -> tuple[int, int, str]:
            children = Path(f"/proc/{server}/task/{server}/children").read_text()
            return len(os.listdir("/proc/self/fd")), len(os.listdir(f"/proc/{server}/fd")), children

        before = state()
        made.run([job(source) for source in sources])
        assert state() == before
        assert made.replaced == 0


def test_a_weak_sandbox_warns_once_and_says_its_level(monkeypatch: pytest.MonkeyPatch) -> None:
    with Sandbox(namespaces=False) as made:
        assert made.isolation().startswith((isolate.RLIMITS_ONLY, isolate.NOBODY_ONLY))
    monkeypatch.setattr(
        "base.environments.sandbox.client._BOOT",
        "import sys; sys.path.insert(0, sys.argv[1]); import base.environments.sandbox.isolate as i; "
        "i._unshare = lambda flags: i._check(-1, 'unshare'); from base.environments.graders import harness_child; "
        "harness_child.serve(int(sys.argv[2]), sys.argv[3], sys.argv[4] == 'namespaces')",
    )
    with Sandbox(workers=2) as made, pytest.warns(UserWarning, match="SANDBOX IS WEAK") as seen:
        assert [r.ended for r in made.run([_answer()] * 4)] == ["exit"] * 4
    assert len(seen) == 1


def _answer() -> Job:
    return Job(
        {"mode": "calls", "files": {"solution.py": "def f(): return 1"}, "setup": ""},
        ({"before": "", "calls": ["f()"]},),
    )


def test_second_answers_and_garbage_are_noticed(sandbox: Sandbox) -> None:
    forge = """
import json, os, struct
def say(message):
    body = json.dumps(message).encode()
    for number in range(3, 20):
        try: os.write(number, struct.pack(">I", len(body)) + body)
        except OSError: continue
def f():
    say({"values": [7]})
    return 8
"""
    assert run(sandbox, forge).broken
    garbage = "import os\ndef f():\n    for n in range(3, 20):\n        try: os.write(n, b'\\x00\\x00\\x00\\x02{{')\n        except OSError: pass\n    return 1"
    assert run(sandbox, garbage).broken


def test_jobs_come_back_in_order_from_several_workers() -> None:
    jobs = [
        Job({"mode": "calls", "files": {"solution.py": f"def f(): return {n}"}, "setup": ""},
            ({"before": "", "calls": ["f()"]},))
        for n in range(20)
    ]  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Sandbox(workers=2) as made:
            assert [r.replies[-1]["values"][0] for r in made.run(jobs)] == list(range(20))
            assert json.dumps(made.isolation())
