"""What is saved is the live model, buffers included; where it is not, the names are told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_zoo import SETTINGS, Watch, logits, near, train
from transformers import AutoModelForCausalLM
from zoo import model, save, tokenizer

from base.models.arithmetic import Bf16Linear, set_arithmetic
from base.models.load import load_policy
from base.models.save import save as write
from base.settings import EngineSettings

BIAS = "model.layers.1.mlp.gate.e_score_correction_bias"


@pytest.mark.parametrize("trained", ["all", "biases", "lora:2"])
@pytest.mark.parametrize("architecture", ["deepseek_v3", "glm4_moe"])
def test_persistent_buffers_are_saved(architecture: str, trained: str, tmp_path: Path) -> None:
    start = save(model(architecture), tokenizer(), tmp_path / "start")
    policy = load_policy(start, trained)
    for name, parameter in policy.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    write(policy, None, tmp_path / "saved")
    saved = AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    assert saved.state_dict()[BIAS].tolist() == [5.0, -5.0, 5.0, -5.0]
    near(logits(saved), logits(policy))


@pytest.mark.slow
@pytest.mark.parametrize("stage", [0, 1, 3])
@pytest.mark.parametrize("trained", ["all", "lora:2"])
def test_under_every_stage_of_zero(stage: int, trained: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = save(model("deepseek_v3"), tokenizer(), tmp_path / "start")
    watch = Watch(monkeypatch)
    engine = EngineSettings(precision="fp32", zero_stage=stage)
    facts = train(start, tmp_path, engine=engine, settings=replace(SETTINGS, trained=trained))
    assert facts["zero_stage"] == stage
    for got, expected in watch.scored:
        near(got, expected)
    saved = AutoModelForCausalLM.from_pretrained(tmp_path / "checkpoints" / "step-0002")
    assert saved.state_dict()[BIAS].tolist() == [5.0, -5.0, 5.0, -5.0]
    near(logits(saved), watch.live)


@pytest.mark.slow
def test_half_precision_saves_its_buffers_and_master_weights(tmp_path: Path) -> None:
    start = save(model("deepseek_v3"), tokenizer(), tmp_path / "start")
    facts = train(start, tmp_path, engine=EngineSettings(precision="bf16"), settings=replace(SETTINGS, trained="all"))
    assert facts["dtype"] == "bfloat16"
    saved = AutoModelForCausalLM.from_pretrained(tmp_path / "checkpoints" / "step-0002")
    assert saved.state_dict()[BIAS].tolist() == [5.0, -5.0, 5.0, -5.0]
    weight = saved.lm_head.weight
    assert not torch.equal(weight, weight.bfloat16().float())


def test_what_a_checkpoint_cannot_hold_is_named(tmp_path: Path) -> None:
    policy: Any = model("llama")
    policy.model.rotary_emb.inv_freq *= 3
    with pytest.raises(RuntimeError, match=r"logits are off by .* other buffers: model\.rotary_emb\.inv_freq"):
        write(policy, None, tmp_path / "saved")
    policy = model("llama")
    policy.model.norm.extra = torch.nn.Parameter(torch.ones(3))
    with pytest.raises(RuntimeError, match=r"model\.norm\.extra"):
        write(policy, None, tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


def test_saving_leaves_the_live_model_as_it_was(tmp_path: Path) -> None:
    policy = load_policy(save(model("llama"), tokenizer(), tmp_path / "start"), "lora:2")
    set_arithmetic(policy, "bf16_matmul")
    policy.train()
    kinds = [type(module) for module in policy.modules()]
    assert Bf16Linear in kinds
    state = torch.get_rng_state()
    write(policy, None, tmp_path / "saved")
    assert torch.equal(state, torch.get_rng_state())
    assert [type(module) for module in policy.modules()] == kinds
    assert all(module.training for module in policy.modules())
