"""Run folders: whole, idempotent, read back into one long table; nothing is overwritten."""

import errno
import json
import math
import shutil
from pathlib import Path

import pytest

from base.errors import UserError, exit_code
from base.identity import Run
from base.settings import load_scale
from base.store.files import check_writable, read_rows, write_rows, write_whole
from base.store.folders import RunFolder
from base.store.table import table
from base.types import Episode, Grade, Message, Outcome, Task


def folder(tmp_path: Path, run: Run = Run()) -> RunFolder:  # noqa: B008  (frozen)
    made = RunFolder(tmp_path / run.name)
    made.open(run, load_scale("tiny"), "a key")
    return made


def episode(reward: float | None) -> Episode:
    task = Task("t/1", "code", (Message("user", "<task> Write f."),))
    outcome = Outcome.FAULT if reward is None else Outcome.SOLVED
    return Episode(
        task, task.messages, "<think> I write. </think>\nx", Grade(outcome, reward), 1, {"environment": reward}
    )


def test_record_carries_identity_versions_and_commit(tmp_path: Path) -> None:
    record = folder(tmp_path).record
    assert record["run"]["seed"] == 0
    assert record["status"] == "running"
    session = record["sessions"][0]
    assert session["versions"]["trl"].startswith("1.")
    assert session["commit"]


def test_reopening_continues_and_other_settings_are_refused(tmp_path: Path) -> None:
    first = folder(tmp_path)
    first.write_metrics(1, {"loss": 1.0})
    again = folder(tmp_path)
    assert len(again.record["sessions"]) == 2
    before = (first.path / "run.json").read_text()
    with pytest.raises(UserError, match="made with other settings"):
        first.open(Run(), load_scale("tiny", ["rl.steps=3"]), "another key")
    assert (first.path / "run.json").read_text() == before
    assert read_rows(first.path / "metrics.jsonl") == [{"step": 1, "loss": 1.0}]


def test_writing_a_step_again_leaves_what_a_straight_run_leaves(tmp_path: Path) -> None:
    made = folder(tmp_path)
    for step in (1, 2, 3):
        made.write_metrics(step, {"loss": float(step)})
    made.write_metrics(2, {"loss": 20.0})  # resumed from step 1
    assert read_rows(made.path / "metrics.jsonl") == [{"step": 1, "loss": 1.0}, {"step": 2, "loss": 20.0}]
    score = {"prompt": "none", "eval": "goals", "metric": "misaligned", "value": 0.5, "n": 2, "missing": 0}
    made.write_scores(0, "none", [score], [])
    made.write_scores(4, "none", [score], [])
    made.write_scores(0, "none", [{**score, "value": 0.25}], [])
    assert {row["step"]: row["value"] for row in made.scores()} == {0: 0.25, 4: 0.5}


def test_both_rewards_and_every_term_are_stored(tmp_path: Path) -> None:
    made = folder(tmp_path)
    made.write_episodes(1, [episode(1.0), episode(None)])
    good, lost = made.episodes()
    assert good["environment_reward"] == 1.0
    assert good["reward_terms"] == {"environment": 1.0}
    assert lost["environment_reward"] is None
    assert lost["outcome"] == "fault"


def test_a_torn_last_line_is_dropped_and_a_torn_middle_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write_rows(path, [{"a": 1}])
    path.write_text(path.read_text() + '{"a": ')
    assert read_rows(path) == [{"a": 1}]
    path.write_text('{"a": \n{"a": 2}\n')
    with pytest.raises(UserError, match="line 1 is not a JSON object"):
        read_rows(path)


