"""Every architecture through load, two RL steps with LoRA, save, reload and answers: the same numbers everywhere."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM
from zoo import DROPS, RAISES, ZOO, PaysForVariety, byte_tokenizer, direct, model, save, tasks, tokenizer

from base.errors import UserError
from base.models import generate
from base.models.chat import end_tokens
from base.models.load import load_tokenizer
from base.recipes import AsWritten, SystemLine
from base.rl import records
from base.rl.job import RLJob
from base.rl.train import train_rl
from base.rl.trainer import PolicyTrainer
from base.settings import EngineSettings, RLSettings, SFTSettings
from base.sft.train import SFTJob, train_sft

QUICK = ("llama", "gemma2", "gpt2", "bloom", "deepseek_v3")
ENGINE = EngineSettings(precision="fp32")
SETTINGS = RLSettings(
    steps=2,
    prompts_per_step=2,
    group=4,
    learning_rate=2e-2,
    beta=0.0,
    max_completion_tokens=6,
    micro_batch=8,
    save_every=2,
    trained="lora:2",
)


class Watch:
    """What the trainer computed beside what unpadded forward passes say, and the live model's logits when saved."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.scored: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.prompts: list[list[int]] = []
        self.live = torch.empty(0)
        score, write = PolicyTrainer._get_per_token_logps_and_entropies, records.save

        def watched(trainer: Any, policy: Any, ids: Any, mask: Any, width: int, *rest: Any, **options: Any) -> Any:
            found = score(trainer, policy, ids, mask, width, *rest, **options)
            inner = getattr(policy, "module", policy)
            was_training = inner.training
            inner.eval()
            for row, real, numbers in zip(ids, mask.bool(), found[0].detach(), strict=True):
                prompt, completion = row[:-width][real[:-width]], row[-width:][real[-width:]]
                self.prompts.append(prompt.tolist())
                self.scored.append((numbers[: len(completion)], direct(inner, prompt.tolist(), completion.tolist())))
            inner.train(was_training)
            return found

        def written(policy: Any, *rest: Any, **options: Any) -> None:
            write(policy, *rest, **options)
            self.live = logits(policy)

        monkeypatch.setattr(PolicyTrainer, "_get_per_token_logps_and_entropies", watched)
        monkeypatch.setattr(records, "save", written)


def logits(made: Any) -> torch.Tensor:
    training = made.training
    with torch.no_grad():
        found: torch.Tensor = made.eval()(torch.tensor([[1, 8, 20, 33, 41, 50, 11, 29, 17, 60]])).logits.float()
    made.train(training)
    return found


def train(start: Path, folder: Path, **changes: Any) -> dict[str, Any]:
    options: dict[str, Any] = {
        "start": start,
        "reference": start,
        "tasks": tasks(4),
        "sample_prompt": SystemLine(("w40 w41",)),
        "environments": {"pays": PaysForVariety()},
        "settings": SETTINGS,
        "engine": ENGINE,
        "seed": 0,
        "folder": folder,
        "on_episodes": lambda step, episodes: None,
        "on_metrics": lambda step, metrics: None,
    }
    return train_rl(RLJob(**{**options, **changes}))


def near(got: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


REFUSED = {"recurrent_gemma": "recurrent_gemma models cannot be trained here: padding"}
NO_ADAPTERS = ("mamba", "mamba2")
WALKED = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in ZOO if name not in REFUSED]


VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "tied": ("llama", {"tie_word_embeddings": True}),
    "untied": ("gpt2", {"tie_word_embeddings": False}),
    "dynamic": ("llama", {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}}),
    "alibi": ("falcon", {"alibi": True}),
    "router loss": ("mixtral", {"output_router_logits": True}),
    "dropout": ("gpt2", {"resid_pdrop": 0.5, "attn_pdrop": 0.5, "embd_pdrop": 0.5}),
    "more rows than words": ("llama", {"vocab_size": 90}),
}


def start_of(architecture: str, folder: Path) -> Path:
    return save(model(architecture), byte_tokenizer() if architecture == "qwen2" else tokenizer(), folder / "start")


