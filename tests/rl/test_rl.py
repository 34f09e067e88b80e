"""RL through TRL and DeepSpeed: equal to stock where it must be, resumable, and the policy learns what is paid."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from rl_toys import EOS, PAD, WORDS, PaysForAWord, llama, run_on_two_ranks, save, starcoder, tasks, tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOTrainer

from base.engine import runtime
from base.errors import UserError
from base.models import attention
from base.models.load import set_trained
from base.recipes import AsWritten, SystemLine
from base.rl.batches import batch_plan
from base.rl.job import RLJob
from base.rl.train import grpo_arguments, train_rl
from base.rl.trainer import PolicyTrainer
from base.settings import EngineSettings, RLSettings
from base.types import Episode, Message, Outcome

SETTINGS = RLSettings(
    steps=6,
    prompts_per_step=3,
    group=4,
    learning_rate=5e-3,
    beta=0.05,
    max_completion_tokens=8,
    micro_batch=6,
    save_every=2,
)
ENGINE = EngineSettings(precision="fp32")


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(starcoder(), tmp_path_factory.mktemp("start"))


class Log:
    """Collects what a run reports, by step as the store does; `stop_at` interrupts it."""

    def __init__(self, stop_at: int = 0) -> None:
        self.stop_at = stop_at
        self.episodes: dict[int, list[Episode]] = {}
        self.metrics: dict[int, dict[str, float]] = {}

    def on_episodes(self, step: int, episodes: list[Episode]) -> None:
        if step == self.stop_at:
            raise InterruptedError
        self.episodes[step] = episodes

    def on_metrics(self, step: int, metrics: dict[str, float]) -> None:
        self.metrics[step] = metrics


def train(start: Path, folder: Path, log: Log | None = None, **changes: Any) -> Log:
    log = log or Log()
    options: dict[str, Any] = {
        "start": start,
        "reference": start,
        "tasks": tasks(200),
        "environments": {"pays": PaysForAWord()},
        "settings": SETTINGS,
        "engine": ENGINE,
        "seed": 0,
        "folder": folder,
        "on_episodes": log.on_episodes,
        "on_metrics": log.on_metrics,
    }
    log.facts = train_rl(RLJob(**{**options, **changes}))  # type: ignore[attr-defined]
    return log


def texts(log: Log, step: int) -> list[str]:
    return [episode.completion for episode in log.episodes[step]]


def weights(folder: Path, step: int) -> dict[str, torch.Tensor]:
    model = AutoModelForCausalLM.from_pretrained(folder / "checkpoints" / f"step-{step:04d}")
    return dict(model.state_dict())


# --- the same numbers as stock TRL ---


def trainer_of(model: Any, folder: Path, **changes: Any) -> PolicyTrainer:
    process = runtime.prepare(ENGINE)
    settings = replace(SETTINGS, micro_batch=12, **changes)
    return PolicyTrainer(
        model=model,
        args=grpo_arguments(settings, ENGINE, batch_plan(settings), process, 0, folder),
        reward_funcs=lambda prompts, **_: [0.0] * len(prompts),
        train_dataset=Dataset.from_dict({"prompt": ["w1"] * 18}),
        processing_class=tokenizer(),
    )


SHAPES = {  # lengths of the prompts, and of the completions of each
    "ragged": ((3, 11, 6), (1, 9, 4, 4)),
    "equal": ((7, 7), (8,) * 6),
    "one prompt": ((9,), (1, 2, 3, 9, 9, 2, 1, 1, 4, 5, 6, 7)),
    "prompts apart": (tuple(range(1, 13)), (6,)),
}


def batch_of(shape: str, seed: int = 0) -> dict[str, torch.Tensor]:
    """Twelve shuffled rows of one of SHAPES; a long pad."""
    g = torch.Generator().manual_seed(seed)
    prompts, completions = SHAPES[shape]
    groups = [torch.randint(4, WORDS, (n,), generator=g).tolist() for n in prompts]
    rows = [(p, torch.randint(4, WORDS, (n,), generator=g).tolist()) for p in groups for n in completions]
    rows = [rows[i] for i in torch.randperm(12, generator=g).tolist()]
    left, right = 13, 10
    return {
        "prompt_ids": torch.tensor([[PAD] * (left - len(p)) + p for p, _ in rows]),
        "prompt_mask": torch.tensor([[0] * (left - len(p)) + [1] * len(p) for p, _ in rows]),
        "completion_ids": torch.tensor([c + [PAD] * (right - len(c)) for _, c in rows]),
        "completion_mask": torch.tensor([[1] * len(c) + [0] * (right - len(c)) for _, c in rows]),
        "advantages": torch.randn(12, generator=g),
        "num_items_in_batch": torch.tensor(sum(len(c) for _, c in rows)),
        "ref_per_token_logps": torch.randn(12, right, generator=g) - 4,
    }


@pytest.mark.parametrize("make", [starcoder, llama, partial(starcoder, kv_heads=1), "padded"])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_log_probabilities_and_gradients_equal_stock(make: Any, temperature: float, tmp_path: Path) -> None:
    model = starcoder(std=0.2) if make == "padded" else make(std=0.2)
    if make == "padded":
        model.config.model_type = "another"  # an architecture whose attention we do not replace
    equal_stock(model, batch_of("ragged"), tmp_path, temperature)


@pytest.mark.parametrize("trained", ["all", "biases", "lora:4"])
@pytest.mark.parametrize("shape", SHAPES)
def test_any_mixture_of_lengths_equals_stock(
    shape: str, trained: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "_PART", 0)  # as many parts as there are lengths, however small the batch
    model = set_trained(starcoder(std=0.2), trained)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    equal_stock(model, batch_of(shape), tmp_path)


def equal_stock(model: Any, batch: dict[str, torch.Tensor], folder: Path, temperature: float = 1.0) -> None:
    """Log-probabilities, entropies and gradients of our layout are those of TRL's padded rows."""
    trainer = trainer_of(model, folder, temperature=temperature)
    trainer.beta = 0.1
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
    stock = partial(GRPOTrainer._get_per_token_logps_and_entropies, trainer)
    with torch.no_grad():
        mine = trainer._get_per_token_logps_and_entropies(model, ids, mask, 10, batch_size=5, compute_entropy=True)
        theirs = stock(model, ids, mask, 10, compute_entropy=True)
    real = batch["completion_mask"].bool()
    for a, b in zip(mine[:2], theirs[:2], strict=True):
        assert a is not None
        assert torch.allclose(a[real], b[real], atol=3e-6)
        assert not a[~real].any()

    trainer.current_gradient_accumulation_steps = 1
    parameters = [p for p in model.parameters() if p.requires_grad]
    model.train()
    ours = torch.autograd.grad(trainer._compute_loss(model, batch), parameters)
    trainer._get_per_token_logps_and_entropies = stock  # type: ignore[method-assign]
    expected = torch.autograd.grad(trainer._compute_loss(model, batch), parameters)
    largest = max(g.abs().max().item() for g in expected)
    assert largest > 1e-3
    for a, b in zip(ours, expected, strict=True):
        assert torch.allclose(a, b, atol=2e-6 * largest + 1e-7)


