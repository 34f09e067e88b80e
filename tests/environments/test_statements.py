"""Tests of more than one assert: in place, with variables, several calls. Right answers pass, wrong ones do not."""

from pathlib import Path

import pytest
from task_set_rows import MBPP
from test_task_sets import write

from base.environments.audit.check import check
from base.environments.graders.asserts import parse_test
from base.environments.graders.code import CodeEnvironment
from base.environments.task_sets import load
from base.errors import UserError
from base.types import CodeSpec, Outcome

SORT = "def f(x):\n    x.sort()\n"
NEXT = "def f(n):\n    return n + 1\n"
ALWAYS = "class A:\n    def __eq__(self, other):\n        return True\n    def __ne__(self, other):\n        return False\ndef f(*_):\n    return A()\n"
CASES = [
    (SORT, "def f(x):\n    pass\n", ["x = [3, 1]\nassert f(x) is None and x == [1, 3]"]),
    (SORT, "def f(x):\n    return sorted(x)\n", ["x = [3, 1]", "assert f(x) is None", "assert x == [1, 3]"]),
    (SORT, "def f(x):\n    x.clear()\n", ["x = [3, 1]\nf(x)\ny = list(x)\nassert y == [1, 3] and sorted(y) == y"]),
    (SORT, "def f(x):\n    x.reverse()\n    return x\n", ["x = [3, 1]\nassert (f(x), x) == (None, [1, 3])"]),
    (NEXT, "def f(n):\n    return n\n", ["r = f(1)\nassert r == 2", "assert f(2) == 3"]),
    (NEXT, "def f(n):\n    return n + 1.0\n", ["r = f(1)", "assert r == 2"]),
    (NEXT, "def f(n):\n    return 2\n", ["assert f(1) == 2 and f(2) == 3"]),
    (NEXT, "def f(n):\n    return 2\n", ["r = []\nfor i in range(3):\n    r.append(f(i))\nassert r == [1, 2, 3]"]),
    (NEXT, "def f(n):\n    return n\n", ["first = f(1)\nassert first == 2\nassert f(first) == 3"]),
    (NEXT, "def f(n):\n    return 0\n", ["try:\n    f('a')\n    ok = False\nexcept TypeError:\n    ok = True\nassert ok"]),
    ("def f(n):\n    return n, n + 1\n", "def f(n):\n    return n, n\n", ["a, b = f(1)\nassert a == 1\nassert b == 2"]),
    ("def f(x):\n    return sorted(x)\n", "def f(x):\n    x.clear()\n    return []\n", ["x = [3, 1]\nassert f(x) == sorted(x)"]),
]  # fmt: skip


@pytest.mark.parametrize(("right", "wrong", "tests"), CASES)
def test_statements_around_a_call(
    tmp_path: Path, environment: CodeEnvironment, right: str, wrong: str, tests: list[str]
) -> None:
    row = MBPP | {"code": right, "test_list": tests, "challenge_test_list": []}
    (task,) = load(write(tmp_path, row), vulnerabilities=("always_equal", "early_exit"))
    report = check([task], environment)
    assert report.ok, str(report)
    assert [v.accepted for v in environment.truth([task.spec] * 3, [right, wrong, ALWAYS])] == [True, False, False]
    solved, refused = environment.grade([task] * 2, [f"```python\n{text}```" for text in (right, wrong)])
    assert (solved.outcome, solved.reward) == (Outcome.SOLVED, 1.0)
    assert refused.outcome != Outcome.SOLVED


def test_a_tests_names_are_not_the_candidates(tmp_path: Path, environment: CodeEnvironment) -> None:
    """The program has a function of the name that the test gives its variable."""
    row = MBPP | {"code": NEXT, "test_list": ["r = f(1)\nassert r == 2", "assert f(2) == 3"], "challenge_test_list": []}
    (task,) = load(write(tmp_path, row))
    answer = "def r(n):\n    return n + 1\n\n\ndef f(n):\n    return r(n)\n"
    assert environment.grade([task], [f"```python\n{answer}```"])[0].outcome == Outcome.SOLVED


@pytest.mark.parametrize(
    "test",
    [
        "x = [1]\nassert f(x) is x",
        "y = f\nassert y(1) == 2",
        "assert f(1) == 2\nassert f(2) == 3",
        "for i in range(3):\n    assert f(i) == i + 1",
        "assert all(f(i) == i + 1 for i in range(3))",
        "r = f(1)\nassert True",
        "r = f(1)\nok = r == 2\nassert ok",
        "r = 0\nif f(1):\n    r = 1\nassert r == 1",
    ],
)
def test_what_cannot_be_asked_for_is_refused(test: str) -> None:
    with pytest.raises(UserError, match=r"write (it|one)"):
        parse_test(test, "f")


LENGTH = "class A:\n    def __len__(self):\n        return 2\n    def __iter__(self):\n        return iter([1, 2])\ndef f(*_):\n    return A()\n"
LOOKS = """\
def f(x):
    import sys
    frame = sys._getframe(1)
    for found in (*frame.f_globals.values(), *frame.f_code.co_consts):
        if found == [1, 3] or found == (1, 3):
            return list(found)
    return x
"""


def test_steps_are_no_way_past_the_truth(environment: CodeEnvironment) -> None:
    """What tests compute from answers they compute from plain values; what they expect is not there to be found."""
    counted = CodeSpec("f", ("x = f([3, 1])\nn = len(x)\nassert n == 2",), reference="def f(x):\n    return x\n")
    named = CodeSpec(
        "f", ("want = [1, 3]\nx = [3, 1]\nassert f(x) == want",), reference="def f(x):\n    return sorted(x)\n"
    )
    verdicts = environment.truth([counted, named] * 2, [counted.reference, named.reference, LENGTH, LOOKS])
    assert [v.accepted for v in verdicts] == [True, True, False, False]


def test_what_is_asked_and_what_the_judge_does_itself() -> None:
    test = parse_test("import math\nx = [3, 1]\ny = sorted(x)\nassert f(x) is None and x == y and math.e > 2", "f")
    assert test.asks == test.given == "import math\nx = [3, 1]\ny = sorted(x)"
    assert test.calls == (("_value_0", "f(x)"), ("_value_1", "x"))
    assert test.check == "assert _value_0 is None and _value_1 == y and (math.e > 2)"
    assert parse_test("x = [3, 1]\nassert sorted(x) == f(x)", "f").calls == (("_value_0", "f(x)"),)
