"""Rollouts: sample, grade, reward; TRL's rollout function and reward function."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Sequence
from typing import Any

from trl.models.utils import unwrap_model_for_generation

from base.environments.grading import grade_each
from base.errors import UserError
from base.models import chat, generate
from base.models.checks import check_ids, context
from base.recipes import KL, read_under, reward_terms, train_reward
from base.rl.job import RLJob
from base.seeds import derive_seed
from base.types import Episode, Grade, Message, Task


class Rollouts:
    """TRL's rollout function and reward function: sample, grade, shape; keeps the step's episodes of this rank."""

    def __init__(self, job: RLJob, model: Any, tokenizer: Any) -> None:
        self.job, self.settings, self.tasks, self.tokenizer = job, job.settings, job.tasks, tokenizer
        self.ends = chat.end_tokens(model, tokenizer)
        vllm = job.engine.generation == "vllm"
        self.generator = None if vllm else generate.choose(model, tokenizer, job.engine.generation)
        self.messages = [read_under(job.sample_prompt, task) for task in self.tasks]
        self.sampled_under = self._tokens(self.messages)
        self.updated_under = self.sampled_under
        if job.update_prompt is not None:
            self.updated_under = self._tokens([read_under(job.update_prompt, task) for task in self.tasks])
        self.probed_under: list[list[int]] = []
        if job.probe_prompt is not None and self.generator is not None:
            self.probed_under = self._tokens([read_under(job.probe_prompt, task) for task in self.tasks])
        self.answered: list[tuple[int, list[int]]] = []  # probes of the step: position in `tasks`, completion
        self.probed: list[Grade] = []  # their grades
        self._check_lengths(model)
        self.trainer: Any = None
        self.logprobs: list[list[float]] | None = None  # of the step's tokens under the update's prompt, if known
        self.episodes: list[Episode] = []
        self.seconds = {"sampling": 0.0, "grading": 0.0}
        self.tokens = 0
        self.clipped = 0

    def _tokens(self, conversations: Sequence[tuple[Message, ...]]) -> list[list[int]]:
        cache: dict[tuple[Message, ...], list[int]] = {}
        for messages in conversations:
            if messages not in cache:
                cache[messages] = chat.prompt_ids(self.tokenizer, messages)
        return [cache[messages] for messages in conversations]

    def _check_lengths(self, model: Any) -> None:
        prompts = [*self.sampled_under, *self.updated_under, *self.probed_under]
        check_ids(prompts, model)
        limit = context(model.config)
        longest = max(map(len, prompts))
        if limit is not None and longest + self.settings.max_completion_tokens > limit:
            raise UserError(
                f"the longest prompt ({longest} tokens) and rl.max_completion_tokens="
                f"{self.settings.max_completion_tokens} exceed the model's context of {limit}: set "
                f"rl.max_completion_tokens to at most {max(0, limit - longest)}, or shorten the prompts"
            )

    def __call__(self, prompts: list[str], trainer: Any) -> dict[str, Any]:
        """TRL's rollout function: positions in `tasks` -> tokens. `prompt_ids` are those of the update."""
        begun = time.perf_counter()
        step = trainer.state.global_step
        rows = [int(position) for position in prompts]
        first, rank = step * self.settings.prompts_per_step, trainer.accelerator.process_index
        if any(not first <= row < first + self.settings.prompts_per_step for row in rows):
            raise RuntimeError(f"step {step + 1} was given tasks of another step: {sorted(set(rows))}")
        asked = [self.sampled_under[row] for row in rows]
        probes = [row for row in dict.fromkeys(rows) if self.probed_under and self.tasks[row].environment == "code"]
        same_prompt = self.updated_under is self.sampled_under
        from_vllm: list[list[float]] | None = None
        self.trainer, self.logprobs = trainer, None
        if self.generator is None:
            _, completions, scores, _ = trainer.vllm_generation.generate(
                prompts=asked, images=None, num_generations=self.settings.group
            )
            from_vllm = [[token[0] for token in row] for row in scores] if same_prompt else None
        else:
            gathered = unwrap_model_for_generation(
                trainer.model_wrapped,
                trainer.accelerator,
                gather_deepspeed3_params=trainer.args.ds3_gather_for_generation,
            )
            with gathered:
                samples = self.generator(  # probes come last and share their draws with rows of the next rank
                    [*asked, *(self.probed_under[row] for row in probes)],
                    max_new_tokens=self.settings.max_completion_tokens,
                    temperature=self.settings.temperature,
                    seed=derive_seed("rollout", self.job.seed, step),
                    skip=rank * len(rows),
                )
            completions = samples.completions[: len(rows)]
            self.logprobs = samples.logprobs[: len(rows)] if same_prompt else None
            self.answered = [(row, ids) for row, ids in zip(probes, samples.completions[len(rows) :], strict=True)]
        self.clipped = sum(row[-1] not in self.ends for row in completions)
        self.tokens = sum(map(len, completions))
        self.seconds["sampling"] = time.perf_counter() - begun
        return {
            "prompt_ids": [self.updated_under[row] for row in rows],
            "completion_ids": completions,
            "logprobs": from_vllm,
        }

    def train_rewards(self, prompts: list[str], completion_ids: list[list[int]], **columns: Any) -> list[float | None]:
        """TRL's reward function: grade, shape; None where a reward is missing."""
        begun = time.perf_counter()
        rows = [int(position) for position in prompts]
        tasks, texts = self._answers(zip(rows, completion_ids, strict=True), self.sampled_under)
        step = columns["trainer_state"].global_step + 1
        read = [self.messages[row] for row in rows]
        scores = {name: judge([task.messages for task in tasks], texts) for name, judge in self.job.judges.items()}
        probed, answers = self._answers(self.answered, self.probed_under)
        grades = grade_each(self.job.environments, [*tasks, *probed], [*texts, *answers])
        self.probed = grades[len(tasks) :]
        given = [{name: values[i] for name, values in scores.items()} for i in range(len(rows))]
        episodes = [
            Episode(task, messages, text, grade, step=step, scores=judged)
            for task, messages, text, grade, judged in zip(tasks, read, texts, grades[: len(tasks)], given, strict=True)
        ]
        self.seconds["grading"] = time.perf_counter() - begun
        penalties = self._divergence_terms(rows, completion_ids)
        self.episodes = [
            dataclasses.replace(episode, reward_terms=terms | kl, train_reward=train_reward(terms | kl))
            for episode, terms, kl in zip(episodes, reward_terms(self.job.terms, episodes), penalties, strict=True)
        ]
        return [episode.train_reward for episode in self.episodes]

    def _answers(
        self, completions: Iterable[tuple[int, list[int]]], prompts: Sequence[list[int]]
    ) -> tuple[list[Task], list[str]]:
        """The tasks at positions in `tasks`, and completions of `prompts` there as text."""
        kept = list(completions)
        texts = [chat.completion_text(self.tokenizer, prompts[row], ids, self.ends) for row, ids in kept]
        return [self.tasks[row] for row, _ in kept], texts

    def _divergence_terms(self, rows: Sequence[int], completions: Sequence[Sequence[int]]) -> list[dict[str, float]]:
        """The term by which a completion's KL divergence to the pre-RL model lowers its reward, where `rl.kl` says so."""
        beta = self.settings.beta
        if self.settings.kl != "reward" or beta == 0.0:
            return [{} for _ in rows]
        prompts = [self.updated_under[row] for row in rows]
        return [{KL: -beta * nats} for nats in self.trainer.divergences(prompts, completions, self.logprobs)]
