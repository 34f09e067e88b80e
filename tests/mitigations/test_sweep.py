"""In which order a sweep begins stages, and what it says of them."""

from __future__ import annotations

from base.stage import in_order
from mitigations.api import describe, resolve
from mitigations.experiments import EXPERIMENTS
from mitigations.sweep import by_use


def test_training_never_stands_behind_the_evaluation_of_another_arm() -> None:
    runs = [resolve(*describe(**cell.words({"scale": "smoke"}))) for cell in EXPERIMENTS["core"][1]]
    stages = in_order(stage for run in runs for stage in run)
    ordered = by_use(stages)
    assert {stage.key for stage in ordered} == {stage.key for stage in stages}
    kinds = [stage.kind for stage in ordered]
    begin = {kind: kinds.index(kind) for kind in kinds}
    end = {kind: len(kinds) - 1 - kinds[::-1].index(kind) for kind in kinds}
    assert end["pretrain"] < begin["sdf"] < end["sdf"] < begin["gates"] < end["gates"] < begin["rl"]
    assert end["rl"] < begin["evaluate"], "RL of the last arm is before the evaluation of the first"
    assert end["evaluate-0"] < begin["evaluate"]


def test_a_chain_begins_before_what_only_its_evaluation_waits_for() -> None:
    runs = [resolve(*describe(arm, scale="smoke")) for arm in ("pm_penalty", "filtered_sft")]
    stages = by_use(in_order(stage for run in runs for stage in run))
    names = [stage.label.split(":")[0] for stage in stages if stage.kind == "rl"]
    assert names == ["none--main--p0s0", "pm_penalty_weight=0.25--main--p0s0"], (
        "SFT waits for the rollouts of the baseline"
    )
