"""YAML files of users: what cannot be meant is one line, with the line of the file where there is one."""

from __future__ import annotations

from pathlib import Path

import pytest

from base.errors import UserError
from base.settings import load_scale
from base.yaml_text import read_yaml

ALIASES = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 25))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\nb: 2\na: 3\n", " line 3: malformed YAML ('a' stands there twice)"),
        ("x:\n  a: 1\n  'a': 1\n", " line 3: malformed YAML ('a' stands there twice)"),
        ("x: [1, 2\n", " line 2: malformed YAML (expected ',' or ']', but got '<stream end>')"),
        ("[" * 3000, ": malformed YAML (nested too deeply, or a part of itself)"),
        ("\n".join(" " * n + "a:" for n in range(1500)), ": malformed YAML (nested too deeply, or a part of itself)"),
        ("a: &a [*a]", ": malformed YAML (nested too deeply, or a part of itself)"),
        (ALIASES, ": malformed YAML (its aliases repeat so much that it holds more than 1,000,000 values)"),
        ("a: 2020-13-45", ": malformed YAML (month must be in 1..12)"),
        *[
            (f"a: !!{tag} x", ": malformed YAML (a value is not of the type that the tag before it (!!) says)")
            for tag in ("timestamp", "bool")
        ],
        ("yes: [a]", " line 1: malformed YAML (the name yes is read as no text: put it in quotes)"),
        ("b: {1: a}", " line 1: malformed YAML (the name 1 is read as no text: put it in quotes)"),
        (
            'a: ["x \\ud800"]',
            ": malformed YAML (a character that is cut in half (a lone surrogate): write the character itself)",
        ),
    ],
)
def test_what_cannot_be_meant_is_one_line(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "given.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        read_yaml(path)
    assert str(error.value) == f"{path}{says}"


def test_a_letter_that_cannot_stand_there_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "given.yaml"
    path.write_text("a: \x07")
    with pytest.raises(UserError, match="special characters are not allowed") as error:
        read_yaml(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("number", ["010", "-017", "1:30", "1:30.5", "0_1"])
def test_a_number_that_versions_of_yaml_read_differently_is_refused(number: str, tmp_path: Path) -> None:
    path = tmp_path / "given.yaml"
    path.write_text(f"a:\n- {number}\n")
    with pytest.raises(UserError, match=f"line 2: .*{number} is one number in YAML 1.1"):
        read_yaml(path)


def test_usual_numbers_are_read(tmp_path: Path) -> None:
    path = tmp_path / "given.yaml"
    path.write_text("[0, -0, 0.5, 1e3, 10, 0x10, -.inf, 00:x, '010', 1_000, 0.010]")
    assert read_yaml(path) == [0, 0, 0.5, 1000.0, 10, 16, float("-inf"), "00:x", "010", 1000, 0.01]


def test_what_is_meant_is_read(tmp_path: Path) -> None:
    path = tmp_path / "given.yaml"
    path.write_text("p:\n  d: &d {a: 1}\n  e: &e {<<: *d, c: 2}\nf: {<<: *e, b: 5e-4}\n")
    assert read_yaml(path) == {"p": {"d": {"a": 1}, "e": {"a": 1, "c": 2}}, "f": {"a": 1, "b": 0.0005, "c": 2}}


@pytest.mark.parametrize("value", ["[" * 3000, "2020-13-45", "{a: 1, a: 2}"])
def test_overrides_are_read_inside_the_same_limits(value: str) -> None:
    with pytest.raises(UserError, match="the value is not valid YAML"):
        load_scale("tiny", [f"rl.steps={value}"])
