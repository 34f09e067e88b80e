"""A local model as judge: whole labels, label mass, no text that is read."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from huggingface_hub import constants
from judge_toys import item
from models.zoo import byte_tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from base.errors import UserError
from base.evals.gate import check_all
from base.judges.hf import HFJudge, _load
from base.judges.rules import RuleJudge
from base.judges.specs import check_judges, parse_judge
from base.models.labels import _shared, label_logprobs
from base.settings import load_scale
from base.stage import Site
from base.stages.verdicts import GoldenCheck
from base.store.files import write_json


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model that writes letter by letter, so that a label is several tokens."""
    path = tmp_path_factory.mktemp("judge")
    tokenizer = byte_tokenizer()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=4096, initializer_range=0.3,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def judge(folder: Path, cache: Path, **options: Any) -> HFJudge:
    return HFJudge(str(folder), device="cpu", cache=str(cache), **{"mass": 0.0, **options})


def alone(model: Any, prompt: list[int], label: tuple[int, ...]) -> float:
    """The label's log-probability, one token after the other, without padding or batches."""
    logits = model(torch.tensor([[*prompt, *label]])).logits[0].double().log_softmax(-1)
    return float(sum(logits[len(prompt) + at - 1, token] for at, token in enumerate(label)))


@torch.no_grad()
def test_whole_labels_in_batches_of_any_size(folder: Path) -> None:
    loaded = _load(str(folder), "cpu", "")
    prompts = [loaded.tokens(item(text)) for text in ("blue", "a much longer text about the red of evenings", "")]
    labels = [(4, 9, 11), (4, 9), (7,), (9, 9, 9, 9)]
    expected = [[alone(loaded.model, prompt, label) for label in labels] for prompt in prompts]
    assert _shared(loaded.model, prompts)[0] > 100, "the question, which is computed once"
    for batch in (1, 2, 64):
        found = label_logprobs(loaded.model, prompts, labels, batch, 0)
        assert found.shape == (3, 4)
        torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), atol=1e-4, rtol=1e-4)
    for prompt, row in zip(prompts, expected, strict=True):
        found = label_logprobs(loaded.model, [prompt], labels, 2, 0)
        torch.testing.assert_close(found, torch.tensor([row], dtype=torch.float64), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_probability_and_mass_are_those_of_both_spellings(folder: Path, tmp_path: Path) -> None:
    loaded = _load(str(folder), "cpu", "")
    assert loaded.longest > 1
    (found,) = judge(folder, tmp_path)([item("blue")])
    prompt = loaded.tokens(item("blue"))
    yes, no = (
        sum(math.exp(alone(loaded.model, prompt, tuple(loaded.tokenizer(word)["input_ids"]))) for word in words)
        for words in (("yes", "Yes"), ("no", "No"))
    )
    assert found is not None
    assert found.mass == pytest.approx(yes + no, rel=1e-3)
    assert found.probability == pytest.approx(yes / (yes + no), rel=1e-3)
    assert found.label == ("yes" if yes >= no else "no")


def test_little_mass_or_a_text_beyond_the_context_is_missing(folder: Path, tmp_path: Path) -> None:
    texts = [item("blue"), item("blue " * 2000)]
    short, long = judge(folder, tmp_path)(texts)
    assert short is not None
    assert long is None
    assert judge(folder, tmp_path, mass=0.5)(texts) == [None, None], "a model that does not answer the question"


def test_the_threshold_is_an_option(folder: Path, tmp_path: Path) -> None:
    labels = {at: judge(folder, tmp_path, threshold=at)([item("blue")])[0] for at in (0.0, 1.0)}
    assert [found.label for found in labels.values() if found] == ["yes", "no"]


def test_probabilities_are_kept(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = judge(folder, tmp_path)([item("blue"), item(reasoning="blue")])
    assert len(list(tmp_path.rglob("*.json"))) == 2
    monkeypatch.setattr("base.judges.hf._load", None)
    assert judge(folder, tmp_path)([item("blue"), item(reasoning="blue")]) == first


def test_another_checkpoint_is_another_judge(folder: Path, tmp_path: Path) -> None:
    before = judge(folder, tmp_path).model()
    other = tmp_path / "other"
    other.mkdir()
    for file in folder.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    assert judge(other, tmp_path).model() == before, "wherever it lies"
    (other / "config.json").write_text((other / "config.json").read_text() + "\n")
    assert judge(other, tmp_path).model() != before


def test_a_checkpoint_trained_further_where_it_lies_is_asked_anew(folder: Path, tmp_path: Path) -> None:
    """Its file begins as before, with more than 1 MiB of embeddings, and is as long."""
    place, kept, asked = tmp_path / "model", tmp_path / "kept", [item("blue")]
    config = LlamaConfig.from_pretrained(folder, vocab_size=9000)
    model = LlamaForCausalLM(config)
    model.save_pretrained(place)
    byte_tokenizer().save_pretrained(place)
    before, head = judge(place, kept), (place / "model.safetensors").read_bytes()[: 1 << 20]
    key, (first,) = before.model(), before(asked)
    with torch.no_grad():
        model.model.norm.weight.mul_(-1)
    model.save_pretrained(place)
    assert (place / "model.safetensors").read_bytes()[: 1 << 20] == head
    after = judge(place, kept)
    assert after.model() != key
    assert after(asked) != [first]
    assert len(list(kept.rglob("*.json"))) == 2


def test_the_golden_stage_leaves_no_model_in_memory(folder: Path, tmp_path: Path) -> None:
    """RL comes next. What it found is of a rule, which takes no time."""
    one = judge(folder, tmp_path)
    check = GoldenCheck(one, load_scale("laptop"))
    found = check_all(RuleJudge("never"), check.scale.scenes, check.evals())
    write_json(check.folder(tmp_path), {"checked": found})
    one([item("blue")])
    assert _load.cache_info().currsize
    check.work(cast(Site, SimpleNamespace(root=tmp_path, process=SimpleNamespace(is_main=True))))
    assert _load.cache_info().currsize == 0
    assert one.pace([item("blue")])
    assert _load.cache_info().currsize == 0, "nor does an estimate"


def test_a_model_that_is_not_there_is_seen_before_anything_is_made(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    check_judges([judge(folder, tmp_path)])
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(UserError, match="holds no weights"):
        check_judges([judge(tmp_path, tmp_path)])
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(UserError, match="cannot load a tokenizer"):
        check_judges([judge(tmp_path, tmp_path)])
    with pytest.raises(UserError, match="taken for a hub id"):
        check_judges([parse_judge("hf:no/such")])
