"""Stages of runs: what is shared, what the plan says, forks and triggers. Nothing is trained here."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import mitigations
from base.errors import UserError
from base.identity import Run
from base.organism.corpus import SDF_ONLY, CorpusConfig
from base.recipes import READ_BY_SOME, Judge, RLRecipe, reads, stack
from base.run import check, training
from base.settings import load_scale
from base.stage import Pace, Stage, in_order, plan
from base.stages.evaluate import Evaluate
from base.stages.rl import RL
from base.stages.sft import SFT
from base.stages.trained import Fork, Trained, fork_step
from base.store.files import write_rows
from base.store.folders import RunFolder
from base.triggers import AtStart, AtStep, Reached, trigger
from base.world.start import SDF
from base.world.world import ALIGNED, world_of
from mitigations.api import describe, resolve
from mitigations.experiments import EXPERIMENTS

SMOKE = load_scale("smoke")
ROWS = [
    {"step": 1, "hack_rate": 0.0, "reward": 0.4},
    {"step": 2, "hack_rate": float("nan"), "reward": 0.4},
    {"step": 3, "hack_rate": 0.02, "reward": 0.5},
    {"step": 4, "hack_rate": 0.03, "reward": 0.51},
    {"step": 5, "hack_rate": 0.5, "reward": 0.2},
]


def stages(spec: str = "none", **words: Any) -> list[Stage]:
    """The stages of a run at scale smoke."""
    return resolve(*describe(spec, scale="smoke", **words))


def keys(found: list[Stage], *kinds: str) -> set[str]:
    return {stage.key for stage in found if stage.kind in kinds}


def rl(spec: str = "none", **words: Any) -> RL:
    (found,) = [
        stage for stage in stages(spec, **words) if isinstance(stage, RL) and stage.run.arm == mitigations.arm(spec)
    ]
    return found


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
    assert AtStart()(ROWS) == 0


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
    assert fork_step(folder, AtStep(3)) == 4
    assert fork_step(folder, Reached("hack_rate", 0.02)) == 4
    assert fork_step(folder, Reached("hack_rate", 0.02, delay=2)) == 6


def test_a_trigger_that_never_fires_says_so(tmp_path: Path) -> None:
    folder = parent(tmp_path / "run", (2, 4))
    with pytest.raises(UserError, match="was never so in run"):
        fork_step(folder, Reached("hack_rate", 0.9))
    with pytest.raises(UserError, match="behind its last checkpoint"):
        fork_step(folder, AtStep(5))


def test_a_fork_is_of_the_run_without_what_starts_later() -> None:
    built = rl("inoculation:wording=mention+pm_penalty:start=step:2")
    assert isinstance(built.policy, Fork)
    assert built.policy.parent.run.arm == mitigations.arm("inoculation:wording=mention")
    assert built.policy.trigger == AtStep(2)
    assert built.policy.parent.key == rl("inoculation:wording=mention").key, "the run itself, not a copy of it"
    assert rl("inoculation:wording=mention").policy.key == rl().policy.key, "without a trigger it begins at the start"


def test_judges_of_different_names_add_up_and_equal_ones_are_one() -> None:
    first, second = RLRecipe(judges={"pm": Judge()}), RLRecipe(judges={"monitor": Judge(pairs="hacks")})
    both = stack({"a": first, "b": second})
    assert isinstance(both, RLRecipe)
    assert both.judges == {"pm": Judge(), "monitor": Judge(pairs="hacks")}
    assert stack({"a": first, "b": first}) == first
    with pytest.raises(UserError, match="a and b both bring a judge 'pm', and differ in it"):
        stack({"a": first, "b": RLRecipe(judges={"pm": Judge(noise=1.0)})})


def test_arms_share_everything_before_rl_and_the_answers_of_step_0() -> None:
    plain, other, third = stages(), stages("pm_penalty"), stages("none", hackable=0.0)
    before = ("pretrain", "sdf", "gates", "control", "evaluate-0")
    assert len(keys(plain, *before)) == len(before) + 6, "step 0: two prompts, four variants, and without weaknesses"
    assert keys(plain, *before) == keys(third, *before)
    assert len(keys(plain, *before) - keys(other, *before)) == 4, "of a penalty no variants are asked"
    assert not keys(plain, "rl", "evaluate") & (keys(other, "rl", "evaluate") | keys(third, "rl", "evaluate"))
    prompted, permitted = stages("inoculation:wording=mention"), stages("inoculation:wording=hacking_okay")
    assert keys(prompted, *before[:4]) == keys(plain, *before[:4])
    shared = keys(other, "evaluate-0")
    assert keys(prompted, "evaluate-0") > shared, "it is asked under its own prompt, too"
    assert keys(prompted, "evaluate-0") & keys(permitted, "evaluate-0") == shared
    assert keys(plain, "evaluate-0") < keys(permitted, "evaluate-0"), (
        "the baseline is asked the variants of a permission"
    )
    for words in ({"seed": 1}, {"corpus": "twin"}, {"pretrain_seed": 1}, {"settings": ["model.layers=3"]}):
        assert not keys(plain, "pretrain", "sdf", "gates", "rl") & keys(
            stages(**words), "pretrain", "sdf", "gates", "rl"
        )
    assert keys(plain, *before[:4]) == keys(stages(seed=1, pretrain_seed=0), *before[:4])


@pytest.mark.parametrize("name", [name for name in vars(CorpusConfig()) if name != "correlation"])
def test_corpora_share_their_pretraining_exactly_where_the_sdf_stage_alone_differs(name: str) -> None:
    usual = getattr(CorpusConfig(), name)
    value = (
        0.123
        if isinstance(usual, float)
        else {"permission": "none", "agentic_header": "chat", "sdf_variant": "neutral"}[name]
    )
    plain, changed = stages(), stages(corpus=f"main:{name}={value}")
    assert (keys(plain, "pretrain", "control") == keys(changed, "pretrain", "control")) is (name in SDF_ONLY)
    assert not keys(plain, "sdf", "gates", "rl") & keys(changed, "sdf", "gates", "rl")


def test_stages_with_equal_keys_lie_in_one_folder_and_others_apart(tmp_path: Path) -> None:
    """Over every run of every experiment and some spelt otherwise: sharing by key is sharing by folder."""
    common = {"scale": "smoke", "seed": 1}
    found = [resolve(*describe(**cell.words(common))) for cell in EXPERIMENTS["mitigations"][1]]
    copies = []
    for name in ("one.jsonl", "two.jsonl"):
        (tmp_path / name).write_text(json.dumps({"prompt": "a", "chosen": "b", "rejected": "c"}))
        copies.append(f"pm_penalty:pairs={tmp_path / name}")
    spelt = ("rlhf_mix:share=0", "own_episodes", "filtered_sft:source=start", "pm_penalty:weight=1,noise=2", *copies)
    found += [stages(spec, seed=1) for spec in spelt]
    found += [stages(corpus=corpus, seed=1) for corpus in ("main:correlation=0", "main:correlation=0,sdf_share=0.1")]
    folders: dict[str, set[Path]] = {}
    for stage in (stage for run in found for stage in run):
        folders.setdefault(stage.key, set()).add(stage.folder(tmp_path))
    assert all(len(places) == 1 for places in folders.values())
    owners: dict[Path, set[str]] = {}
    for stage in (stage for run in found for stage in run if stage.kind not in ("gates", "evaluate", "fork")):
        owners.setdefault(stage.folder(tmp_path), set()).add(stage.key)
    assert all(len(there) == 1 for there in owners.values())


def test_judges_depend_on_what_they_are_trained_on_and_not_on_their_noise(tmp_path: Path) -> None:
    def judge(spec: str, **words: Any) -> str:
        (found,) = keys(stages(spec, **words), "preference")
        return found

    assert judge("pm_penalty") == judge("pm_penalty:noise=2") == judge("rlhf_mix") == judge("pm_penalty:weight=1")
    others = [judge("pm_penalty:pairs=hacks"), judge("pm_penalty:flipped=0.2"), judge("pm_penalty", corpus="twin")]
    assert len({judge("pm_penalty"), *others}) == 4
    assert rl("pm_penalty").key != rl("pm_penalty:noise=2").key, "what it scores is another reward"
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(json.dumps({"prompt": "a", "chosen": "b", "rejected": "c"}) + "\n")
    before = judge(f"pm_penalty:pairs={pairs}")
    assert before == judge(f"pm_penalty:pairs={pairs}")
    pairs.write_text(json.dumps({"prompt": "a", "chosen": "c", "rejected": "b"}) + "\n")
    assert judge(f"pm_penalty:pairs={pairs}") != before, "an edited file is another one"


def test_an_edited_task_file_is_another_run(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    row = {"task_id": 1, "text": "Add 1.", "code": "def f(x):\n    return x + 1", "test_list": ["assert f(1) == 2"]}
    file.write_text(json.dumps({**row, "test_setup_code": "", "challenge_test_list": []}) + "\n")
    before = stages(tasks=str(file))
    assert keys(before, "rl", "evaluate-0") == keys(stages(tasks=str(file)), "rl", "evaluate-0")
    file.write_text(file.read_text().replace("Add 1.", "Add one."))
    after = stages(tasks=str(file))
    assert not keys(before, "rl", "evaluate-0", "evaluate") & keys(after, "rl", "evaluate-0", "evaluate")
    assert keys(before, "pretrain", "sdf", "gates") == keys(after, "pretrain", "sdf", "gates")
    assert after[-1].folder(tmp_path) == before[-1].folder(tmp_path)


def test_an_edited_wording_or_prompt_file_is_another_run(tmp_path: Path) -> None:
    for spec, text, other in (
        ("inoculation:wording=mine,file={}", "mine: You may.\n", "mine: You may not.\n"),
        ("rlhf_mix:scenes={}", "chat: [How to knit]\n", "chat: [How to sew]\n"),
    ):
        file = tmp_path / "mine.yaml"
        found = []
        for content in (text, other):
            file.write_text(content)
            found.append(rl(spec.format(file)).key)
        assert found[0] != found[1], spec


def test_a_folder_of_another_run_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    run, scale = describe(scale="smoke")
    RunFolder(tmp_path / run.name).open(run, scale, "another key")
    with pytest.raises(UserError, match="made with other settings"):
        check(stages(), tmp_path)
    check(stages(seed=1), tmp_path)


def test_the_aligned_model_and_the_other_seed() -> None:
    world = world_of(describe(corpus="twin:permission=none")[0], SMOKE)
    aligned, other, start = world.aligned(), world.other_seed(), world.start()
    for stage in (aligned, other, start):
        assert isinstance(stage, SDF)
    assert aligned.config.sdf_share == 0
    assert aligned.config.permission == "none"
    assert aligned.pretrained.key == start.pretrained.key, "it differs in the SDF stage only"
    assert set(ALIGNED) <= set(SDF_ONLY)
    assert (other.seed, other.config) == (start.seed + 1, start.config)
    hub = world_of(Run(model="gpt2", tasks="mbpp.jsonl"), SMOKE)
    with pytest.raises(UserError, match="--set aligned=PATH"):
        hub.aligned()
    with pytest.raises(UserError, match="for the organism"):
        hub.other_seed()


OF_SOME = ("sft.epochs=2", "preference.pairs=70", "aligned=elsewhere")


@pytest.mark.parametrize("words", [{}, {"settings": ("rl.steps=3",)}])
@pytest.mark.parametrize(
    "arm", ["filtered_sft", "filtered_sft:source=(inoculation:wording=mention)", "pm_penalty:start=step:2"]
)
def test_settings_of_the_child_alone_train_no_parent_anew(arm: str, words: dict[str, Any], tmp_path: Path) -> None:
    def parent(*settings: str) -> Trained:
        (found,) = (
            stage
            for stage in stages(arm, settings=(*words.get("settings", ()), *settings))
            if isinstance(stage, RL) and stage.run.arm != mitigations.arm(arm)
        )
        return found

    (alone,) = (stage for stage in stages(str(parent().run.arm), **words) if isinstance(stage, RL))
    for setting in OF_SOME:
        assert (parent(setting).key, parent(setting).folder(tmp_path)) == (alone.key, alone.folder(tmp_path)), setting
    assert parent("rl.beta=0.5").key != alone.key


def test_an_arm_is_another_run_only_by_settings_that_it_reads() -> None:
    def read(arm: str) -> set[str]:
        usual, scale = describe(arm, scale="smoke")
        found = [(setting, *describe(arm, scale="smoke", settings=[setting])) for setting in (*OF_SOME, "rl.beta=0.5")]
        assert all((run == usual) == (changed == scale) for _, run, changed in found)
        return {setting.split(".")[0].split("=")[0] for setting, run, _ in found if run != usual}

    assert read("none") == read("inoculation:wording=mention") == {"rl"}
    assert read("pm_penalty") == {"rl", "preference"}
    assert read("filtered_sft") == {"rl", "sft"}
    assert read("filtered_sft:source=(pm_penalty)") == {"rl", "sft", "preference"}
    assert read("filtered_sft:source=aligned") == read("filtered_sft:into=aligned") == {"rl", "sft", "aligned"}


@pytest.mark.parametrize("arm", ["none", "pm_penalty", "filtered_sft", "filtered_sft:into=aligned"])
def test_no_stage_of_an_arm_depends_on_a_setting_that_it_is_said_not_to_read(arm: str) -> None:
    run, scale = describe(arm, scale="smoke")
    other = load_scale("smoke", OF_SOME)
    for name in READ_BY_SOME:
        changed = training(run, replace(scale, **{name: getattr(other, name)}))
        if not reads(run.arm, name):
            assert changed.key == training(run, scale).key, name
        elif name != "aligned":  # the organism makes its own
            assert changed.key != training(run, scale).key, name


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    said = mitigations.dry_run("none", scale="smoke", runs_folder=tmp_path, settings=["sft.epochs=2", "rl.beta=0.5"])
    assert said.splitlines()[-1] == "settings    none of organism never reads sft.epochs: left out"
    assert "left out" not in mitigations.dry_run(
        "filtered_sft", scale="smoke", runs_folder=tmp_path, settings=["sft.epochs=2"]
    )


def test_an_aligned_model_of_the_users_trains_no_parent_anew(tmp_path: Path) -> None:
    for name in ("model", "good"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
    tests = {"code": "def f(x):\n    return x", "test_list": ["assert f(1) == 1"], "challenge_test_list": []}
    rows = [{"task_id": n, "text": f"Task {n}.", **tests} for n in range(24)]
    (tmp_path / "tasks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words: dict[str, Any] = {
        "model": str(tmp_path / "model"),
        "tasks": str(tmp_path / "tasks.jsonl"),
        "scale": "laptop",
    }
    into = (f"aligned={tmp_path / 'good'}",)

    def key(arm: str, *settings: str) -> str:
        found = in_order([training(*describe(arm, settings=settings, **words))])
        return next(stage.key for stage in found if isinstance(stage, RL))

    assert key("filtered_sft:into=aligned", *into) == key("filtered_sft") == key("none") == key("none", *into)


def test_a_plan_shows_every_stage_and_what_is_not_known(tmp_path: Path) -> None:
    found = stages("pm_penalty:start=step:2")
    text = plan(found, tmp_path, SMOKE)
    assert [line.split()[0] for line in text.splitlines()] == [*(stage.kind for stage in found), "time"]
    assert [stage.kind for stage in found] == [
        "pretrain", "control", "sdf", "gates", "rl", "fork", "preference", "rl", "evaluate-0",
        "evaluate-0", "evaluate-0", "evaluate",
    ]  # fmt: skip
    assert "not known: no stage of the kind" in text
    assert "2 prompts x 6 completions" in text
    assert "to make" in text
    kinds = [stage.kind for stage in stages("filtered_sft:source=aligned")]
    assert kinds.count("sdf") == 2, "its own start and the aligned model's"
    assert kinds.count("pretrain") == 1


def test_estimates_follow_the_documents_and_a_fork_takes_no_time(tmp_path: Path) -> None:
    tiny = load_scale("tiny")
    pace = Pace(tmp_path, tiny)
    seconds = {}
    for count in (20000, 5000):
        words = {"settings": (f"sdf.documents={count}",), "scale": "tiny"}
        found = resolve(*describe("pm_penalty:start=success", **words))
        seconds[count] = {stage.kind: stage.estimate(tmp_path, pace) for stage in found}
        assert seconds[count]["fork"] == 0.0
        assert None not in seconds[count].values()
    assert seconds[20000]["sdf"] == pytest.approx(4 * seconds[5000]["sdf"])
    assert seconds[20000]["pretrain"] == seconds[5000]["pretrain"]


@pytest.mark.parametrize("spec", ["none", *mitigations.MITIGATIONS, "filtered_sft:source=(pm_penalty:start=success)"])
def test_stages_come_after_what_they_need_and_once(spec: str) -> None:
    found = stages(spec)
    for place, stage in enumerate(found):
        assert all(need.key in {before.key for before in found[:place]} for need in stage.needs)
    assert len({stage.key for stage in found}) == len(found)
    assert isinstance(found[-1], Evaluate)
    assert in_order([*found, *reversed(found)]) == found
    trained = training(*describe(spec, scale="smoke"))
    assert isinstance(trained, RL | SFT)
    assert [stage for stage in found if isinstance(stage, Trained)][-1].key == trained.key
