"""Stages that ship with the code: they count as made by their key, and their files are checked."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, cast

import pytest
from sweep_toys import Toy

from base.engine.runtime import Runtime
from base.errors import UserError
from base.settings import load_scale
from base.shipped import SUMS, bring, shipped, starts_of, sums
from base.stage import Site, State, in_order, make_all, plan, seconds_each, to_make
from base.store.folders import run_folders
from base.store.results import RECIPE
from mitigations.api import describe, resolve

SMOKE = load_scale("smoke")
FIRST = Toy("first")
SECOND = Toy("second", (FIRST,))
BESIDE = Toy("beside", (FIRST,))
LAST = Toy("last", (SECOND,))


def site(root: Path) -> Site:
    """Toys need no sandbox."""
    return Site(root, cast(Any, None), Runtime("cpu", "fp32", 0, 1, 0, "gloo", 1))


@pytest.fixture
def starts(tmp_path: Path) -> Path:
    """A folder in which `second` ships, and what it was made from does not."""
    folder = tmp_path / "starts"
    make_all([FIRST, SECOND], site(folder))
    for path in (FIRST.record_file(folder), FIRST.folder(folder) / "result.json", *folder.glob("stages/.*")):
        path.unlink()
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(folder)}\n" for file in files]
    (folder / SUMS).write_text("".join(lines))
    sums.cache_clear()
    return folder


def test_what_ships_is_copied_and_what_it_was_made_from_is_not_made(starts: Path, tmp_path: Path) -> None:
    root, stages = tmp_path / "runs", in_order([LAST])
    ships = {stage.key for stage in shipped(stages, root, starts)}
    assert ships == {SECOND.key}
    text = plan(stages, root, SMOKE, ships).splitlines()
    assert [line.split()[1] for line in text[:3]] == ["not", "ships", "to"], "needed, shipped, to make"
    assert not root.exists(), "a plan makes nothing"
    assert bring(stages, root, starts) == [SECOND]
    assert SECOND.state(root) is State.DONE
    assert to_make(stages, root) == [LAST]
    make_all(to_make(stages, root), site(root))
    assert LAST.state(root) is State.DONE
    assert FIRST.state(root) is State.MISSING
    assert seconds_each(root).keys() == {("toy", "")}
    LAST.record_file(root).unlink()
    assert seconds_each(root) == {}, "what was made elsewhere says nothing of this machine"
    assert bring(stages, root, starts) == []


def test_what_is_wanted_beside_still_needs_the_first(starts: Path, tmp_path: Path) -> None:
    stages = in_order([LAST, BESIDE])
    assert to_make(stages, tmp_path / "runs", {SECOND.key}) == [FIRST, LAST, BESIDE]


def test_a_stage_with_another_key_does_not_ship(starts: Path, tmp_path: Path) -> None:
    other = Toy("second", (Toy("another first"),))
    assert shipped([other], tmp_path / "runs", starts) == []
    assert shipped([SECOND], tmp_path / "runs", tmp_path / "nowhere") == []


def test_own_work_is_never_replaced(starts: Path, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    make_all([FIRST, SECOND], site(root))
    SECOND._note(site(root), State.INTERRUPTED)
    assert bring([SECOND], root, starts) == []


def test_a_file_that_was_changed_is_refused(starts: Path, tmp_path: Path) -> None:
    (SECOND.folder(starts) / "result.json").write_text('{"made": 7}')
    with pytest.raises(UserError, match=r"result.json is not the file that shipped"):
        bring([SECOND], tmp_path / "runs", starts)
    assert SECOND.state(tmp_path / "runs") is State.MISSING


@pytest.mark.parametrize("corpus", ["main", "twin"])
def test_the_start_of_the_first_reported_seed_ships_with_this_code(corpus: str, tmp_path: Path) -> None:
    """So one arm costs minutes: if settings before RL change, the shipped starts have to be made anew."""
    stages = resolve(*describe("none", corpus=corpus, seed=1))
    ships = {stage.key for stage in shipped(stages, tmp_path, starts_of("tiny"))}
    assert [stage.kind for stage in stages if stage.key in ships] == [
        "control",
        "sdf",
        "gates",
        "evaluate-0",
        "evaluate-0",
    ]
    assert {stage.kind for stage in to_make(stages, tmp_path, ships)} == {"rl", "evaluate-0", "evaluate"}
    bring(stages, tmp_path, starts_of("tiny"))
    assert to_make(stages, tmp_path) == to_make(stages, tmp_path / "nothing", ships)
    assert [folder.record.get("recipe") for folder in run_folders(tmp_path)] == [RECIPE], "or results do not take it"
