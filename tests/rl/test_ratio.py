"""Online rewriting: the probability ratio in the loss is that of the prompt the update uses, not of the one sampled under.

The trainer's real steps are watched. A token's ratio is read off the loss: its derivative by that token's log-probability
is -ratio * advantage / tokens (clipping is set wide). What it should be comes from single, unpadded forward passes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rl_toys import save, starcoder, tasks, tokenizer
from test_rl import SETTINGS, train
from torch import Tensor
from transformers import AutoModelForCausalLM

from base.models import chat
from base.recipes import AsWritten, SystemLine
from base.rl.trainer import PolicyTrainer
from base.types import PromptTransform

SAMPLED, UPDATED = SystemLine(("w40 w41 w42",)), SystemLine(("w50 w51",))
STEP = replace(SETTINGS, steps=1, save_every=1, beta=0.0, temperature=0.8, trainer={"epsilon": 50.0})


@dataclass
class Row:
    """One completion in the loss: tokens, the trainer's log-probabilities [T], and the ratios [T] the loss used."""

    prompt: list[int]
    completion: list[int]
    logps: Tensor
    ratios: Tensor


@dataclass
class Watch:
    """Follows PolicyTrainer through a step; `moved` times a normal draw is added to the weights before the update."""

    moved: float = 0.0
    corrected: bool = False  # whether TRL would weigh tokens by vLLM's probabilities under the sampling prompt
    rows: list[Row] = field(default_factory=list)  # those with an advantage
    old: dict[str, Tensor] = field(default_factory=dict)  # weights that sampled
    new: dict[str, Tensor] = field(default_factory=dict)  # weights that are updated


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    watch = Watch()
    score, compute = PolicyTrainer._generate_and_score_completions, PolicyTrainer._compute_loss
    logps_of = PolicyTrainer._get_per_token_logps_and_entropies
    latest: list[Tensor] = []

    def weights(trainer: Any) -> dict[str, Tensor]:
        return {
            name: p.detach().clone() for name, p in trainer.accelerator.unwrap_model(trainer.model).named_parameters()
        }

    def scored(self: Any, inputs: Any) -> Any:
        if watch.moved:
            self.num_iterations = 2  # a rollout batch for two updates: then TRL keeps the old log-probabilities
        found = score(self, inputs)
        watch.corrected = self.vllm_importance_sampling_correction
        watch.old = weights(self)
        with torch.no_grad():
            for p in self.accelerator.unwrap_model(self.model).parameters():
                p.add_(watch.moved * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())))
        watch.new = weights(self)
        return found

    def logps(self: Any, *args: Any, **kwargs: Any) -> Any:
        found = logps_of(self, *args, **kwargs)
        latest[:] = [found[0]]
        return found

    def computed(self: Any, model: Any, inputs: Any) -> Tensor:
        loss = compute(self, model, inputs)
        slope = torch.autograd.grad(loss, latest[0], retain_graph=True)[0]
        for i, advantage in enumerate(inputs["advantages"].tolist()):
            prompt = inputs["prompt_ids"][i][inputs["prompt_mask"][i].bool()].tolist()
            real = inputs["completion_mask"][i].bool()
            if advantage:
                ratios = -slope[i][real] * float(inputs["num_items_in_batch"]) / advantage
                completion = inputs["completion_ids"][i][real].tolist()
                watch.rows.append(Row(prompt, completion, latest[0][i][real].detach(), ratios))
        return loss

    monkeypatch.setattr(PolicyTrainer, "_generate_and_score_completions", scored)
    monkeypatch.setattr(PolicyTrainer, "_get_per_token_logps_and_entropies", logps)
    monkeypatch.setattr(PolicyTrainer, "_compute_loss", computed)
    return watch


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(starcoder(std=0.2), tmp_path_factory.mktemp("start"))


def direct(start: Path, weights: dict[str, Tensor], prompt: list[int], completion: list[int]) -> Tensor:
    """log p(completion | prompt) by token [T] of the policy with these weights."""
    model = AutoModelForCausalLM.from_pretrained(start).eval()
    model.load_state_dict(weights, strict=False)
    with torch.no_grad():
        logits = model(torch.tensor([prompt + completion])).logits[0, len(prompt) - 1 : -1] / STEP.temperature
    return logits.log_softmax(-1).gather(1, torch.tensor(completion)[:, None])[:, 0]


def prompts(transform: PromptTransform) -> list[list[int]]:
    """The tokens of each task's prompt, in order."""
    made = tokenizer()
    return [chat.prompt_ids(made, transform(task)) for task in tasks(STEP.prompts_per_step)]


def sampled_under(row: Row) -> list[int]:
    """The prompt a row was sampled under, found by the prompt it is updated under."""
    return prompts(SAMPLED)[prompts(UPDATED).index(row.prompt)]


def test_at_the_first_update_the_ratio_is_one_and_the_log_probabilities_are_those_of_the_update_prompt(
    start: Path, tmp_path: Path, watch: Watch
) -> None:
    train(start, tmp_path, settings=STEP, sample_prompt=SAMPLED, update_prompt=UPDATED)
    assert len(watch.rows) >= STEP.group
    assert not watch.corrected
    for row in watch.rows:
        assert torch.allclose(row.ratios, torch.ones_like(row.ratios), atol=1e-4)
        assert torch.allclose(row.logps, direct(start, watch.old, row.prompt, row.completion), atol=1e-4)
        assert not torch.allclose(row.logps, direct(start, watch.old, sampled_under(row), row.completion), atol=0.05)


def test_after_the_policy_moved_the_ratio_equals_the_direct_computation(
    start: Path, tmp_path: Path, watch: Watch
) -> None:
    watch.moved = 0.05
    train(start, tmp_path, settings=STEP, sample_prompt=SAMPLED, update_prompt=UPDATED)
    assert len(watch.rows) >= STEP.group
    for row in watch.rows:
        now = direct(start, watch.new, row.prompt, row.completion)
        ratio = torch.exp(now - direct(start, watch.old, row.prompt, row.completion))
        by_sampling_prompt = torch.exp(now - direct(start, watch.old, sampled_under(row), row.completion))
        assert torch.allclose(row.ratios, ratio, rtol=1e-3)
        assert not torch.allclose(row.ratios, by_sampling_prompt, rtol=0.05)
    every = torch.cat([row.ratios for row in watch.rows])
    assert every.min() < 0.8
    assert every.max() > 1.2


def test_without_rewriting_the_update_prompt_is_the_one_sampled_under(
    start: Path, tmp_path: Path, watch: Watch
) -> None:
    train(start, tmp_path, settings=STEP, sample_prompt=SAMPLED)
    assert watch.rows
    assert watch.corrected
    assert all(row.prompt in prompts(SAMPLED) for row in watch.rows)
    assert not any(row.prompt in prompts(AsWritten()) for row in watch.rows)
