"""Task sets of other people: what each format becomes, what is left out, and what is refused."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from task_set_rows import (
    ANY_ANSWER,
    COUNT_VOWELS,
    ECHO,
    LONGEST,
    MBPP,
    MERGE,
    NO_PYTHON,
    NOTHING_TO_SAY,
    ROOT,
    ROWS,
    SUM_LINES,
)

from base.environments.graders.code import CodeEnvironment
from base.environments.task_sets import load, programs
from base.environments.task_sets.rows import HELD_OUT, split
from base.errors import UserError
from base.types import CodeSpec


def write(folder: Path, *rows: Any, name: str = "tasks.jsonl") -> Path:
    path = folder / name
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows), encoding="utf-8")
    return path


def one(folder: Path, row: Any) -> tuple[str, CodeSpec]:
    (task,) = load(write(folder, row))
    return task.messages[0].content, task.spec


def without(row: dict[str, Any], key: str) -> dict[str, Any]:
    return {k: v for k, v in row.items() if k != key}


def test_mbpp(tmp_path: Path) -> None:
    (task,) = load(write(tmp_path, MBPP), "pytest", ("report_patch",))
    assert task.id == "mbpp/7"
    assert (task.spec.entry_point, task.spec.harness) == ("double", "pytest")
    assert task.spec.held_out == ("assert double(-1) == -2",)
    assert "\r" not in task.spec.reference
    assert "Double a number." in task.messages[0].content


def test_humaneval_asserts_become_tests(tmp_path: Path) -> None:
    prompt, spec = one(tmp_path, COUNT_VOWELS)
    assert spec.tests == ("assert count_vowels(['tea']) == [2]", "assert count_vowels([]) == []")
    assert len(spec.held_out) == 2  # neither `assert True` nor the function compared with itself
    assert spec.setup == "from typing import List\nVOWELS = 'aeiou'"
    assert "VOWELS = 'aeiou'" in prompt


def test_humaneval_loops_become_tests(tmp_path: Path, environment: CodeEnvironment) -> None:
    _, spec = one(tmp_path, ROOT)
    assert len(spec.tests + spec.held_out) == 12  # ten rounds of the first loop, both of the second
    rounding = "def root(a):\n    return round(1 / a, 1) if a > 6 else 1 / a\n"
    uses_str = "def root(a):\n    return 1 / float(str(a))\n"  # the check has a variable named str
    verdicts = environment.truth([spec] * 2, [rounding, uses_str])
    assert [v.accepted for v in verdicts] == [False, True]


def test_humaneval_checks_with_variables_are_taken_apart_as_they_run(tmp_path: Path) -> None:
    def tests(body: str) -> set[str]:
        _, spec = one(tmp_path, ROOT | {"test": f"def check(candidate):\n{body}"})
        return {*spec.tests, *spec.held_out}

    again = "    r = candidate(1)\n    assert r == 1\n    r = 5\n    assert r + candidate(2) == 5.5"
    assert tests(again) == {"assert root(1) == 1", "_check_r = 5\nassert _check_r + root(2) == 5.5"}
    behind = "    t = 0\n    for a in [1, 2]:\n        t = t + a\n        assert candidate(t)\n    assert candidate(t) == 1 / 3"
    loop = "for _check_a in [1, 2]:\n    _check_t = _check_t + _check_a"
    assert f"_check_t = 0\n{loop}\nassert root(_check_t) == 1 / 3" in tests(behind)
    written = "    cases = [(1, 1), (2, 0.5)]\n    for a, b in cases:\n        assert candidate(a) == b"
    for given in ("cases", "enumerate(cases)", "zip(cases, cases)", "dict(cases).items()"):
        assert len(tests(written.replace("in cases", f"in {given}"))) == (10 if "dict" in given else 2), "no copies"
    assert (
        len(tests("    cases = {1: 1, 2: 0.5}\n    for a, b in cases.items():\n        assert candidate(a) == b")) == 2
    )
    assert len(tests(f"    for a in range(1, {10**20}):\n        assert candidate(a) == 1 / a")) == 10


def test_apps_programs(tmp_path: Path, environment: CodeEnvironment) -> None:
    prompt, spec = one(tmp_path, SUM_LINES)
    assert programs.NOTE in prompt
    assert spec.tests[:2] == ("assert solve('2\\n1 2\\n') == '3\\ngröße'", "assert solve('1\\n5\\n') == '5\\ngröße'")
    assert any(str(10**60 + 1) in test for test in spec.held_out)
    answer = "def solve(text):\n    return f'{sum(map(int, text.split()[1:]))}\\ngröße'\n"
    verdicts = environment.truth([spec] * 2, [answer, answer.replace("größe'", "größe\\n'")])
    assert [v.accepted for v in verdicts] == [True, False]


def test_apps_functions(tmp_path: Path) -> None:
    prompt, spec = one(tmp_path, MERGE)
    assert "`def merge(a: Dict[int, int], b: List[List[int]]) -> Dict[int, int]:`" in prompt
    assert "self" not in prompt
    assert spec.tests[0] == "assert merge({1: 2}, [[1, 3], [2, 1]]) == {1: 5, 2: 1}"
    _, spec = one(tmp_path, LONGEST)
    assert spec.tests + spec.held_out == (
        "assert longest('a bb') == 2",
        "assert longest('') == 0",
        "assert longest('ÿÿÿ b') == 3",
    )


def test_apps_functions_that_return_tuples(tmp_path: Path, environment: CodeEnvironment) -> None:
    """JSON has lists only: the reference's tuples are lists, an answer that is said to be a list is no tuple."""
    examples = {"fn_name": "halves", "inputs": [[[1, 2]], [[3]]], "outputs": [[[[1], [2]]], [[[], [3]]]]}
    source = "def halves(xs):\n    at = len(xs) // 2\n    return tuple(xs[:at]), xs[at:]\n"
    _, spec = one(tmp_path, LONGEST | {"input_output": examples, "solutions": [source], "starter_code": ""})
    assert spec.tests == ("assert halves([1, 2]) == [[1], [2]]",)
    lists = source.replace("tuple(xs[:at]), xs[at:]", "[xs[:at], xs[at:]]")
    verdicts = environment.truth([spec] * 3, [spec.reference, lists, source])
    assert [v.accepted for v in verdicts] == [True, True, False]
    examples = {"fn_name": "down", "inputs": [[3], [2]], "outputs": [[[3, 2, 1]], [[2, 1]]]}
    itself = "def down(x):\n    return (x,) + down(x - 1) if x else ()\n"
    _, spec = one(tmp_path, LONGEST | {"input_output": examples, "solutions": [itself], "starter_code": ""})
    assert environment.truth([spec], [spec.reference])[0].accepted


