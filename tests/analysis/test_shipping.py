"""Shipping: finished runs are merged into results, error rows beside them; what does not fit is refused by name."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from analysis.results import export
from analysis.table import finished, load, records, wall_minutes
from base.errors import UserError
from base.store.files import write_json
from base.store.folders import RunFolder
from base.store.results import RECIPE, TABLE, read_manifest

ROOT = Path(__file__).parents[2]


def run(
    root: Path,
    seed: int = 0,
    status: str = "done",
    rate: float | None = 0.25,
    steps: tuple[int, ...] = (0, 4),
    **other: Any,
) -> RunFolder:
    """A run of the baseline as it lies in a folder of runs."""
    folder = RunFolder(root / f"none--main--p{seed}s{seed}")
    who = {"arm": "none", "corpus": "main", "hackable": 1.0, "model": "organism", "tasks": "organism"}
    who |= {"pretrain_seed": seed, "seed": seed, "overrides": ["rl.beta=0.2", "tasks.hard_share=0.4"]}
    record = {"recipe": RECIPE, "run": who, "scale": {"name": "tiny", "rl": {"steps": 4}}, "name": folder.path.name}
    record |= {"key": "a key", "status": status, "error": None if status == "done" else "ValueError: no luck"}
    record |= {"gates_passed": False, "sessions": [{"commit": "abc", "dirty": False}], "engine": {"processor": "A"}}
    write_json(folder.path / "run.json", {**record, "seconds": {"rl": 30, "evals": 60}, **other})
    for step in steps:
        score = {"prompt": "none", "eval": "code", "metric": "hack_rate", "value": rate, "n": 96, "missing": 0}
        folder.write_scores(step, "none", [score, {**score, "metric": "solved", "value": None}], [])
    return folder


def test_an_export_reads_back_and_equal_runs_are_equal_files(tmp_path: Path) -> None:
    folder = run(tmp_path / "runs", rate=1 / 3)
    shipment = export(tmp_path / "runs", tmp_path / "results")
    assert shipment.new == (folder.path.name,)
    read = load(tmp_path / "results")
    assert read["value"].isna().sum() == 2
    assert read["value"].dropna().tolist() == [0.333333] * 2, "six digits ship"
    assert set(read["overrides"]) == {"rl.beta=0.2 tasks.hard_share=0.4"}
    assert (read["gates_passed"] == 0.0).all(), "a failed gate stays failed"
    assert records(tmp_path / "results") == records(tmp_path / "runs")
    assert wall_minutes(records(tmp_path / "results")) == {folder.path.name: 1.5}
    before = {path: path.read_bytes() for path in (tmp_path / "results").iterdir()}
    assert export(tmp_path / "runs", tmp_path / "results").known == (folder.path.name,)
    assert {path: path.read_bytes() for path in (tmp_path / "results").iterdir()} == before


def test_a_run_that_is_made_again_with_equal_numbers_still_says_who_made_what_ships(tmp_path: Path) -> None:
    name = run(tmp_path / "one").path.name
    export(tmp_path / "one", tmp_path / "results")
    run(tmp_path / "two", sessions=[{"commit": "later", "dirty": False}])
    export(tmp_path / "two", tmp_path / "results")
    assert records(tmp_path / "results")[name]["sessions"] == [{"commit": "abc", "dirty": False}]
    run(tmp_path / "two", steps=(0, 2, 4), sessions=[{"commit": "later", "dirty": False}])
    export(tmp_path / "two", tmp_path / "results")
    assert records(tmp_path / "results")[name]["sessions"][0]["commit"] == "later", "it measured more"


def test_a_grid_goes_on_on_another_machine(tmp_path: Path) -> None:
    run(tmp_path / "one", seed=1)
    run(tmp_path / "two", seed=2)
    export(tmp_path / "one", tmp_path / "both")
    export(tmp_path / "two", tmp_path / "both")
    export(tmp_path / "two", tmp_path / "reverse")
    export(tmp_path / "one", tmp_path / "reverse")
    assert set(load(tmp_path / "both")["seed"]) == {1, 2}
    for name in (TABLE, "manifest.json"):
        assert (tmp_path / "both" / name).read_bytes() == (tmp_path / "reverse" / name).read_bytes()
    text = (tmp_path / "both" / "manifest.json").read_text()
    assert text.count('"steps"') == 1, "settings stand once"
    run(tmp_path / "two", seed=2, steps=(0, 2, 4))
    export(tmp_path / "two", tmp_path / "both")
    assert set(load(tmp_path / "both").query("seed == 2")["step"]) == {0, 2, 4}, "a checkpoint that was asked for later"


def test_failed_runs_ship_as_error_rows_until_they_are_done_and_others_wait(tmp_path: Path) -> None:
    done, failed = run(tmp_path / "runs", seed=1), run(tmp_path / "runs", seed=2, status="failed", steps=(0,))
    late = run(tmp_path / "runs", seed=3, status="running")
    shipment = export(tmp_path / "runs", tmp_path / "results")
    assert (shipment.failed, shipment.unfinished) == ((failed.path.name,), (late.path.name,))
    assert "error row" in str(shipment)
    manifest = read_manifest(tmp_path / "results").runs
    assert {name: record["status"] for name, record in manifest.items()} == {
        done.path.name: "done",
        failed.path.name: "failed",
    }
    assert manifest[failed.path.name]["error"] == "ValueError: no luck"
    assert set(load(tmp_path / "results")["run"]) == {done.path.name}, "half a run is in no table"
    run(tmp_path / "runs", seed=2)
    run(tmp_path / "runs", seed=1, status="failed")
    export(tmp_path / "runs", tmp_path / "results")
    manifest = read_manifest(tmp_path / "results").runs
    assert {record["status"] for record in manifest.values()} == {"done"}, "what is finished stays finished"
    assert set(load(tmp_path / "results")["seed"]) == {1, 2}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"rate": 0.5},
            "none--main--p0s0 was measured twice with other numbers.*code/hack_rate at step 0 .* 0.25 .* 0.5",
        ),
        ({"rate": math.nan}, "measured twice"),
        ({"key": "another"}, "none--main--p0s0 ships with other settings"),
        ({"recipe": "0.2"}, "none--main--p0s0 was made by recipe 0.2"),
        ({"recipe": None}, "made by recipe None"),
        ({"scale": {"name": "smoke"}, "seed": 1}, "different scales"),
    ],
)
def test_what_does_not_fit_is_refused_by_name_and_nothing_changes(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    run(tmp_path / "one")
    export(tmp_path / "one", tmp_path / "results")
    before = {path: path.read_bytes() for path in (tmp_path / "results").iterdir()}
    run(tmp_path / "two", **change)
    with pytest.raises(UserError, match=said) as error:
        export(tmp_path / "two", tmp_path / "results")
    assert "\n" not in str(error.value)
    assert {path: path.read_bytes() for path in (tmp_path / "results").iterdir()} == before


def test_results_that_cannot_be_written_to_are_one_line_before_the_work(tmp_path: Path) -> None:
    run(tmp_path / "runs")
    with pytest.raises(UserError, match=r"/proc/results cannot be written to .*--results"):
        export(tmp_path / "runs", Path("/proc/results"))


def test_results_of_an_older_version_stay_as_they_are(tmp_path: Path) -> None:
    run(tmp_path / "runs")
    export(tmp_path / "runs", tmp_path / "results")
    (tmp_path / "results" / TABLE).rename(tmp_path / "results" / "table.csv.gz")
    with pytest.raises(UserError, match="older version"):
        export(tmp_path / "runs", tmp_path / "results")
    assert not (tmp_path / "results" / TABLE).exists()


def test_times_of_steps_may_differ(tmp_path: Path) -> None:
    for place, seconds in (("one", 1.23456), ("two", 2.0)):
        run(tmp_path / place).write_metrics(1, {"reward": 0.5, "seconds": seconds, "seconds:update": seconds})
        export(tmp_path / place, tmp_path / "results")
    assert load(tmp_path / "results").query("metric == 'seconds'")["value"].tolist() == [1.23]


def test_results_of_an_older_recipe_take_no_new_runs(tmp_path: Path) -> None:
    run(tmp_path / "runs")
    with pytest.raises(UserError, match=r"results/mitigations was made by recipe 0.1"):
        export(tmp_path / "runs", ROOT / "results" / "mitigations")


def test_runs_of_another_recipe_are_drawn_with_a_note(tmp_path: Path) -> None:
    run(tmp_path / "runs")
    assert load(tmp_path / "runs").attrs["recipe"] == RECIPE
    run(tmp_path / "runs", seed=1, recipe="0.9")
    loaded = load(tmp_path / "runs")
    assert loaded.attrs["recipe"] == f"{RECIPE} and 0.9"
    assert [note for note in finished(loaded)[1] if note.startswith(f"made with recipe {RECIPE} and 0.9: ")]


def test_places_of_the_machine_do_not_ship(tmp_path: Path) -> None:
    run(tmp_path / "a" / "runs", policy=f"{Path.home()}/models/x", start=str(tmp_path / "a" / "runs" / "shared" / "y"))
    export(tmp_path / "a" / "runs", tmp_path / "results")
    (record,) = read_manifest(tmp_path / "results").runs.values()
    assert record["policy"] == "models/x"
    assert str(tmp_path) not in record["start"]


def test_a_users_files_ship_by_name(tmp_path: Path) -> None:
    texts, aligned = (
        f"documents:file={tmp_path}/data/own.jsonl,other=google/gemma",
        f"aligned={Path.home()}/models/kind",
    )
    who = {"arm": "none", "corpus": texts, "hackable": 1.0, "pretrain_seed": 0, "seed": 0, "overrides": [aligned]}
    mine = {"model": str(tmp_path / "models" / "mine"), "tasks": str(tmp_path / "data" / "mbpp.jsonl")}
    command = f"python -m mitigations none --model {mine['model']} --tasks {mine['tasks']}"
    note = "judge openai:http://127.0.0.1:8000/v1#m; cannot read /srv/elsewhere/x: no such file"
    run(tmp_path / "runs", run={**who, **mine}, command=command, note=note)
    export(tmp_path / "runs", tmp_path / "results")
    (record,) = read_manifest(tmp_path / "results").runs.values()
    assert record["command"] == "python -m mitigations none --model mine --tasks mbpp.jsonl"
    table = load(tmp_path / "results")
    assert (set(table["model"]), set(table["tasks"])) == ({"mine"}, {"mbpp.jsonl"})
    assert record["note"] == "judge openai:http://127.0.0.1:8000/v1#m; cannot read x: no such file"
    assert set(table["corpus"]) == {record["run"]["corpus"]} == {"documents:file=own.jsonl,other=google/gemma"}
    assert set(table["overrides"]) == set(record["run"]["overrides"]) == {"aligned=kind"}
    assert export(tmp_path / "runs", tmp_path / "results").new == ()
