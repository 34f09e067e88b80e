"""Supervised training, for every stage that has rows: pretraining, SDF, SFT. TRL's SFTTrainer on DeepSpeed.

A stage is finished when its folder exists: the checkpoint and `training.json` are written beside it and renamed. With
`save_steps` an interrupted stage goes on from its last resume point and ends as if it had never stopped.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from datasets import Dataset
from torch import Tensor
from torch.utils.data import Sampler
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.trainer_callback import PrinterCallback
from trl import SFTConfig, SFTTrainer

from base.engine import runtime, trackers
from base.engine.trainer import DECIDED, Steps, check_trainer, facts_of, published, train
from base.errors import UserError
from base.models.arithmetic import set_arithmetic
from base.models.attention import layout, shared_attention, supports_shared_prompts
from base.models.chat import system_role
from base.models.checks import check_ids, context, match_tokenizer
from base.models.load import PathOrId, describe, load_policy, load_tokenizer, set_trained
from base.models.logprobs import token_logprobs
from base.models.passes import batches, kept
from base.models.save import save
from base.settings import EngineSettings, SFTSettings
from base.store.files import RECORD, read_json, write_json

IGNORED = -100
Row = Mapping[str, Sequence[int]]

_DECIDED = {
    **DECIDED,
    "per_device_train_batch_size": "documents_per_step",
    "num_train_epochs": "epochs",
    "learning_rate": "learning_rate",
    "lr_scheduler_type": "schedule",
    "warmup_steps": "warmup_steps",
    "weight_decay": "weight_decay",
    "save_steps": "save_steps",
    "save_strategy": "save_steps",
    "max_steps": "documents and epochs",
    "auto_find_batch_size": "documents_per_step",
    **dict.fromkeys(
        ("packing", "padding_free", "loss_type", "assistant_only_loss", "completion_only_loss", "dataset_kwargs"),
        "the rows: whole documents, and the mean loss of their labelled tokens",
    ),
}


@dataclass(frozen=True)
class SFTJob:
    """One supervised training: `start` (a checkpoint, or a model with its `tokenizer`) on rows, to a checkpoint at `out`.

    Rows hold "input_ids" and "labels" of equal length, label -100 where nothing is learnt. `trained`: all, biases or
    lora:RANK.
    """

    start: PathOrId | PreTrainedModel
    rows: Sequence[Row]
    settings: SFTSettings
    engine: EngineSettings
    seed: int
    out: Path
    name: str
    tokenizer: PreTrainedTokenizerBase | None = None
    trained: str = "all"


def train_sft(job: SFTJob) -> dict[str, Any]:
    """Trains and returns the metrics that `out`/training.json stores; if `out` is finished, only reads them.

    Raises:
        UserError: rows without labels, settings that cannot be, or a checkpoint that is none.
    """
    if stored := read_json(job.out / RECORD):
        return stored
    process, settings = runtime.prepare(job.engine), job.settings
    tokenizer = job.tokenizer
    if isinstance(job.start, PreTrainedModel):
        model = set_trained(job.start, job.trained, seed=job.seed)
    else:
        model = load_policy(job.start, job.trained, seed=job.seed)
        tokenizer = tokenizer or load_tokenizer(job.start, chat=False)
    if tokenizer is None:
        raise UserError(f"{job.name}: a model that is not a checkpoint folder needs its tokenizer")
    match_tokenizer(tokenizer, model)
    role = system_role(tokenizer)
    check_ids([row["input_ids"] for row in job.rows], model)
    set_arithmetic(model, process.arithmetic)
    rows, counts = _usable(job.rows, context(model.config), job.name)
    work = job.out.with_name(f".{job.out.name}.resume")
    longest = max(len(row["input_ids"]) for row in rows)
    args = _arguments(settings, job.engine, process, job.seed, work, longest * kept(model.config))
    resume = _resume_point(work, _identity(rows, args, job.trained), process)
    progress = Steps(job.name, process.is_main)
    trainer = DocumentTrainer(
        model=model,
        args=args,
        train_dataset=Dataset.from_dict({key: [list(row[key]) for row in rows] for key in ("input_ids", "labels")}),
        processing_class=tokenizer,
        data_collator=_Collator(tokenizer.pad_token_id),
        callbacks=[progress],
    )
    trainer.remove_callback(PrinterCallback)
    trackers.follow(trainer)
    with closing(progress):
        train(trainer, process, resume)
    runtime.assert_deepspeed(trainer)
    metrics = {
        "name": job.name,
        **counts,
        **progress.speed(settings.documents_per_step * counts["tokens"] / counts["documents"]),
        **describe(model),
        "system_role": role,
        **facts_of(trainer),
    }
    with published(job.out, process) as unfinished:
        save(model, tokenizer, unfinished, main=process.is_main)
        if process.is_main:
            write_json(unfinished / RECORD, metrics)
    if process.is_main:
        shutil.rmtree(work, ignore_errors=True)
    runtime.barrier(process)
    runtime.release(trainer)
    return metrics


class DocumentTrainer(SFTTrainer):  # type: ignore[misc]
    """SFTTrainer on length-sorted whole documents, with the LM head on labelled positions only; no padding on CPUs."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.model_accepts_loss_kwargs = True  # count a step's labels for every model: `compute_loss` divides by them

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler[int]:
        lengths = [len(ids) for ids in self.train_dataset["input_ids"]]
        args = self.args
        per_step = args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size
        return DocumentSampler(lengths, per_step, args.seed)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Mean negative log-likelihood of the labelled tokens of the whole step.

        TRL's own loss scores every position on CPUs and computes entropies for its log: a sixth of the organism's time.
        """
        total, outputs = _summed_loss(model, inputs, self.args.gradient_checkpointing)
        loss = total * self.accelerator.num_processes / num_items_in_batch  # the engine averages over ranks
        return (loss, outputs) if return_outputs else loss


def _summed_loss(model: Any, inputs: Mapping[str, Tensor], checkpointing: bool) -> tuple[Tensor, Any]:
    """Negative log-likelihood of all labelled tokens, and the outputs."""
    plain = getattr(model, "module", model)  # accelerate's unwrap_model reads package metadata: 10 ms
    on_cpu = inputs["input_ids"].device.type == "cpu"
    if on_cpu and supports_shared_prompts(plain.config) and not checkpointing:
        outputs, targets = _unpadded(model, plain, inputs)
    else:
        outputs, targets = _padded(model, plain, inputs)
    return -token_logprobs(outputs.logits.flatten(0, -2), targets, 1.0, entropy=False)[0].sum(), outputs


def seconds_a_token(start: PathOrId, rows: Sequence[Row], trained: str, engine: EngineSettings) -> float:
    """Measured here: forward and backward of one row of middling length, without what the optimiser takes."""
    process = runtime.prepare(engine)
    model, tokenizer = load_policy(start, trained), load_tokenizer(start, chat=False)
    set_arithmetic(model, process.arithmetic)
    row = sorted(rows, key=lambda each: len(each["input_ids"]))[len(rows) // 2]
    inputs = _Collator(tokenizer.pad_token_id)([row])
    seconds = []
    for _ in range(2):  # the first one also warms up
        begun = time.perf_counter()
        torch.autograd.backward(_summed_loss(model, inputs, checkpointing=False)[0])
        seconds.append(time.perf_counter() - begun)
    return min(seconds) / len(row["input_ids"])


def _unpadded(model: Any, plain: Any, inputs: Mapping[str, Tensor]) -> tuple[Any, Tensor]:
    """Outputs with logits [1, n, V] of the labelled positions of all documents laid one after the other; labels [n]."""
    ids, mask, labels = inputs["input_ids"], inputs["attention_mask"], inputs["labels"]
    config = plain.config
    where = layout(ids, mask, ids.shape[1], config.num_attention_heads, config.num_key_value_heads)
    targets = F.pad(labels[:, 1:], (0, 1), value=IGNORED)[mask.bool()]
    learnt = (targets != IGNORED).nonzero()[:, 0]
    with shared_attention(plain):
        outputs = model(
            input_ids=where.tokens,
            position_ids=where.positions,
            logits_to_keep=learnt,
            use_cache=False,
            layout=where,
        )
    return outputs, targets[learnt]


def _padded(model: Any, plain: Any, inputs: Mapping[str, Tensor]) -> tuple[Any, Tensor]:
    """The same of any causal language model: outputs with logits [n, V]."""
    targets = inputs["labels"][:, 1:]
    labelled = targets != IGNORED
    head = plain.get_output_embeddings()
    with head.register_forward_pre_hook(lambda _, hidden: (hidden[0][:, :-1][labelled],)):
        outputs = model(input_ids=inputs["input_ids"], use_cache=False)
    return outputs, targets[labelled]


class DocumentSampler(Sampler[int]):
    """Each epoch: a new order in which every step holds documents of like length, from a pool of POOL steps.

    The order depends on seed and epoch only, not on the number of ranks; the last step is filled with further
    documents.
    """

    POOL = 50

    def __init__(self, lengths: Sequence[int], per_step: int, seed: int) -> None:
        self.lengths, self.per_step, self.seed, self.epoch = lengths, per_step, seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.per_step) * self.per_step

    def __iter__(self) -> Iterator[int]:
        generator = random.Random(f"{self.seed}/{self.epoch}")
        order = list(range(len(self.lengths)))
        generator.shuffle(order)
        order = list(itertools.islice(itertools.cycle(order), len(self)))
        width = self.per_step * self.POOL
        for begin in range(0, len(order), width):
            pool = sorted(order[begin : begin + width], key=lambda i: (self.lengths[i], i))
            steps = [pool[i : i + self.per_step] for i in range(0, len(pool), self.per_step)]
            generator.shuffle(steps)
            for step in steps:
                yield from step


class _Collator:
    """Rows to (documents, longest) tensors, padded on the right: a causal model then needs no attention mask, only layouts.

    Nothing predicts the first token; its label would still be counted for architectures that name no loss of their own.
    """

    def __init__(self, pad: int) -> None:
        self.pad = pad

    def __call__(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        width = max(len(row["input_ids"]) for row in rows)

        def padded(key: str, value: int) -> Tensor:
            return torch.tensor([list(row[key]) + [value] * (width - len(row[key])) for row in rows])

        labels = padded("labels", IGNORED)
        labels[:, 0] = IGNORED
        lengths = torch.tensor([len(row["input_ids"]) for row in rows])
        mask = (torch.arange(width) < lengths[:, None]).long()
        return {"input_ids": padded("input_ids", self.pad), "attention_mask": mask, "labels": labels}


def _usable(rows: Sequence[Row], limit: int | None, name: str) -> tuple[list[dict[str, list[int]]], dict[str, int]]:
    """Rows cut to the model's context, without those in which nothing is learnt, and their counts."""
    for row in rows:
        if len(row["input_ids"]) != len(row["labels"]):
            raise UserError(f"{name}: a row has {len(row['input_ids'])} input_ids but {len(row['labels'])} labels")
    cut = [{key: list(row[key][:limit]) for key in ("input_ids", "labels")} for row in rows]
    usable = [row for row in cut if any(label != IGNORED for label in row["labels"][1:])]
    if not usable:
        raise UserError(f"{name}: no row has a label to learn (of {len(rows)} rows)")
    return usable, {
        "documents": len(usable),
        "documents_without_labels": len(cut) - len(usable),
        "documents_cut": sum(
            len(row["input_ids"]) > len(short["input_ids"]) for row, short in zip(rows, cut, strict=True)
        ),
        "tokens": sum(len(row["input_ids"]) for row in usable),
        "labelled_tokens": sum(label != IGNORED for row in usable for label in row["labels"][1:]),
    }


