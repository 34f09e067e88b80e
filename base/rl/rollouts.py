"""Rollouts: sample, grade, reward; TRL's rollout function and reward function."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from trl.models.utils import unwrap_model_for_generation

from base.errors import UserError
from base.models import chat, generate
from base.models.checks import check_ids, context
from base.settings import RLSettings
from base.types import Environment, Episode, Grade, Message, PromptTransform, RewardShaper, Scorer, Task


class Rollouts:
    """TRL's rollout function and reward function: sample, grade, shape; keeps the step's episodes of this rank."""

    def __init__(
        self,
        *,
        model: Any,
        tokenizer: Any,
        tasks: Sequence[Task],
        sample_prompt: PromptTransform,
        update_prompt: PromptTransform | None,
        reward: RewardShaper,
        environments: Mapping[str, Environment],
        judges: Mapping[str, Scorer],
        settings: RLSettings,
        generation: Any,
        seed: int,
    ) -> None:
        self.tokenizer, self.tasks, self.reward, self.environments = tokenizer, tasks, reward, environments
        self.judges, self.settings, self.seed = judges, settings, seed
        self.ends = chat.end_tokens(model, tokenizer)
        self.generator = None if generation == "vllm" else generate.choose(model, tokenizer, generation)
        self.messages: list[tuple[Message, ...]] = [tuple(sample_prompt(task)) for task in tasks]
        self.sampled_under = self._tokens(self.messages)
        self.updated_under = (
            self.sampled_under if update_prompt is None else self._tokens([tuple(update_prompt(t)) for t in tasks])
        )
        self._check_lengths(model)
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
        check_ids([*self.sampled_under, *self.updated_under], model)
        limit = context(model.config)
        longest = max(map(len, [*self.sampled_under, *self.updated_under]))
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
        logprobs: list[list[float]] | None = None
        if self.generator is None:
            _, completions, scores, _ = trainer.vllm_generation.generate(
                prompts=asked, images=None, num_generations=self.settings.group
            )
            logprobs = [[token[0] for token in row] for row in scores]
        else:
            gathered = unwrap_model_for_generation(
                trainer.model_wrapped,
                trainer.accelerator,
                gather_deepspeed3_params=trainer.args.ds3_gather_for_generation,
            )
            with gathered:
                completions = self.generator(
                    asked,
                    max_new_tokens=self.settings.max_completion_tokens,
                    temperature=self.settings.temperature,
                    seed=draw_seed(self.seed, step),
                    skip=rank * len(rows),
                ).completions
        self.clipped = sum(row[-1] not in self.ends for row in completions)
        self.tokens = sum(map(len, completions))
        self.seconds["sampling"] = time.perf_counter() - begun
        return {
            "prompt_ids": [self.updated_under[row] for row in rows],
            "completion_ids": completions,
            "logprobs": logprobs if self.updated_under is self.sampled_under else None,
        }

    def train_rewards(self, prompts: list[str], completion_ids: list[list[int]], **columns: Any) -> list[float | None]:
        """TRL's reward function: grade, shape; None where a reward is missing."""
        begun = time.perf_counter()
        rows = [int(position) for position in prompts]
        texts = [
            chat.completion_text(self.tokenizer, self.sampled_under[row], ids, self.ends)
            for row, ids in zip(rows, completion_ids, strict=True)
        ]
        tasks = [self.tasks[row] for row in rows]
        step = columns["trainer_state"].global_step + 1
        read = [self.messages[row] for row in rows]
        scores = {name: judge([task.messages for task in tasks], texts) for name, judge in self.judges.items()}
        given = [{name: values[i] for name, values in scores.items()} for i in range(len(rows))]
        episodes = [
            Episode(task, messages, text, grade, step=step, scores=judged)
            for task, messages, text, grade, judged in zip(
                tasks, read, texts, self._grade(tasks, texts), given, strict=True
            )
        ]
        self.episodes = [
            dataclasses.replace(episode, reward_terms=dict(terms), train_reward=total(terms))
            for episode, terms in zip(episodes, self.reward(episodes), strict=True)
        ]
        self.seconds["grading"] = time.perf_counter() - begun
        return [episode.train_reward for episode in self.episodes]

    def _grade(self, tasks: Sequence[Task], texts: Sequence[str]) -> list[Grade]:
        grades: dict[int, Grade] = {}
        for name in dict.fromkeys(task.environment for task in tasks):
            mine = [i for i, task in enumerate(tasks) if task.environment == name]
            found = self.environments[name].grade([tasks[i] for i in mine], [texts[i] for i in mine])
            grades.update(zip(mine, found, strict=True))
        return [grades[i] for i in range(len(tasks))]


def draw_seed(seed: int, step: int) -> int:
    """The sampling seed of a step: a hash, so that neighbouring runs and steps share no random numbers."""
    return int.from_bytes(hashlib.sha256(f"rollout {seed} {step}".encode()).digest()[:7])


def total(terms: Mapping[str, float | None]) -> float | None:
    """The train reward: the sum of its terms, missing if one is."""
    values = list(terms.values())
    return None if any(value is None for value in values) else float(sum(v for v in values if v is not None))
