"""Models and tokenizers that do not fit: one clear line before anything is trained, or a stated way round."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedConfig
from zoo import NO_POSITIONS, WORDS, ZOO, model, reader, save, tokenizer

from base.errors import UserError
from base.models.checks import (
    check_ids,
    check_numbers,
    check_room,
    context,
    embedding_rows,
    learns_positions,
    match_tokenizer,
)
from base.models.generate import HFGenerate, choose
from base.models.load import load_policy, load_tokenizer
from base.settings import EngineSettings, SFTSettings
from base.sft.train import SFTJob, train_sft


def stage(start: Path, rows: list[list[int]], out: Path, **changes: Any) -> dict[str, Any]:
    settings = SFTSettings(documents_per_step=2, warmup_steps=0, learning_rate=1e-3)
    options: dict[str, Any] = {
        "settings": settings,
        "engine": EngineSettings(precision="fp32"),
        "seed": 0,
        "name": "toy",
    }
    given = [{"input_ids": row, "labels": row} for row in rows]
    return train_sft(SFTJob(**{"start": start, "rows": given, "out": out, **options, **changes}))


def test_a_pad_token_beyond_the_embedding_gives_way(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    words = tokenizer()
    words.add_special_tokens({"pad_token": "[PAD]"})
    assert words.pad_token_id == WORDS
    start = save(model("llama"), words, tmp_path / "start")
    loaded, policy = load_tokenizer(start), load_policy(start)
    with caplog.at_level(logging.WARNING):
        match_tokenizer(loaded, policy)
    assert loaded.pad_token == "<eos>"
    assert "[PAD] has no embedding" in caplog.text
    stage(start, [[1, 8, 9, 10], [1, 8, 9, 10, 11, 12]], tmp_path / "trained")
    assert load_tokenizer(tmp_path / "trained").pad_token == "<eos>"


def test_an_end_token_beyond_the_embedding_is_one_line() -> None:
    words = tokenizer()
    words.add_special_tokens({"eos_token": "[END]"})
    with pytest.raises(UserError, match=r"\[END\] is number 64, but the model has only 64 embeddings: use"):
        match_tokenizer(words, model("llama"))


def test_unused_tokens_beyond_the_embedding_matter_only_in_texts(tmp_path: Path) -> None:
    words = tokenizer()
    words.add_tokens(["<image>"])
    policy = model("llama")
    match_tokenizer(words, policy)
    ids = words("w1 <image> w2")["input_ids"]
    check_ids([words("w1 w2")["input_ids"]], policy)
    for read in (
        lambda: check_ids([ids], policy),
        lambda: HFGenerate(policy, (3,), 0)([ids], max_new_tokens=2, seed=0),
    ):
        with pytest.raises(UserError, match="token number 64"):
            read()
    start = save(policy, words, tmp_path / "start")
    with pytest.raises(UserError, match="token number 64"):
        stage(start, [ids, ids], tmp_path / "out")


def test_an_embedding_with_more_rows_than_the_tokenizer_has_words(tmp_path: Path) -> None:
    policy, words = model("llama", vocab_size=WORDS + 32), tokenizer()
    match_tokenizer(words, policy)
    assert embedding_rows(policy) == WORDS + 32
    drawn = choose(policy, words)([[1, 8, 9]], max_new_tokens=20, seed=0, samples=8).completions
    assert max(map(max, drawn)) >= WORDS
    assert isinstance(words.decode(max(drawn, key=max)), str)


@pytest.mark.parametrize("architecture", ZOO)
def test_the_context_of_every_architecture(architecture: str) -> None:
    unlimited = architecture in NO_POSITIONS and architecture != "mpt"
    assert context(model(architecture).config) == (None if unlimited else 96)


@pytest.mark.parametrize("architecture", ZOO)
def test_which_architectures_learn_positions(architecture: str) -> None:
    assert learns_positions(model(architecture)) == (architecture in ("gpt2", "gpt_neo", "opt"))


@pytest.mark.parametrize(
    ("entries", "limit"),
    [
        ({}, None),
        ({"max_position_embeddings": None}, None),
        ({"max_position_embeddings": -1, "seq_length": 512}, 512),
        ({"n_positions": 77}, 77),
        ({"max_seq_len": 12}, 12),
        ({"seq_length": 9}, 9),
    ],
)
def test_names_of_the_context(entries: dict[str, Any], limit: int | None) -> None:
    config = PreTrainedConfig()
    for name, value in entries.items():
        setattr(config, name, value)
    assert context(config) == limit
    check_room(config, 3, 4)
    if limit is not None:
        with pytest.raises(UserError, match=f"context of {limit}"):
            check_room(config, limit, 1)


def test_rows_are_cut_only_where_there_is_a_limit(tmp_path: Path) -> None:
    rows = [[1, *[8 + i % 50 for i in range(150)]], [1, 8, 9, 10]]
    for architecture, cut in (("bloom", 0), ("gpt2", 1)):
        start = save(model(architecture), tokenizer(), tmp_path / architecture)
        metrics = stage(start, rows, tmp_path / f"{architecture}-trained")
        assert metrics["documents_cut"] == cut
        assert metrics["tokens"] == (155 if architecture == "bloom" else 100)
        assert metrics["system_role"] == "native"


def test_a_model_that_mixes_padding_in_is_refused() -> None:
    with pytest.raises(UserError, match="recurrent_gemma models cannot be trained here: padding"):
        check_numbers(model("recurrent_gemma"), 0)


def test_a_model_that_is_random_in_training_is_refused_or_made_plain(tmp_path: Path) -> None:
    noisy = model("opt", dropout=0.5)
    state = torch.get_rng_state()
    with pytest.raises(UserError, match="training mode moves"):
        check_numbers(noisy, 0)
    assert torch.equal(state, torch.get_rng_state())
    assert not noisy.training
    save(noisy, tokenizer(), tmp_path)
    check_numbers(load_policy(tmp_path), 0)


@pytest.mark.parametrize(
    ("architecture", "random"),
    [
        ("gpt2", {"resid_pdrop": 0.5, "attn_pdrop": 0.5, "embd_pdrop": 0.5}),
        ("llama", {"attention_dropout": 0.5}),
        ("falcon", {"attention_dropout": 0.5, "hidden_dropout": 0.5}),
        ("mixtral", {"router_jitter_noise": 0.5}),
        ("bloom", {"attention_dropout": 0.5, "hidden_dropout": 0.5}),
        ("gpt_neox", {"attention_dropout": 0.5, "hidden_dropout": 0.5}),
        ("mpt", {"attn_config": {"attn_pdrop": 1}}),
        ("opt", {"dropout": 0.5, "layerdrop": 0.9}),
    ],
)
def test_policies_are_loaded_without_dropout(architecture: str, random: dict[str, Any], tmp_path: Path) -> None:
    save(model(architecture, **random), tokenizer(), tmp_path)
    check_numbers(load_policy(tmp_path, "lora:2"), 0)


def test_no_adapters_for_models_that_take_none() -> None:
    from base.models.load import set_trained

    with pytest.raises(UserError, match="mamba models take no LoRA adapters: set trained to all or biases"):
        set_trained(model("mamba"), "lora:2")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        ("layers", r"holds \d+ weights of further layers"),
        ("nan", "no finite floating point numbers"),
        ("inf", "no finite floating point numbers"),
        ("int", "no finite floating point numbers"),
        ("bf16", ""),
    ],
)
def test_weights_that_are_not_what_the_checkpoint_says_are_one_line(spoil: str, says: str, tmp_path: Path) -> None:
    reader(tmp_path)
    file, config = tmp_path / "model.safetensors", tmp_path / "config.json"
    weights, said = load_file(file), json.loads(config.read_text())
    if spoil == "layers":
        assert said.pop("num_hidden_layers") > 1
        said.pop("layer_types", None)
        config.write_text(json.dumps({**said, "num_hidden_layers": 1}))
    elif spoil in ("nan", "inf"):
        weights[min(weights)].view(-1)[-1] = float(spoil)
    else:
        weights = {
            name: value.to({"int": torch.int32, "bf16": torch.bfloat16}[spoil]) for name, value in weights.items()
        }
    save_file(weights, file, {"format": "pt"})
    if not says:
        load_policy(tmp_path)
        return
    with pytest.raises(UserError, match=says) as error:
        load_policy(tmp_path)
    assert "\n" not in str(error.value)


def test_a_tokenizer_file_without_its_entries_is_one_line(tmp_path: Path) -> None:
    reader(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="its files lack the entry 'added_tokens'"):
        load_tokenizer(tmp_path, chat=False)


def test_a_padding_index_beyond_the_embedding_is_one_line(tmp_path: Path) -> None:
    start = save(model("llama"), tokenizer(), tmp_path)
    text = (start / "config.json").read_text()
    (start / "config.json").write_text(text.replace('"pad_token_id": 0', '"pad_token_id": 64'))
    with pytest.raises(UserError, match="cannot load a causal language model checkpoint"):
        load_policy(start)