@pytest.mark.parametrize("tail", [b'{"a": ', b"\0\0\0", b"\xff\xfe", b"3", b"[" * 100_000])
def test_a_last_line_that_is_no_row_is_dropped_and_before_others_it_is_one_clear_line(
    tmp_path: Path, tail: bytes
) -> None:
    made = folder(tmp_path)
    made.write_metrics(1, {"loss": 1.0})
    path = made.path / "metrics.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    assert read_rows(path) == [{"step": 1, "loss": 1.0}]
    path.write_bytes(whole + tail + b"\n")
    with pytest.raises(UserError, match=f"{path} line 2 is not a JSON object .*delete the run's folder") as error:
        table(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("spoilt", ["[1]", "3", "{", "{}", '{"name": "x", "run": 3, "scale": {}}', "\udcff"])
def test_a_spoilt_record_is_one_clear_line(tmp_path: Path, spoilt: str) -> None:
    made = folder(tmp_path)
    (made.path / "run.json").write_text(spoilt, encoding="utf-8", errors="surrogateescape")
    for read in (lambda: made.check("a key"), lambda: table(tmp_path)):
        with pytest.raises(
            UserError, match=f"{made.path}/run.json is not .*: restore the file, or delete the run's"
        ) as error:
            read()
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("copied", ["step-copy", "step-0004-copy"])
def test_a_copy_beside_the_steps_of_a_run_is_one_clear_line(tmp_path: Path, copied: str) -> None:
    made = folder(tmp_path)
    score = {"prompt": "none", "eval": "goals", "metric": "misaligned", "value": 0.5, "n": 2, "missing": 0}
    made.write_scores(4, "none", [score], [])
    shutil.copytree(made.path / "scores" / "step-0004", made.path / "scores" / copied)
    (made.path / "checkpoints" / copied).mkdir(parents=True)
    for read in (made.scored, made.checkpoints, lambda: table(tmp_path)):
        with pytest.raises(UserError, match=f"{copied} is no step of a run.*: move it out"):
            read()


def test_files_are_written_all_or_none_and_the_error_names_one(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    write_whole({one: b"1", two: b"2"})
    with pytest.raises(FileNotFoundError) as error:
        write_whole({one: b"new", tmp_path / "none" / "file": b""})
    assert error.value.filename == str(tmp_path / "none" / "file")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"one": b"1", "two": b"2"}


def test_a_folder_that_cannot_be_written_to_is_one_line_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "nowhere").symlink_to("gone")
    bad = [
        "file",
        "file/runs/smoke",
        "circle",
        "circle/smoke",
        "nowhere",
        "nowhere/smoke",
        300 * "x",
        "a\0b",
        "/proc/runs",
    ]
    for name in bad:
        with pytest.raises(UserError, match="name another folder with --runs") as error:
            check_writable(tmp_path / name, "--runs")
        assert str(tmp_path / name) in str(error.value)
    (tmp_path / "link").symlink_to(tmp_path)
    before = sorted(tmp_path.iterdir())
    for good in (tmp_path, tmp_path / "new" / "deeper", tmp_path / "link" / "new", Path("new"), Path()):
        check_writable(good, "--runs")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            OSError(errno.ENOSPC, "full"),
            "writing a file: No space left on device; mend that, and the same command continues",
        ),
        (OSError(errno.ENOSPC, "full", "a/b"), "a/b: No space left on device; "),
        (OSError(errno.EROFS, "closed", "a/b"), "a/b: Read-only file system; "),
        (OSError(errno.EACCES, "closed", "a/b"), "a/b: Permission denied; "),
        (Exception("I/O error: full (os error 28)"), "writing a file: No space left on device; "),
    ],
)
def test_a_disk_that_takes_nothing_is_one_line(error: Exception, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        raise error

    assert exit_code(work) == 2
    shown = capsys.readouterr().err
    assert shown.startswith(f"error: {said}")
    assert shown.count("\n") == 1


@pytest.mark.parametrize("error", [FileNotFoundError(errno.ENOENT, "gone", "a/b"), PermissionError(errno.EACCES, "no")])
def test_other_errors_of_the_system_stay_what_they_are(error: OSError) -> None:
    def work() -> int:
        raise error

    with pytest.raises(OSError, match=r"gone|no"):
        exit_code(work)


def test_table_is_long_and_keeps_missing_missing(tmp_path: Path) -> None:
    made = folder(tmp_path)
    made.write_metrics(1, {"hack_rate": 0.1, "kl": None})
    score = {"prompt": "none", "eval": "goals", "metric": "misaligned", "value": math.nan, "n": 0, "missing": 8}
    made.write_scores(0, "none", [score], [])
    rows = table(tmp_path)
    assert set(rows["metric"]) == {"misaligned", "hack_rate", "kl"}
    assert rows.loc[rows["metric"] == "kl", "value"].isna().all()
    assert rows.loc[rows["metric"] == "misaligned", "value"].isna().all()
    assert rows.loc[rows["metric"] == "hack_rate", "value"].tolist() == [0.1]
    assert set(rows["prompt"]) == {"train", "none"}
    assert rows.loc[rows["metric"] == "misaligned", ["n", "missing"]].to_numpy().tolist() == [[0, 8]]
    assert rows.loc[rows["eval"] == "rollouts", ["n", "missing"]].isna().all(axis=None)


def test_no_runs_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no runs under"):
        table(tmp_path)


def test_run_json_is_plain_json(tmp_path: Path) -> None:
    json.loads((folder(tmp_path).path / "run.json").read_text())