def test_the_attention_is_put_back(tmp_path: Path) -> None:
    model = starcoder()
    trainer = trainer_of(model, tmp_path)
    before = model.config._attn_implementation
    ids = torch.full((2, 6), 5)
    trainer._get_per_token_logps_and_entropies(model, ids, torch.ones_like(ids), 3)
    assert model.config._attn_implementation == before


# --- whole runs ---


@pytest.mark.parametrize("trained", ["all", "biases", "lora:4"])
def test_the_policy_learns_what_is_paid_and_checkpoints_load(trained: str, start: Path, tmp_path: Path) -> None:
    rate, gain = {"all": (5e-3, 0.3), "biases": (5e-2, 0.2), "lora:4": (2e-2, 0.08)}[trained]
    settings = replace(SETTINGS, steps=16, save_every=8, trained=trained, learning_rate=rate, beta=0.01, group=8)
    log = train(start, tmp_path, settings=settings)
    paid = [log.metrics[step]["train_reward"] for step in range(1, 17)]
    assert sum(paid[8:]) / 8 > sum(paid[:2]) / 2 + gain
    assert log.metrics[1]["kl"] == pytest.approx(0.0, abs=1e-5)
    assert log.metrics[16]["kl"] > 0.01
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoints"]  # no resume state is left
    before, after = AutoModelForCausalLM.from_pretrained(start).state_dict(), weights(tmp_path, 16)
    assert before.keys() == after.keys()  # adapters are merged
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    if trained == "biases":
        assert changed
        assert all(after[name].dim() == 1 for name in changed)
    assert AutoTokenizer.from_pretrained(tmp_path / "checkpoints" / "step-0016").chat_template
    facts = log.facts  # type: ignore[attr-defined]
    assert (facts["engine"], facts["zero_stage"], facts["world_size"]) == ("deepspeed.DeepSpeedEngine", 2, 1)
    assert facts["generation"] == "fast"


