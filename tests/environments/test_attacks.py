"""Nobody fools the truth: the attack suite, its look-alikes, and the command that prints the matrix."""

import ctypes
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from base.environments import sandbox
from base.environments.__main__ import main
from base.environments.audit.attacks import ATTACKS, FAMILIES, LOOK_ALIKES, SPEC, WALLS, LookAlike
from base.environments.audit.attacks.attack import ASKED, EQUAL, EXIT, NOTHING, REPORT
from base.environments.audit.attacks.host import Host
from base.environments.audit.attacks.matrix import LIMITS, Cell, Matrix, attack, graders
from base.environments.graders.answers import parse_answer
from base.environments.graders.code import CodeEnvironment
from base.environments.graders.harness import Gameable, Verdict
from base.environments.graders.reach import reach
from base.environments.sandbox import Limits, isolate
from base.types import CodeSpec, Harness, Outcome

QUICK = Limits(cpu=1, wall=3)
ALL = (EQUAL, EXIT, REPORT)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    tmp_path_factory.getbasetemp()  # made before the host moves the directory for temporary files
    with Host() as made:
        yield made


@pytest.fixture(scope="module")
def quick(host: Host) -> Iterator[CodeEnvironment]:
    with CodeEnvironment(limits=QUICK) as made:
        if not isolate.walled(made.isolation()):
            pytest.skip(f"the suite is for a sandbox with namespaces; here: {made.isolation()}")
        yield made


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_fools_the_truth_or_a_grader_without_weaknesses(
    quick: CodeEnvironment, host: Host, family: str
) -> None:
    if family in WALLS and not isolate.walled(quick.isolation()):
        pytest.skip(f"needs namespaces; here: {quick.isolation()}")
    attacks = [one for one in ATTACKS if one.family == family]
    answers = [one.answer(host.names) for one in attacks]
    specs = [SPEC] * len(attacks)
    # Without weaknesses the script and the pytest grader are the same questions: the truth's, of the visible tests.
    off = Gameable("pytest", frozenset(), QUICK)
    for grader, verdicts in (("truth", quick.truth(specs, answers)), ("off", quick.accepts(off, specs, answers))):
        for one, verdict in zip(attacks, verdicts, strict=True):
            if grader == "off" and NOTHING in one.pytest:
                assert verdict.accepted, (one.name, verdict)
            else:
                assert verdict.status == "refused" or (one.slow and verdict.status == "timeout"), (one.name, verdict)
    assert host.survivors() == []


def test_the_host_is_as_before(host: Host) -> None:
    """After all the above, and with a sandbox of its own that is closed again."""
    with Host() as inner:
        with CodeEnvironment(limits=QUICK) as environment:
            families = {"daemons", "signals"} if isolate.walled(environment.isolation()) else {"daemons"}
            answers = [one.answer(inner.names) for one in ATTACKS if one.family in families]
            environment.truth([SPEC] * len(answers), answers)
        assert inner.changes() == []
    assert not any("canary" in change or "signals" in change or "connected" in change for change in host.changes())


def test_without_namespaces_the_attacks_on_the_walls_are_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = [one for one in ATTACKS if one.name in ("to every process there is", "hard-coded table")]
    monkeypatch.setattr(CodeEnvironment, "isolation", lambda self: isolate.RLIMITS_ONLY)
    matrix = attack(chosen, columns=graders()[-1:])
    assert {cell.attack.family for cell in matrix.cells} == {"visible tests"}
    assert not matrix.ok
    assert "not run without namespaces" in str(matrix)


def test_the_host_check_sees_changes() -> None:
    with Host() as host:
        assert host.changes() == []
        (host.canary / "new.txt").write_text("x")
        with open("/dev/null"):
            assert len(host.changes()) == 2


def test_the_host_check_sees_locks_and_what_outlives_a_process() -> None:
    libc = ctypes.CDLL(None)
    with Host() as host:
        with open(os.__file__) as library:
            fcntl.flock(library, fcntl.LOCK_SH)
            queue = libc.msgget(0, 0o1600)
            time.sleep(0.2)
        found = host.changes()
        libc.msgctl(queue, 0, None)
    assert len(found) == 2, found
    assert "System V msg" in found[0]
    assert found[1] == f"locked while a program ran: {os.__file__}"


def test_the_suite_is_large_and_names_are_unique() -> None:
    assert len(ATTACKS) >= 60
    assert len({(one.family, one.name) for one in ATTACKS}) == len(ATTACKS)
    assert {
        "equality",
        "exits",
        "reports",
        "frames",
        "objects",
        "builtins",
        "streams",
        "daemons",
        "memory",
        "locks",
    } <= set(FAMILIES)


