"""Generated tests: the same in every process, inside the function's domain, and only where the reference has one answer."""

import ast
import itertools
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from base.environments.__main__ import main
from base.environments.audit.heldout import Extended, extend, extend_one
from base.environments.audit.inputs import draw
from base.environments.graders.code import CodeEnvironment
from base.environments.literals import source
from base.environments.task_sets import load
from base.types import CodeSpec, Message, Task

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("EDMUND_DATA", ROOT.parent / "shared" / "data")) / "mbpp"


def task(reference: str, *tests: str, **changes: Any) -> Task:
    name = [node.name for node in ast.parse(reference).body if isinstance(node, ast.FunctionDef)][-1]
    spec = CodeSpec(entry_point=name, tests=tests, reference=reference, **changes)
    return Task("toy/1", "code", (Message("user", "Write it."),), spec)


def inputs(extended: Extended) -> list[Any]:
    """The single arguments of the generated tests."""
    found = []
    for test in extended.task.spec.held_out:
        calls = [node for node in ast.walk(ast.parse(test)) if isinstance(node, ast.Call) and node.args]
        found.append(ast.literal_eval(calls[-1].args[0]))
    return found


LONGEST = task(
    "def longest(words):\n    return max(words, key=len) if words else ''\n",
    "assert longest(['a', 'bcd', 'ef']) == 'bcd'",
    "assert longest(['xyz', 'x']) == 'xyz'",
    "assert longest(['one', 'two', 'three', 'four']) == 'three'",
)


def test_a_program_that_passes_the_visible_tests_only_is_refused_afterwards(environment: CodeEnvironment) -> None:
    wrong = "def longest(words):\n    return max(words, key=lambda w: (len(w), w))\n"
    wrong_last = "def longest(words):\n    return next(w for w in words if len(w) > 2 and w != 'one' and w != 'two')\n"
    before, after = LONGEST.spec, extend_one(LONGEST, environment).task.spec
    assert after.held_out[: len(before.held_out)] == before.held_out
    assert len(after.held_out) >= 4
    assert environment.truth([after], [after.reference])[0].accepted
    for program in (wrong, wrong_last):
        assert environment.truth([before], [program])[0].accepted
        assert environment.truth([after], [program])[0].status == "refused"


def test_the_visible_tests_stay_as_they_are(environment: CodeEnvironment) -> None:
    (extended,) = extend([LONGEST], environment, n=3)
    assert extended.added == 3
    assert replace(extended.task, spec=replace(extended.task.spec, held_out=())) == LONGEST
    assert len(set(extended.task.spec.held_out)) == 3


