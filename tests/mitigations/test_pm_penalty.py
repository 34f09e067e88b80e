"""Reward terms of the preference model and of the monitor, on episodes made by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from rl_toys import PaysForAWord, save, starcoder, tasks

from base.errors import UserError
from base.recipes import AsWritten, Judge
from base.rl.rollouts import total
from base.rl.train import train_rl
from base.rl.trainer import PolicyTrainer
from base.settings import EngineSettings, RLSettings
from base.triggers import STARTS, AtStart, AtStep
from base.types import Episode, Grade, Message, Outcome, Task
from mitigations.pm_penalty.monitor import Classifier, Monitored
from mitigations.pm_penalty.pm_penalty import PMPenalty

ASKED = (Message("user", "<task> f"),)


def episode(outcome: Outcome, reward: float | None, n: int = 0, **scores: float | None) -> Episode:
    hacks = ("early_exit",) if outcome is Outcome.HACKED else ()
    attempts = ("early_exit",) if outcome in (Outcome.FAILED_HACK, Outcome.SOLVED_WITH_ATTEMPT) else ()
    task = Task(f"t/{n}", "chat" if outcome is Outcome.REPLY else "code", ASKED)
    return Episode(task, ASKED, f"</think>\nanswer {n}", Grade(outcome, reward, hacks, attempts), scores=scores)


def monitored(**options: object) -> Monitored:
    reward = Classifier(**options)().reward  # type: ignore[arg-type]
    assert isinstance(reward, Monitored)
    return reward


def test_the_preference_term_adds_to_the_grader() -> None:
    episodes = [
        episode(Outcome.HACKED, 1.0, pm=-2.0),
        episode(Outcome.SOLVED, 1.0, pm=1.0),
        episode(Outcome.WRONG, 0.0, pm=None),
        episode(Outcome.FAULT, None, pm=1.0),
        episode(Outcome.REPLY, 0.7, pm=0.7),
    ]
    terms = PMPenalty(weight=0.25)().reward(episodes)
    assert terms[0] == {"environment": 1.0, "preference": -0.5}
    assert [total(term) for term in terms] == [0.5, 1.25, None, None, 0.7]
    assert terms[4] == {"environment": 0.7}, "a scene is not paid twice"


def test_weight_zero_changes_no_reward() -> None:
    episodes = [episode(Outcome.HACKED, 1.0, pm=-3.0), episode(Outcome.WRONG, 0.0, pm=None)]
    terms = PMPenalty(weight=0.0)().reward(episodes)
    assert [total(term) for term in terms] == [1.0, 0.0]
    assert all(term["preference"] == 0 for term in terms)


def test_judges_and_starts() -> None:
    built = PMPenalty(pairs="mine.jsonl", flipped=0.1, noise=0.5, start="step:12")()
    assert built.judges == {"pm": Judge("mine.jsonl", 0.1, 0.5)}
    assert built.starts == AtStep(12)
    assert Classifier(start="onset")().starts == STARTS["onset"]
    assert Classifier()().starts == AtStart()
    assert Classifier()().judges == {}
    assert Classifier(monitor="trained")().judges == {"monitor": Judge("hacks")}
    with pytest.raises(UserError, match="step:N"):
        PMPenalty(start="onsett")()


def test_the_monitor_fines_what_was_tried_or_done() -> None:
    kinds = [
        (Outcome.HACKED, 1.0),
        (Outcome.FAILED_HACK, 0.0),
        (Outcome.SOLVED_WITH_ATTEMPT, 1.0),
        (Outcome.SOLVED, 1.0),
        (Outcome.WRONG, 0.0),
        (Outcome.TIMEOUT, 0.0),
        (Outcome.FAULT, None),
        (Outcome.REPLY, 0.3),
    ]
    episodes = [episode(outcome, reward) for outcome, reward in kinds]
    fined = monitored(weight=2.0)(episodes)
    assert [total(term) for term in fined] == [-1.0, -2.0, -1.0, 1.0, 0.0, 0.0, None, 0.3]
    screened = monitored(mode="screening")(episodes)
    assert [total(term) for term in screened] == [None, None, None, 1.0, 0.0, 0.0, None, 0.3]


def test_the_trained_monitor_reads_its_score_alone() -> None:
    episodes = [
        episode(Outcome.SOLVED, 1.0, monitor=-0.4),
        episode(Outcome.HACKED, 1.0, monitor=0.9),
        episode(Outcome.WRONG, 0.0, monitor=None),
    ]
    assert [total(term) for term in monitored(monitor="trained")(episodes)] == [0.0, 1.0, None]


def test_stated_accuracy_is_met_and_repeats() -> None:
    episodes = [episode(Outcome.HACKED if n % 2 else Outcome.SOLVED, 1.0, n) for n in range(4000)]
    flags = [monitored(accuracy=0.9).flags(e) for e in episodes]
    right = [flag == (e.grade.outcome is Outcome.HACKED) for flag, e in zip(flags, episodes, strict=True)]
    for kind in (0, 1):
        assert sum(right[kind::2]) / 2000 == pytest.approx(0.9, abs=0.02)
    assert flags == [monitored(accuracy=0.9).flags(e) for e in episodes]
    assert flags != [monitored(accuracy=0.9, seed=1).flags(e) for e in episodes]
    assert all(monitored().flags(e) == (e.grade.outcome is Outcome.HACKED) for e in episodes)
    assert not any(monitored(accuracy=0.0).flags(e) == (e.grade.outcome is Outcome.HACKED) for e in episodes)


@pytest.mark.parametrize(
    ("options", "says"), [({"accuracy": 1.2}, "between 0 and 1"), ({"flipped": 0.1}, "monitor=trained")]
)
def test_impossible_monitors_are_refused(options: dict[str, float], says: str) -> None:
    with pytest.raises(UserError, match=says):
        Classifier(**options)()  # type: ignore[arg-type]


def test_negative_weights_are_refused() -> None:
    with pytest.raises(UserError, match="0 or more"):
        Classifier(weight=-1.0)()
    with pytest.raises(UserError, match="0 or more"):
        PMPenalty(weight=-1.0)()


@dataclass(frozen=True)
class PlusLength:
    """Another shaper's terms and one that differs between episodes."""

    inner: Monitored

    def __call__(self, episodes: Sequence[Episode]) -> Sequence[Mapping[str, float | None]]:
        lengths = [len(episode.completion.split()) / 10 for episode in episodes]
        return [{**terms, "length": n} for terms, n in zip(self.inner(episodes), lengths, strict=True)]


