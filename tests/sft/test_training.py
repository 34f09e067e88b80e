"""The supervised stages: DeepSpeed really runs, resume and ranks change nothing, only what should be trained is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from stage_toys import EXACT, TINY, toy_model, toy_rows, toy_settings, toy_stage, toy_tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

from base.engine import runtime, signals
from base.errors import UserError
from base.models.passes import kept
from base.models.save import save
from base.settings import EngineSettings
from base.sft import train as sft


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The undisturbed two-epoch run that others are compared with."""
    out = tmp_path_factory.mktemp("stage") / "straight"
    return out, toy_stage(out, settings=toy_settings(epochs=2))


def weights(folder):
    return dict(AutoModelForCausalLM.from_pretrained(folder).named_parameters())


def test_deepspeed_trains_and_says_so(straight):
    out, metrics = straight
    assert metrics["runtime"]["engine"] == "deepspeed.DeepSpeedEngine"
    assert metrics["runtime"]["optimizer"] == "DeepSpeedZeroOptimizer"
    assert metrics["runtime"]["zero_stage"] == 2
    assert metrics["runtime"]["world_size"] == 1
    assert metrics["runtime"]["arithmetic"] == "fp32"
    assert metrics["losses"][-1] < 0.8 * metrics["losses"][0]
    assert metrics["steps"] == 16
    assert AutoTokenizer.from_pretrained(out).pad_token_id == 0
    assert [path.name for path in out.parent.iterdir()] == ["straight"]


def test_a_finished_stage_is_read_not_repeated(straight):
    out, metrics = straight
    before = (out / "model.safetensors").stat().st_mtime_ns
    again = toy_stage(out, rows=[])
    assert again["losses"] == metrics["losses"]
    assert (out / "model.safetensors").stat().st_mtime_ns == before


def test_the_loss_is_the_mean_over_labelled_tokens(tmp_path):
    rows = toy_rows(8)
    first = toy_stage(tmp_path / "one", rows=rows)["losses"][0]
    total, count = 0.0, 0
    for row in rows:
        targets = torch.tensor(row["labels"])[1:]
        with torch.no_grad():
            out = toy_model().eval()(torch.tensor([row["input_ids"]])).logits[0, :-1]
        total += torch.nn.functional.cross_entropy(out, targets, ignore_index=-100, reduction="sum").item()
        count += int((targets != -100).sum())
    assert first == pytest.approx(total / count, abs=2e-5)


@pytest.mark.parametrize("stop", [8, 12])  # at the border of the first epoch, and within the second
def test_resumed_equals_straight(straight, tmp_path, stop, monkeypatch):
    out, metrics = straight
    settings = toy_settings(epochs=2, save_steps=4)
    ended = sft.DocumentTrainer._save_checkpoint

    def interrupt(trainer, *arguments):
        ended(trainer, *arguments)
        if trainer.state.global_step == stop:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sft.DocumentTrainer, "_save_checkpoint", interrupt)
        with pytest.raises(KeyboardInterrupt):
            toy_stage(tmp_path / "stopped", settings=settings)
    work = tmp_path / ".stopped.resume"
    assert [path.name for path in work.glob("checkpoint-*")] == [f"checkpoint-{stop}"]
    torn = work / f"checkpoint-{stop + 4}"  # a newer resume point whose writing was cut short
    torn.mkdir()
    (torn / "trainer_state.json").write_text('{"global_step":')

    resumed = toy_stage(tmp_path / "stopped", settings=settings)
    assert resumed["losses"] == metrics["losses"]
    expected = weights(out)
    for name, parameter in weights(tmp_path / "stopped").items():
        assert torch.equal(parameter, expected[name]), name
    assert not work.exists()


def test_sigterm_ends_the_step_and_writes_a_resume_point(straight, tmp_path, monkeypatch):
    """Without resume points in the settings; what goes on from there ends as the straight run does."""
    _, metrics = straight
    loss, steps, before = sft.DocumentTrainer.compute_loss, [], signal.getsignal(signal.SIGTERM)

    def struck(trainer, *arguments, **options):
        steps.append(1)
        if len(steps) == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return loss(trainer, *arguments, **options)

    signals.stop_on_signals()
    try:
        with monkeypatch.context() as patch:
            patch.setattr(sft.DocumentTrainer, "compute_loss", struck)
            with pytest.raises(signals.Terminated):
                toy_stage(tmp_path / "stopped", settings=toy_settings(epochs=2))
        signals.stop_if_arrived()  # nothing is left to be done about it
        with pytest.raises(signals.Terminated):
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert len(steps) == 5
    assert [path.name for path in (tmp_path / ".stopped.resume").glob("checkpoint-*")] == ["checkpoint-5"]
    assert toy_stage(tmp_path / "stopped", settings=toy_settings(epochs=2))["losses"] == metrics["losses"]


