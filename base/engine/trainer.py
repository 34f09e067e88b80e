"""What the TRL trainers share: checks of a `trainer` section, the division of a step, progress, publishing."""

from __future__ import annotations

import dataclasses
import difflib
import math
import shutil
import time
import typing
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pydantic
import torch
from transformers import Trainer, TrainerCallback, get_scheduler

from base.engine import signals
from base.engine.runtime import Runtime, engine_facts, on_any_rank
from base.errors import UserError
from base.progress import Progress

# What other settings decide in every stage; the value names the setting to change.
DECIDED = {
    "output_dir": "the run folder",
    "seed": "--seed",
    "data_seed": "--seed",
    "deepspeed": "engine.zero_stage",
    "bf16": "engine.precision",
    "fp16": "engine.precision",
    "use_cpu": "the machine: GPUs are used where there are any",
    "report_to": "engine.report_to",
    "resume_from_checkpoint": "the run folder, from which training goes on by itself",
    "push_to_hub": "the run folder, where checkpoints stay",
    **dict.fromkeys(("do_eval", "eval_strategy", "load_best_model_at_end"), "--evaluate"),
    **dict.fromkeys(("fsdp", "fsdp_config", "parallelism_config"), "engine.zero_stage"),
}


def check_trainer(
    section: str,
    given: Mapping[str, Any],
    config: type,
    decided: Mapping[str, str],
    choices: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Refuses keys of a `trainer` section that `config`, TRL's dataclass, has not or that other settings decide, values of another
    type, and such that no trainer can be made of. No process is joined and no model loaded.

    `section` is the section's name; `decided` maps such keys to what to change instead; `choices` has the values of keys that TRL
    reads only while it trains.

    Raises:
        UserError: one of these, with what TRL says.
    """
    known = {entry.name: entry.default for entry in dataclasses.fields(config)}
    for key in given:
        if key in decided:
            raise UserError(f"{section}.{key} cannot be set: it follows {decided[key]}")
        if key not in known:
            close = ", ".join(f"'{name}'" for name in difflib.get_close_matches(str(key), known, n=3))
            hint = f"did you mean {close}?" if close else "see its documentation for its fields"
            raise UserError(f"{section}.{key} is not a setting of {config.__name__}: {hint}")
        _check_value(f"{section}.{key}", given[key], typing.get_type_hints(config)[key], known[key])
        if (may := (choices or {}).get(key)) and given[key] not in may:
            raise UserError(f"{section}.{key} must be one of {', '.join(may)}, not {given[key]!r}")
    if given:
        _check_made(section, given, config, scheduled="lr_scheduler_type" not in decided)


def _check_value(name: str, value: Any, hint: Any, usual: Any) -> None:
    try:
        reader: Any = pydantic.TypeAdapter(hint, config=pydantic.ConfigDict(arbitrary_types_allowed=True, strict=True))
        reader.validate_python(value)
    except pydantic.ValidationError as error:
        wanted = error.errors()[0]["msg"].removeprefix("Input should be ")
        raise UserError(f"{name} must be {wanted}, not {value!r}") from None
    means_more = type(usual) in (int, float) and usual < 0  # as -1 does where it is the default
    if type(value) in (int, float) and not (math.isfinite(value) and (value >= 0 or means_more)):
        raise UserError(f"{name} must be a finite number of at least 0, not {value}")


def _check_made(section: str, given: Mapping[str, Any], config: type, scheduled: bool) -> None:
    """Makes the configuration, its optimiser for one number and, where `scheduled`, its schedule; and drops them."""
    if given.get("use_liger_kernel") and find_spec("liger_kernel") is None:
        raise UserError(f"{section}.use_liger_kernel needs liger-kernel: pip install liger-kernel")
    alone: Any = type(config.__name__, (config,), {"_setup_devices": torch.device("cpu"), "world_size": 1})
    plain = {"output_dir": "unused", "report_to": "none", "use_cpu": True, "bf16": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            made = alone(**given, **plain)
            optimiser, options = Trainer.get_optimizer_cls_and_kwargs(made)
            one = optimiser([torch.nn.Parameter(torch.zeros(1))], **options)
            if scheduled:
                get_scheduler(made.lr_scheduler_type, one, 0, 100, made.lr_scheduler_kwargs)
        except Exception as error:  # settings may be wrong in every way; the cause stays attached
            said = " ".join(str(error).split()) or type(error).__name__
            raise UserError(f"{section}: {said[:300]}") from error


def divide(setting: str, per_step: int, trainer: Mapping[str, Any], ranks: int) -> int:
    """Rows of one forward pass on one rank: `per_step`, the value of `setting`, over ranks and accumulated passes."""
    parts = ranks * max(1, int(trainer.get("gradient_accumulation_steps", 1)))
    if per_step % parts:
        below = max(parts, per_step // parts * parts)
        raise UserError(
            f"{setting}={per_step} does not divide into {parts} parts (ranks x gradient_accumulation_steps): "
            f"use {below} or {below + parts}"
        )
    return per_step // parts


@contextmanager
def published(out: Path, process: Runtime) -> Iterator[Path]:
    """A folder to write a result into that becomes `out` when all of it is there; an interrupted write leaves no `out`."""
    unfinished = out.with_name(f".{out.name}.finished")
    try:
        yield unfinished
    except BaseException:
        if process.is_main:
            shutil.rmtree(unfinished, ignore_errors=True)
        raise
    if process.is_main:
        shutil.rmtree(out, ignore_errors=True)
        unfinished.rename(out)


def train(trainer: Any, process: Runtime, resume: str | None = None) -> None:
    """Trains, from the resume point at `resume` if there is one. Where SIGTERM arrives, the step is ended and a resume point
    written; in the last step training ends as ever, and what was asked for is done behind it (base.stage).

    Raises:
        Terminated: training was stopped so.
    """
    stop = _StopAtStep(process)
    trainer.add_callback(stop)
    with signals.by_steps():
        trainer.train(resume_from_checkpoint=resume)
    if stop.stopped:
        signals.stop_if_arrived()
        raise signals.Terminated  # it arrived on another rank


class _StopAtStep(TrainerCallback):  # type: ignore[misc]
    """Stops behind the step in which SIGTERM arrived on any rank, with a resume point."""

    def __init__(self, process: Runtime) -> None:
        self.process, self.stopped = process, False

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if on_any_rank(signals.arrived(), self.process) and state.global_step < state.max_steps:
            control.should_save = control.should_training_stop = self.stopped = True


def facts_of(trainer: Any) -> dict[str, Any]:
    """What a finished TRL trainer says of itself: losses (`loss`: mean over the last tenth of the steps), steps, engine."""
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    tail = losses[-max(1, len(losses) // 10) :]
    return {
        "loss": sum(tail) / len(tail),
        "steps": trainer.state.global_step,
        "runtime": engine_facts(trainer.model_wrapped),
        "losses": [round(loss, 5) for loss in losses],
    }


class Steps(TrainerCallback):  # type: ignore[misc]
    """Says how far training is, with its loss, and measures the speed of this process's steps."""

    def __init__(self, name: str, show: bool) -> None:
        self.name, self.show = name, show
        self.progress: Progress | None = None
        self.loss = ""
        self.steps, self.began, self.seconds = 0, 0.0, 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.began = time.perf_counter()
        self.progress = Progress("step", state.max_steps, state.global_step, self.show, self.name)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.steps += 1
        if self.progress is not None:
            self.progress.advance(self.loss)

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, float], **_: Any) -> None:
        if "loss" in logs:
            self.loss = f"loss {logs['loss']:.3f}"

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.seconds = time.perf_counter() - self.began

    def close(self) -> None:
        """Ends the bar."""
        if self.progress is not None:
            self.progress.close()

    def speed(self, tokens_per_step: float) -> dict[str, float]:
        """Seconds of this process and its tokens a second: an interrupted stage counts what it did itself."""
        return {
            "seconds": round(self.seconds, 2),
            "tokens_per_second": round(self.steps * tokens_per_step / max(self.seconds, 1e-9)),
        }
