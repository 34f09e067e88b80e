"""Triggers, forks and what a run needs before it: the parts of the pipeline that no single stage shows."""

from pathlib import Path
from typing import Any

import pytest
from base.pipeline import fork_point, unscored
from base.plan import plan

import mitigations
from base import starts
from base.errors import UserError
from base.recipes import Arm, Demonstrations, Judge, Mitigation, stack
from base.run import Run
from base.settings import load_scale
from base.store.files import write_rows
from base.store.folders import RunFolder
from base.triggers import AtStart, AtStep, Reached, trigger

SMOKE = load_scale("smoke")
ROWS = [
    {"step": 1, "hack_rate": 0.0, "reward": 0.4},
    {"step": 2, "hack_rate": float("nan"), "reward": 0.4},
    {"step": 3, "hack_rate": 0.02, "reward": 0.5},
    {"step": 4, "hack_rate": 0.03, "reward": 0.51},
    {"step": 5, "hack_rate": 0.5, "reward": 0.2},
]


@pytest.mark.parametrize(
    ("when", "step"),
    [(trigger("start"), 0), (trigger("onset"), 4), (trigger("success"), 4), (trigger("step:3"), 3)],
)
def test_triggers_read_the_parents_metrics(when: Any, step: int) -> None:
    assert when(ROWS) == step


def test_onset_means_above_the_rate_and_a_missing_rate_never_fires() -> None:
    assert Reached("hack_rate", 0.02)(ROWS[:3]) is None
    assert Reached("hack_rate", 0.02, delay=6)(ROWS) == 10
    assert Reached("no_such_metric", 0.0)(ROWS) is None


@pytest.mark.parametrize("text", ["onsets", "step:", "step:x", "step:0", "step:-3", ""])
def test_bad_triggers_name_the_choices(text: str) -> None:
    with pytest.raises(UserError, match="choose one of start, onset, success, or step:N"):
        trigger(text)


def parent(path: Path, checkpoints: tuple[int, ...]) -> RunFolder:
    write_rows(path / "metrics.jsonl", ROWS)
    for step in checkpoints:
        (path / "checkpoints" / f"step-{step:04d}").mkdir(parents=True)
    return RunFolder(path)


def test_a_fork_starts_at_the_first_checkpoint_that_is_not_before_the_trigger(tmp_path: Path) -> None:
    folder = parent(tmp_path / "run", (2, 4, 6))
    assert fork_point(folder, AtStep(3)) == (folder.path / "checkpoints" / "step-0004", 4)
    assert fork_point(folder, Reached("hack_rate", 0.02))[1] == 4
    assert fork_point(folder, Reached("hack_rate", 0.02, delay=2))[1] == 6


def test_a_trigger_that_never_fires_says_so(tmp_path: Path) -> None:
    folder = parent(tmp_path / "run", (2, 4))
    with pytest.raises(UserError, match="did not fire in run"):
        fork_point(folder, Reached("hack_rate", 0.9))
    with pytest.raises(UserError, match="behind its last checkpoint"):
        fork_point(folder, AtStep(5))


def test_the_last_checkpoints_can_be_scored_first(tmp_path: Path) -> None:
    folder = parent(tmp_path / "run", (2, 4, 6))
    folder.write_scores(4, [], [])
    assert list(unscored(folder, None)) == [2, 6]
    assert list(unscored(folder, 2)) == [6]
    assert list(unscored(folder, 9)) == [2, 6]
    folder.write_scores(6, [], [])
    assert not unscored(folder, 2), "nothing is left of the last two"
    assert list(unscored(folder, None)) == [2]


def test_judges_of_different_names_add_up_and_equal_ones_are_one() -> None:
    first, second = Mitigation(judges={"pm": Judge()}), Mitigation(judges={"monitor": Judge(pairs="hacks")})
    assert stack({"a": first, "b": second}).judges == {"pm": Judge(), "monitor": Judge(pairs="hacks")}
    assert stack({"a": first, "b": first}).judges == {"pm": Judge()}
    with pytest.raises(UserError, match="different judges 'pm'"):
        stack({"a": first, "b": Mitigation(judges={"pm": Judge(noise=1.0)})})


def test_corpora_that_differ_in_the_sdf_stage_share_their_pretraining() -> None:
    def made(corpus: str) -> dict[str, Path]:
        return starts.stages(Run(corpus=corpus), SMOKE, Path("runs"))

    assert made("main")["pretrain"] == made("main:sdf_variant=neutral,sdf_share=0.1")["pretrain"]
    assert made("main")["sdf"] != made("main:sdf_variant=neutral")["sdf"]
    assert made("main")["pretrain"] != made("main:tone=0.5")["pretrain"]
    assert made("main:tone=0.5")["pretrain"] == made("main:tone=0.5,sdf_share=0.1")["pretrain"]


def test_judges_depend_on_what_they_are_trained_on_and_not_on_their_noise() -> None:
    def folder(judge: Judge, corpus: str = "main") -> Path:
        return starts.judge_folder(judge, Run(corpus=corpus), SMOKE, Path("runs"))

    assert folder(Judge()) == folder(Judge(noise=2.0))
    assert (
        len({folder(Judge()), folder(Judge(pairs="hacks")), folder(Judge(flipped=0.2)), folder(Judge(), "twin")}) == 4
    )


def test_the_aligned_model_differs_in_the_sdf_stage_only() -> None:
    run = starts.aligned_run(Run(corpus="twin:permission=none"), SMOKE)
    assert starts.corpus_config(run.corpus, SMOKE).sdf_share == 0
    assert starts.corpus_config(run.corpus, SMOKE).permission == "none"
    with pytest.raises(UserError, match="--set aligned=PATH"):
        starts.aligned_run(Run(model="gpt2"), SMOKE)
    with pytest.raises(UserError, match="for the organism"):
        starts.other_seed_run(Run(model="gpt2"))


def test_a_plan_shows_every_stage_and_what_is_not_known(tmp_path: Path) -> None:
    arm = Arm(Mitigation(judges={"pm": Judge()}, starts=AtStep(2)), {}, forks="none")
    text = plan(Run(arm="x"), arm, SMOKE, tmp_path)
    assert [line.split()[0] for line in text.splitlines()] == [
        "run", "pretrain", "sdf", "judge", "fork", "rl", "evaluate", "time", "memory",
    ]  # fmt: skip
    assert "not known: no " in text
    assert "2 prompts x 6 completions" in text
    sft = Arm(Mitigation(episodes=Demonstrations("aligned")), {})
    assert plan(Run(arm="x"), sft, SMOKE, tmp_path).count("\nsdf ") == 2, "its own start and the aligned model's"


def test_an_arm_knows_the_runs_it_needs() -> None:
    assert mitigations.arm("none")[1].parents == ()
    assert mitigations.arm("inoculation")[1].forks is None
    assert AtStart()(ROWS) == 0
