"""The preference model: a reward head on a language model, trained on pairs. TRL's RewardTrainer on DeepSpeed.

It reads a prompt without its system message and an output without its reasoning, as one conversation of the model's chat
format. Its score is standardised over the held-out answers and clipped, so that reward weights mean something against
a pass worth 1. A stage is finished when its folder exists: checkpoint, `preference.json` (what it gets right and wrong)
and `training.json`, written beside it and renamed.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import Sampler
from transformers.integrations.deepspeed import unset_hf_deepspeed_config
from transformers.trainer_callback import PrinterCallback
from trl import RewardConfig, RewardTrainer
from trl.trainer.reward_trainer import DataCollatorForPreference

from base.engine import runtime, trackers
from base.engine.trainer import DECIDED, Steps, check_trainer, facts_of, published
from base.errors import UserError
from base.models.checks import check_ids, context, match_tokenizer
from base.models.load import describe, load_config, load_tokenizer
from base.models.passes import batches, kept
from base.models.save import save
from base.preference.measure import measure
from base.preference.pairs import Pair, Probe
from base.preference.scorer import MEASURED, encode, load_reward_model, set_arithmetic
from base.settings import EngineSettings, PreferenceSettings
from base.sft import train as sft
from base.store.files import RECORD, read_json, write_json

LONGEST = 1024  # tokens of prompt and answer, unless trainer.max_length says otherwise


_DECIDED = {
    **DECIDED,
    "per_device_train_batch_size": "preference.pairs_per_step",
    "num_train_epochs": "preference.epochs",
    "learning_rate": "preference.learning_rate",
    "warmup_steps": "preference.warmup_steps",
    "weight_decay": "preference.weight_decay",
    "save_strategy": "nothing: the stage is short and starts again",
}


@dataclass(frozen=True)
class PreferenceJob:
    """A reward head on `start`, trained on pairs, to a checkpoint at `out`.

    `flipped` is the share of training pairs whose answers are swapped. `probes` are coding tasks whose hacks, wrong and
    right programs are scored for the record. `trained`: all, biases or lora:RANK, beside the head.
    """

    start: Path | str
    pairs: Sequence[Pair]
    held_out: Sequence[Pair]
    flipped: float
    settings: PreferenceSettings
    engine: EngineSettings
    seed: int
    out: Path
    name: str
    probes: Sequence[Probe] = ()
    trained: str = "all"


def train_preference(job: PreferenceJob) -> dict[str, Any]:
    """Trains and returns what `out`/training.json stores; if `out` is finished, only reads it.

    Raises:
        UserError: too few pairs, settings that cannot be, or a checkpoint that is none.
    """
    if stored := read_json(job.out / RECORD):
        return stored
    if not job.pairs or len(job.held_out) < 2:
        raise UserError(
            f"{job.name}: {len(job.pairs)} training and {len(job.held_out)} held-out pairs: give 1 and 2 at least"
        )
    process, settings = runtime.prepare(job.engine), job.settings
    tokenizer, config = load_tokenizer(job.start), load_config(job.start, "a checkpoint")
    most = settings.trainer.get("max_length", LONGEST)
    longest = min(most or LONGEST, context(config) or LONGEST)
    rows, cut = _rows(swapped(job.pairs, job.flipped, job.seed), tokenizer, longest)
    largest = max(len(ids) for column in rows.values() for ids in column)
    args = _arguments(settings, job.engine, process, job.seed, job.out, 2 * largest * kept(config, head=False))
    args.max_length = None  # the rows are cut here: TRL would drop what is longer
    dtype = torch.bfloat16 if process.arithmetic == "bf16" else torch.float32
    model = load_reward_model(job.start, job.trained, seed=job.seed, dtype=dtype)
    match_tokenizer(tokenizer, model)
    model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
    set_arithmetic(model, process.arithmetic)
    progress = Steps(job.name, process.is_main)
    check_ids([ids for column in rows.values() for ids in column], model)
    trainer = PairTrainer(
        model=model,
        args=args,
        train_dataset=Dataset.from_dict(rows),
        processing_class=tokenizer,
        data_collator=DataCollatorForPreference(tokenizer.pad_token_id),
        callbacks=[progress],
    )
    trainer.remove_callback(PrinterCallback)
    trackers.follow(trainer)
    with closing(progress):
        trainer.train()
    runtime.assert_deepspeed(trainer)
    tokens = sum(len(ids) for column in rows.values() for ids in column)
    metrics = {
        "name": job.name,
        "start": str(job.start),
        "pairs": len(job.pairs),
        "flipped": round(job.flipped * len(job.pairs)),
        "answers_cut": cut,
        "tokens": tokens,
        **progress.speed(settings.pairs_per_step * tokens / len(job.pairs)),
        **describe(model),
        **facts_of(trainer),
    }
    unset_hf_deepspeed_config()  # ZeRO-3 in force would shard the copy that is saved and what is loaded after
    with published(job.out, process) as unfinished:
        save(model, tokenizer, unfinished, main=process.is_main)
        runtime.release(trainer)
        if process.is_main:
            measured = measure(unfinished, job.held_out, job.probes, longest, process.device)
            metrics["held_out_accuracy"] = measured["accuracy"]["all"]
            write_json(unfinished / MEASURED, measured)
            write_json(unfinished / RECORD, metrics)
    if process.is_main:
        shutil.rmtree(args.output_dir, ignore_errors=True)
    runtime.barrier(process)
    return metrics


class PairTrainer(RewardTrainer):  # type: ignore[misc]
    """RewardTrainer whose steps hold pairs of like length."""

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler[int]:
        rows = self.train_dataset
        lengths = [max(map(len, pair)) for pair in zip(rows["chosen_ids"], rows["rejected_ids"], strict=True)]
        args = self.args
        per_step = args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size
        return sft.DocumentSampler(lengths, per_step, args.seed)


def swapped(pairs: Sequence[Pair], share: float, seed: int) -> list[Pair]:
    """`pairs` with chosen and rejected exchanged in a share of them."""
    if not 0 <= share <= 1:
        raise UserError(f"flipped={share} must lie between 0 and 1: it is the share of training pairs that are swapped")
    wrong = set(random.Random(f"flipped {seed}").sample(range(len(pairs)), round(share * len(pairs))))
    return [
        replace(pair, chosen=pair.rejected, rejected=pair.chosen) if i in wrong else pair
        for i, pair in enumerate(pairs)
    ]


def _rows(pairs: Sequence[Pair], tokenizer: Any, max_length: int) -> tuple[dict[str, list[list[int]]], int]:
    """Columns of the trainer's data set, and how many answers did not fit with their whole prompt."""
    columns: dict[str, list[list[int]]] = {"chosen_ids": [], "rejected_ids": []}
    for pair in pairs:
        columns["chosen_ids"].append(encode(tokenizer, pair.prompt, pair.chosen, max_length))
        columns["rejected_ids"].append(encode(tokenizer, pair.prompt, pair.rejected, max_length))
    return columns, sum(len(ids) >= max_length for column in columns.values() for ids in column)