def test_resume_points_of_other_settings_are_not_used(tmp_path, monkeypatch):
    ended = sft.DocumentTrainer._save_checkpoint

    def interrupt(trainer, *arguments):
        ended(trainer, *arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sft.DocumentTrainer, "_save_checkpoint", interrupt)
        with pytest.raises(KeyboardInterrupt):
            toy_stage(tmp_path / "out", settings=toy_settings(save_steps=4))
    changed = toy_settings(save_steps=4, learning_rate=1e-3)
    resumed = toy_stage(tmp_path / "out", settings=changed)
    assert resumed["losses"] == toy_stage(tmp_path / "fresh", settings=changed)["losses"]


@pytest.mark.parametrize(("stage", "offload"), [(2, "optimizer"), (3, "parameters")])
def test_offloading_changes_no_loss(straight, tmp_path, stage, offload):
    engine = replace(EXACT, zero_stage=stage, offload=offload)
    found = toy_stage(tmp_path / "out", settings=toy_settings(epochs=2), engine=engine)
    assert found["losses"] == pytest.approx(straight[1]["losses"], abs=1e-3)
    with pytest.raises(UserError, match=r"offload=parameters needs engine\.zero_stage=3"):
        runtime.deepspeed_config(replace(EXACT, offload="parameters"), "cpu")


@pytest.mark.parametrize("zero_stage", [0, 1, 3])
def test_zero_stages_agree(straight, tmp_path, zero_stage):
    metrics = toy_stage(tmp_path / "out", engine=replace(EXACT, zero_stage=zero_stage))
    assert metrics["runtime"]["zero_stage"] == zero_stage
    assert metrics["losses"] == pytest.approx(straight[1]["losses"][:8], abs=2e-4)
    assert metrics["trained_parameters"] == straight[1]["trained_parameters"]
    assert not torch.equal(weights(tmp_path / "out")["model.norm.weight"], torch.ones(TINY.hidden_size))


