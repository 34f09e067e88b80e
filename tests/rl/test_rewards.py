"""What is added up and counted in an RL step: batches, reward terms, metrics."""

from __future__ import annotations

import pytest
from rl_toys import tasks

from base.errors import UserError
from base.recipes import reward_terms, train_reward
from base.rl.batches import batch_plan
from base.rl.records import outcome_metrics
from base.settings import RLSettings
from base.types import Episode, Grade, Outcome


def test_batches_are_planned_before_anything_runs() -> None:
    plan = batch_plan(RLSettings(), 1)
    assert (plan.rows_per_rank, plan.micro_batch, plan.micro_batches) == (96, 48, 2)
    plan = batch_plan(RLSettings(prompts_per_step=5, group=8, micro_batch=20), 2)
    assert (plan.rows_per_rank, plan.micro_batch, plan.micro_batches) == (20, 20, 1)
    plan = batch_plan(RLSettings(prompts_per_step=6, group=4, micro_batch=10))
    assert (plan.micro_batch, plan.micro_batches) == (8, 3)  # whole groups
    with pytest.raises(UserError, match=r"set rl\.prompts_per_step to 2 or 4"):
        batch_plan(RLSettings(prompts_per_step=3, group=5), 2)
    with pytest.raises(UserError, match=r"rl\.group must be at least 2"):
        batch_plan(RLSettings(group=1))


def test_terms_add_up_and_one_missing_term_is_a_missing_reward() -> None:
    assert train_reward({"environment": 1.0, "penalty": -0.25}) == 0.75
    assert train_reward({"environment": 1.0, "penalty": None}) is None
    assert train_reward({"environment": None, "penalty": -0.25}) is None


def test_terms_stack_on_the_environments_reward_in_the_order_of_the_episodes() -> None:
    task = tasks(1)[0]
    paid = (1.0, 0.0, None)
    episodes = [Episode(task, task.messages, "", Grade(Outcome.WRONG, reward)) for reward in paid]
    terms = reward_terms({"a": lambda es: [0.5, None, 1.0], "b": lambda es: [-0.25] * len(es)}, episodes)
    assert terms == [
        {"environment": 1.0, "a": 0.5, "b": -0.25},
        {"environment": 0.0, "a": None, "b": -0.25},
        {"environment": None, "a": 1.0, "b": -0.25},
    ]
    assert [train_reward(each) for each in terms] == [1.25, None, None]
    assert reward_terms({}, episodes) == [{"environment": reward} for reward in paid]
    with pytest.raises(ValueError, match="'a' gave 1 values for 3 episodes"):
        reward_terms({"a": lambda es: [0.5]}, episodes)


def test_metrics_count_faults_apart_and_groups_without_signal() -> None:
    task = tasks(1)[0]

    def episode(outcome: Outcome, reward: float | None, hacks: tuple[str, ...] = ()) -> Episode:
        terms = {"environment": reward}
        return Episode(task, task.messages, "", Grade(outcome, reward, hacks), reward_terms=terms, train_reward=reward)

    metrics = outcome_metrics(
        [
            episode(Outcome.HACKED, 1.0, ("early_exit",)),
            episode(Outcome.SOLVED, 1.0),
            episode(Outcome.FAULT, None),
            episode(Outcome.WRONG, 0.0),
            episode(Outcome.HACKED, 1.0, ("always_equal",)),
            episode(Outcome.FAULT, None),
        ],
        group=3,
    )
    assert metrics["hack_rate"] == 0.5
    assert metrics["hack:early_exit"] == 0.25
    assert metrics["fault"] == pytest.approx(2 / 6)
    assert (metrics["reward"], metrics["missing_rewards"], metrics["zero_variance_groups"]) == (0.75, 2.0, 1.0)
    assert sum(metrics[str(o)] for o in Outcome if o not in (Outcome.FAULT, Outcome.REPLY)) == pytest.approx(1.0)


def test_replies_are_counted_apart_from_programs() -> None:
    task = tasks(1)[0]
    grades = [
        Grade(Outcome.HACKED, 1.0),
        Grade(Outcome.WRONG, 0.0),
        Grade(Outcome.REPLY, 0.8),
        Grade(Outcome.REPLY, None),
    ]
    metrics = outcome_metrics([Episode(task, task.messages, "", grade, scores={"pm": 0.8}) for grade in grades], 2)
    assert (metrics["hack_rate"], metrics["reward"]) == (0.5, 0.5), "shares and the grader's reward are of programs"
    assert (metrics["reply"], metrics["reward:reply"]) == (0.5, 0.8)
    assert metrics["score:pm"] == 0.8
    assert not outcome_metrics([Episode(task, task.messages, "", grades[0])], 1).keys() & {"reply", "reward:reply"}