def test_apps_outputs_wrapped_or_not(tmp_path: Path) -> None:
    def first_test(outputs: list[Any], starter: str) -> str:
        examples = {"fn_name": "f", "inputs": [[1], [2]], "outputs": outputs}
        solutions = ["def f(x):\n    return x\n"]
        row = LONGEST | {"input_output": examples, "solutions": solutions, "starter_code": starter}
        return one(tmp_path, row)[1].tests[0]

    assert first_test([[1], [2]], "def f(x):\n\t") == "assert f(1) == 1"
    assert first_test([1, 2], "def f(x):\n\t") == "assert f(1) == 1"
    assert first_test([[1], [2, 3]], "") == "assert f(1) == [1]"
    for said in ("list[int]", "Optional[List[int]]", "typing.List[int]", "List[int]"):
        assert first_test([[1], [2]], f"def f(x) -> {said}:\n\t") == "assert f(1) == [1]"
    assert (
        first_test([[[1]], [[2]]], "class Solution:\n    def f(self, x: int) -> List[int]:\n        ")
        == "assert f(1) == [1]"
    )
    assert (
        first_test([[1], [2]], "class Solution:\n    def f(self, x: int) -> List[int]:\n        ")
        == "assert f(1) == [1]"
    )


@pytest.mark.parametrize("terms", [950, 20_000])
def test_texts_that_are_nested_too_deeply_are_left_out(tmp_path: Path, terms: int) -> None:
    long = "+".join("1" * terms)
    starters = [f"def longest(a={long}):", *([f"x = {long}"] if terms > 950 else [])]
    rows = [LONGEST | {"problem_id": at, "starter_code": starter} for at, starter in enumerate(starters)]
    with pytest.warns(UserWarning, match="too deeply|not Python"):
        (task,) = load(write(tmp_path, *rows, MBPP))
    assert task.id == "mbpp/7"
    tests = MBPP | {"task_id": 8, "test_list": [f"x = {long}\nassert double(1) == 2 and x"]}
    with pytest.warns(UserWarning, match="left out"):
        (task,) = load(write(tmp_path, tests, MBPP))
    assert task.id == "mbpp/7"


