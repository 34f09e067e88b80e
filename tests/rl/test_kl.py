"""The KL penalty in the reward: its term and the advantage against a direct computation from unpadded forwards."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rl_toys import PaysForAWord, run_on_two_ranks, save, starcoder, tasks, tokenizer
from transformers import AutoModelForCausalLM

from base.errors import UserError
from base.recipes import RLRecipe, SystemLine
from base.rl.job import RLJob
from base.rl.train import train_rl
from base.rl.trainer import PolicyTrainer
from base.settings import EngineSettings, RLSettings
from base.types import Episode, Message

SETTINGS = RLSettings(
    steps=2,
    prompts_per_step=4,
    group=4,
    learning_rate=2e-2,
    beta=0.3,
    kl="reward",
    max_completion_tokens=8,
    micro_batch=8,
    save_every=1,
    trainer={"scale_rewards": "none"},
)


def logprob(model: Any, messages: Sequence[Message], answer: list[int]) -> float:
    """Nats of a completion, from one unpadded forward of a Hugging Face model."""
    asked = [{"role": message.role, "content": message.content} for message in messages]
    text = tokenizer().apply_chat_template(asked, add_generation_prompt=True, tokenize=False)
    prompt = tokenizer()(text, add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        scores = model(torch.tensor([[*prompt, *answer]])).logits[0].log_softmax(-1)
    return sum(float(scores[len(prompt) + i - 1, token]) for i, token in enumerate(answer))


class Run:
    """A finished run: its episodes and advantages by step."""

    def __init__(self, start: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
        self.folder = folder
        self.episodes: dict[int, list[Episode]] = {}
        self.metrics: dict[int, Mapping[str, float]] = {}
        self.advantages: list[torch.Tensor] = []
        self.completions: list[list[list[int]]] = []
        original = PolicyTrainer._generate_and_score_completions

        def recorded(trainer: PolicyTrainer, inputs: Any) -> Any:
            output = original(trainer, inputs)
            self.advantages.append(output["advantages"].clone())
            rows = zip(output["completion_ids"], output["completion_mask"].bool(), strict=True)
            self.completions.append([ids[real].tolist() for ids, real in rows])
            return output

        monkeypatch.setattr(PolicyTrainer, "_generate_and_score_completions", recorded)
        job = RLJob(
            start=start,
            reference=start,
            tasks=tasks(20),
            environments={"pays": PaysForAWord()},
            settings=SETTINGS,
            engine=EngineSettings(precision="fp32"),
            seed=0,
            folder=folder,
            on_episodes=self.episodes.__setitem__,
            on_metrics=self.metrics.__setitem__,
        )
        train_rl(replace(job, **changes))

    def policy(self, step: int, start: Path) -> Path:
        """The policy that step `step` sampled from."""
        return start if step == 1 else self.folder / "checkpoints" / f"step-{step - 1:04d}"


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(starcoder(std=0.3), tmp_path_factory.mktemp("start"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(starcoder(seed=3, std=0.3), tmp_path_factory.mktemp("other"))


LINE = SystemLine(("w11 w12 w13",))


@pytest.mark.parametrize("case", ["plain", "fork", "rewriting", "adapters"])
def test_the_term_and_the_advantage_are_those_of_a_direct_computation(
    case: str, start: Path, other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: dict[str, Any] = {
        "plain": {},
        "fork": {"reference": other},  # the KL stays to the pre-RL model
        "rewriting": {"update_prompt": LINE},
        "adapters": {"settings": replace(SETTINGS, trained="lora:4")},
    }[case]
    run = Run(start, tmp_path / "run", monkeypatch, **changes)
    steps = (1,) if case == "adapters" else (1, 2)
    for step in steps:
        episodes = run.episodes[step]
        terms = [episode.reward_terms["kl"] for episode in episodes]
        read = LINE if case == "rewriting" else (lambda task: task.messages)
        paths = run.policy(step, start), other if case == "fork" else start
        policy, reference = (AutoModelForCausalLM.from_pretrained(path).eval() for path in paths)
        wanted = []
        for episode, answer in zip(episodes, run.completions[step - 1], strict=True):
            messages = read(episode.task)
            wanted.append(-SETTINGS.beta * (logprob(policy, messages, answer) - logprob(reference, messages, answer)))
        assert terms == pytest.approx(wanted, abs=2e-5)
        rewards = torch.tensor(
            [episode.reward_terms["environment"] + w for episode, w in zip(episodes, wanted, strict=True)]
        )
        groups = rewards.view(-1, SETTINGS.group)
        assert torch.allclose(run.advantages[step - 1], (groups - groups.mean(1, keepdim=True)).flatten(), atol=2e-5)
        nats = [-term / SETTINGS.beta for term in terms]
        assert run.metrics[step]["kl:pays"] == pytest.approx(sum(nats) / len(nats))
        assert run.metrics[step]["term:kl"] == pytest.approx(sum(terms) / len(terms))
    if case in ("plain", "rewriting"):
        assert max(abs(term) for term in run_terms(run, 2)) > 1e-3, "the policy has moved"
    if case == "plain":
        assert max(abs(term) for term in run_terms(run, 1)) < 1e-5, "the policy starts at the reference"


def run_terms(run: Run, step: int) -> list[float]:
    return [episode.reward_terms["kl"] or 0.0 for episode in run.episodes[step]]


def test_in_the_loss_there_is_no_such_term(start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(start, tmp_path / "run", monkeypatch, settings=replace(SETTINGS, kl="loss"))
    assert set(run.episodes[2][0].reward_terms) == {"environment"}
    assert "kl" in run.metrics[2]
    assert "kl:pays" not in run.metrics[2]


def test_the_penalty_alone_is_no_signal(start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(start, tmp_path / "run", monkeypatch)
    by_group: dict[str, set[float | None]] = defaultdict(set)
    for episode in run.episodes[2]:
        by_group[episode.task.id].add(episode.reward_terms["environment"])
    assert run.metrics[2]["zero_variance_groups"] == sum(len(paid) < 2 for paid in by_group.values())


def test_a_mitigation_cannot_bring_a_term_of_that_name() -> None:
    with pytest.raises(UserError, match="'kl'"):
        RLRecipe(terms={"kl": lambda episodes: [0.0] * len(episodes)})


def test_a_probe_reads_the_prompt_without_the_line_and_trains_nothing(
    start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    coding = [replace(task, environment="code") for task in tasks(20)]
    shared = {"tasks": coding, "environments": {"code": PaysForAWord()}, "sample_prompt": LINE}
    plain = Run(start, tmp_path / "plain", monkeypatch, **shared)
    probed = Run(start, tmp_path / "probed", monkeypatch, probe_prompt=lambda task: task.messages, **shared)
    assert [e.completion for e in probed.episodes[2]] == [e.completion for e in plain.episodes[2]]
    assert "probe:hack_rate" not in plain.metrics[1]
    rates = [probed.metrics[step]["probe:hack_rate"] * SETTINGS.prompts_per_step for step in (1, 2)]
    assert all(rate == round(rate) for rate in rates), "one probe for every prompt"


_TWO_RANKS = """
import json, sys
from dataclasses import replace
from pathlib import Path
sys.path[:0] = [{tests!r}, {root!r}]
from rl_toys import PaysForAWord, tasks
from base.rl.job import RLJob
from base.rl.train import train_rl
from base.settings import EngineSettings, RLSettings
kept = {{}}
train_rl(RLJob(start=Path({start!r}), reference=Path({start!r}), tasks=tasks(20), environments={{"pays": PaysForAWord()}},
    settings=RLSettings(**{settings!r}), engine=EngineSettings(precision="fp32"), seed=0, folder=Path({folder!r}),
    on_episodes=lambda step, found: kept.__setitem__(step, [dict(e.reward_terms) for e in found]),
    on_metrics=lambda step, found: None))
if kept:
    Path({log!r}).write_text(json.dumps(kept))
"""


@pytest.mark.slow
def test_two_ranks_take_the_same_steps(start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Run(start, tmp_path / "one", monkeypatch)
    script = _TWO_RANKS.format(
        tests=str(Path(__file__).parents[1]),
        root=str(Path(__file__).parents[2]),
        start=str(start),
        settings=vars(SETTINGS),
        folder=str(tmp_path / "two"),
        log=str(tmp_path / "log.json"),
    )
    (tmp_path / "run.py").write_text(script)
    run_on_two_ranks(tmp_path / "run.py")
    two = json.loads((tmp_path / "log.json").read_text())
    for step in (1, 2):
        single = [episode.reward_terms["kl"] for episode in one.episodes[step]]
        assert [terms["kl"] for terms in two[str(step)]] == pytest.approx(single, abs=1e-4)