def test_the_same_seed_gives_the_same_tests_in_every_process(tmp_path: Path) -> None:
    row = {
        "task_id": 1,
        "text": "Common letters.",
        "code": "def common(a, b):\n    return sorted(a & b)\n",
        "test_list": [
            "assert common({'a', 'b'}, {'b', 'c'}) == ['b']",
            "assert common({'x', 'y', 'z'}, {'z', 'x', 'q'}) == ['x', 'z']",
        ],
    }
    (tmp_path / "in.jsonl").write_text(json.dumps(row))
    found = []
    for hash_seed, seed in (("1", "0"), ("2", "0"), ("1", "1")):
        out = tmp_path / f"{hash_seed}-{seed}.jsonl"
        words = ["--tasks", str(tmp_path / "in.jsonl"), "--out", str(out), "--seed", seed]
        done = subprocess.run(
            [sys.executable, "-m", "base.environments", "extend", *words],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        found.append(out.read_text())
    assert found[0] == found[1]
    assert found[0] != found[2]
    assert len(json.loads(found[0])["challenge_test_list"]) > 3


def rising(a: Any) -> bool:
    return all(x <= y for x, y in itertools.pairwise(a))


DOMAINS: list[tuple[str, list[tuple[Any, ...]], Callable[..., bool]]] = [
    ("sorted", [([1, 3, 9],), ([2, 4],), ([0, 5, 6, 7],)], rising),
    ("sorted down", [([9, 3, 1],), ([4, 2],), ([7, 6, 5, 0],)], lambda a: rising(a[::-1])),
    ("size as an argument", [([1, 2, 3], 3), ([4, 4], 2), ([1], 1)], lambda a, n: len(a) == n),
    ("two lists of one length", [([1, 2], [3, 4]), ([1], [2]), ([5, 6, 7], [1, 2, 3])], lambda a, b: len(a) == len(b)),
    ("positive", [(3,), (7,), (1,)], lambda n: n > 0),
    ("an interval", [(1, 5), (2, 9), (0, 3)], lambda a, b: a < b),
    ("an index", [([1, 2, 3], 1), ([4, 4], 0), ([1, 7, 3, 2], 3)], lambda a, i: 0 <= i < len(a)),
    ("a matrix", [([[1, 2], [3, 4]],), ([[1, 2, 3], [3, 4, 5]],)], lambda m: len({len(row) for row in m}) <= 1),
    ("bits", [("0110",), ("1",), ("100",)], lambda s: set(s) <= {"0", "1"}),
    ("a date", [("10-02-2021",), ("01-12-1999",)], lambda s: s[2] == s[5] == "-" and s.replace("-", "").isdigit()),
    ("letters", [("abc",), ("x",), ("hello",)], lambda s: s == "" or (s.isalpha() and s.islower())),
    (
        "distinct",
        [([3, 1, 2, 4, 9, 8],), ([9, 4, 3, 7, 5, 2, 1],), ([5, 6, 7, 1, 0, 2, 8, 9],)],
        lambda a: len(set(a)) == len(a),
    ),
    ("binary as a number", [(100,), (1101,), (11,)], lambda n: set(str(n)) <= {"0", "1"}),
    (
        "records",
        [([("a", 1), ("b", 2)],), ([("c", 5)],)],
        lambda a: all(type(k) is str and type(v) is int for k, v in a),
    ),
    ("one of the list", [([1, 2, 3], 2), ([7, 8], 8), ([4, 4, 5], 4)], lambda a, x: x in a),
]


@pytest.mark.parametrize(("seen", "holds"), [row[1:] for row in DOMAINS], ids=[row[0] for row in DOMAINS])
def test_what_all_known_inputs_have_in_common_is_kept(seen: list[tuple[Any, ...]], holds: Callable[..., bool]) -> None:
    assert all(holds(*arguments) for arguments in seen), "the test itself"
    drawn = [arguments for arguments, _ in zip(draw(seen, [], random.Random(0)), range(60), strict=False)]
    assert len(drawn) >= 8
    assert all(holds(*arguments) for arguments in drawn)
    assert len({source(arguments) for arguments in drawn} | {source(a) for a in seen}) == len(drawn) + len(seen)


def test_constants_of_the_solution_are_tried() -> None:
    drawn = [n for (n,), _ in zip(draw([(20,), (60,), (90,)], [50], random.Random(0)), range(60), strict=False)]
    assert {49, 50, 51} <= set(drawn)


@pytest.mark.parametrize(
    "value", [0, -7, 2.5, "a'\"\n", b"x", None, True, [], (1,), (), set(), {3, 1}, {"a": [(1, {2})]}]
)
def test_source_reads_back(value: Any) -> None:
    again = ast.literal_eval(source(value))
    assert again == value
    assert type(again) is type(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), frozenset(), 1j, iter([])])
def test_what_has_no_literal_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="no literal"):
        source(value)


UNSURE = {
    "calls before": "n = 0\ndef f(x):\n    global n\n    n += 1\n    return x + n // 5\n",
    "order of a set": "def f(x):\n    return list({x, x + 1, x + 2})[0]\n",
    "order of a set, built": "def f(x):\n    return max(set([x % 3, 5, x % 2]), key=lambda v: 0)\n",
}


@pytest.mark.parametrize("reference", UNSURE.values(), ids=UNSURE.keys())
def test_answers_that_are_not_always_the_same_give_no_tests(reference: str, environment: CodeEnvironment) -> None:
    extended = extend_one(task(reference, "assert f(1) == 1", "assert f(3) == 3", "assert f(4) == 4"), environment)
    assert extended.dropped["the answer is not always the same"] > 0
    if "{" in reference:
        assert not extended.added


