"""A judge that cannot judge is found before a run of a user's model begins, and what it is worth before RL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from mitigations.__main__ import main
from mitigations.api import describe, resolve


def words(folder: Path) -> dict[str, Any]:
    """A checkpoint that only stages look at, and tasks."""
    (folder / "config.json").write_text("{}")
    (folder / "tasks.jsonl").touch()
    return {"model": str(folder), "tasks": str(folder / "tasks.jsonl")}


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("hf:no/such", "cannot load a causal language model checkpoint to judge by from no/such"),
        ("hf:{0}", "holds no weights"),
        ("file:{0}/bad.jsonl", "bad.jsonl line 1 has no `item`"),
        ("openai:http://host:port/v1#m", "write openai:URL#MODEL"),
    ],
)
def test_a_dry_run_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], spec: str, said: str
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    (tmp_path / "bad.jsonl").write_text('{"label": "yes"}\n')
    named = [f"--{name}={value}" for name, value in words(tmp_path).items()]
    judge = spec.format(tmp_path)
    runs = tmp_path / "runs"
    assert main(["none", "--scale", "hub", *named, "--runs", str(runs), "--judge", judge, "--dry-run"]) == 2
    found = capsys.readouterr().err
    assert said in found
    assert found.count("\n") == 1
    assert not runs.exists()


def test_what_judges_are_worth_is_measured_before_rl(tmp_path: Path) -> None:
    stages = resolve(*describe("none", scale="hub", **words(tmp_path)), judges=["rule:words", "rule:always"])
    kinds = [stage.kind for stage in stages]
    assert kinds[:2] == ["golden", "golden"]
    assert kinds.count("golden") == 2
    assert kinds.index("rl") < kinds.index("evaluate")
    assert kinds[-1] == "verdicts"
