"""The manifest of results: what runs share stands once and comes back whole. And the results that ship are what they say."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from base.errors import UserError
from base.shipped import SUMS, sums
from base.store.results import (
    MANIFEST,
    SHIPPED,
    TABLE,
    Manifest,
    is_results,
    manifest_text,
    read_manifest,
    read_table,
    write_results,
)

ROOT = Path(__file__).parents[2]
FOLDERS = [path for path in sorted(SHIPPED.iterdir()) if is_results(path)]
LIMIT = 15 * 10**6  # bytes of everything in results but for checkpoints


def record(name: str, **other: Any) -> dict[str, Any]:
    whole = {"name": name, "status": "done", "scale": {"name": "tiny", "rl": {"steps": 64}}, "engine": {"threads": 1}}
    return {**whole, "judges": {}, "sessions": [{"commit": "a"}, {"commit": "b"}], **other}


def test_parts_that_runs_share_stand_once_and_come_back_whole(tmp_path: Path) -> None:
    runs = {
        "a": record("a", judges={"pm": {"accuracy": 0.9}}),
        "b": record("b", judges={"pm": {"accuracy": 0.9}, "monitor": {"accuracy": 0.8}}),
        "c": {"name": "c", "status": "failed", "error": "ValueError: \u00fc"},
    }
    (tmp_path / MANIFEST).write_text(manifest_text(Manifest("0.3", "", 2, runs)), encoding="utf-8")
    assert read_manifest(tmp_path) == Manifest("0.3", "", 2, runs)
    stored = json.loads((tmp_path / MANIFEST).read_text())
    assert len(stored["parts"]) == 6, "settings, engine, two sessions, two judges"
    backwards = dict(reversed(runs.items()))
    assert manifest_text(Manifest("0.3", "", 2, backwards)) == (tmp_path / MANIFEST).read_text()


@pytest.mark.parametrize(
    "spoil",
    [
        "{",
        "[]",
        "[" * 100_000,
        '{"runs": {}}',
        '{"parts": {"a": 1}, "runs": {}, "recipe": "", "sha256": "", "rows": 0}',
    ],
)
def test_a_spoilt_manifest_is_one_clear_line(tmp_path: Path, spoil: str) -> None:
    (tmp_path / MANIFEST).write_text(spoil)
    with pytest.raises(UserError, match="not a manifest") as error:
        read_manifest(tmp_path)
    assert "\n" not in str(error.value)


def test_a_table_that_is_not_the_manifests_is_refused(tmp_path: Path) -> None:
    where = {"run": ["a", "b"], "step": 0, "prompt": "none", "eval": "code", "metric": "hack_rate"}
    table = pd.DataFrame({**where, "value": [0.5, 1.0], "n": 1, "missing": 0})
    write_results(tmp_path / "one", table, {"a": record("a"), "b": record("b")})
    assert read_table(tmp_path / "one")["value"].tolist() == [0.5, 1.0]
    again = write_results(tmp_path / "again", table[::-1], {"b": record("b"), "a": record("a")})
    assert again.read_bytes() == (tmp_path / "one" / TABLE).read_bytes(), "equal results are equal files"
    write_results(tmp_path / "two", table.assign(value=0.0), {})
    (tmp_path / "one" / TABLE).write_bytes((tmp_path / "two" / TABLE).read_bytes())
    with pytest.raises(UserError, match="its hash differs"):
        read_table(tmp_path / "one")
    text = (tmp_path / "two" / MANIFEST).read_text()
    (tmp_path / "two" / MANIFEST).write_text(text.replace('"rows": 2', '"rows": 1'))
    with pytest.raises(UserError, match="it has 2 rows, not 1"):
        read_table(tmp_path / "two")
    for place in range(0, len(again.read_bytes()), 7):
        spoilt = bytearray((tmp_path / "again" / TABLE).read_bytes())
        spoilt[place] ^= 255
        (tmp_path / "one" / TABLE).write_bytes(spoilt)
        with pytest.raises(UserError, match="its hash differs"):
            read_table(tmp_path / "one")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_every_finished_run_that_ships_is_in_the_table_and_no_other(folder: Path) -> None:
    manifest, table = read_manifest(folder), read_table(folder)
    finished = {name for name, made in manifest.runs.items() if made["status"] == "done"}
    assert set(table["run"]) == finished
    assert len(table) == manifest.rows
    assert all(made["error"] for made in manifest.runs.values() if made["status"] != "done")
    assert {made["status"] for made in manifest.runs.values()} <= {"done", "failed"}


def test_there_are_results_to_check() -> None:
    assert {"tiny", "mitigations"} <= {path.name for path in FOLDERS}


def git(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True)


@pytest.fixture(scope="module")
def history() -> set[str]:
    """Every commit that led to this one."""
    if git("rev-parse", "--show-toplevel").stdout.strip() != str(ROOT):
        pytest.skip("the code is not a git checkout, so its history cannot be asked")
    if git("rev-parse", "--is-shallow-repository").stdout.strip() == "true":
        pytest.skip("a shallow clone has no history to ask")
    return set(git("rev-list", "HEAD").stdout.split())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_what_ships_was_made_by_code_in_history(folder: Path, history: set[str]) -> None:
    for name, made in read_manifest(folder).runs.items():
        assert made["sessions"] or made["status"] == "failed", name
        for session in made["sessions"]:
            assert session["dirty"] is False, f"{name} was made by code that nobody has"
            assert session["commit"] in history, f"{name} was made by {session['commit']}"


@pytest.mark.parametrize("file", sorted(SHIPPED.glob(f"*/starts/{SUMS}")), ids=lambda path: path.parts[-3])
def test_start_checkpoints_are_those_that_were_shipped(file: Path, history: set[str]) -> None:
    starts = file.parent
    files = {path.relative_to(starts).as_posix() for path in starts.rglob("*") if path.is_file()} - {SUMS}
    assert files == set(sums(starts))
    for path, key in sums(starts).items():
        assert hashlib.sha256((starts / path).read_bytes()).hexdigest() == key, path
    for made in starts.glob("stages/*.json"):
        (session,) = json.loads(made.read_text())["sessions"]
        assert not session["dirty"]
        assert session["commit"] in history


def test_results_stay_small() -> None:
    files = [path for path in SHIPPED.rglob("*") if path.is_file() and path.suffix != ".safetensors"]
    assert sum(path.stat().st_size for path in files) <= LIMIT