def check_given(section: str, given: Mapping[str, Any]) -> None:
    """That a `trainer` section of preference models is one of RewardConfig's (base.engine.trainer.check_trainer)."""
    check_trainer(f"{section}.trainer", given, RewardConfig, _DECIDED)


def _arguments(
    settings: PreferenceSettings,
    engine: EngineSettings,
    process: runtime.Runtime,
    seed: int,
    out: Path,
    bytes_a_pair: float,
) -> RewardConfig:
    """TRL's settings: the stage's own fields, then its `trainer` section; a pass keeps `bytes_a_pair` of its longest pair.

    Raises:
        UserError: an unknown key there, one that another setting decides, or a batch that does not divide.
    """
    check_given("preference", settings.trainer)
    passes = batches(
        "preference.pairs_per_step",
        settings.pairs_per_step,
        settings.trainer,
        process.world_size,
        bytes_a_pair,
        process.device,
    )
    on_cpu = process.device == "cpu"
    decided: dict[str, Any] = {
        "output_dir": str(out.with_name(f".{out.name}.work")),
        "seed": seed,
        "deepspeed": runtime.deepspeed_config(engine, process.device),
        "use_cpu": on_cpu,
        "bf16": process.arithmetic == "bf16",
        "num_train_epochs": settings.epochs,
        "learning_rate": settings.learning_rate,
        "warmup_steps": settings.warmup_steps,
        "weight_decay": settings.weight_decay,
        "save_strategy": "no",
    }
    preferred = {
        "lr_scheduler_type": "linear",
        "adam_beta2": 0.98,
        "max_grad_norm": 1.0,
        "optim": "adamw_torch_fused",
        "dataloader_pin_memory": not on_cpu,
        "disable_dropout": True,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "report_to": "none",
        "disable_tqdm": True,
        "remove_unused_columns": False,
    }
    return RewardConfig(**{**preferred, **passes, **settings.trainer, **decided})