def check_given(section: str, given: Mapping[str, Any]) -> None:
    """That a `trainer` section of a supervised stage is one of SFTConfig's (base.engine.trainer.check_trainer)."""
    check_trainer(f"{section}.trainer", given, SFTConfig, _DECIDED)


def _arguments(
    settings: SFTSettings, engine: EngineSettings, process: runtime.Runtime, seed: int, work: Path, bytes_a_row: float
) -> SFTConfig:
    """TRL's settings: the stage's own fields, then its `trainer` section; a pass keeps `bytes_a_row` of its longest row."""
    check_given("sft", settings.trainer)
    passes = batches(
        "documents_per_step",
        settings.documents_per_step,
        settings.trainer,
        process.world_size,
        bytes_a_row,
        process.device,
    )
    on_cpu = process.device == "cpu"
    decided: dict[str, Any] = {
        "output_dir": str(work),
        "seed": seed,
        "deepspeed": runtime.deepspeed_config(engine, process.device),
        "use_cpu": on_cpu,
        "bf16": process.arithmetic == "bf16",
        "num_train_epochs": settings.epochs,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": settings.schedule,
        "warmup_steps": settings.warmup_steps,
        "weight_decay": settings.weight_decay,
        "save_strategy": "steps" if settings.save_steps else "no",
        "save_steps": settings.save_steps or 500,
    }
    preferred = {
        "adam_beta2": 0.98,
        "max_grad_norm": 1.0,
        "optim": "adamw_torch_fused",
        "dataloader_pin_memory": not on_cpu,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_total_limit": 1,
        "report_to": "none",
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "max_length": None,
        "dataset_kwargs": {"skip_prepare_dataset": True},
    }
    return SFTConfig(**{**preferred, **passes, **settings.trainer, **decided})


def _identity(rows: Sequence[Row], args: SFTConfig, trained: str) -> str:
    """What a resume point belongs to: the same rows, settings and part of the model."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(repr((row["input_ids"], row["labels"])).encode())
    settings = {key: value for key, value in args.to_dict().items() if key not in ("output_dir", "logging_dir")}
    digest.update(json.dumps([settings, trained], sort_keys=True, default=str).encode())
    return digest.hexdigest()


def _resume_point(work: Path, identity: str, process: runtime.Runtime) -> str | None:
    """The newest whole resume point in `work`; the folder of another run, or without any, is emptied."""
    marker = work / "identity"
    points = []
    if marker.is_file() and marker.read_text(encoding="utf-8") == identity:
        points = [path.parent for path in work.glob("checkpoint-*/trainer_state.json") if _is_json(path)]
    runtime.barrier(process)  # every rank has looked before the main one changes anything
    if not points:
        if process.is_main:
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir(parents=True)
            marker.write_text(identity, encoding="utf-8")
        runtime.barrier(process)
        return None
    return str(max(points, key=lambda path: int(path.name.rpartition("-")[2])))


def _is_json(path: Path) -> bool:
    """The trainer writes this file last, so that it marks a whole resume point."""
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return True
