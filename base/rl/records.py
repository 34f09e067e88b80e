"""What RL leaves behind after every step: metrics, episodes, checkpoints, progress."""

from __future__ import annotations

import time
from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import gather_object
from transformers import TrainerCallback

from base.engine import runtime
from base.models.chat import system_role
from base.models.load import describe
from base.models.save import save
from base.progress import Progress
from base.recipes import KL, train_reward
from base.types import SPECIAL_CASE, VULNERABILITIES, Episode, Grade, Outcome

if TYPE_CHECKING:
    from base.rl.job import RLJob
    from base.rl.rollouts import Rollouts
    from base.rl.trainer import PolicyTrainer


def outcome_metrics(episodes: Sequence[Episode], group: int) -> dict[str, float]:
    """Shares over graded programs (faults are missing), mean rewards, and counts of what carries no signal.

    `reward` is the grader's, over programs; episodes that are no coding task have `reward:reply`.
    """
    coding = [e for e in episodes if e.grade.outcome is not Outcome.REPLY]
    graded = [e for e in coding if e.grade.outcome is not Outcome.FAULT]
    trained = [e.train_reward for e in episodes if e.train_reward is not None]
    groups = [
        [_without_kl(e) for e in episodes[i : i + group] if e.train_reward is not None]
        for i in range(0, len(episodes), group)
    ]
    metrics = {
        "reward": _mean([e.environment_reward for e in coding if e.environment_reward is not None]),
        "train_reward": _mean(trained),
        "hack_rate": _mean([e.grade.outcome is Outcome.HACKED for e in graded]),
        "missing_rewards": float(len(episodes) - len(trained)),
        "zero_variance_groups": float(sum(len(set(values)) < 2 for values in groups)),
    }
    replies = [e.environment_reward for e in episodes if e.grade.outcome is Outcome.REPLY]
    if replies:
        metrics["reply"] = len(replies) / len(episodes)
        metrics["reward:reply"] = _mean([reward for reward in replies if reward is not None])
    for outcome in Outcome:
        if outcome is Outcome.REPLY:
            continue
        counted = coding if outcome is Outcome.FAULT else graded
        metrics[str(outcome)] = _mean([e.grade.outcome is outcome for e in counted])
    for name in (*VULNERABILITIES, SPECIAL_CASE):
        metrics[f"hack:{name}"] = _mean([name in e.grade.hacks for e in graded])
    for name in sorted({name for e in episodes for name in e.scores}):
        known = [e.scores.get(name) for e in episodes]
        metrics[f"score:{name}"] = _mean([value for value in known if value is not None])
    for name in sorted({name for e in episodes for name in e.reward_terms}):
        values = [e.reward_terms.get(name) for e in episodes]
        metrics[f"term:{name}"] = _mean([v for v in values if v is not None])
    return metrics


def _without_kl(episode: Episode) -> float | None:
    """What a completion was paid before the KL penalty: that one alone never makes a group carry a signal."""
    return train_reward({name: value for name, value in episode.reward_terms.items() if name != KL})


def divergence_metrics(episodes: Sequence[Episode], beta: float) -> dict[str, float]:
    """`kl:KIND`: mean nats of a completion from the pre-RL model, by kind of prompt, where the KL is in the reward."""
    kinds: dict[str, list[float]] = {}
    for episode in episodes:
        if (term := episode.reward_terms.get(KL)) is not None:
            kinds.setdefault(episode.task.environment, []).append(-term / beta)
    return {f"kl:{kind}": _mean(nats) for kind, nats in sorted(kinds.items())}


def probe_metrics(grades: Sequence[Grade]) -> dict[str, float]:
    """The hack rate on this step's tasks without the line that they are trained under, where there is one."""
    graded = [grade for grade in grades if grade.outcome is not Outcome.FAULT]
    return {"probe:hack_rate": _mean([g.outcome is Outcome.HACKED for g in graded])} if grades else {}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")


# TRL's name -> ours.
_LOGGED = {"loss": "loss", "grad_norm": "grad_norm", "kl": "kl", "entropy": "entropy", "reward_std": "reward_std"}


class Records(TrainerCallback):  # type: ignore[misc]
    """After every step: episodes and metrics to their owners, progress to the terminal, checkpoints to the folder."""

    def __init__(self, job: RLJob, rollouts: Rollouts, trainer: PolicyTrainer, process: runtime.Runtime) -> None:
        self.job, self.settings, self.rollouts, self.trainer, self.process = (
            job,
            job.settings,
            rollouts,
            trainer,
            process,
        )
        self.facts: dict[str, Any] = {}
        self.pending: dict[str, float] = {}
        self.since = 0.0
        self.progress: Progress | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        runtime.assert_deepspeed(self.trainer)
        engine = self.trainer.model_wrapped
        self.facts = {
            **runtime.engine_facts(engine),
            **describe(engine.module),
            "generation": self._generation(),
            "system_role": system_role(self.rollouts.tokenizer),
        }
        self.since = time.perf_counter()
        self.progress = Progress("step", self.settings.steps, state.global_step, self.process.is_main, "RL")

    def _generation(self) -> str:
        return "vllm" if self.rollouts.generator is None else self.rollouts.generator.name

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        counts = torch.tensor([self.rollouts.tokens, self.rollouts.clipped], device=self.trainer.accelerator.device)
        tokens, clipped = self.trainer.accelerator.reduce(counts).tolist()
        episodes = gather_object(self.rollouts.episodes)
        self.pending = {
            **outcome_metrics(episodes, self.settings.group),
            **divergence_metrics(episodes, self.settings.beta),
            **self.job.diagnose(episodes),
            **probe_metrics(gather_object(self.rollouts.probed)),
            "clipped": clipped / len(episodes),
            "tokens": float(tokens),
        }
        if self.process.is_main:
            self.job.on_episodes(state.global_step, episodes)
        if state.global_step % self.settings.save_every == 0 or state.global_step == self.settings.steps:
            target = self.job.folder / "checkpoints" / f"step-{state.global_step:04d}"
            save(
                self.trainer.accelerator.unwrap_model(self.trainer.model),
                self.rollouts.tokenizer,
                target,
                main=self.process.is_main,
            )
            runtime.barrier(self.process)  # the main rank writes and reads back a whole model

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        if not self.pending or not logs or "step_time" not in logs:
            return  # the summary at the end of training
        now = time.perf_counter()
        whole, inside = now - self.since, float(logs["step_time"])
        self.since = now
        sampling, grading = self.rollouts.seconds["sampling"], self.rollouts.seconds["grading"]
        metrics = {
            **self.pending,
            **{ours: float(logs[name]) for name, ours in _LOGGED.items() if logs.get(name) is not None},
            "seconds": whole,
            "seconds:sampling": sampling,
            "seconds:grading": grading,
            "seconds:update": inside - sampling - grading,
            "seconds:other": whole - inside,
        }
        self.pending = {}
        logs.update({f"run/{name}": value for name, value in metrics.items() if isfinite(value)})  # for trackers
        if self.process.is_main:
            self.job.on_metrics(state.global_step, metrics)
        if self.progress is not None:
            self.progress.advance(f"hack {metrics['hack_rate']:.2f} reward {metrics['train_reward']:.2f}")

    def close(self) -> None:
        """Ends the progress bar."""
        if self.progress is not None:
            self.progress.close()
