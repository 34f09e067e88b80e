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

import base.engine
from base.engine import runtime
from base.engine.__main__ import sizes
from base.errors import UserError
from base.evals import labelled
from base.identity import Run
from base.models import cost
from base.models.generate import HFGenerate
from base.models.load import declared, load_policy, policy_on
from base.models.load import describe as counts
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
from mitigations.api import describe, dry_run, resolve
from mitigations.inoculation.inoculation import NATURAL, WORDINGS
from mitigations.inoculation.variants import SHIPPED

HACKABLE = ("always_equal", "early_exit", "report_patch")
LINES = {
    file: {line for part in (file, SHIPPED[file]) for name in read_yaml(part) for line in load_wording(part, name)}
    for file in (NATURAL, WORDINGS)
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random Llama that reads 4096 bytes."""
    return zoo.reader(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Sixty tasks in MBPP's format; every third one has a held-out test."""
    return zoo.adding(tmp_path_factory.mktemp("tasks"), 60, held_out=3)


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


@pytest.mark.parametrize("trained", ["lora:4", "all", "biases"])
def test_sizes_are_counted_without_loading(trained: str, model: str) -> None:
    found = cost.size(model, trained)
    loaded = counts(load_policy(model, trained))
    assert (found.weights, found.trained) == (
        loaded["parameters"] - (found.trained if trained == "lora:4" else 0),
        loaded["trained_parameters"],
    )
    assert found.cached == 2 * 2 * 2 * 8 * 4  # keys and values, layers, key heads, their size, bytes


def test_memory_and_disk_follow_the_model_and_its_settings(model: str) -> None:
    scale = load_scale("laptop")
    small = cost.Size(100_000_000, 1_000_000, 50_000, 50_000, 1_500_000, True)
    large = cost.Size(7_000_000_000, 80_000_000, 150_000, 500_000, 16_000_000, True)

    def gigabytes(text: str) -> float:
        return float(text.split()[1])

    assert gigabytes(cost.memory(large, scale, 300)) > 10 * gigabytes(cost.memory(small, scale, 300)) > 0
    longer = load_scale("laptop", ["rl.max_completion_tokens=2048", "rl.micro_batch=32"])
    assert gigabytes(cost.memory(small, longer, 300)) > 10 * gigabytes(cost.memory(small, scale, 300))
    everything = load_scale("laptop", ["rl.trained=all", "rl.beta=0.1"])
    assert gigabytes(cost.memory(cost.Size(10**9, 10**9, 1000, 1000, 1000, True), everything, 9)) > 4 + 4 + 16
    assert gigabytes(cost.disk(large, 4)) == pytest.approx(5 * 28, rel=0.05)


def test_a_dry_run_times_the_model_and_says_what_it_takes(
    model: str, tasks: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["none", "--scale", "laptop", "--model", model, "--tasks", tasks, "--runs", str(tmp_path), "--dry-run"]
    assert main(words) == 0
    said = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()[1:]}
    assert "min" in said["time"]
    assert "measured just now" in said["speed"]
    assert "GB a process" in said["memory"]
    assert "4 checkpoints" in said["disk"]
    assert "no held-out tests" in said["tasks"]


def test_a_plan_from_python_is_timed_too_and_so_are_judges(model: str, tasks: str, tmp_path: Path) -> None:
    planned = dry_run(
        "none", scale="laptop", model=model, tasks=tasks, runs_folder=tmp_path, judges=["rule:words", f"hf:{model}"]
    )
    said = {line.split()[0]: line for line in planned.splitlines()[1:]}
    assert "measured just now" in said["speed"]
    assert "about" in said["golden"]
    assert "about" in said["verdicts"]
    assert "not known" not in said["time"]
    assert "GB a process" in said["memory"]
    asked = dry_run(
        "none", scale="laptop", model=model, tasks=tasks, runs_folder=tmp_path, judges=["openai:http://h/v1#m"]
    )
    known = {line.split()[0]: line for line in asked.splitlines()[1:]}
    assert "time not known" in known["golden"], "nobody pays for an estimate"
    assert "for the rest; not known: no stage of the kind golden or verdicts" in known["time"]


def test_a_plan_of_several_runs_says_what_they_take_too(
    model: str, tasks: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "--experiment",
        "core",
        "--scale",
        "laptop",
        "--model",
        model,
        "--tasks",
        tasks,
        "--runs",
        str(tmp_path),
    ]
    assert main([*words, "--dry-run", "--jobs", "2"]) == 0
    said = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "not known" not in said["time"]
    assert "on 2 cores as busy as now" in said["time"]
    assert "GB a process" in said["memory"]
    assert "to train on" in said["tasks"]


def test_where_other_work_hides_what_a_token_takes_sampling_is_not_free(
    model: str, tasks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "_seconds", lambda work: (work(), 0.5)[1])
    asked = [task.messages for task in TaskSet(tasks, "script", ()).part("train")[:4]]
    found = cost.measure(model, load_scale("laptop"), asked, 11)
    assert found is not None
    assert 0 < found["tokens_sampled"] < float("inf")
    assert found["rl_step"] > 1


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


def test_memory_on_gpus_falls_with_what_is_divided_and_offloaded() -> None:
    found = cost.Size(7 * 10**9, 7 * 10**9, 150_000, 229_376, 16_000_000, True)

    def held(gpus: int, *changes: str) -> float:
        return cost.on_gpus(found, load_scale("hub", ["rl.trained=all", *changes]), 512, gpus)["held"]

    assert held(1, "engine.zero_stage=0") == pytest.approx(7 * (2 + 2 + 12))
    assert held(8) == pytest.approx(7 * (2 + (2 + 12) / 8))
    assert held(8, "engine.zero_stage=3") == pytest.approx(7 * (2 + 2 + 12) / 8)
    assert held(8, "engine.zero_stage=3", "engine.offload=optimizer") == pytest.approx(7 * (2 + 2) / 8)
    assert held(8, "engine.zero_stage=3", "engine.offload=parameters") == pytest.approx(7 * 2 / 8)
    assert held(8, "rl.beta=0.1") == pytest.approx(held(8) + 7 * 2), "the reference"
    said = cost.gpu_memory({"held": 15.4, "sampling": 4.71, "host": 61.0}, 8)
    assert said.startswith(
        "about 20 GB on each of 8 GPUs before activations: 15 all the time, 4.7 while sampling; 61 GB"
    )
    offloaded = load_scale("hub", ["rl.trained=all", "engine.zero_stage=3", "engine.offload=optimizer"])
    assert cost.on_gpus(found, offloaded, 512, 8)["host"] == pytest.approx(7 * 12 + 2 * 4 * 7)


def test_the_sizes_in_the_page_are_the_ones_computed() -> None:
    page = (Path(base.engine.__file__).parent / "README.md").read_text(encoding="utf-8")
    assert page.split("<!-- sizes -->")[1].split("<!-- /sizes -->")[0].strip().splitlines() == list(sizes())


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