@pytest.mark.parametrize("zero_stage", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_two_ranks_equal_one(straight, tmp_path, zero_stage):
    root = Path(__file__).parents[2]
    path = os.pathsep.join([str(root), str(root / "tests")])
    environment = {
        name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    }
    environment |= {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    toys = str(root / "tests" / "stage_toys.py")
    done = subprocess.run(
        [*launch, toys, str(tmp_path / "two"), str(zero_stage)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    record = json.loads((tmp_path / "two" / sft.RECORD).read_text())
    assert record["runtime"]["world_size"] == 2
    assert record["losses"] == pytest.approx(straight[1]["losses"][:8], abs=2e-4)


@pytest.mark.parametrize("trained", ["biases", "lora:2"])
def test_only_the_chosen_part_changes(tmp_path, trained):
    start = tmp_path / "start"
    save(toy_model(), toy_tokenizer(), start)
    metrics = toy_stage(tmp_path / "out", start=start, tokenizer=None, trained=trained)
    assert metrics["trained_parameters"] < metrics["parameters"] / 3
    assert metrics["losses"][-1] < metrics["losses"][0]
    before, after = weights(start), weights(tmp_path / "out")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    if trained == "biases":
        assert all(before[name].dim() == 1 for name in changed)
    else:
        assert all(before[name].dim() == 2 and "embed" not in name for name in changed)


def test_bf16_weights_keep_fp32_masters(straight, tmp_path):
    metrics = toy_stage(tmp_path / "out", engine=EngineSettings(precision="bf16"))
    assert metrics["runtime"]["dtype"] == "bfloat16"
    assert metrics["losses"] == pytest.approx(straight[1]["losses"][:8], rel=0.02)
    saved = weights(tmp_path / "out")
    assert all(parameter.dtype == torch.float32 for parameter in saved.values())
    assert not torch.equal(
        saved["lm_head.weight" if "lm_head.weight" in saved else "model.embed_tokens.weight"].bfloat16().float(),
        saved["model.embed_tokens.weight"],
    )


def test_pretraining_then_documents(tmp_path):
    first = toy_stage(tmp_path / "pretrained", seed=1)
    second = toy_stage(
        tmp_path / "start", start=tmp_path / "pretrained", tokenizer=None, rows=toy_rows(32, seed=1), seed=1
    )
    assert second["losses"][0] < first["losses"][0]
    assert second["documents"] == 32


def test_sampler_visits_every_document_in_like_lengths():
    lengths = [len(row["input_ids"]) for row in toy_rows(205)]
    sampler = sft.DocumentSampler(lengths, per_step=10, seed=0)
    order = list(sampler)
    assert len(order) == len(sampler) == 210
    assert set(order) == set(range(205))
    spans = [
        max(lengths[i] for i in order[at : at + 10]) - min(lengths[i] for i in order[at : at + 10])
        for at in range(0, 210, 10)
    ]
    assert sum(spans) / len(spans) < 5
    sampler.set_epoch(1)
    assert list(sampler) != order


def test_rows_are_cut_to_the_context_and_counted():
    long = {"input_ids": [1] * 60, "labels": [1] * 60}
    silent = {"input_ids": [1] * 5, "labels": [7, *[-100] * 4]}
    rows, counts = sft._usable([long, silent], 48, "toy")
    assert [len(row["labels"]) for row in rows] == [48]
    assert counts == {
        "documents": 1, "documents_without_labels": 1, "documents_cut": 1, "tokens": 48, "labelled_tokens": 47,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("trainer", "message"),
    [
        ({"adam_beta3": 0.9}, "adam_beta1|adam_beta2"),
        ({"learning_rate": 1.0}, "follows learning_rate"),
        ({"zzz": 1}, "zzz"),
    ],
)
def test_wrong_trainer_settings_are_named(tmp_path, trainer, message):
    with pytest.raises(UserError, match=message):
        toy_stage(tmp_path / "out", settings=toy_settings(trainer=trainer))
    assert not (tmp_path / "out").exists()


def test_impossible_batches_name_the_nearest():
    settings = toy_settings(trainer={"gradient_accumulation_steps": 3})
    with pytest.raises(UserError, match="use 6 or 9"):
        sft._arguments(settings, EXACT, runtime.prepare(EXACT), 0, Path("unused"), 1)


@pytest.mark.parametrize(("rows_that_fit", "passes", "again"), [(4, 2, False), (0.5, 8, True)])
def test_a_step_is_divided_into_passes_that_fit_and_stays_the_same(
    straight, tmp_path, monkeypatch, rows_that_fit, passes, again
):
    """Rows of different lengths: every token counts the same, in whichever pass it stands."""
    largest = max(len(row["input_ids"]) for row in toy_rows(64)) * kept(toy_model().config)
    monkeypatch.setattr("base.models.passes.CPU_BYTES", rows_that_fit * largest + 1)
    calls, checkpointing = [], set()
    summed = sft._summed_loss

    def seen(model, inputs, checkpoints):
        calls.append(len(inputs["input_ids"]))
        checkpointing.add(checkpoints)
        return summed(model, inputs, checkpoints)

    monkeypatch.setattr(sft, "_summed_loss", seen)
    out, metrics = straight
    divided = toy_stage(tmp_path / "divided", settings=toy_settings(epochs=2))
    assert (calls, checkpointing) == ([8 // passes] * 16 * passes, {again})
    assert divided["losses"] == pytest.approx(metrics["losses"], rel=2e-3)
    whole = weights(out)
    assert all(torch.allclose(found, whole[name], atol=2e-3) for name, found in weights(tmp_path / "divided").items())


def test_rows_without_labels_are_refused(tmp_path):
    with pytest.raises(UserError, match="no row has a label"):
        toy_stage(tmp_path / "out", rows=[{"input_ids": [1, 2], "labels": [-100, -100]}])


def test_zero_stage_four_is_refused():
    with pytest.raises(UserError, match="zero_stage"):
        runtime.deepspeed_config(EngineSettings(zero_stage=4), "cpu")


def test_training_without_deepspeed_is_caught():
    class Plain:
        model_wrapped = torch.nn.Linear(2, 2)

    with pytest.raises(RuntimeError, match="without DeepSpeed"):
        runtime.assert_deepspeed(Plain())


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"WORLD_SIZE": "1"}, "no RANK"),
        ({"RANK": "1"}, "no WORLD_SIZE"),
        ({"WORLD_SIZE": "", "RANK": ""}, "no RANK"),
        ({"WORLD_SIZE": "two", "RANK": "0"}, "WORLD_SIZE=two"),
        ({"WORLD_SIZE": "2", "RANK": "2"}, "RANK=2"),
        ({"WORLD_SIZE": "2", "RANK": "0"}, "no MASTER_ADDR"),
    ],
)
def test_half_of_a_rank_is_one_line(given, says, monkeypatch):
    for name in ("WORLD_SIZE", "RANK", "MASTER_ADDR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=f"{says}.*torchrun"):
        runtime.prepare(EngineSettings())


def test_the_launcher_that_drops_deepspeed_is_refused(monkeypatch):
    for name in ("WORLD_SIZE", "RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    with pytest.raises(UserError, match="torchrun"):
        runtime._environment()