@pytest.mark.parametrize("architecture", WALKED)
def test_the_same_numbers_from_loading_to_answers(
    architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = start_of(architecture, tmp_path)
    watch = Watch(monkeypatch)
    settings = replace(SETTINGS, trained="all" if architecture in NO_ADAPTERS else "lora:2")
    facts = train(start, tmp_path, settings=settings)
    assert facts["system_role"] == "native"
    assert len(watch.scored) >= 8
    for got, expected in watch.scored:
        near(got, expected)
    last = tmp_path / "checkpoints" / "step-0002"
    saved = AutoModelForCausalLM.from_pretrained(last).eval()
    near(logits(saved), watch.live)
    assert not torch.allclose(logits(saved), logits(AutoModelForCausalLM.from_pretrained(start)), atol=1e-3)
    words = load_tokenizer(last)
    assert end_tokens(saved, words) == (3,)
    prompts = [[1, 5, 9, 10, 6], [1, 5, 30, 31, 32, 33, 34, 35, 36, 37, 38, 6]]
    answers = generate.choose(saved, words)(prompts, max_new_tokens=8, seed=1, samples=2, temperature=0.7)
    for i, (completion, logprobs) in enumerate(zip(answers.completions, answers.logprobs, strict=True)):
        near(torch.tensor(logprobs), direct(saved, prompts[i // 2], completion, 0.7))


@pytest.mark.slow
@pytest.mark.parametrize("trained", ["all", "lora:2"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_variants(variant: str, trained: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    architecture, changes = VARIANTS[variant]
    start = save(model(architecture, **changes), tokenizer(), tmp_path / "start")
    watch = Watch(monkeypatch)
    train(start, tmp_path, settings=replace(SETTINGS, trained=trained))
    for got, expected in watch.scored:
        near(got, expected)
    near(logits(AutoModelForCausalLM.from_pretrained(tmp_path / "checkpoints" / "step-0002")), watch.live)


@pytest.mark.parametrize("architecture", WALKED)
def test_sft_learns_from_the_unpadded_likelihood(architecture: str, tmp_path: Path) -> None:
    start = start_of(architecture, tmp_path)
    texts = [[1, *(8 + (5 * i + j) % 50 for j in range(4 + 3 * i))] for i in range(4)]
    settings = SFTSettings(documents_per_step=4, warmup_steps=0, learning_rate=1e-2, epochs=2)
    job = SFTJob(
        start=start,
        rows=[{"input_ids": ids, "labels": ids} for ids in texts],
        settings=settings,
        engine=ENGINE,
        seed=0,
        out=tmp_path / "trained",
        name="toy",
    )
    metrics = train_sft(job)
    before = AutoModelForCausalLM.from_pretrained(start).eval()
    expected = -torch.cat([direct(before, ids[:1], ids[1:]) for ids in texts]).mean().item()
    assert metrics["losses"][0] == pytest.approx(expected, rel=1e-4)
    after = AutoModelForCausalLM.from_pretrained(tmp_path / "trained").eval()
    learnt = -torch.cat([direct(after, ids[:1], ids[1:]) for ids in texts]).mean().item()
    assert learnt < metrics["losses"][1] < metrics["losses"][0]


@pytest.mark.parametrize("architecture", REFUSED)
def test_what_cannot_be_trained_is_one_line_before_anything_is(architecture: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=REFUSED[architecture]):
        train(start_of(architecture, tmp_path), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["start"]


@pytest.mark.parametrize("template", [RAISES, DROPS])
def test_an_arm_with_a_system_line_is_not_the_baseline(
    template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = save(model("gemma"), tokenizer(template), tmp_path / "start")
    read: dict[str, list[str]] = {}
    for name, prompt in (("arm", SystemLine(("w40 w41",))), ("baseline", AsWritten())):
        watch = Watch(monkeypatch)
        facts = train(start, tmp_path / name, sample_prompt=prompt)
        assert facts["system_role"] == "folded"
        read[name] = [tokenizer().decode(ids) for ids in watch.prompts]
        monkeypatch.undo()
    assert all(text.startswith("<bos> <user> w40 w41 ") for text in read["arm"])
    assert not any("w40 w41" in text for text in read["baseline"])


def test_an_own_pad_token_and_own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No pad token; the checkpoint recommends what no update assumes, in a form that cannot be written again."""
    start = save(model("llama", pad_token_id=None), tokenizer(pad_token=None), tmp_path / "start")
    own = {"temperature": 0.6, "repetition_penalty": 5.0, "min_p": 0.5, "min_new_tokens": 4, "eos_token_id": [3, 9]}
    (start / "generation_config.json").write_text(json.dumps(own))
    watch = Watch(monkeypatch)
    train(start, tmp_path)
    for got, expected in watch.scored:
        near(got, expected)
    last = tmp_path / "checkpoints" / "step-0002"
    assert load_tokenizer(last).pad_token == "<eos>"
    settings = AutoModelForCausalLM.from_pretrained(last).generation_config
    assert (settings.eos_token_id, settings.min_new_tokens) == ([3, 9], None)