@pytest.mark.parametrize(
    "line", ["import random", "from datetime import datetime; datetime.now()", "import time", "id(1)"]
)
def test_chance_and_clock_are_recognised(line: str, environment: CodeEnvironment) -> None:
    extended = extend_one(task(f"{line}\ndef f(x):\n    return x\n", "assert f(1) == 1"), environment)
    assert extended.skipped == "the reference uses chance, the clock or addresses"


ENDLESS = {
    "a loop": "def f(n):\n    while n != 0:\n        n -= 2\n    return n\n",
    "a loop that catches all": (
        "def f(n):\n    while n != 0:\n        try:\n            n -= 2\n        except:\n            pass\n    return n\n"
    ),
    "outside of Python": "def f(n):\n    return len(str(7 ** (10 ** 8))) if n % 2 else 0\n",
    "recursion": "def f(n):\n    return f(n - 2) if n else 0\n",
    "a crash": "import os\ndef f(n):\n    os._exit(1) if n == 7 else 0\n    return 0\n",
}


SLOW = pytest.mark.slow  # what spends its time outside of Python is only stopped by the limit of its process


@pytest.mark.parametrize(
    "reference", [pytest.param(r, id=k, marks=SLOW if "outside" in k else ()) for k, r in ENDLESS.items()]
)
def test_inputs_on_which_the_reference_hangs_are_dropped(reference: str, environment: CodeEnvironment) -> None:
    extended = extend_one(task(reference, "assert f(2) == 0", "assert f(8) == 0", "assert f(4) == 0"), environment, n=4)
    assert sum(extended.dropped.values()) > 0
    assert extended.task.spec.held_out or reference == ENDLESS["outside of Python"]
    bad = 7 if "exit" in reference else None
    assert all(n != bad if bad else n % 2 == 0 for n in inputs(extended))


def test_values_of_another_type_than_the_tests_expect_give_no_tests(environment: CodeEnvironment) -> None:
    reference = "def f(x):\n    if x > 10:\n        return None\n    return x\n"
    extended = extend_one(task(reference, "assert f(1) == 1", "assert f(9) == 9", "assert f(5) == 5"), environment)
    assert extended.added
    assert extended.dropped["a value of another type than the tests expect"] > 0
    assert all(x <= 10 for x in inputs(extended))


def test_new_tests_compare_as_the_old_ones_do(environment: CodeEnvironment) -> None:
    as_sets = task(
        "def f(a):\n    return list(set(a))\n", "assert set(f([1, 2, 2])) == {1, 2}", "assert set(f([5])) == {5}"
    )
    spec = extend_one(as_sets, environment).task.spec
    assert spec.held_out
    assert environment.truth([spec], ["def f(a):\n    return sorted(set(a), reverse=True)\n"])[0].accepted
    close = task(
        "def f(r):\n    return 3.14159 * r\n",
        "assert math.isclose(f(2), 6.28, rel_tol=0.001)",
        "assert math.isclose(f(5), 15.7, rel_tol=0.001)",
    )
    spec = extend_one(close, environment).task.spec
    assert spec.held_out
    assert environment.truth([spec], ["def f(r):\n    return 3.1416 * r\n"])[0].accepted
    assert not environment.truth([spec], ["def f(r):\n    return 3.2 * r\n"])[0].accepted
    exact = task("def f(a):\n    return sum(a) / 3\n", "assert f([1, 2, 3]) == 2.0", "assert f([3]) == 1.0")
    spec = extend_one(exact, environment).task.spec
    assert environment.truth([spec], ["def f(a):\n    return sum(a) * (1 / 3)\n"])[0].accepted
    truth = task("def f(x):\n    return x % 2 * 2\n", "assert f(1)", "assert not f(2)", "assert f(3)")
    spec = extend_one(truth, environment).task.spec
    assert environment.truth([spec], ["def f(x):\n    return x % 2 == 1\n"])[0].accepted
    as_bools = task("def f(x):\n    return x & 1\n", "assert f(1) == True", "assert f(2) == False")
    spec = extend_one(as_bools, environment).task.spec
    assert environment.truth([spec] * 2, [spec.reference, "def f(x):\n    return x % 2 == 1\n"])[1].accepted