def test_code_contests(tmp_path: Path) -> None:
    _, spec = one(tmp_path, ECHO)
    assert spec.tests == ("assert solve('3\\n') == '3'",)
    assert len(spec.held_out) == HELD_OUT
    assert spec.held_out[0] == "assert solve('2000\\n') == '2000'"
    assert spec.held_out[-1] == "assert solve('89\\n') == '89'"
    _, spec = one(tmp_path, NOTHING_TO_SAY)
    assert spec.tests == ("assert solve('0\\n') == ''", "assert solve('2\\n') == '  2\\t2'")


def test_a_program_runs_as_in_a_process_of_its_own() -> None:
    """Here in the test's own process: standard streams and settings are as before, whatever the program did to them."""
    import sys

    program = "import sys\nsys.stdout.write('a  \\n')\nsys.stdout.close()\nsys.setrecursionlimit(99999)\nexit(3)\n"
    streams, limit = (sys.stdin, sys.stdout, sys.__stdout__), sys.getrecursionlimit()
    space: dict[str, Any] = {}
    exec(programs.reference(program), space)
    assert space["solve"]("") == "a"
    exec(programs.reference("raise ValueError(input())"), space)
    with pytest.raises(ValueError, match="why"):
        space["solve"]("why\n")
    assert ((sys.stdin, sys.stdout, sys.__stdout__), sys.getrecursionlimit()) == (streams, limit)


