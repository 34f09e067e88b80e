"""In which order a sweep begins stages, and what it says of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
from sweep_toys import Ranked, Toy

from base.engine.runtime import Runtime
from base.errors import UserError
from base.settings import load_scale
from base.stage import Site, Stage, State, in_order
from base.stages.evaluate import Evaluate
from base.store.files import read_json
from base.store.folders import RunFolder
from base.store.results import RECIPE
from mitigations.api import describe, resolve
from mitigations.cluster import Cluster, Resources
from mitigations.experiments import EXPERIMENTS, Cell
from mitigations.sweep import Tally, block_of, by_use, log_of, sweep

ROOT = Path(__file__).parents[2]


def test_training_never_stands_behind_the_evaluation_of_another_arm() -> None:
    runs = [resolve(*describe(**cell.words({"scale": "smoke"}))) for cell in EXPERIMENTS["core"][1]]
    stages = in_order(stage for run in runs for stage in run)
    ordered = by_use(stages, block_of([runs]))
    assert {stage.key for stage in ordered} == {stage.key for stage in stages}
    kinds = [stage.kind for stage in ordered]
    begin = {kind: kinds.index(kind) for kind in kinds}
    end = {kind: len(kinds) - 1 - kinds[::-1].index(kind) for kind in kinds}
    assert end["pretrain"] < begin["sdf"] < end["sdf"] < begin["gates"] < end["gates"] < begin["rl"]
    assert end["rl"] < begin["evaluate"], "RL of the last arm is before the evaluation of the first"
    assert end["evaluate-0"] < begin["evaluate"]


def test_a_chain_begins_before_what_only_its_evaluation_waits_for() -> None:
    runs = [resolve(*describe(arm, scale="smoke")) for arm in ("pm_penalty", "filtered_sft")]
    stages = by_use(in_order(stage for run in runs for stage in run), block_of([runs]))
    names = [stage.label.split(":")[0] for stage in stages if stage.kind == "rl"]
    assert names == ["none--main--p0s0", "pm_penalty_weight=0.25--main--p0s0"], (
        "SFT waits for the rollouts of the baseline"
    )


@dataclass
class Here:
    """An executor that makes stages in this process, one for each question, and remembers the order."""

    stages: Sequence[Stage]
    root: Path
    order: ClassVar[list[str]] = []

    def __post_init__(self) -> None:
        self.waiting: list[Stage] = []

    def __enter__(self) -> Here:
        self.order.clear()
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def start(self, stage: Stage, log: Path) -> None:
        assert all(need.state(self.root) is State.DONE for need in stage.needs)
        self.waiting.append(stage)

    def ended(self, seconds: float) -> list[tuple[str, int]]:
        if not self.waiting:
            return []
        stage = self.waiting.pop(0)
        self.order.append(stage.label)
        try:
            stage.make(Site(self.root, cast(Any, None), Runtime("cpu", "fp32", 0, 1, 0, "gloo", 1)))
        except ValueError:
            return [(stage.key, 1)]
        return [(stage.key, 0)]


def toy_runs(seed: int, fails: str = "") -> list[list[Stage]]:
    """Three runs that share a start; of `fails` training fails."""
    start = Toy(f"start {seed}")
    runs = []
    for arm in "abc":
        training = Toy(f"train {arm}{seed}", (start,), fails=arm == fails)
        runs.append(in_order([Toy(f"evaluate {arm}{seed}", (training,))]))
    return runs


def test_a_failed_run_leaves_the_others_and_the_same_call_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = sweep([toy_runs(1, fails="b"), toy_runs(2)], load_scale("smoke"), tmp_path, 2, Here)
    out, err = capsys.readouterr()
    assert code == 1
    assert "5 of 6 runs done" in out
    assert "failed: toy train b1\n  ValueError: train b1 cannot be" in err
    assert "failed: toy evaluate b1\n  not made: it needs toy train b1: ValueError: train b1 cannot be" in err
    before = list(Here.order)
    assert before.index("evaluate c1") < before.index("train c2"), (
        "the first seed is finished before the second goes far"
    )
    assert sweep([toy_runs(1), toy_runs(2)], load_scale("smoke"), tmp_path, 2, Here) == 0
    assert Here.order == ["train b1", "evaluate b1"]
    assert all(stage.made(tmp_path) == 1 for runs in (toy_runs(1), toy_runs(2)) for run in runs for stage in run)


def test_a_run_that_is_given_twice_is_made_and_counted_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    twice = [[*toy_runs(1), *toy_runs(1)], [*toy_runs(2), *toy_runs(1)]]
    assert sweep(twice, load_scale("smoke"), tmp_path, 2, Here) == 0
    assert "6 of 6 runs done" in capsys.readouterr().out
    assert sweep(twice, load_scale("smoke"), tmp_path, 2, Here) == 0, "also where all are there"
    broken = [[*toy_runs(3, fails="b"), *toy_runs(3, fails="b")]]
    assert sweep(broken, load_scale("smoke"), tmp_path, 2, Here) == 1
    assert "2 of 3 runs done" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("cells", "settings"),
    [
        ([Cell("inoculation"), Cell("inoculation:wording=please_hack")], ()),
        ([Cell(), Cell(settings=("rl.kl=loss",))], ("rl.kl=loss",)),
    ],
)
def test_two_spellings_of_a_run_end_in_the_same_stage(cells: list[Cell], settings: tuple[str, ...]) -> None:
    ends = [resolve(*describe(**cell.words({"scale": "smoke", "settings": settings})))[-1].key for cell in cells]
    assert ends[0] == ends[1]


def test_the_tally_counts_runs_and_says_how_long_the_rest_takes(tmp_path: Path) -> None:
    runs = toy_runs(1)
    scale = replace(load_scale("smoke"), measured={"toy": 60.0})
    tally = Tally(runs, tmp_path, scale, jobs=2)
    stages = in_order(stage for run in runs for stage in run)
    tally.started(stages[0])
    assert tally.line(stages[1:]) == "0 done, 1 running, 0 failed, 2 waiting; about 3.5 min left"
    tally.done(stages[0])
    for run in runs[:2]:
        tally.started(run[-1])
    tally.done(runs[0][-1])
    tally.failed(runs[1][-1])
    assert tally.line([runs[2][-1]]) == "1 done, 0 running, 1 failed, 1 waiting; about 30 s left"
    assert "time left not known" in Tally(runs, tmp_path, load_scale("smoke"), 2).line(stages)


def test_a_run_that_cannot_be_made_leaves_an_error_row(tmp_path: Path) -> None:
    run, scale = describe("pm_penalty:start=success", scale="smoke")
    evaluation = resolve(run, scale)[-1]
    assert isinstance(evaluation, Evaluate)
    evaluation.trained.fail(tmp_path, "UserError: nothing to start from")
    record = RunFolder(tmp_path / run.name).record
    assert (record["status"], record["error"]) == ("failed", "UserError: nothing to start from")
    assert (record["run"]["arm"], record["key"], record["recipe"]) == (str(run.arm), evaluation.trained.key, RECIPE)
    evaluation.trained.check(tmp_path)
    RunFolder(tmp_path / run.name).open(run, scale, evaluation.trained.key)
    assert RunFolder(tmp_path / run.name).record["error"] is None, "a later call begins it"


@pytest.mark.slow
def test_a_cluster_makes_the_same_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through submitit's local executor: jobs are processes that import this test's toys by name."""
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{ROOT / 'tests'}")
    start = Toy("start")
    runs = [[start, Toy("good", (start,))], [start, Toy("bad", (start,), fails=True)]]
    executor = partial(Cluster, Resources("local", minutes=5))
    assert sweep([runs], load_scale("smoke"), tmp_path, 2, executor) == 1
    assert [stage.made(tmp_path) for stage in (start, runs[0][1], runs[1][1])] == [1, 1, 0]
    assert runs[1][1].record(tmp_path)["error"] == "ValueError: bad cannot be"
    assert "bad cannot be" in log_of(runs[1][1], tmp_path).read_text()