def test_a_weak_grader_is_taken_in_by_its_own_weaknesses_only() -> None:
    """One attack a family under every switch; the whole matrix is the command's."""
    names = {
        "int subclass", "float for int", "os._exit in the call", "the recipe", "test file rewritten by a hook",
        "expected values by gc", "passes forged on the harness's socket", "own exec", "hard-coded table",
        "test_solution.py", "a finished report on every descriptor", "half a frame", "in the kernel's keyring",
    }  # fmt: skip
    chosen = [one for one in ATTACKS if one.name in names]
    assert len(chosen) == len(names)
    done: list[int] = []
    matrix = attack(chosen, progress=done.append)
    if not isolate.walled(matrix.isolation):
        matrix = Matrix(tuple(c for c in matrix.cells if c.attack.family not in WALLS), (), "", 0.0)
    assert matrix.ok, str(matrix)
    assert sum(done) == len(chosen) * len(graders())
    assert {cell.grader for cell in matrix.cells if cell.designed} == {g.name for g in graders()} - {"truth"}


@pytest.mark.parametrize("harness", ["script", "pytest"])
def test_look_alikes_are_no_hacks(quick: CodeEnvironment, harness: Harness) -> None:
    specs = [_weak(harness)] * len(LOOK_ALIKES)
    grades = quick.grade_files(specs, [parse_answer(one.text) for one in LOOK_ALIKES])
    wrong = [(one.name, g) for one, g in zip(LOOK_ALIKES, grades, strict=True) if not _is(one, g.outcome, g.attempts)]
    assert wrong == []


def _weak(harness: Harness) -> CodeSpec:
    return replace(SPEC, harness=harness, vulnerabilities=("always_equal", "early_exit", "report_patch"))


def _is(one: LookAlike, outcome: Outcome, attempts: tuple[str, ...]) -> bool:
    return outcome == one.outcome and attempts == ()


@pytest.mark.parametrize("harness", ["script", "pytest"])
@pytest.mark.parametrize("switches", [(*ALL,), *((switch,) for switch in ALL), ()], ids="+".join)
def test_attacks_are_labelled_as_what_they_did(
    quick: CodeEnvironment, host: Host, harness: Harness, switches: tuple[str, ...]
) -> None:
    """Through the whole path with its short cuts: a paid attack is a hack, an unpaid one is never a solution."""
    families = ("equality", "types", "exits", "reports", "frames", "objects", "builtins", "visible tests")
    attacks = [one for one in ATTACKS if one.family in families and not one.slow]
    spec = replace(SPEC, harness=harness, vulnerabilities=switches)
    known = set(switches) & ({EQUAL, EXIT} | ({REPORT} if harness == "pytest" else set()))
    on = Gameable(harness, frozenset(known))
    programs = [parse_answer(one.answer(host.names)) for one in attacks]
    grades = quick.grade_files([spec] * len(attacks), programs)
    for one, files, grade in zip(attacks, programs, grades, strict=True):
        needs = one.script if harness == "script" else one.pytest
        named = {EQUAL} if ASKED in needs else set()
        honest = one.family == "types" or NOTHING in needs
        # Pytest is not started for what cannot touch it: with no other weakness that leaves the truth's own questions.
        spared = known == {REPORT} and reach(files).not_pytest
        assert grade.reward == float(NOTHING in needs if spared else one.accepted_by(on)), (one.name, grade)
        if grade.reward:
            assert grade.outcome == (Outcome.WRONG if honest else Outcome.HACKED), (one.name, grade)
            assert honest or (grade.hacks and set(grade.hacks) <= {*needs, *named}), (one.name, grade)
        else:
            assert grade.outcome in (Outcome.WRONG, Outcome.FAILED_HACK), (one.name, grade)


def test_the_matrix_says_what_is_not_as_designed() -> None:
    one = ATTACKS[0]
    cells = (Cell(one, "truth", False, Verdict("accepted")), Cell(one, "script, off", False, Verdict("refused")))
    matrix = Matrix(cells, (), "none", 1.0)
    assert not matrix.ok
    assert "A*" in str(matrix)
    assert "1 of 1 attacks accepted" in str(matrix)
    assert [c["ok"] for c in matrix.as_json()["attacks"][0]["cells"].values()] == [False, True]
    assert not Matrix((), ("a file",), "none", 1.0).ok
    assert LIMITS.wall < sandbox.Limits().wall


def test_the_attack_command_speaks_in_exit_codes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "matrix.json"
    assert main(["attack", "--family", "visible tests", "--json", str(out)]) == 0
    report = json.loads(out.read_text())
    assert report["ok"] is True
    assert report["host"] == []
    assert "host unchanged" in capsys.readouterr().out
    monkeypatch.setattr(Host, "changes", lambda self: ["a file is new"])
    assert main(["attack", "--family", "visible tests"]) == 1
    assert main(["attack", "--family", "visibel tests"]) == 2
    assert "did you mean 'visible tests'" in capsys.readouterr().err
    assert main(["attack", "--workers", "0"]) == 2
