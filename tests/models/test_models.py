"""The organism's shape, what is trained, saving and loading, precision, and messages about wrong checkpoints."""

from __future__ import annotations

import pytest
import torch
from stage_toys import TINY, toy_model, toy_tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

from base.errors import UserError
from base.models.arithmetic import set_arithmetic
from base.models.load import build_organism, describe, load_policy, load_tokenizer, set_trained
from base.models.save import save
from base.settings import ModelSettings


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "start"
    save(toy_model(), toy_tokenizer(), folder)
    return folder


def logits(model, ids=((1, 5, 6, 7, 8, 9), (1, 9, 4, 20, 11, 2))):
    with torch.no_grad():
        return model.eval()(torch.tensor(ids)).logits


def test_same_seed_same_organism_other_seed_another():
    assert torch.equal(logits(toy_model(0)), logits(toy_model(0)))
    assert not torch.allclose(logits(toy_model(0)), logits(toy_model(1)))


def test_residual_projections_start_smaller():
    weights = dict(build_organism(ModelSettings(), 500, 0).named_parameters())
    down, up = weights["model.layers.1.mlp.c_proj.weight"], weights["model.layers.1.mlp.c_fc.weight"]
    assert up.std().item() == pytest.approx(0.02, rel=0.05)
    assert down.std().item() == pytest.approx(0.02 / 6**0.5, rel=0.05)


def test_heads_that_do_not_divide_are_refused():
    with pytest.raises(UserError, match="heads"):
        build_organism(ModelSettings(hidden_size=100, heads=3), 50, 0)


def test_round_trip_through_the_auto_classes(checkpoint):
    loaded = AutoModelForCausalLM.from_pretrained(checkpoint)
    assert loaded.dtype == torch.float32
    assert torch.equal(logits(loaded), logits(toy_model()))
    assert loaded.generation_config.eos_token_id == 2
    assert AutoTokenizer.from_pretrained(checkpoint)("<bos> w0 w3").input_ids == [1, 4, 7]


def test_saving_replaces_the_folder_and_draws_no_random_numbers(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "stale").write_text("")
    model = toy_model()
    state = torch.get_rng_state()
    save(model, None, tmp_path / "old")
    assert torch.equal(state, torch.get_rng_state())
    assert not (tmp_path / "old" / "stale").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize("trained", ["all", "biases", "lora:2"])
def test_what_is_trained(checkpoint, trained):
    model = load_policy(checkpoint, trained)
    names = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    counts = describe(model)
    assert counts["trained_parameters"] == sum(parameter.numel() for parameter in names.values())
    if trained == "all":
        assert counts["trained_parameters"] == counts["parameters"]
    elif trained == "biases":
        assert names
        assert all(parameter.dim() == 1 for parameter in names.values())
    else:
        assert names
        assert all("lora_" in name for name in names)


def test_lora_is_merged_on_saving_and_training_can_go_on(checkpoint, tmp_path):
    model = load_policy(checkpoint, "lora:2")
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    save(model, None, tmp_path / "merged")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    torch.testing.assert_close(logits(merged), logits(model), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(logits(merged), logits(toy_model()), atol=1e-2)
    assert any("lora_" in name for name, _ in model.named_parameters())


def test_bf16_products_act_forwards_and_backwards_and_spare_the_head():
    ids = torch.tensor([[1, 5, 6, 7, 8, 9]])
    results = {}
    for arithmetic in ("fp32", "bf16_matmul"):
        model = toy_model()
        set_arithmetic(model, arithmetic)
        loss = model(ids, labels=ids).loss
        loss.backward()
        results[arithmetic] = (loss.item(), model.model.layers[0].mlp.c_fc.weight.grad)
        assert type(model.lm_head) is torch.nn.Linear
    (exact, exact_grad), (rounded, rounded_grad) = results["fp32"], results["bf16_matmul"]
    assert rounded_grad.dtype == torch.float32
    assert rounded != exact
    assert rounded == pytest.approx(exact, rel=1e-3)
    assert 0 < (rounded_grad - exact_grad).norm() / exact_grad.norm() < 0.03
    set_arithmetic(model, "fp32")
    assert model(ids, labels=ids).loss.item() == exact


@pytest.mark.parametrize("trained", ["lora:", "lora:x", "lora:0", "bias", "ALL"])
def test_unknown_trained_is_refused(trained):
    with pytest.raises(UserError, match="lora:RANK"):
        set_trained(toy_model(), trained)


def test_wrong_checkpoints_are_named(checkpoint, tmp_path):
    with pytest.raises(UserError, match=r"config\.json"):
        load_policy(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "no_such_model"}')
    with pytest.raises(UserError, match="cannot load"):
        load_policy(tmp_path)
    with pytest.raises(UserError, match="cannot load a tokenizer"):
        load_tokenizer(tmp_path)
    with pytest.raises(UserError, match="chat template"):
        load_tokenizer(checkpoint)
    assert load_tokenizer(checkpoint, chat=False).padding_side == "left"


def test_context_is_the_longest_document():
    assert toy_model().config.max_position_embeddings == TINY.context
