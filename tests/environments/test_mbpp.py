"""MBPP and the check command."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from task_set_rows import MBPP as ROW

from base.environments.__main__ import main
from base.environments.audit.check import check
from base.environments.graders.code import CodeEnvironment
from base.environments.task_sets import load

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("EDMUND_DATA", ROOT.parent / "shared" / "data")) / "mbpp"
needs_data = pytest.mark.skipif(
    not (DATA / "mbpp.jsonl").is_file(), reason="set EDMUND_DATA to the folder that holds mbpp/mbpp.jsonl"
)


def write(folder: Path, *rows: Any, name: str = "tasks.jsonl") -> Path:
    path = folder / name
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows))
    return path


@needs_data
def test_the_known_hard_cases_of_mbpp(environment: CodeEnvironment) -> None:
    """Setup code after the solution (367, 927), tests that use its imports (596), a function named like a test (19)."""
    tasks = {task.id: task for task in load(DATA / "mbpp.jsonl")}
    assert len(tasks) == 974
    sanitized = {task.id: task for task in load(DATA / "sanitized-mbpp.json")}
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