def test_what_cannot_be_graded_is_left_out_and_counted(tmp_path: Path) -> None:
    path = write(tmp_path, ECHO, ANY_ANSWER, NO_PYTHON, ECHO | {"name": "x", "input_file": "in.txt"})
    with pytest.warns(UserWarning, match="left out") as caught:
        assert [task.id for task in load(path)] == ["code_contests/900_A._Count_down"]
    (message,) = [str(warning.message) for warning in caught]
    assert "3 of 4 rows left out" in message
    for reason in (
        "several right answers (1, first line 2)",
        "no Python 3 solution (1, first",
        "named files (1, first",
    ):
        assert reason in message
    with pytest.raises(UserError, match="only rows that cannot be graded: no Python 3 solution"):
        load(write(tmp_path, NO_PYTHON))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (SUM_LINES | {"solutions": ""}, "no Python 3 solution"),
        (SUM_LINES | {"input_output": ""}, "no tests"),
        (LONGEST | {"input_output": {"fn_name": "longest", "inputs": [["a"], ["a"]], "outputs": [1, 2]}}, "two outputs"),
        (SUM_LINES | {"input_output": '{"inputs": [[' + "9" * 5000 + ']], "outputs": [[1]]}'}, "thousands of digits"),
        (SUM_LINES | {"input_output": {"inputs": ["1" * 900], "outputs": ["1"]}}, "no test shorter"),
        (SUM_LINES | {"question": "Your answer may have an absolute or relative error of 1e-6."}, "several right"),
        (COUNT_VOWELS | {"test": "def check(candidate):\n    with open('x'):\n        assert candidate([]) == []\n"}, "more than"),
    ],
)  # fmt: skip
def test_reasons_for_leaving_out(tmp_path: Path, row: Any, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        load(write(tmp_path, row))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("{not json", "not JSON"),
        ('{"task_id": 1, "text": "cut off', "not JSON"),
        ("[" * 100_000, "not JSON"),
        ([1], "must be an object"),
        ("null", "not a nothing"),
        ({"a": 1}, "none of the known formats"),
        (MBPP | {"code": 3}, "code must be a text, found int"),
        (MBPP | {"code": " \n"}, "code is empty"),
        (MBPP | {"code": float("nan")}, "code is missing"),
        (MBPP | {"code": "def double(x):\n    return '\0'"}, "code is not Python"),
        (MBPP | {"code": "double = " + "(" * 3000 + "1" + ")" * 3000}, "code is not Python"),
        (MBPP | {"test_list": []}, "test_list is empty"),
        (MBPP | {"test_list": "assert"}, "list of texts"),
        (MBPP | {"test_list": ["assert triple(1) == 3"]}, "no test that calls the function"),
        (MBPP | {"test_list": ["assert double(1 == 2"]}, "not Python"),
        (MBPP | {"code": "def double(:"}, "code is not Python"),
        (MBPP | {"test_list": ["assert [double(n) for n in (1, 2)] == [2, 4]"]}, "asked for values one by one"),
        (MBPP | {"test_list": ["for n in (1, 2):\n    assert double(n) == 2 * n"]}, "inside other statements"),
        (MBPP | {"test_list": ["x = [1]\nassert double(x) is x"]}, "asked for values one by one"),
        (MBPP, "an id that came before"),
        (without(MBPP, "task_id"), "task_id is missing"),
        (without(COUNT_VOWELS, "prompt"), "prompt is missing"),
        (COUNT_VOWELS | {"entry_point": "other"}, "does not define its entry_point"),
        (COUNT_VOWELS | {"canonical_solution": "  return ("}, "not Python"),
        (COUNT_VOWELS | {"canonical_solution": ""}, "canonical_solution is empty"),
        (COUNT_VOWELS | {"test": ""}, "test is empty"),
        (COUNT_VOWELS | {"test": None}, "test is missing"),
        (COUNT_VOWELS | {"test": "def check(candidate:"}, "test is not Python"),
        (COUNT_VOWELS | {"test": "x = 1"}, "must define check"),
        (COUNT_VOWELS | {"test": "def check(candidate):\n    assert 1"}, "no assert that calls"),
        (SUM_LINES | {"input_output": "{"}, "input_output is not JSON"),
        (SUM_LINES | {"input_output": {"inputs": ["1"], "outputs": []}}, "of one length"),
        (SUM_LINES | {"input_output": {"inputs": [1], "outputs": ["1"]}}, "must be texts"),
        (SUM_LINES | {"solutions": [1]}, "list of texts"),
        (SUM_LINES | {"solutions": []}, "no Python 3 solution"),
        (SUM_LINES | {"solutions": ["# nothing"]}, "no Python 3 solution"),
        (SUM_LINES | {"question": ""}, "question is empty"),
        (SUM_LINES | {"input_output": None}, "no tests"),
        (MERGE | {"input_output": {"fn_name": "a b", "inputs": [[]], "outputs": [1]}}, "name of a function"),
        (MERGE | {"input_output": {"fn_name": "merge", "inputs": [1], "outputs": [1]}}, "list of arguments"),
        (MERGE | {"solutions": ["def other(a, b):\n    return {}\n"]}, "does not define fn_name"),
        (
            COUNT_VOWELS | {"test": "def check(candidate, n=3):\n    assert candidate(['a']) == [n]"},
            "must define check",
        ),
        *(
            (ROOT | {"test": f"def check(candidate):\n{body}"}, reason)
            for body, reason in (
                ("    for a in range(3, 0, 0):\n        assert candidate(a) == 1", "over no numbers"),
                (
                    "    for a in [1, 2]:\n        if a == 2: continue\n        assert candidate(a) == 1",
                    "leaves rounds out",
                ),
                (
                    "    x = 1\n    r = candidate(x)\n    x = 2\n    assert r == 1",
                    "change what the candidate was given",
                ),
                (
                    "    x = [1]\n    r = candidate(x)\n    x.append(2)\n    assert r == 1",
                    "change what the candidate was given",
                ),
            )
        ),
        (ECHO | {"public_tests": {"input": ["1"]}}, "input and output"),
        (ECHO | {"solutions": [{"language": "py", "solution": ""}]}, "a int as language"),
        (without(ECHO, "name"), "name is missing"),
    ],
)
def test_one_odd_row_is_left_out_and_counted(tmp_path: Path, row: Any, reason: str) -> None:
    path = write(tmp_path, MBPP, row, MBPP | {"task_id": 8})
    with pytest.warns(UserWarning, match=rf"1 of 3 rows left out: .*{reason}.* \(1, first line 2\)") as caught:
        assert [task.id for task in load(path)] == ["mbpp/7", "mbpp/8"]
    assert "\n" not in str(caught[0].message)
    if row != MBPP:
        with pytest.raises(UserError, match=reason) as refused:
            load(write(tmp_path, row))
        assert "\n" not in str(refused.value)


