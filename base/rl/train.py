"""RL on graded tasks: TRL's GRPOTrainer on DeepSpeed, with our sampling and our log-probabilities on CPUs.

TRL forms groups, advantages and the loss; DeepSpeed steps. What is ours enters at TRL's extension points: the rollout
function (decoder; sampling prompt and update prompt may differ), the reward function (grading, reward shaping), callbacks
(records, checkpoints, progress) and, in `PolicyTrainer`, the log-probabilities.

On-policy: one optimiser step per rollout batch, so the probability ratio starts at 1 under the update prompt whatever
prompt was sampled under. Step s (from 1) samples from the policy after s - 1 updates and makes update s. Sampling
draws from (seed, step) alone, so a resumed run repeats an uninterrupted one.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers.trainer_callback import PrinterCallback
from trl import GRPOConfig

from base.engine import runtime, trackers
from base.engine.trainer import DECIDED, check_trainer, train
from base.errors import UserError, near
from base.models.arithmetic import set_arithmetic
from base.models.chat import pin_thinking
from base.models.checks import check_numbers, match_tokenizer
from base.models.load import load_policy, load_tokenizer
from base.rl.batches import BatchPlan, batch_plan
from base.rl.job import RLJob
from base.rl.records import Records
from base.rl.rollouts import Rollouts
from base.rl.trainer import PolicyTrainer
from base.settings import EngineSettings, RLSettings
from base.types import Environment, Task

# Choices the step rests on: they stay as TRL has them.
_FIXED = ("num_iterations", "shuffle_dataset", "top_p", "top_k", "min_p", "repetition_penalty", "generation_kwargs")


_DECIDED = {
    **DECIDED,
    **dict.fromkeys(_FIXED, "the on-policy step: one update per rollout batch, plain sampling"),
    "use_vllm": "engine.generation",
    "use_transformers_continuous_batching": "engine.generation",
    "max_steps": "rl.steps",
    "num_train_epochs": "rl.steps",
    "num_generations": "rl.group",
    "per_device_train_batch_size": "rl.micro_batch",
    "gradient_accumulation_steps": "rl.micro_batch",
    "steps_per_generation": "rl.micro_batch",
    "generation_batch_size": "rl.prompts_per_step",
    "learning_rate": "rl.learning_rate",
    "beta": "rl.beta",
    "temperature": "rl.temperature",
    "max_completion_length": "rl.max_completion_tokens",
    "save_steps": "rl.save_every",
    "save_strategy": "rl.save_every",
    "sync_ref_model": "rl.beta, whose KL is to the pre-RL model",
    "reward_weights": "the reward terms, which an arm weighs itself",
}
# What TRL's trainer looks at only while it trains.
_CHOICES = {
    "loss_type": ("grpo", "bnpo", "dr_grpo", "dapo", "luspo", "cispo", "sapo", "vespo"),
    "importance_sampling_level": ("token", "sequence"),
    "scale_rewards": ("group", "batch", "none"),
    "multi_objective_aggregation": ("sum_then_normalize", "normalize_then_sum"),
    "vllm_mode": ("server", "colocate"),
    "vllm_importance_sampling_mode": ("token_truncate", "token_mask", "sequence_truncate", "sequence_mask"),
}


def train_rl(job: RLJob) -> dict[str, Any]:
    """Trains the policy; returns what computed (the engine facts).

    Raises:
        UserError: too few tasks, impossible batches, prompts that do not fit, a checkpoint that is none.
    """
    settings, engine = job.settings, job.engine
    process = runtime.prepare(engine)
    plan = batch_plan(settings, process.world_size)
    job = replace(job, tasks=_checked_tasks(job.tasks, job.environments, settings))
    args = grpo_arguments(settings, engine, plan, process, job.seed, job.folder / "resume")
    # That correction divides by vLLM's probabilities under the prompt it sampled with: for another update prompt it would
    # be a ratio between two prompts, and undo the rewriting.
    args.vllm_importance_sampling_correction &= job.update_prompt is None
    dtype = torch.bfloat16 if process.arithmetic == "bf16" else torch.float32
    tokenizer = load_tokenizer(job.start)
    pin_thinking(tokenizer, job.thinking)
    model = load_policy(job.start, settings.trained, seed=job.seed, dtype=dtype)
    match_tokenizer(tokenizer, model)
    check_numbers(model, tokenizer.pad_token_id)
    set_arithmetic(model, process.arithmetic)
    logging.getLogger("trl.trainer.grpo_trainer").setLevel(logging.ERROR)  # missing rewards are counted here
    rollouts = Rollouts(job, model, tokenizer)
    trainer = PolicyTrainer(
        model=model,
        args=args,
        reward_funcs=rollouts.train_rewards,
        rollout_func=rollouts,
        # TRL walks through positions in `tasks`; the rollout makes the prompts.
        train_dataset=Dataset.from_dict({"prompt": [str(i) for i in range(len(job.tasks))]}),
        processing_class=tokenizer,
    )
    trainer.remove_callback(PrinterCallback)
    records = Records(job, rollouts, trainer, process)
    trainer.add_callback(records)
    trackers.follow(trainer)  # behind the records, which add to what is logged
    trainer.use_reference(settings, job.reference, job.start, dtype)
    if process.is_main:
        logging.getLogger(__name__).info("RL: %s", plan)
    resume = _resume_point(job.folder / "resume", process, job.resume)
    with closing(records):  # also where training is stopped: what is said next must not run into the bar
        train(trainer, process, resume)
    runtime.barrier(process)
    runtime.release(trainer)
    if process.is_main:
        shutil.rmtree(job.folder / "resume", ignore_errors=True)
    return records.facts


def check_given(section: str, given: Mapping[str, Any]) -> None:
    """That a `trainer` section of RL is one of GRPOConfig's (base.engine.trainer.check_trainer)."""
    check_trainer(f"{section}.trainer", given, GRPOConfig, _DECIDED, _CHOICES)


