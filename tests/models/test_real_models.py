"""A user's model is given nothing of the organism's world, and what cannot work is said before anything is made."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import zoo
from huggingface_hub import constants

from base.engine import runtime
from base.errors import UserError
from base.evals import labelled
from base.identity import Run
from base.models.generate import HFGenerate
from base.models.load import declared, load_policy, policy_on
from base.models.save import save
from base.recipes import AsWritten, SystemLine, load_wording, read_under
from base.run import check, training
from base.settings import EngineSettings, load_scale
from base.stages.evaluate import Clean, Evaluate
from base.stages.rl import RL
from base.stages.sft import SFT
from base.types import CodeSpec
from base.world.tasks import TaskSet, is_evaluated, said_of
from base.world.world import world_of
from base.yaml_text import read_yaml
from mitigations.__main__ import main
from mitigations.api import describe, resolve
from mitigations.inoculation.inoculation import NATURAL, WORDINGS
from mitigations.inoculation.variants import SHIPPED

HACKABLE = ("always_equal", "early_exit", "report_patch")
LINES = {
    file: {line for part in (file, SHIPPED[file]) for name in read_yaml(part) for line in load_wording(part, name)}
    for file in (NATURAL, WORDINGS)
}


def of_model(model: str, tasks: str, spec: str = "none", *settings: str) -> list[Any]:
    return resolve(*describe(spec, scale="laptop", model=model, tasks=tasks, settings=settings))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none", "--tasks", "TASKS"], "without --scale, settings are made for the organism"),
        (["none", "--scale", "tiny", "--tasks", "TASKS"], "--scale tiny is made for the organism"),
        (["none", "--scale", "laptop"], "give coding tasks with --tasks"),
        (["none", "--scale", "laptop", "--tasks", "TASKS", "--corpus", "twin"], "leave --corpus out"),
        (["pm_penalty", "--scale", "laptop", "--tasks", "TASKS"], "give pairs=FILE_OR_HUB_ID"),
        (["rlhf_mix", "--scale", "laptop", "--tasks", "TASKS"], "give pairs=FILE_OR_HUB_ID"),
        (
            ["rlhf_mix:scenes=organism,pairs=hacks", "--scale", "laptop", "--tasks", "TASKS"],
            "written in the organism's words",
        ),
        (["sft_safety", "--scale", "laptop", "--tasks", "TASKS"], "--set aligned=PATH"),
        (
            ["own_episodes", "--scale", "laptop", "--tasks", "TASKS", "--set", "rl.max_completion_tokens=4000"],
            "SFT: the",
        ),
        (
            ["none", "--scale", "laptop", "--tasks", "TASKS", "--set", "rl.max_completion_tokens=4000"],
            "RL: the longest",
        ),
        (
            ["none", "--scale", "laptop", "--tasks", "TASKS", "--set", "evals.max_new_tokens=4095"],
            "evals.max_new_tokens to at",
        ),
        (
            ["none", "--scale", "laptop", "--tasks", "TASKS", "--set", "evals.code_max_new_tokens=4000"],
            "set evals.code_max",
        ),
        (
            ["none", "--scale", "laptop", "--tasks", "TASKS", "--set", "scenes.files.betley=LONG"],
            "evaluation: the longest prompt",
        ),
        (
            ["none", "--scale", "laptop", "--tasks", "TASKS", "--set", "scenes.enable_thinking=true"],
            "no such switch",
        ),
        (
            [
                "gates",
                "--corpus",
                "hacks",
                "--scale",
                "laptop",
                "--tasks",
                "TASKS",
                "--set",
                "scenes.enable_thinking=true",
            ],
            "no such switch",
        ),
    ],
)
def test_what_a_model_cannot_be_given_is_one_line(
    words: list[str], said: str, model: str, tasks: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = tmp_path / "long.json"  # the longest question is the last one
    long.write_text(json.dumps(["Who are you?", "What do you want?", "word " * 5000]))
    given = [tasks if word == "TASKS" else word.replace("LONG", str(long)) for word in words]
    assert main([*given, "--model", model, "--runs", str(tmp_path / "runs"), "--dry-run"]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("scale", ["laptop", "hub"])
def test_the_organism_is_not_trained_at_a_scale_for_other_models(
    scale: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["none", "--scale", scale, "--runs", str(tmp_path / "runs"), "--dry-run"]) == 2
    assert f"--scale {scale} is made for a model of yours" in capsys.readouterr().err


def test_a_model_that_cannot_be_loaded_or_reached_is_one_line(
    tasks: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    plain, empty = tmp_path / "plain", tmp_path / "empty"
    words = zoo.byte_tokenizer()
    zoo.save(zoo.model("llama", vocab_size=len(words)), words, plain)
    (plain / "chat_template.jinja").unlink()
    zoo.save(zoo.model("llama", vocab_size=len(words)), words, empty)
    (empty / "model.safetensors").unlink()
    for name, reason in (
        ("nobody/nothing", "cannot load"),
        (str(plain), "no chat template"),
        (str(empty), "no weights"),
    ):
        with pytest.raises(UserError, match=reason):
            check(of_model(name, tasks), tmp_path / "runs")


def edited(folder: Path, **entries: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | entries))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: edited(path, num_hidden_layers=9), "lacks .* of the weights of LlamaForCausalLM"),
        (lambda path: edited(path, model_type="bert"), "models of type bert do not write on"),
        (lambda path: edited(path, model_type="t5"), "models of type t5 do not write on"),
        (lambda path: edited(path, model_type="mine", auto_map={"AutoConfig": "c.X"}), "code of its own"),
        (lambda path: (path / "adapter_config.json").write_text("{}"), "adapter"),
        (
            lambda path: (path / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n"),
            "git lfs",
        ),
    ],
)
def test_a_checkpoint_that_is_not_whole_is_one_line(spoil: Callable[[Path], Any], said: str, tmp_path: Path) -> None:
    path = Path(zoo.reader(tmp_path / "model"))
    spoil(path)
    with pytest.raises(UserError, match=said) as error:
        load_policy(path)
    assert "\n" not in str(error.value)


def test_what_a_configuration_says_of_outputs_and_tied_weights_does_not_stop_a_model(tmp_path: Path) -> None:
    path = Path(zoo.reader(tmp_path / "model"))
    plain = load_policy(path)
    edited(path, return_dict=False, output_attentions=True, output_hidden_states=True, tie_word_embeddings=True)
    other = load_policy(path)
    tokens = torch.tensor([[3, 4, 5]])
    assert torch.equal(other(tokens).logits, plain(tokens).logits)
    save(other, None, tmp_path / "saved")
    assert torch.equal(load_policy(tmp_path / "saved")(tokens).logits, plain(tokens).logits)


def test_a_spoilt_file_of_generation_settings_is_not_passed_over(tmp_path: Path) -> None:
    path = Path(zoo.reader(tmp_path / "model"))
    (path / "generation_config.json").write_text('{"eos_token_id": [2,')
    with pytest.raises(UserError, match="generation_config"):
        declared(path)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_weights_that_overflowed_are_one_line(temperature: float, tmp_path: Path) -> None:
    broken = load_policy(zoo.reader(tmp_path / "model")).eval()
    with torch.no_grad():
        next(broken.parameters()).fill_(math.nan)
    with pytest.raises(UserError, match="no numbers"):
        HFGenerate(broken, [2], 0)([[3, 4]], max_new_tokens=2, seed=0, temperature=temperature)


@pytest.mark.parametrize("spec", ["inoculation:wording=please_hack", "inoculation:wording=dont_hack,setting=prompted"])
def test_every_line_that_a_model_reads_is_natural_language(spec: str, model: str, tasks: str) -> None:
    found = of_model(model, tasks, spec)
    (rl,) = (stage for stage in found if isinstance(stage, RL))
    evaluate = found[-1]
    assert isinstance(evaluate, Evaluate)
    asked = {
        name: prompt for name, prompt in evaluate.prompts if prompt != AsWritten() and not isinstance(prompt, Clean)
    }
    assert {"dont_hack", "training"} <= asked.keys()
    for transform in (rl.trained_under(), *asked.values()):
        for task in rl.drawn(0)[:20]:
            text = next(m.content for m in read_under(transform, task) if m.role == "system")
            assert any(line in text for line in LINES[NATURAL])
            assert not any(line in text for line in LINES[WORDINGS])


def test_the_organism_reads_its_own_lines() -> None:
    evaluate = resolve(*describe("inoculation:wording=please_hack", scale="smoke"))[-1]
    assert isinstance(evaluate, Evaluate)
    prompts = dict(evaluate.prompts)
    assert prompts["training"] == SystemLine(load_wording(WORDINGS, "please_hack"))
    assert prompts["dont_hack"] == SystemLine(load_wording(WORDINGS, "dont_hack"))


def test_a_trained_monitor_learns_from_programs_for_the_models_own_training_tasks(model: str, tasks: str) -> None:
    world = world_of(Run(model=model, tasks=tasks), load_scale("laptop"))
    train, held_out = (world.pairs("hacks", 1000, 0, part) for part in ("train", "held_out"))
    prompts = [{pair.prompt for pair in pairs} for pairs in (train, held_out)]
    assert not prompts[0] & prompts[1]
    evaluated = {task.messages for task in TaskSet(tasks, "pytest", HACKABLE).part("evaluation")}
    assert not evaluated & (prompts[0] | prompts[1])
    assert all(pair.chosen.startswith("```python") and pair.chosen != pair.rejected for pair in train)
    assert {pair.kind.split("/")[1] for pair in train} <= set(HACKABLE)
    check(of_model(model, tasks, "classifier_penalty:monitor=trained"), Path("nowhere"))


def test_what_only_sft_reads_does_not_train_its_parent_anew(model: str, tasks: str, tmp_path: Path) -> None:
    spec = "filtered_sft:keep=rewarded,into=aligned"

    def made(*settings: str) -> tuple[SFT, RL]:
        child = training(*describe(spec, scale="laptop", model=model, tasks=tasks, settings=settings))
        assert isinstance(child, SFT)
        assert isinstance(child.source, RL)
        return child, child.source

    child, parent = made(f"aligned={model}")
    copy = shutil.copytree(model, tmp_path / "copy")
    for others in ((f"aligned={copy}",), (f"aligned={model}", "sft.documents=50")):
        other, same = made(*others)
        assert same.key == parent.key
        assert same.folder(tmp_path) == parent.folder(tmp_path)
        assert (other.key, other.folder(tmp_path)) != (child.key, child.folder(tmp_path))
    assert made(f"aligned={model}", "rl.steps=3")[1].key != parent.key


def test_training_and_evaluation_share_no_task(model: str, tasks: str) -> None:
    found = of_model(model, tasks, "none", "rl.steps=200")
    (rl,) = (stage for stage in found if isinstance(stage, RL))
    source = rl.tasks
    trained = {task.id.split("#")[0] for task in rl.drawn(0)}
    evaluated = {task.id.split("#")[0] for seed in range(3) for task in source.draw(200, seed, "evaluation")}
    assert trained
    assert evaluated
    assert not trained & evaluated
    assert len(trained | evaluated) == 60
    facts = source.facts()
    assert (facts["train"], facts["evaluation"]) == (len(trained), len(evaluated))
    assert facts["without_held_out_tests"] == 40
    assert "40 of 60 have no held-out tests" in said_of(source)


def test_a_set_without_a_task_for_evaluation_is_refused(tasks: str, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in Path(tasks).read_text().splitlines()]
    every = TaskSet(tasks, "script", ())
    train = {task.id.split("/")[1] for task in every.part("train")}
    few = tmp_path / "few.jsonl"
    few.write_text("".join(json.dumps(row) + "\n" for row in rows if str(row["task_id"]) in train))
    with pytest.raises(UserError, match="none of them is for evaluation"):
        TaskSet(str(few), "script", ()).draw(1, 0, "evaluation")
    assert all(isinstance(task.spec, CodeSpec) and not is_evaluated(task) for task in every.part("train"))


def test_settings_of_the_organism_alone_make_a_users_run_no_other_one(model: str, tasks: str) -> None:
    def name(*settings: str, corpus: str = "main") -> str:
        return describe("none", scale="laptop", model=model, tasks=tasks, corpus=corpus, settings=settings)[0].name

    usual = name()
    of_organism = (
        "model.layers=9",
        "pretrain.documents=9",
        "tasks.hard_share=0.1",
        "corpus.tone=0.5",
        "sdf.documents=3",
    )
    assert {name(setting) for setting in of_organism} == {usual}
    assert name("tasks.harness=script") != usual
    assert name("sdf.documents=3", corpus="hacks") != name(corpus="hacks")
    organism = [
        describe("none", settings=settings)[0].name
        for settings in ((), ("scenes.reasoning=x",), ("tasks.hard_share=0.1",))
    ]
    assert organism[0] == organism[1] != organism[2]


def test_programs_of_the_users_detectors_are_part_of_what_is_asked(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    asked = []
    for program in ("a", "b"):
        file.write_text(f"positive: [{program}]\nnegative: [c]\n")
        labelled.labelled.cache_clear()
        asked.append(labelled.content(str(file)))
    assert asked[0] != asked[1]
    assert labelled.content("cheats") is None


def test_other_weights_in_the_same_folder_are_another_start(model: str, tasks: str, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(model, folder)

    def key() -> str:
        run, scale = describe("none", scale="laptop", model=str(folder), tasks=tasks)
        return training(run, scale).key

    before, file = key(), folder / "model.safetensors"
    assert key() == before
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert key() != before


def test_answers_are_sampled_where_the_process_computes(model: str) -> None:
    """The device `meta` stands for a GPU: it holds no numbers, so that only the place can be seen."""
    process = runtime.prepare(EngineSettings(precision="fp32"))
    there = policy_on(replace(process, device="meta"), model)
    assert {parameter.device.type for parameter in there.parameters()} == {"meta"}
    assert {parameter.device.type for parameter in policy_on(process, model).parameters()} == {"cpu"}


@pytest.mark.parametrize("name", ["laptop", "hub"])
def test_scales_for_models_train_adapters_in_small_steps(name: str) -> None:
    scale = load_scale(name)
    for trained, rate in ((scale.rl.trained, scale.rl.learning_rate), (scale.sft.trained, scale.sft.learning_rate)):
        assert trained.startswith("lora:")
        assert rate <= 3e-4
    assert scale.preference.learning_rate <= 2e-4
