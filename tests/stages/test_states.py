"""The states of stages: they come from records and from what is there, never from anything else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from sweep_toys import Toy

from base.engine.runtime import Runtime
from base.engine.signals import Terminated
from base.environments.graders.code import CodeEnvironment
from base.errors import UserError
from base.settings import load_scale
from base.stage import Site, Stage, State, in_order, make_all, plan, seconds_each
from base.stages.evaluate import EvaluateControl
from base.stages.trained import Trained
from base.store.files import read_json, write_json
from base.store.folders import RunFolder
from mitigations.api import describe, resolve


@dataclass(frozen=True)
class Counted(Toy):
    """Writes how often it was worked on; while ROOT/trouble holds a word, it breaks in the middle."""

    kind: ClassVar[str] = "counted"

    def work(self, site: Site) -> None:
        trouble = site.root / "trouble"
        errors = {
            "bug": ValueError("no such column"),
            "stop": KeyboardInterrupt(),
            "term": Terminated(),
            "user": UserError("x"),
        }
        if trouble.exists():
            raise errors[trouble.read_text()]
        made = read_json(self.folder(site.root) / "result.json").get("made", 0)
        write_json(self.folder(site.root) / "result.json", {"made": made + 1})


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with CodeEnvironment() as environment:
        yield Site(tmp_path / "runs", environment, Runtime("cpu", "fp32", 0, 1, 0, "gloo", 1))


def made(stage: Stage, site: Site) -> int:
    return int(read_json(stage.folder(site.root) / "result.json")["made"])


def test_a_stage_is_made_once_and_its_record_says_how(site: Site) -> None:
    first = Counted("first")
    last = Counted("last", (first,))
    assert [stage.state(site.root) for stage in (first, last)] == [State.MISSING] * 2
    for _ in range(2):
        make_all(in_order([last]), site)
    assert [made(stage, site) for stage in (first, last)] == [1, 1]
    assert [stage.state(site.root) for stage in (first, last)] == [State.DONE] * 2
    record = last.record(site.root)
    assert (record["kind"], record["label"], record["key"], record["needs"]) == (
        "counted",
        "last",
        last.key,
        [first.key],
    )
    assert record["folder"] == "shared/last"
    assert record["error"] is None
    assert len(record["sessions"]) == 1
    assert seconds_each(site.root).keys() == {("counted", "")}
    assert "nothing left to do" in plan([first, last], site.root, load_scale("smoke"))


@pytest.mark.parametrize(
    ("trouble", "raised", "state", "said"),
    [
        ("bug", ValueError, State.FAILED, "ValueError: no such column"),
        ("user", UserError, State.FAILED, "UserError: x"),
        ("stop", KeyboardInterrupt, State.INTERRUPTED, "KeyboardInterrupt: "),
        ("term", Terminated, State.INTERRUPTED, "Terminated: "),
    ],
)
def test_what_breaks_is_recorded_and_a_second_call_finishes(
    site: Site, trouble: str, raised: type[BaseException], state: State, said: str
) -> None:
    first = Counted("first")
    last = Counted("last", (first,))
    first.make(site)
    (site.root / "trouble").write_text(trouble)
    with pytest.raises(raised):
        make_all(in_order([last]), site)
    assert first.state(site.root) is State.DONE, "what was done stays done"
    assert last.state(site.root) is state
    assert last.record(site.root)["error"] == said
    assert str(state) in plan([first, last], site.root, load_scale("smoke"))
    (site.root / "trouble").unlink()
    make_all(in_order([last]), site)
    assert last.state(site.root) is State.DONE
    record = last.record(site.root)
    assert record["error"] is None
    assert len(record["sessions"]) == 2
    assert made(last, site) == made(first, site) == 1
    assert not [path for path in site.root.rglob(".*") if not path.name.endswith(".lock")]


def test_a_removed_result_is_missing_again_and_comes_back(site: Site) -> None:
    first = Counted("first")
    last = Counted("last", (first,))
    make_all([first, last], site)
    (first.folder(site.root) / "result.json").unlink()
    assert first.state(site.root) is State.MISSING
    assert last.state(site.root) is State.DONE, "its own result is there"
    make_all([first, last], site)
    assert (made(first, site), made(last, site)) == (1, 1)


def test_a_stage_whose_need_is_not_done_says_which(site: Site) -> None:
    with pytest.raises(UserError, match="counted last needs counted first, which is missing: make that first"):
        Counted("last", (Counted("first"),)).make(site)


def test_a_killed_process_leaves_running_and_the_next_one_goes_on(site: Site) -> None:
    stage = Counted("only")
    write_json(stage.record_file(site.root), {"kind": "counted", "state": "running", "sessions": [{}], "seconds": 3.0})
    assert stage.state(site.root) is State.RUNNING
    stage.make(site)
    assert stage.state(site.root) is State.DONE
    assert len(stage.record(site.root)["sessions"]) == 2
    assert stage.record(site.root)["seconds"] >= 3.0
    assert seconds_each(site.root) == {}, "two goes are no measure of one"


def test_a_stage_that_meets_the_folder_of_another_run_leaves_it_as_it_is(site: Site) -> None:
    run, scale = describe(scale="smoke")
    (trained,) = (stage for stage in resolve(run, scale) if isinstance(stage, Trained))
    folder = RunFolder(trained.folder(site.root))
    folder.open(run, scale, "another key")
    before = (folder.path / "run.json").read_text()
    for need in trained.needs:
        write_json(need.folder(site.root) / "training.json", {})
        write_json(need.folder(site.root) / "gates.json", {})
        write_json(need.record_file(site.root), {"state": "done"})
    with pytest.raises(UserError, match="made with other settings"):
        trained.make(site)
    assert (folder.path / "run.json").read_text() == before
    assert trained.state(site.root) is State.FAILED


def test_a_control_that_fails_says_why_and_a_second_go_takes_it_back(site: Site) -> None:
    (control,) = (stage for stage in resolve(*describe(scale="smoke")) if isinstance(stage, EvaluateControl))
    folder = RunFolder(control.folder(site.root))
    for state, error, said in (
        (State.RUNNING, None, None),
        (State.FAILED, ValueError("no such column"), "ValueError: no such column"),
        (State.RUNNING, None, None),
        (State.DONE, None, None),
    ):
        control.noted(site, state, error)
        assert (folder.record["status"], folder.record["error"]) == (state, said)
