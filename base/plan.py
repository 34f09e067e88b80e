"""What a run would do, stage by stage: what is there already, batch arithmetic, estimated time and memory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from base import starts
from base.evals import EVALS
from base.pipeline import check
from base.recipes import Arm
from base.rl.batches import batch_plan
from base.run import Run
from base.settings import Scale
from base.store.folders import RunFolder, run_folders

GIB = 2**30


@dataclass(frozen=True)
class Stage:
    """One piece of work. `seconds`: None is unknown, 0 is nothing to do; shared stages are made once for all arms."""

    name: str
    text: str
    seconds: float | None

    def __str__(self) -> str:
        shared = self.name in ("pretrain", "sdf", "judge")
        done = " (cached)" if self.seconds == 0 and shared else ""
        return f"{self.name:<9} {self.text}{done}" + (f"  about {self.seconds:.0f} s" if self.seconds else "")


def stages(run: Run, arm: Arm, scale: Scale, root: Path) -> list[Stage]:
    """What the run would do, in order; nothing but its name where it is done.

    Times are medians of what finished stages under `root` took, before there are any the scale's own `measured` ones.

    Raises:
        UserError: whatever `base.pipeline.check` finds wrong.
    """
    check(run, scale, arm.mitigation)
    if RunFolder(root / run.name).done:
        return [Stage("run", f"{run.name} (done)", 0)]
    known, mitigation = seconds(scale, root), arm.mitigation
    found = [Stage("run", run.name, 0)]
    for needed in start_runs(run, arm, scale):
        if needed.model != "organism":
            found.append(Stage("start", needed.model, 0))
            continue
        for name, path in starts.stages(needed, scale, root).items():
            found.append(Stage(name, shown(path), 0 if path.exists() else known.get(name)))
    for judge in mitigation.judges.values():
        path = starts.judge_folder(judge, run, scale, root)
        found.append(Stage("judge", shown(path), 0 if path.exists() else known.get("preference")))
    if arm.forks is not None:
        found.append(Stage("fork", f"of {arm.forks}, {mitigation.starts}", 0))
    if mitigation.episodes is None:
        steps = scale.rl.steps
        text = f"{steps} steps; {batch_plan(scale.rl)}; trained: {scale.rl.trained}"
        found.append(Stage("rl", text, times(known.get("rl_step"), steps)))
        checkpoints = 1 + -(-steps // scale.rl.save_every)
    else:
        steps, checkpoints = scale.sft.steps, 2
        text = f"{scale.sft.documents} distinct episodes of {mitigation.episodes.source}; {steps} steps of "
        found.append(Stage("sft", text + str(scale.sft.documents_per_step), times(known.get("sft_step"), steps)))
    text = f"{len(EVALS)} evals and the hack rate under {len(arm.eval_prompts)} prompts, {checkpoints} checkpoints"
    took = times(known.get("evaluation"), checkpoints * len(arm.eval_prompts))
    return [*dict.fromkeys(found), Stage("evaluate", text, took)]


def plan(run: Run, arm: Arm, scale: Scale, root: Path) -> str:
    """The stages of a run as text, with the time they take together and the memory."""
    found = stages(run, arm, scale, root)
    return "\n".join([*map(str, found), f"time      {together(found)}", f"memory    {memory(run, scale)}"])


def plan_all(runs: Mapping[Run, Arm], scale: Scale, root: Path) -> str:
    """One line a run, and what all of them take together; stages that they share count once."""
    everything: dict[tuple[str, str], Stage] = {}
    for run, arm in runs.items():
        for stage in stages(run, arm, scale, root):
            own = stage.name in ("rl", "sft", "evaluate")
            everything[(run.name if own else stage.name, f"{stage.name} {stage.text}")] = stage
    lines = [str(stage) for stage in everything.values() if stage.name == "run"]
    return "\n".join([*lines, f"time      {together(list(everything.values()))}"])


def together(found: Sequence[Stage]) -> str:
    """The time of all stages in words."""
    unknown = sorted({stage.name for stage in found if stage.seconds is None})
    whole = sum(stage.seconds for stage in found if stage.seconds)
    if unknown:
        return f"not known: no {' or '.join(unknown)} stage has been run at this scale yet"
    return f"about {whole / 60:.1f} min on an idle core" if whole else "nothing left to do"


def start_runs(run: Run, arm: Arm, scale: Scale) -> list[Run]:
    """The runs whose start checkpoints this one needs; its own comes first."""
    mitigation, needed = arm.mitigation, [run]
    imitates_aligned = mitigation.episodes is not None and mitigation.episodes.source == "aligned"
    if mitigation.into == "aligned" or imitates_aligned:
        needed.append(starts.aligned_run(run, scale))
    if mitigation.into == "other_seed":
        needed.append(starts.other_seed_run(run))
    return needed


def seconds(scale: Scale, root: Path) -> dict[str, float]:
    """Seconds by kind of work: whole stages, one RL step, one SFT step, one checkpoint under one prompt."""
    found: dict[str, list[float]] = {}
    for stage in ("pretrain", "sdf", "preference"):
        for record in root.glob(f"shared/{stage}--*/{starts.RECORD}"):
            found.setdefault(stage, []).append(float(json.loads(record.read_text())["seconds"]))
    for folder in run_folders(root):
        wall, run = folder.record.get("seconds", {}), folder.record["run"]
        if run["arm"] == "untrained" or not folder.done:
            continue
        scored = {(row["step"], row["prompt"]) for row in folder.scores()}
        if "evaluate" in wall and scored:
            found.setdefault("evaluation", []).append(wall["evaluate"] / len(scored))
        if "rl" in wall:
            found.setdefault("rl_step", []).append(wall["rl"] / folder.record["scale"]["rl"]["steps"])
        if "sft" in wall and folder.checkpoints():
            found.setdefault("sft_step", []).append(wall["sft"] / max(folder.checkpoints()))
    return {**scale.measured, **{kind: median(values) for kind, values in found.items()}}


def times(each: float | None, count: int) -> float | None:
    return None if each is None else each * count


def memory(run: Run, scale: Scale) -> str:
    """Host memory of the organism as measured; for a local model what weights, reference and optimiser need."""
    if run.model == "organism":
        measured = scale.measured.get("memory_gb")
        return f"about {measured:g} GB a job" if measured else "not measured at this scale"
    weights = sum(file.stat().st_size for file in weight_files(Path(run.model).expanduser()))
    if not weights:
        return "not known: the model is not on this machine"
    if scale.rl.trained == "all":
        state = 8 * weights  # of 2-byte weights: fp32 copy, two Adam moments, gradients
        text = "weights, KL reference, gradients and Adam state"
    else:
        state, text = 0, "weights and KL reference; what is trained adds little"
    total = weights * (2 if scale.rl.beta else 1) + state
    return f"about {total / GIB:.1f} GiB before activations and KV cache, over all GPUs with ZeRO-3 ({text})"


def weight_files(folder: Path) -> Iterable[Path]:
    return [*folder.glob("*.safetensors")] or [*folder.glob("pytorch_model*.bin")]


def shown(path: Path) -> str:
    """Relative to the working directory where it lies below it."""
    return str(path.relative_to(Path.cwd())) if path.is_absolute() and path.is_relative_to(Path.cwd()) else str(path)
