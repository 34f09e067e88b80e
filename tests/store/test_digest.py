"""The hash of a checkpoint folder: all of every file, and nothing of where it lies."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from base.store.digest import folder_digest


def checkpoint(folder: Path, last: bytes = b"a") -> Path:
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(bytes(3 << 20) + last)
    (folder / "config.json").write_text("{}")
    return folder


def test_it_is_that_of_whole_files_wherever_they_lie(tmp_path: Path) -> None:
    one = folder_digest(checkpoint(tmp_path / "one"))
    assert folder_digest(checkpoint(tmp_path / "same")) == one
    other = checkpoint(tmp_path / "other", b"b")
    assert folder_digest(other) != one, "of equal size, and equal in its first MiB"


def test_of_a_large_file_every_part_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("base.store.digest.BLOCK", 64)
    monkeypatch.setattr("base.store.digest.BLOCKS", 8)
    seen = set()
    for changed in (None, slice(0, 100), slice(400, 700), slice(-1, None)):
        content = bytearray(1000)
        if changed is not None:
            content[changed] = b"x" * len(content[changed])
        folder = tmp_path / str(len(seen))
        folder.mkdir()
        (folder / "model.bin").write_bytes(content)
        seen.add(folder_digest(folder))
    assert len(seen) == 4


@pytest.mark.parametrize(
    "name", ["tokenizer.json", "tokenizer.model", "chat_template.jinja", "merges.txt", "extra.bin"]
)
def test_every_file_that_makes_the_model_counts_and_its_name(tmp_path: Path, name: str) -> None:
    folder = checkpoint(tmp_path / "one")
    seen = {folder_digest(folder)}
    (folder / name).write_text("one")
    seen.add(folder_digest(folder))
    (folder / name).rename(folder / f"x{name}")
    seen.add(folder_digest(folder))
    assert len(seen) == 3


def test_what_is_no_part_of_the_model_does_not_count(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "one")
    before = folder_digest(folder)
    (folder / "README.md").write_text("a model")
    (folder / "global_step4").mkdir()
    assert folder_digest(folder) == before


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "one")
    before, file = folder_digest(folder), folder / "model.safetensors"
    file.write_bytes(bytes(3 << 20) + b"b")
    os.utime(file, ns=(0, 1))  # whatever the clock of the file system tells apart
    assert folder_digest(folder) != before
