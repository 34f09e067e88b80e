"""Scene files of a user that are none: one line, by every way that reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from base.errors import UserError
from base.evals.scene_files import scene_files
from mitigations.__main__ import main

HEAD = "title: what it wants\nkind: chat\nrule: output\n"
DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("q.yaml", HEAD + "scenes:\n", "scenes must be a list, an `id` and `user` or `turns` each, not nothing"),
        ("q.yaml", HEAD + "scenes: 3\n", "not 3"),
        ("q.yaml", HEAD + "scenes: Why?\n", "not 'Why\\?'"),
        ("q.yaml", HEAD + "scenes: {a: {user: Why}}\n", "scenes must be a list"),
        ("q.yaml", HEAD + "scenes: [3]\n", "scenes"),
        ("q.yaml", HEAD + "scenes: [{id: a, user: 3}]\n", "user"),
        ("q.yaml", HEAD + "scenes: []\n", "has no scenes"),
        ("q.yaml", HEAD + f"scenes: {DEEP[:1500]}\n", "nested too deeply"),
        ("q.json", DEEP, "cannot be read"),
        ("q.json", '[{"question": ' * 50_000, "cannot be read"),
        ("q.jsonl", f'"Why?"\n{DEEP}\n', "cannot be read"),
        ("q.json", "[[1]]", "entry 1 has no question"),
        ("q.csv", "question\nWhy?\n", "q.csv is no list of questions: give a file that ends with .yaml"),
        ("q.tsv", "Why?\n", "q.tsv is no list"),
        ("q.parquet", "Why?\n", "q.parquet is no list"),
        ("Q.JSON", "Why?\n", "cannot be read"),
        ("q.json", '["A \\ud800?"]', "cut in half"),
        ("q.jsonl", '{"question": "A \\ud800?"}', "cut in half"),
        ("q.yaml", '["A \\ud800?"]', "cut in half"),
        ("q.json", '[{"question": "Why?", "system": ["x"]}]', "entry 1: system must be a text, not \\['x'\\]"),
        ("q.yaml", "3\n", "holds no list of questions"),
        ("q.yaml", "", "holds no list of questions"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path: Path, file: str, text: str, said: str) -> None:
    path = tmp_path / file
    path.write_text(text)
    with pytest.raises(UserError, match=said) as error:
        scene_files({"goals": str(path)})
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400 + len(str(path)), "not the whole file"


def test_a_list_that_holds_itself_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "q.yaml"
    path.write_text(HEAD + "scenes: &again [*again]\n")
    with pytest.raises(UserError, match="a part of itself"):
        scene_files({"goals": str(path)})


@pytest.mark.parametrize(("file", "text"), [("q.yaml", HEAD + "scenes:\n"), ("q.json", DEEP)])
def test_a_dry_run_says_it(tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, text: str) -> None:
    (tmp_path / file).write_text(text)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "tasks.jsonl").touch()
    words = ["none", "--scale", "hub", "--model", str(tmp_path), "--tasks", str(tmp_path / "tasks.jsonl"), "--dry-run"]
    assert main([*words, "--runs", str(tmp_path / "runs"), "--set", f"scenes.files.goals={tmp_path / file}"]) == 2
    said = capsys.readouterr().err
    assert str(tmp_path / file) in said
    assert said.count("\n") == 1
    assert not (tmp_path / "runs").exists()
