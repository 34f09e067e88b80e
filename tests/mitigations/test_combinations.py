"""Combinations: what stacks keeps both parts, what would be ignored is refused in one line before anything is made."""

from __future__ import annotations

import itertools
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import mitigations
from base.errors import UserError
from base.recipes import Recipe, RLRecipe, SFTRecipe, filled, stack
from base.run import check
from mitigations.__main__ import main
from mitigations.api import describe, resolve

SPECS = (
    *mitigations.MITIGATIONS,
    "inoculation:wording=dont_hack,update=hacking_okay",
    "inoculation:wording=none,setting=prompted",
    "pm_penalty:start=success",
    "pm_penalty:pairs=hacks,noise=1",
    "classifier_penalty:monitor=trained,mode=screening",
    "classifier_penalty:start=step:2",
    "rlhf_mix:share=1.0",
    "rlhf_mix:share=0,start=success",
    "filtered_sft:into=aligned",
    "filtered_sft:source=start,keep=all",
    "sft_safety:start=start",
)


def part(spec: str) -> Recipe:
    ((_, plugin),) = mitigations.arm(spec).parts
    recipe: Recipe = plugin()
    return recipe


@pytest.fixture
def sigterm() -> Iterator[None]:
    """The command line handles SIGTERM; the tests after this one should not."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


PAIRS = [(a, b) for a, b in itertools.combinations(SPECS, 2) if a.split(":")[0] != b.split(":")[0]]


@pytest.mark.parametrize(("one", "two"), PAIRS)
def test_two_mitigations_both_count_or_are_refused(one: str, two: str, tmp_path: Path) -> None:
    parts = [part(one), part(two)]
    try:
        stages = resolve(*describe(f"{one}+{two}", scale="smoke"))
        check(stages, tmp_path)
    except UserError as refused:
        assert str(refused).count("\n") == 0  # noqa: PT017  (refusing is one of two right answers)
        return
    both = stack({"one": parts[0], "two": parts[1]})
    assert both == stack({"two": parts[1], "one": parts[0]}), "the order of a stack says nothing"
    for recipe in parts:
        for name in filled(recipe):
            ours, all_of_it = getattr(recipe, name), getattr(both, name)
            assert ours.items() <= all_of_it.items() if isinstance(ours, dict) else ours == all_of_it, name
    alone = {str(resolve(*describe(spec, scale="smoke"))[-1].key) for spec in (one, two)}
    assert stages[-1].key not in alone


def test_recipes_of_two_kinds_are_refused_and_of_one_kind_merge() -> None:
    kinds = {spec: type(part(spec)) for spec in SPECS}
    assert set(kinds.values()) == {RLRecipe, SFTRecipe}
    for one, two in PAIRS:
        if kinds[one] is not kinds[two]:
            with pytest.raises(UserError, match="is a recipe for"):
                resolve(*describe(f"{one}+{two}", scale="smoke"))
    built = stack({"a": part("inoculation"), "b": part("pm_penalty"), "c": part("classifier_penalty")})
    assert isinstance(built, RLRecipe)
    assert set(built.terms) == {"preference", "penalty"}
    assert filled(built) == ["sample_prompt", "terms", "judges"]


MEANINGLESS = {
    "filtered_sft+pm_penalty:weight=0.25": "recipe for",
    "inoculation+filtered_sft": "recipe for",
    "filtered_sft:into=aligned+classifier_penalty:start=success": "recipe for",
    "inoculation+rlhf_mix:share=1.0": "read in no task",
    "inoculation:wording=mention,update=hacking_okay+rlhf_mix:share=1.0": "read in no task",
    "rlhf_mix:share=1.0+classifier_penalty": "pays nothing",
    "rlhf_mix:share=1.0+pm_penalty": "pays nothing",
    "filtered_sft+own_episodes": "both say what 'source' is",
    "filtered_sft+offline_rewrite": "both say what 'source' is",
    "pm_penalty:pairs=hacks+rlhf_mix": "differ in it",
    "pm_penalty:noise=1+rlhf_mix": "differ in it",
    "pm_penalty:start=step:2+classifier_penalty:start=success": "both say what 'starts' is",
    "filtered_sft:into=aligned+sft_safety": "two models|both say what",
    "filtered_sft:words=hack_talk": "is for keep=no_hack_words",
    "classifier_penalty:mode=screening,weight=2": "is for mode=penalty",
    "classifier_penalty:seed=3": "accuracy=1 turns none",
    "classifier_penalty:flipped=0.1": "is for monitor=trained",
    "rlhf_mix:share=0,noise=1": "mixes nothing in",
    "rlhf_mix:share=0,near=True": "mixes nothing in",
    "inoculation:wording=none": "add setting=prompted",
    "pm_penalty:flipped=1.5": "between 0 and 1",
    "pm_penalty:noise=-1": "0 or more",
    "rlhf_mix:flipped=-0.5": "between 0 and 1",
    "classifier_penalty:monitor=trained,flipped=2": "between 0 and 1",
    "none+pm_penalty": "stands alone",
    "filtered_sft:source=(filtered_sft+pm_penalty)": "recipe for",
    "filtered_sft:source=(classifier_penalty:seed=3)": "accuracy=1 turns none",
}


ELSEWHERE = {
    "core": "write --experiment core",
    "twin": "write --corpus twin",
    "please_hack": "write inoculation:wording=please_hack",
    "pm_penalty weight=0.5": "as in pm_penalty:weight=0.5",
    "verify --seed 1": "verify none --seed 1",
    "none --experiment core": "not both",
}


@pytest.mark.usefixtures("sigterm")
@pytest.mark.parametrize("words", ELSEWHERE)
def test_a_word_that_belongs_elsewhere_is_sent_there(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words.split(), "--scale", "smoke"]) == 2
    said = capsys.readouterr().err
    assert ELSEWHERE[words] in said
    assert said.count("\n") == 1


@pytest.mark.usefixtures("sigterm")
@pytest.mark.parametrize("spec", MEANINGLESS)
def test_what_means_nothing_is_one_line_and_exit_code_2(
    spec: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for further in ([], ["--dry-run"]):
        code = main([spec, "--scale", "smoke", "--runs", str(tmp_path / "runs"), *further])
        shown = capsys.readouterr()
        assert code == 2
        assert shown.out == ""
        assert shown.err.startswith("error: ")
        assert shown.err.count("\n") == 1
        assert re.search(MEANINGLESS[spec], shown.err), shown.err
        assert not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("sigterm")
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["none", "--seed", "-1"], "between 0 and"),
        (["none", "--seed", str(2**32)], "between 0 and"),
        (["none", "--pretrain-seed", str(2**63)], "between 0 and"),
        (["none", "--hackable", "nan"], "share between 0 and 1"),
        (["none", "--jobs", "0"], "--jobs must be at least 1"),
        (["none", "none", "--cluster", "slurm", "--minutes", "0"], "--minutes must be at least 1"),
        (["none", "none", "--cluster", "slurm", "--cpus", "0"], "--cpus must be at least 1"),
        (["none", "none", "--cluster", "slurm", "--memory", "-1"], "--memory must be more than 0"),
        (["none", "none", "--cluster", "slurm", "--memory", "nan"], "--memory must be more than 0"),
        (["none", "none", "--cluster", "slurm", "--gpus", "-1"], "--gpus must be at least 0"),
        (["none", "none", "--cluster", "slurm", "--cluster-set", "x"], "write it as NAME=VALUE"),
        (["none", "none", "--cluster-set", "x=1"], "--cluster-set is of jobs of a cluster"),
        (["none", "--minutes", "5"], "--minutes is of jobs of a cluster"),
        (["none", "--evaluate", "last:0"], "write all, or start,middle,last:N with N at least 3"),
        (["none", "--evaluate", "al"], "cannot evaluate 'al'"),
        (["none", "--prompts", "dont_hak"], "did you mean 'dont_hack'"),
        (["none", "--set", "rl.steps=0"], "rl.steps"),
        (["none", "--set", "rl.steps=-3"], "rl.steps"),
        (["none", "--set", "rl.steps=1000000000"], "rl.steps"),
        (["none", "--set", "rl.trainer.lernrate=3"], "did you mean 'learning_rate'"),
        (["none", "--set", "rl.trainer.epsilon=abc"], "rl.trainer.epsilon must be a valid number"),
        (["none", "--set", "pretrain.trainer.seed=3"], "pretrain.trainer.seed cannot be set"),
        (["none", "--set", "sdf.schedule=xx"], "sdf.schedule"),
        (["pm_penalty", "--set", "preference.trainer.nothing=1"], "preference.trainer.nothing"),
        (["none", "--set", "rl.trainer.epsilon='0.3'"], "rl.trainer.epsilon must be a valid number"),
        (["none", "--set", "rl.trainer.epsilon=-1"], "rl.trainer.epsilon must be a finite number of at least 0"),
        (["none", "--set", "rl.trainer.loss_type=foo"], "rl.trainer.loss_type must be one of grpo"),
        (["none", "--set", "rl.trainer.scale_rewards=maybe"], "rl.trainer.scale_rewards must be one of group"),
        (["none", "--set", "rl.trainer.optim=foo"], "rl.trainer: foo is not a valid"),
        (["none", "--set", "rl.trainer.lr_scheduler_type=foo"], "rl.trainer: foo is not a valid"),
        (["none", "--set", "rl.trainer.lr_scheduler_type=cosine_with_min_lr"], "min_lr"),
        (["none", "--set", "rl.trainer.adam_beta2=2"], "rl.trainer: Invalid beta"),
        (["none", "--set", "rl.trainer.reward_weights=[0.5]"], "rl.trainer.reward_weights cannot be set"),
        (["none", "--set", "rl.trainer.resume_from_checkpoint=/x"], "resume_from_checkpoint cannot be set"),
        (["gates", "--set", "pretrain.trainer.optim=foo"], "pretrain.trainer: foo is not a valid"),
        (["none", "--set", "pretrain.trainer.gradient_accumulation_steps=5"], "does not divide into 5 parts"),
        (["filtered_sft", "--set", "sft.trainer.packing=true"], "sft.trainer.packing cannot be set"),
        (["none", "--set", "model.heads=3"], "model: heads (3) must divide"),
        (["none", "--set", "model.hidden_size=65"], "model: heads (2) must divide hidden_size (65)"),
        (["none", "--set", "model.hidden_size=66", "--set", "model.heads=2"], "into even parts"),
        (["none", "--set", "model.layers=10000000"], "model: "),
        (["none", "--set", "model.context=1"], "model.context"),
        (["none", "--set", "model.context=70"], "set model.context to"),
        (["none", "--set", "rl.trained=lora:1000000000"], "a rank of 1 to 9999"),
        (["none", "--set", "rl.prompts_per_step=1000000000"], "rl.prompts_per_step=1000000000 are"),
        (["none", "--set", "rl.group=1000000000"], "rl.group=1000000000 are"),
        (["none", "--set", "evals.samples=1000000000"], "evals.samples must be less than"),
        (["none", "--set", "pretrain.epochs=1e308"], "pretrain.epochs must be less than"),
        (["none", "--set", "rl.steps=010"], "010 is one number in YAML 1.1"),
        (["none", "--set", "rl.steps=1:30"], "1:30 is one number in YAML 1.1"),
        (["none", "--set", "rl.prompts_per_step=0"], "rl.prompts_per_step"),
        (["none", "--set", "rl.save_every=0"], "rl.save_every"),
        (["none", "--set", "pretrain.documents=0"], "documents"),
        (["filtered_sft", "--set", "sft.documents_per_step=0"], "documents_per_step"),
        (["none", "--set", "evals.samples=-1"], "evals.samples"),
        (["none", "--set", "rl.trained=lora:x"], "lora"),
        (["none", "--set", "rl.temperature=0"], "rl.temperature"),
        (["none", "--set", "tasks.hard_share=1.5"], "tasks.hard_share"),
        (["none", "--set", "engine.zero_stage=4"], "engine.zero_stage"),
        (["none", "--set", "measured.rl_step=1"], "measured"),
        (["none", "--set", "name=other"], "name"),
        (["--experiment", "core", "--seed", "-1"], "between 0 and"),
    ],
)
def test_numbers_that_cannot_be_are_refused_before_anything_is_made(
    words: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main([*words, "--scale", "smoke", "--runs", str(tmp_path / "runs")])
    shown = capsys.readouterr()
    assert code == 2, shown.err
    assert shown.err.startswith("error: ")
    assert shown.err.count("\n") == 1
    assert says in shown.err
    assert not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("sigterm")
@pytest.mark.parametrize(
    ("further", "runs"),
    [
        *((["none"], runs) for runs in ("file", "file/runs", "circle", "nowhere", 300 * "x")),
        *((["none", "--dry-run"], runs) for runs in ("file/runs", "circle", "nowhere", 300 * "x")),
        (["--experiment", "core"], "file/runs"),
        (["paper", "--seeds", "1", "--dry-run"], "nowhere"),
    ],
)
def test_runs_where_none_can_lie_are_one_line(
    further: list[str], runs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "nowhere").symlink_to("gone")
    assert main([*further, "--scale", "smoke", "--runs", str(tmp_path / runs)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert ("is a file" if "file" in runs else "cannot be written to") in shown.err


@pytest.mark.usefixtures("sigterm")
def test_a_long_path_makes_a_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / ("ü" * 100) / ("w" * 200)
    folder.mkdir(parents=True)
    (folder / "mine, too.yaml").write_text("mine: You may do as you like here.\n")
    spec = f'inoculation:wording=mine,file="{folder}/mine, too.yaml"'
    assert main([spec, "--scale", "smoke", "--dry-run", "--runs", str(tmp_path / "runs")]) == 0
    name = capsys.readouterr().out.split("\n")[0]
    (tmp_path / f".{name}.partial").mkdir()