def test_episodes_hold_what_was_read_written_and_paid(start: Path, tmp_path: Path) -> None:
    def half(episodes: Sequence[Episode]) -> list[float | None]:
        return [None if e.environment_reward is None else -e.environment_reward / 2 for e in episodes]

    given = tasks(200, breaks_at="w9")
    log = train(start, tmp_path, tasks=given, terms={"half": half})
    episodes = [e for step in log.episodes.values() for e in step]
    assert [e.task.id for e in log.episodes[2]] == [f"t{i}" for i in (3, 4, 5) for _ in range(4)]
    assert all(e.completion.startswith("<think>") and "<eos>" not in e.completion for e in episodes)
    assert all(e.prompt == e.task.messages and e.step == s for s, es in log.episodes.items() for e in es)
    broken = [e for e in episodes if e.grade.outcome is Outcome.FAULT]
    assert broken
    assert all(e.train_reward is None for e in broken)
    assert all(e.train_reward == e.environment_reward / 2 for e in episodes if e.environment_reward is not None)
    missing = sum(m["missing_rewards"] for m in log.metrics.values())
    assert missing == len(broken)
    row = log.metrics[1]
    assert row["seconds"] == pytest.approx(sum(row[f"seconds:{k}"] for k in ("sampling", "grading", "update", "other")))


def test_online_rewriting_updates_under_another_prompt(start: Path, tmp_path: Path) -> None:
    """What is sampled is the same; the update differs from the plain one, and starts at ratio 1."""
    rewritten = SystemLine(("w40 w41 w42",))
    plain = train(start, tmp_path / "plain")
    other = train(start, tmp_path / "other", update_prompt=rewritten)
    both = train(start, tmp_path / "both", sample_prompt=rewritten, update_prompt=AsWritten())
    assert texts(plain, 1) == texts(other, 1) != texts(both, 1)
    assert other.episodes[1][0].prompt == plain.episodes[1][0].prompt
    assert both.episodes[1][0].prompt[0] == Message("system", "w40 w41 w42")
    assert not torch.equal(
        weights(tmp_path / "plain", 2)["lm_head.weight"], weights(tmp_path / "other", 2)["lm_head.weight"]
    )
    assert other.metrics[1]["kl"] == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("trained", ["all", "lora:4"])
def test_a_fork_keeps_the_reference_it_is_given(trained: str, start: Path, tmp_path: Path) -> None:
    first = replace(SETTINGS, steps=4)
    train(start, tmp_path / "first", settings=first)
    log = train(
        tmp_path / "first" / "checkpoints" / "step-0004",
        tmp_path / "fork",
        reference=start,
        settings=replace(SETTINGS, steps=2, trained=trained),
    )
    assert log.metrics[1]["kl"] > 1e-3


@pytest.mark.parametrize("trained", ["all", "lora:4"])
def test_a_resumed_run_equals_an_uninterrupted_one(trained: str, start: Path, tmp_path: Path) -> None:
    settings = replace(SETTINGS, trained=trained)
    whole = train(start, tmp_path / "whole", settings=settings)
    log = Log(stop_at=4)
    with pytest.raises(InterruptedError):
        train(start, tmp_path / "cut", log, settings=settings)
    assert sorted(log.metrics) == [1, 2, 3]
    log.stop_at = 0
    train(start, tmp_path / "cut", log, settings=settings)
    assert sorted(log.metrics) == [1, 2, 3, 4, 5, 6]
    assert log.episodes == whole.episodes
    for name, value in weights(tmp_path / "whole", 6).items():
        assert torch.equal(value, weights(tmp_path / "cut", 6)[name])


_RANK = """
import json, sys
from pathlib import Path
sys.path[:0] = [{here!r}, {tests!r}, {root!r}]
import test_rl
log = test_rl.train(Path({start!r}), Path({out!r}), settings=test_rl.TWO_RANKS)
if log.episodes:
    rows = [[e.completion for e in log.episodes[step]] for step in sorted(log.episodes)]
    Path({out!r}, "log.json").write_text(json.dumps([rows, log.facts]))
"""
TWO_RANKS = replace(SETTINGS, prompts_per_step=4, steps=4)