@pytest.mark.slow
def test_a_job_of_several_ranks_makes_a_stage_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on two GPUs of a node: submitit's tasks are the ranks of a process group."""
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{ROOT / 'tests'}")
    stage = Ranked("both")
    executor = partial(Cluster, Resources("local", minutes=5, ranks=2))
    assert sweep([[[stage]]], load_scale("smoke"), tmp_path, 1, executor) == 0
    assert stage.made(tmp_path) == 1
    assert [read_json(stage.folder(tmp_path) / f"rank-{rank}.json") for rank in (0, 1)] == [{"of": 2}, {"of": 2}]


def test_what_a_job_may_have_is_said_in_submitits_words(tmp_path: Path) -> None:
    asked = Resources("slurm", "fast", 30, 2, 8, 1, ("slurm_account=mine", "slurm_array_parallelism=4"))
    assert asked.parameters() == {
        **{"name": "edmund", "timeout_min": 30, "cpus_per_task": 2, "mem_gb": 8, "gpus_per_node": 1},
        **{"slurm_partition": "fast", "slurm_account": "mine", "slurm_array_parallelism": 4},
    }
    several = Resources("slurm", gpus=4, nodes=2).parameters()
    assert (several["nodes"], several["tasks_per_node"], several["gpus_per_node"]) == (2, 4, 4), "a rank a GPU"
    assert Resources("local", ranks=2).parameters()["tasks_per_node"] == 2
    with pytest.raises(UserError, match="NAME=VALUE"):
        Resources("slurm", other=("account",)).parameters()
    with pytest.raises(UserError, match="--cluster local: "):
        Cluster(Resources("local", other=("slurm_colour=red",)), [], tmp_path)