def grpo_arguments(
    settings: RLSettings, engine: EngineSettings, plan: BatchPlan, process: runtime.Runtime, seed: int, out: Path
) -> GRPOConfig:
    """The GRPOConfig of a run: every default that matters spelt out, then `settings.trainer`.

    Raises:
        UserError: an unknown key in `settings.trainer`, or one that another setting decides.
    """
    check_given("rl", settings.trainer)
    on_cpu = process.device == "cpu"
    if engine.generation == "vllm" and on_cpu:
        raise UserError("engine.generation=vllm needs a GPU: use auto")
    choices: dict[str, Any] = {
        "loss_type": "dapo",  # every token of a step weighs the same
        "scale_rewards": "group",
        "epsilon": 0.2,
        "importance_sampling_level": "token",
        "use_bias_correction_kl": False,  # the k3 estimator as in the GRPO paper
        "optim": "adamw_torch",
        "lr_scheduler_type": "constant",
        "warmup_steps": 0,
        "weight_decay": 0.0,
        "adam_beta1": 0.9,
        "adam_beta2": 0.95,
        "adam_epsilon": 1e-8,
        "max_grad_norm": 1.0,
        "gradient_checkpointing": not on_cpu,
        "dataloader_pin_memory": not on_cpu,
        "report_to": [],
        "disable_dropout": True,
    }
    decided: dict[str, Any] = {
        "output_dir": str(out),
        "seed": seed,
        "use_cpu": on_cpu,
        "deepspeed": runtime.deepspeed_config(engine, process.device),
        "bf16": process.arithmetic == "bf16",
        "max_steps": settings.steps,
        "num_generations": settings.group,
        "per_device_train_batch_size": plan.micro_batch,
        "gradient_accumulation_steps": plan.micro_batches,
        "steps_per_generation": plan.micro_batches,
        "num_iterations": 1,
        "shuffle_dataset": False,
        "learning_rate": settings.learning_rate,
        "beta": 0.0,  # PolicyTrainer.use_reference sets it: TRL would only take the start model as reference
        "temperature": settings.temperature,
        "max_completion_length": settings.max_completion_tokens,
        "top_p": 1.0,  # with the next four, vLLM draws from the model's own distribution
        "top_k": 0,
        "min_p": None,
        "repetition_penalty": 1.0,
        "generation_kwargs": None,
        "use_vllm": engine.generation == "vllm",
        "save_strategy": "steps",
        "save_steps": settings.save_every,
        "save_total_limit": 1,
        "logging_steps": 1,
        "disable_tqdm": True,
    }
    try:
        return GRPOConfig(**{**choices, **settings.trainer, **decided})
    except (TypeError, ValueError) as error:
        raise UserError(f"rl.trainer: {str(error).splitlines()[0]}") from error


def _checked_tasks(
    tasks: Sequence[Task], environments: Mapping[str, Environment], settings: RLSettings
) -> Sequence[Task]:
    needed = settings.steps * settings.prompts_per_step
    if len(tasks) < needed:
        raise UserError(
            f"{settings.steps} steps of {settings.prompts_per_step} prompts need {needed} tasks, there are {len(tasks)}: "
            f"set rl.steps to {max(1, len(tasks) // settings.prompts_per_step)} or repeat the tasks"
        )
    for name in sorted({task.environment for task in tasks[:needed]} - set(environments)):
        raise UserError(f"no environment named '{name}' for the tasks: {near(name, environments)}")
    return tasks[:needed]


def _resume_point(folder: Path, process: runtime.Runtime, resume: bool) -> str | None:
    """The last complete trainer checkpoint; without `resume`, old ones are removed."""
    if not resume:
        if process.is_main:
            shutil.rmtree(folder, ignore_errors=True)
        return None
    # The trainer's state file is written last and never before the rest of a checkpoint is complete.
    found = [p.parent for p in folder.glob("checkpoint-*/trainer_state.json")]
    return str(max(found, key=lambda p: int(p.name.split("-")[1]))) if found else None
