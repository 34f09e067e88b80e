"""Reward terms of the preference model and of the monitor, on episodes made by hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from rl_toys import PaysForAWord, save, starcoder, tasks

from base.errors import UserError
from base.recipes import ENVIRONMENT, Judge, RLRecipe, reward_terms, train_reward
from base.rl.job import RLJob
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


def monitored(**options: Any) -> Monitored:
    (term,) = Classifier(**options)().terms.values()
    assert isinstance(term, Monitored)
    return term


def paid(built: RLRecipe, episodes: list[Episode]) -> list[float | None]:
    """What the optimiser is given: the environment's reward and every term."""
    return [train_reward(terms) for terms in reward_terms(built.terms, episodes)]


def test_the_preference_term_adds_to_the_grader() -> None:
    episodes = [
        episode(Outcome.HACKED, 1.0, pm=-2.0),
        episode(Outcome.SOLVED, 1.0, pm=1.0),
        episode(Outcome.WRONG, 0.0, pm=None),
        episode(Outcome.FAULT, None, pm=1.0),
        episode(Outcome.REPLY, 0.7, pm=0.7),
    ]
    built = PMPenalty(weight=0.25)()
    terms = reward_terms(built.terms, episodes)
    assert terms[0] == {ENVIRONMENT: 1.0, "preference": -0.5}
    assert paid(built, episodes) == [0.5, 1.25, None, None, 0.7]
    assert terms[4] == {ENVIRONMENT: 0.7, "preference": 0.0}, "a scene is not paid twice"


def test_weight_zero_changes_no_reward() -> None:
    episodes = [episode(Outcome.HACKED, 1.0, pm=-3.0), episode(Outcome.WRONG, 0.0, pm=None)]
    built = PMPenalty(weight=0.0)()
    assert paid(built, episodes) == [1.0, 0.0]
    assert all(terms["preference"] == 0 for terms in reward_terms(built.terms, episodes))


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
    assert paid(Classifier(weight=2.0)(), episodes) == [-1.0, -2.0, -1.0, 1.0, 0.0, 0.0, None, 0.3]
    assert paid(Classifier(mode="screening")(), episodes) == [None, None, None, 1.0, 0.0, 0.0, None, 0.3]


def test_the_trained_monitor_reads_its_score_alone() -> None:
    episodes = [
        episode(Outcome.SOLVED, 1.0, monitor=-0.4),
        episode(Outcome.HACKED, 1.0, monitor=0.9),
        episode(Outcome.WRONG, 0.0, monitor=None),
    ]
    assert paid(Classifier(monitor="trained")(), episodes) == [0.0, 1.0, None]


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
def test_impossible_monitors_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        Classifier(**options)()


def test_negative_weights_are_refused() -> None:
    with pytest.raises(UserError, match="0 or more"):
        Classifier(weight=-1.0)()
    with pytest.raises(UserError, match="0 or more"):
        PMPenalty(weight=-1.0)()


def lengths(episodes: Sequence[Episode]) -> Sequence[float]:
    """A further term, one that differs between episodes."""
    return [len(episode.completion.split()) / 10 for episode in episodes]


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
    start = save(starcoder(std=0.3), tmp_path / "start")
    train_rl(
        RLJob(
            start=start,
            reference=start,
            tasks=tasks(12),
            terms={"penalty": monitored(mode="screening"), "length": lengths},
            environments={"pays": PaysForAWord()},
            settings=RLSettings(
                steps=1, prompts_per_step=12, group=6, beta=0.0, max_completion_tokens=12, micro_batch=36, save_every=1
            ),
            engine=EngineSettings(precision="fp32"),
            seed=1,
            folder=tmp_path / "run",
            on_episodes=lambda step, found: episodes.extend(found),
            on_metrics=lambda step, metrics: None,
        )
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
