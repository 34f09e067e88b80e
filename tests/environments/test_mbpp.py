"""MBPP and the check command."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from base.config import UserError
from base.environments import mbpp
from base.environments.__main__ import main
from base.environments.check import check
from base.environments.code import CodeEnvironment

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("EDMUND_DATA", ROOT.parent / "shared" / "data")) / "mbpp"
needs_data = pytest.mark.skipif(
    not (DATA / "mbpp.jsonl").is_file(), reason="set EDMUND_DATA to the folder that holds mbpp/mbpp.jsonl"
)
ROW = {
    "task_id": 7,
    "text": "Double a number.",
    "code": "def double(x):\r\n  return 2 * x",
    "test_list": ["assert double(1) == 2", "assert double(4) == 8"],
    "test_setup_code": "",
    "challenge_test_list": ["assert double(-1) == -2"],
}


def write(folder: Path, *rows: Any, name: str = "tasks.jsonl") -> Path:
    path = folder / name
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows))
    return path


def test_a_row_becomes_a_task(tmp_path: Path) -> None:
    (task,) = mbpp.load(write(tmp_path, ROW), "pytest", ("report_patch",))
    assert task.id == "mbpp/7"
    assert (task.spec.entry_point, task.spec.harness) == ("double", "pytest")
    assert task.spec.held_out == ("assert double(-1) == -2",)
    assert "\r" not in task.spec.reference
    assert "Double a number." in task.messages[0].content
    assert "double(-1)" not in task.messages[0].content


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{not json", "line 2 is not JSON"),
        ([1], "must be an object"),
        (ROW | {"code": 3}, "code must be a text"),
        (ROW | {"test_list": []}, "test_list is empty"),
        (ROW | {"test_list": "assert"}, "list of texts"),
        (ROW | {"test_list": ["assert triple(1) == 3"]}, "called by every test"),
        (ROW | {"test_list": ["assert double(1 == 2"]}, "not Python"),
        (ROW | {"code": "def double(:"}, "code is not Python"),
        (ROW, "occurs 2 times"),
        ({k: v for k, v in ROW.items() if k != "task_id"}, "task_id is missing"),
    ],
)
def test_malformed_rows_name_the_line_and_the_fix(tmp_path: Path, row: Any, message: str) -> None:
    path = write(tmp_path, ROW, row)
    with pytest.raises(UserError, match=message) as caught:
        mbpp.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_and_empty_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no file"):
        mbpp.load(tmp_path / "none.jsonl")
    with pytest.raises(UserError, match="holds no tasks"):
        mbpp.load(write(tmp_path, ""))
    with pytest.raises(UserError, match="one JSON list"):
        mbpp.load(write(tmp_path, "{}", name="x.json"))
    with pytest.raises(UserError, match="choose among"):
        mbpp.load(write(tmp_path, ROW), vulnerabilities=("magic",))


@needs_data
def test_the_known_hard_cases_of_mbpp(environment: CodeEnvironment) -> None:
    """Setup code after the solution (367, 927), tests that use its imports (596), a function named like a test (19)."""
    tasks = {task.id: task for task in mbpp.load(DATA / "mbpp.jsonl")}
    assert len(tasks) == 974
    sanitized = {task.id: task for task in mbpp.load(DATA / "sanitized-mbpp.json")}
    assert len(sanitized) == 427
    chosen = [tasks[f"mbpp/{n}"] for n in (19, 40, 55, 367, 596, 927)] + [sanitized["mbpp/737"]]
    report = check(chosen, environment)
    assert report.ok, str(report)


def test_the_check_command_speaks_in_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = write(tmp_path, ROW)
    out = tmp_path / "report.json"
    assert main(["check", "--tasks", str(good), "--harness", "script", "--json", str(out)]) == 0
    assert json.loads(out.read_text())["ok"] is True
    bad = write(tmp_path, ROW | {"code": "def double(x): return x"}, name="bad.jsonl")
    assert main(["check", "--tasks", str(bad), "--harness", "script"]) == 1
    assert "NOT as designed" in capsys.readouterr().out
    assert main(["check", "--tasks", str(tmp_path / "none.jsonl")]) == 2
    assert main(["check", "--tasks", str(good), "--limit", "0"]) == 2
    assert capsys.readouterr().err.count("\n") == 2


def test_help_teaches() -> None:
    text = subprocess.run(
        [sys.executable, "-m", "base.environments", "check", "--help"], cwd=ROOT, capture_output=True, text=True
    ).stdout
    assert "organism" in text
    assert "exit code" in text
