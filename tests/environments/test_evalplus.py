"""HumanEval+ and MBPP+: inputs become tests, with values that the reference gives in the sandbox."""

from pathlib import Path
from typing import Any

import pytest
from task_set_rows import FRACTION, HUB_SQUARE, HUB_UPPER, NESTED, SHARED, SHIFT
from test_task_sets import one, write

from base.environments.audit.check import check
from base.environments.graders.code import CodeEnvironment
from base.environments.task_sets import load
from base.environments.task_sets.evalplus import _shaped, _sources
from base.errors import UserError


def test_base_inputs_are_shown_and_plus_inputs_held_out(tmp_path: Path) -> None:
    prompt, spec = one(tmp_path, SHIFT)
    assert spec.tests == ("assert shift([1], 2) == [3]", "assert shift([], 0) == []")
    assert spec.held_out == (
        "assert shift([1, 2, 3], 5) == [6, 7, 8]",
        "assert shift([10, 10, 10, 10, 10], -1) == [9, 9, 9, 9, 9]",
    )  # neither the input that the reference refuses nor the long one
    assert spec.setup == "from typing import List"
    assert "Complete this code" in prompt
    assert "isinstance" not in prompt


def test_floats_are_compared_within_the_sets_tolerance(tmp_path: Path, environment: CodeEnvironment) -> None:
    _, spec = one(tmp_path, FRACTION)
    assert spec.tests[0] == "assert abs(fraction(3.5) - 0.5) <= 1.0e-06"
    near, far = (f"def fraction(x):\n    return x % 1.0 + {error}\n" for error in (1e-8, 1e-4))
    assert [v.accepted for v in environment.truth([spec] * 2, [near, far])] == [True, False]
    _, spec = one(tmp_path, FRACTION | {"canonical_solution": "    return [x, x / 3]\n", "atol": 0})
    assert spec.tests[0].startswith("assert all(")
    answers = [f"def fraction(x):\n    return {value}\n" for value in ("[x, x / 3 + 1e-8]", "[x]", "[x, x]")]
    assert [v.accepted for v in environment.truth([spec] * 3, answers)] == [True, False, False]


def test_mbpp_plus_shows_its_asserts_and_has_its_shapes(tmp_path: Path, environment: CodeEnvironment) -> None:
    prompt, spec = one(tmp_path, NESTED)
    assert spec.tests == ("assert nested(((1, 2), (3,)), {1: 2}) == 6",)
    assert spec.held_out == ("assert nested(((1, 2), (3, 4)), {7: 2}) == 12",)
    assert '"""' not in prompt
    _, spec = one(tmp_path, SHARED)
    assert spec.held_out[0] == "assert set(similar_elements((1, 2, 9), (9, 2, 3))) == {2, 9}"
    other = "def similar_elements(a, b):\n    return [x for x in sorted(a)[::-1] if x in b]\n"
    assert environment.truth([spec], [other])[0].accepted


def test_the_hubs_form(tmp_path: Path) -> None:
    _, spec = one(tmp_path, HUB_UPPER)
    assert spec.tests == ("assert upper('a') == 'A'", "assert upper('b') == 'B'", "assert upper('cc') == 'CC'")
    assert spec.held_out == ("assert upper('dd') == 'DD'", "assert upper('') == ''")
    _, spec = one(tmp_path, HUB_SQUARE)
    assert spec.tests == ("assert square(2)==4",)
    assert spec.held_out == ("assert square(1) == 1", "assert square(3) == 9", "assert square(5) == 25")


def test_every_row_is_gradable_and_loads_the_same_twice(tmp_path: Path, environment: CodeEnvironment) -> None:
    path = write(tmp_path, SHIFT, FRACTION, NESTED, SHARED, HUB_UPPER, HUB_SQUARE)
    tasks = load(path)
    assert [task.id for task in tasks] == [
        *("humaneval+/902", "humaneval+/903", "mbpp+/904", "mbpp+/905", "humaneval+/906", "mbpp+/907")
    ]
    assert load(path) == tasks
    report = check(tasks, environment)
    assert report.ok, str(report)


def test_inputs_that_cannot_be_written_down_are_left_out_and_texts_of_that_name_are_not() -> None:
    given = [["nan"], [float("nan")], [[1, float("inf")]], [{"inf": 1}], [{1: -float("inf")}], [16**6000], [1]]
    assert _sources(given, []) == ["'nan'", "{'inf': 1}", "1"]


@pytest.mark.parametrize(
    ("model", "given"),
    [({1: 2}, {1: 2}), ({1: 2}, {"-3": 4}), ({1: 2}, {"²": 1}), ({1: 2}, {"--5": 1}), ({"a": 1}, {3: 4})],
)
def test_keys_are_numbers_where_those_of_the_asserts_are(model: Any, given: Any) -> None:
    found = _shaped(given, model)
    assert found == ({-3: 4} if "-3" in given else given)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (SHIFT | {"prompt": "def find_zero(xs):\n    pass\n", "entry_point": "find_zero"}, "checker of its own"),
        (
            SHIFT | {"canonical_solution": "    return int.from_bytes(__import__('os').urandom(4), 'big') + k\n"},
            "no input for which the reference",
        ),
        (SHIFT | {"canonical_solution": "    return unknown\n"}, "no input for which the reference"),
        (SHIFT | {"base_input": [1]}, "lists of lists of arguments"),
        (SHIFT | {"base_input": "[[[1], 2"}, "base_input is not JSON"),
        (SHIFT | {"atol": "some"}, "atol must be a number"),
        (
            HUB_UPPER | {"test": HUB_UPPER["test"].rstrip() + "\n# assertion(f(*inp), exp, 1e-6-)"},
            "tolerance of assertion",
        ),
    ],
)
def test_what_cannot_be_used_is_left_out(tmp_path: Path, row: Any, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        load(write(tmp_path, row))