def test_placeholders_in_the_data_are_left_alone(environment: CodeEnvironment) -> None:
    echo = task("def f(s):\n    return s\n", "assert f('CALL') == 'CALL'", "assert f('VALUE CALL') == 'VALUE CALL'")
    spec = extend_one(echo, environment).task.spec
    assert any("CALL" in test for test in spec.held_out)
    assert environment.truth([spec], [spec.reference])[0].accepted


def test_a_reference_that_fails_its_own_tests_gives_none(environment: CodeEnvironment) -> None:
    extended = extend_one(task("def f(x):\n    return x + 1\n", "assert f(1) == 1", "assert f(5) == 5"), environment)
    assert extended.added == 0
    assert extended.dropped["refused by the truth grader"] > 0


@pytest.mark.parametrize(
    ("reference", "test", "why"),
    [
        ("def f():\n    return 1\n", "assert f() == 1", "no arguments"),
        ("def f(x):\n    return 1\n", "assert f(object) == 1", "no literals"),
        ("def f(x):\n    return 1\n", "y = 1\nassert f(y) == 1", "set-up code"),
        ("def f(x):\n    return 1\n", "assert f('a\\nb') == 1", "a whole text"),
        ("def f(x):\n    raise SystemExit\n", "assert f(1) == 1", "no new input"),
    ],
)
def test_tasks_that_cannot_be_extended_say_why(
    reference: str, test: str, why: str, environment: CodeEnvironment
) -> None:
    extended = extend_one(task(reference, test), environment)
    assert why in extended.skipped
    assert extended.task.spec.held_out == ()


def test_the_command_writes_rows_that_read_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = {
        "task_id": 7,
        "text": "Double a number.",
        "code": "def double(x):\r\n  return 2 * x",
        "test_list": ["assert double(1) == 2", "assert double(4) == 8"],
        "test_setup_code": "",
        "challenge_test_list": ["assert double(-1) == -2"],
        "anything": {"else": 1},
    }
    (tmp_path / "in.jsonl").write_text(json.dumps(row) + "\n")
    words = ["extend", "--tasks", str(tmp_path / "in.jsonl"), "--held-out", "5", "--out"]
    assert main([*words, str(tmp_path / "out.jsonl")]) == 0
    assert "1 of 1 tasks have more held-out tests: 5" in capsys.readouterr().out
    (written,) = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert {k: v for k, v in written.items() if k != "challenge_test_list"} == {
        k: v for k, v in row.items() if k != "challenge_test_list"
    }
    (again,) = load(tmp_path / "out.jsonl")
    assert again.spec.held_out[0] == "assert double(-1) == -2"
    assert len(again.spec.held_out) == 6
    assert again.messages == load(tmp_path / "in.jsonl")[0].messages, "the prompt shows nothing new"
    (tmp_path / "folder.jsonl").mkdir()
    for bad in (
        ["out.json"],
        ["none/out.jsonl"],
        ["in.jsonl"],  # the tasks themselves
        ["folder.jsonl"],
        ["out.jsonl", "--held-out", "-1"],
        ["o.jsonl", "--tasks", "organism"],
    ):
        assert main([*words, str(tmp_path / bad[0]), *bad[1:]]) == 2


@pytest.mark.skipif(
    not (DATA / "sanitized-mbpp.json").is_file(), reason="set EDMUND_DATA to the folder that holds mbpp/"
)
def test_mbpp_references_pass_what_they_give(environment: CodeEnvironment) -> None:
    tasks = load(DATA / "sanitized-mbpp.json", limit=24)
    extended = extend(tasks, environment)
    assert sum(one.added for one in extended) >= 7 * len(tasks)
    verdicts = environment.truth([one.task.spec for one in extended], [task.spec.reference for task in tasks])
    assert all(verdict.accepted for verdict in verdicts)