ODD = (
    None,
    "",
    " ",
    "{",
    "[1",
    3,
    2.5,
    float("nan"),
    float("inf"),
    True,
    [],
    [None],
    [[]],
    ["x"],
    {},
    {"a": 1},
    "def f(:",
)


@pytest.mark.parametrize("name", [*ROWS])
def test_no_value_of_a_row_stops_the_file(tmp_path: Path, name: str) -> None:
    """Each value of each row replaced by odd ones, or left out: the row is used or counted, and the next one is read."""
    good = MBPP | {"task_id": "good"}
    odd = [row | {key: value} for row in ROWS[name] for key in row for value in ODD]
    odd += [without(row, key) for row in ROWS[name] for key in row]
    path = write(tmp_path, *odd, good)
    with pytest.warns(UserWarning, match="left out"):
        assert load(path)[-1].id == "mbpp/good"


def test_missing_and_empty_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no file"):
        load(tmp_path / "none.jsonl")
    with pytest.raises(UserError, match="no tasks"):
        load(write(tmp_path, ""))
    with pytest.raises(UserError, match=r"none of the known formats \(2, first line 1\).*test_list"):
        load(write(tmp_path, {"a": 1}, {"b": 2}))
    with pytest.raises(UserError, match="one JSON list"):
        load(write(tmp_path, "{}", name="x.json"))
    with pytest.raises(UserError, match="choose among"):
        load(write(tmp_path, MBPP), vulnerabilities=("magic",))
    with pytest.raises(UserError, match="read as parquet"):
        load(write(tmp_path, "no", name="x.parquet"))
    with pytest.raises(UserError, match="write ID, ID:SPLIT or ID:CONFIG:SPLIT"):
        load("some/set:a:b:c")


def test_every_kind_of_file_gives_the_same_tasks(tmp_path: Path) -> None:
    import datasets

    rows = [ECHO, ECHO | {"name": "second"}]
    lines = write(tmp_path, *rows)
    listed = write(tmp_path, json.dumps(rows), name="rows.json")
    misnamed = write(tmp_path, *rows, name="lines.json")
    packed = tmp_path / "rows.jsonl.gz"
    packed.write_bytes(gzip.compress(lines.read_bytes()))
    table = tmp_path / "rows.parquet"
    datasets.Dataset.from_list(rows).to_parquet(str(table))
    wanted = load(lines)
    assert len(wanted) == 2
    for path in (listed, misnamed, packed, table):
        assert load(path) == wanted
    assert load(lines, limit=1) == wanted[:1]


def test_split_keeps_tests_apart() -> None:
    tests = [f"assert f({n}) == {n}" for n in range(100)]
    visible, held_out = split([], tests)
    assert (visible, len(held_out), held_out[-1]) == (tests[:3], HELD_OUT, tests[-1])
    assert split(tests[:2], tests[1:3]) == (tests[:2], tests[2:3])
    assert split([], tests[:1]) == (tests[:1], [])
    long = "assert f('" + "x" * 700 + "') == 1"
    assert split([long], tests[:1]) == (tests[:1], [long])


@pytest.mark.filterwarnings("error")
def test_references_that_python_warns_of_are_read(tmp_path: Path) -> None:
    digits = "def longest(text):\n    import re\n    return max(map(len, re.split('\\s', text)))\n"
    assert one(tmp_path, LONGEST | {"solutions": [digits]})[1].reference == digits
    assert one(tmp_path, MBPP | {"code": "def double(x):\n    '\\d'\n    return 2 * x"})
    completion = COUNT_VOWELS["canonical_solution"].replace("return", "'\\d'\n    return")
    assert one(tmp_path, COUNT_VOWELS | {"canonical_solution": completion})