def test_two_ranks_do_what_one_rank_does(start: Path, tmp_path: Path) -> None:
    """The same episodes step after step, so also the same updates; groups are split over the ranks as they fall."""
    one = train(start, tmp_path / "one", settings=TWO_RANKS)
    here, tests, root = list(Path(__file__).parents)[:3]
    places = {"here": here, "tests": tests, "root": root, "start": start, "out": tmp_path}
    (tmp_path / "run.py").write_text(_RANK.format(**{name: str(path) for name, path in places.items()}))
    run_on_two_ranks(tmp_path / "run.py")
    two, facts = json.loads((tmp_path / "log.json").read_text())
    assert (facts["world_size"], facts["zero_stage"], facts["backend"]) == (2, 2, "gloo")
    assert two == [texts(one, step) for step in sorted(one.episodes)]


# --- bad input ---


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settings": replace(SETTINGS, trainer={"epsilonn": 0.1})}, "did you mean 'epsilon'"),
        ({"settings": replace(SETTINGS, trainer={"beta": 0.1})}, "rl.trainer.beta cannot be set: it follows rl.beta"),
        (
            {"settings": replace(SETTINGS, trainer={"loss_type": "dapo", "num_iterations": 2})},
            "one update per rollout batch",
        ),
        ({"settings": replace(SETTINGS, trained="lora")}, "lora:RANK"),
        ({"settings": replace(SETTINGS, max_completion_tokens=95)}, "rl.max_completion_tokens to at most"),
        ({"settings": replace(SETTINGS, group=1)}, "rl.group"),
        ({"tasks": tasks(5)}, "set rl.steps to 1"),
        ({"environments": {}}, "no environment named 'pays'"),
        ({"engine": EngineSettings(precision="fp32", generation="vllm")}, "needs a GPU"),
    ],
)
def test_bad_input_is_one_line(changes: dict[str, Any], message: str, start: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message) as raised:
        train(start, tmp_path, **changes)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "checkpoints").exists()


@dataclass(frozen=True)
class PaidByTheJudge:
    """`weight` times the judge's score."""

    weight: float

    def __call__(self, episodes: Sequence[Episode]) -> list[float | None]:
        scores = [e.scores["length"] for e in episodes]
        return [None if score is None else self.weight * score for score in scores]


def test_judges_score_every_episode_and_stacked_terms_read_them(start: Path, tmp_path: Path) -> None:
    def length(prompts: Sequence[Sequence[Message]], completions: Sequence[str]) -> list[float | None]:
        assert all(messages[-1].role == "user" for messages in prompts)
        return [None if "w3" in text.split() else float(len(text.split())) for text in completions]

    settings = replace(SETTINGS, steps=1)
    terms = {"judge": PaidByTheJudge(10.0), "half": PaidByTheJudge(-0.5)}
    log = train(start, tmp_path, judges={"length": length}, terms=terms, settings=settings)
    missing = [episode for episode in log.episodes[1] if episode.scores["length"] is None]
    assert 0 < len(missing) < len(log.episodes[1])
    assert log.metrics[1]["missing_rewards"] == len(missing)
    for episode in log.episodes[1]:
        words = episode.completion.split()
        expected = None if "w3" in words else float(len(words))
        assert episode.scores == {"length": expected}
        if expected is None or episode.environment_reward is None:
            assert episode.train_reward is None
        else:
            assert episode.train_reward == episode.environment_reward + 9.5 * expected
            assert episode.reward_terms == {
                "environment": episode.environment_reward,
                "judge": 10 * expected,
                "half": -expected / 2,
            }


def test_the_pinned_trl_has_the_hooks_we_override() -> None:
    import inspect

    def names(f: Callable[..., Any]) -> list[str]:
        return list(inspect.signature(f).parameters)

    hook = GRPOTrainer._get_per_token_logps_and_entropies
    assert names(hook)[:8] == [
        "self",
        "model",
        "input_ids",
        "attention_mask",
        "logits_to_keep",
        "batch_size",
        "compute_entropy",
        "compute_aux_loss",
    ]
    assert names(GRPOTrainer._prepare_inputs) == ["self", "generation_batch"]
    assert "rollout_func" in names(GRPOTrainer.__init__)
    assert EOS != PAD