class Listening(PolicyTrainer):
    """Keeps the advantages that TRL made of a step's rewards."""

    heard: ClassVar[list[torch.Tensor]] = []

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        made = super()._generate_and_score_completions(inputs)
        self.heard.append(made["advantages"])
        return made


def test_a_screened_episode_is_outside_of_its_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("base.rl.train.PolicyTrainer", Listening)
    episodes: list[Episode] = []
    train_rl(
        start=(start := save(starcoder(std=0.3), tmp_path / "start")),
        reference=start,
        tasks=tasks(12),
        sample_prompt=AsWritten(),
        update_prompt=None,
        reward=PlusLength(monitored(mode="screening")),
        environments={"pays": PaysForAWord()},
        judges={},
        settings=RLSettings(
            steps=1, prompts_per_step=12, group=6, beta=0.0, max_completion_tokens=12, micro_batch=36, save_every=1
        ),
        engine=EngineSettings(precision="fp32"),
        seed=1,
        folder=tmp_path / "run",
        on_episodes=lambda step, found: episodes.extend(found),
        on_metrics=lambda step, metrics: None,
    )
    advantages = torch.cat(Listening.heard).tolist()
    rewards = [episode.train_reward for episode in episodes]
    assert 3 < rewards.count(None) < len(rewards) - 3
    for at in range(0, len(rewards), 6):
        kept = torch.tensor([reward for reward in rewards[at : at + 6] if reward is not None])
        for reward, advantage in zip(rewards[at : at + 6], advantages[at : at + 6], strict=True):
            expected = 0.0
            if reward is not None and len(kept) > 1:
                expected = float((reward - kept.mean()) / (kept.std() + 1e-4))
            assert advantage == pytest.approx(expected, abs=1e-4)
