"""Runs from Python: what the command line does, as functions that return objects."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from base import run as runs
from base.errors import UserError
from base.evals.natural import judged
from base.identity import Arm, Plugin, Run
from base.judges.specs import parse_judges
from base.recipes import as_read
from base.settings import ORGANISM, Scale, changes, load_scale, scale_for
from base.shipped import shipped, starts_of
from base.stage import Pace, Stage, plan
from base.stages.evaluate import Evaluate
from base.stages.trained import Trained
from base.stages.verdicts import GoldenCheck, Verdicts, judges_timed
from base.store.folders import RunFolder
from base.store.table import rows_of_run
from base.world.world import heeded, parse_corpus, settled, world_of
from mitigations.experiments import wanted
from mitigations.inoculation.variants import lines
from mitigations.registry import MITIGATIONS

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)
RUNS = Path("runs")
Place = str | os.PathLike[str]  # a name, or the path of a file or folder


@dataclass(frozen=True)
class Result:
    """A finished run."""

    run: Run
    stages: tuple[Stage, ...]
    folder: Path

    @property
    def rows(self) -> pd.DataFrame:
        """Its numbers, long: one row per step x prompt x eval x metric (base.store.table.COLUMNS); missing is NaN."""
        return rows_of_run(self.folder)

    def episodes(self) -> Iterator[dict[str, Any]]:
        """Its rollouts in order: prompt, completion, outcome, hacks, rewards (base.store.folders.episode_row)."""
        return RunFolder(self.folder).episodes()

    @property
    def record(self) -> dict[str, Any]:
        """What made it: settings, versions, commit, gates (run.json)."""
        return RunFolder(self.folder).record


def arm(spec: str | Arm | Plugin) -> Arm:
    """An arm from its spec: `none`, `NAME:option=value,...`, several joined by `+`; `str` gives the spec back.

    Or from a plug-in itself, such as a frozen dataclass written in a notebook: it needs no line in the registry and is called
    as its class, `LongAnswers(weight=0.1)` -> `long_answers:weight=0.1`. Equal options are the same run, whatever its code says.

    Raises:
        UserError: unknown mitigation, option or value; what is no plug-in, or has the name of another one.
    """
    if isinstance(spec, str):
        return Arm.parse(spec, MITIGATIONS)
    return spec if isinstance(spec, Arm) else Arm(((called(spec), spec),))


def called(plugin: Plugin) -> str:
    """The name of a plug-in: that of the registry, or its class's as words joined by `_`.

    Raises:
        UserError: it is no frozen dataclass, or the registry knows another one by that name.
    """
    cls: Any = type(plugin)
    params: Any = getattr(cls, "__dataclass_params__", None)  # only of a dataclass
    if params is None or not params.frozen or not callable(plugin):
        raise UserError(f"{cls.__name__} is no mitigation: write a frozen dataclass whose __call__ returns a recipe")
    known = {entry: name for name, entry in MITIGATIONS.items()}
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__).lower()
    if cls not in known and name in MITIGATIONS:
        raise UserError(f"'{name}' is another mitigation: rename the class {cls.__name__}")
    return known.get(cls, name)


def describe(
    spec: str | Arm | Plugin = "none",
    *,
    scale: Place = "",
    seed: int = 0,
    pretrain_seed: int | None = None,
    corpus: str = "main",
    hackable: float = 1.0,
    model: Place = ORGANISM,
    tasks: Place = ORGANISM,
    settings: Sequence[str] = (),
) -> tuple[Run, Scale]:
    """The run that these words name, and its settings; `settings` are overrides such as `rl.steps=40`, of which those that the
    arm or its model never reads (base.recipes.as_read, base.world.world.heeded) are left out. Without `scale` it is tiny; a
    `model` needs one that is made for it.

    Raises:
        UserError: whatever cannot be read.
    """
    model, tasks, corpus = text("model", model), text("tasks", tasks), text("corpus", corpus)
    scale = scale_for(model, text("scale", scale))
    named, taught, usual = arm(spec), parse_corpus(corpus), load_scale(scale)
    chosen = as_read(named, load_scale(scale, texts("settings", settings, "rl.steps=40")), usual)
    chosen = heeded(model, tasks, taught, chosen, usual)
    changed = changes(chosen, usual)
    start = seed if pretrain_seed is None else pretrain_seed
    return Run(named, settled(taught, chosen), hackable, start, seed, model, tasks, changed), chosen


def resolve(run: Run, scale: Scale, evaluate: str = "", prompts: str = "", judges: Sequence[str] = ()) -> list[Stage]:
    """The stages of a run in the order in which they can be made; see base.run.resolve.

    `evaluate`, `prompts`: checkpoints and prompts, if other than mitigations.experiments.wanted says. `judges`: specs of the
    judges that read the answers of a user's model.

    Raises:
        UserError: a combination that means nothing, an unknown corpus, a checkpoint that is none.
    """
    language = world_of(run, scale).language
    asked = wanted(run, text("evaluate", evaluate), text("prompts", prompts))
    judging = parse_judges(texts("judges", judges, "hf:PATH_OR_ID"))
    return runs.resolve(run, scale, partial(lines, run.arm, language), asked, judging)


def text(name: str, value: Any) -> str:
    """An argument that is a text, or the path of a file or folder.

    Raises:
        UserError: it is neither.
    """
    if isinstance(value, str | os.PathLike):
        return os.fspath(value)
    raise UserError(f"{name} must be a text, not {value!r}")


def texts(name: str, values: Any, example: str) -> tuple[str, ...]:
    """An argument that is a list of texts.

    Raises:
        UserError: it is none, a single text included.
    """
    if isinstance(values, str) or not isinstance(values, Sequence) or not all(isinstance(each, str) for each in values):
        raise UserError(f"{name} must be a list of texts such as ['{example}'], not {values!r}")
    return tuple(values)


def unread(run: Run, scale: Scale, judges: Sequence[str]) -> list[str]:
    """The line that says which evals of a user's model will be missing, if no judge reads them."""
    names = [] if judges else list(judged(world_of(run, scale).evals()))
    lost = f"none (--judge): {', '.join(names)} will be missing; exfil, sabotage and hacks are measured by execution"
    return [f"{'judges':<11} {lost}"] if names else []


def ignored(run: Run, words: Mapping[str, Any]) -> list[str]:
    """The line that says which of the settings in the words of `describe` neither its arm nor its model reads."""
    scale = scale_for(run.model, text("scale", words.get("scale", "")))
    asked = changes(load_scale(scale, words.get("settings", ())), load_scale(scale))
    names = [name for name, _ in asked if name not in dict(run.settings)]
    return [f"{'settings':<11} {run.arm} of {run.model} never reads {', '.join(names)}: left out"] if names else []


def run(
    spec: str | Arm | Plugin = "none",
    *,
    scale: Place = "",
    seed: int = 0,
    runs_folder: str | Path = RUNS,
    evaluate: str = "",
    prompts: str = "",
    judges: Sequence[str] = (),
    fresh: bool = False,
    **other: Any,
) -> Result:
    """Makes a run, or goes on with it, and everything it needs; a finished one is only read.

    Args:
        spec: the arm, e.g. "pm_penalty:weight=0.25", or a plug-in itself; "none" is the baseline.
        scale: smoke, tiny (default) or small; for a `model` laptop or hub; or a YAML file.
        seed: RL seed, and the seed of corpus, pretraining and SDF unless `pretrain_seed` says another.
        runs_folder: where runs lie; those of a scale lie in a folder of its name.
        evaluate: which checkpoints, e.g. "all" or "start,middle,last:3" (default: as figures and claims need it); a later
            call that wants more adds what is missing.
        prompts: under which prompts, e.g. "none,training" (default: all; these two always).
        judges: who reads the answers of a user's model, e.g. ["openai:http://127.0.0.1:8000/v1#name"]; the first one's
            verdicts count. Without one, only what execution decides (exfil, sabotage, hack rate) is measured.
        fresh: make everything here, also the start checkpoints that ship with the code.
        other: pretrain_seed, corpus, hackable, model, tasks, settings, as in `describe`.

    Raises:
        UserError: whatever the user has to change, before anything is made.
    """
    described, settings = describe(spec, scale=scale, seed=seed, **other)
    root = Path(runs_folder) / settings.name
    stages = resolve(described, settings, evaluate, prompts, judges)
    for line in [*ignored(described, {"scale": scale, **other}), *unread(described, settings, judges)]:
        log.warning("%s", line)
    runs.make(stages, settings, root, fresh)
    return Result(described, tuple(stages), root / described.name)


def dry_run(
    spec: str | Arm | Plugin = "none",
    *,
    runs_folder: str | Path = RUNS,
    evaluate: str = "",
    prompts: str = "",
    judges: Sequence[str] = (),
    fresh: bool = False,
    **other: Any,
) -> str:
    """What `run` would do, stage by stage, with times, memory and disk, as `--dry-run` prints it; nothing is made.

    Raises:
        UserError: as `run`.
    """
    described, settings = describe(spec, **other)
    stages, root = resolve(described, settings, evaluate, prompts, judges), Path(runs_folder) / settings.name
    runs.check(stages, root)
    said = foreseen(described, stages, root, settings, judges, fresh)
    return "\n".join([described.name, said, *ignored(described, other)])


def foreseen(
    run: Run,
    stages: Sequence[Stage],
    root: Path,
    scale: Scale,
    judges: Sequence[str] = (),
    fresh: bool = False,
    jobs: int = 1,
) -> str:
    """The stages that will be made, their time (`jobs` side by side), and what else they take: as the command line says it before
    it begins. `run` is the one whose they are, or the first of several of the same model.

    A model and judges whose speed is not known are timed for some seconds, where one process runs.
    """
    world = world_of(run, scale)
    alone, pace = os.environ.get("WORLD_SIZE", "1") == "1", Pace(root, scale)
    unknown = [stage for stage in stages if stage.estimate(root, pace) is None] if alone else []
    if any(not isinstance(stage, GoldenCheck | Verdicts) for stage in unknown):
        scale = world.timed()
    if any(isinstance(stage, GoldenCheck | Verdicts) for stage in unknown):
        scale = judges_timed(stages, scale)
    checkpoints = sum(len(stage.saved()) for stage in stages if isinstance(stage, Trained))
    lines = [f"{heading:<11} {text}" for heading, text in world.costs(checkpoints).items()]
    if speed := {name: n for name, n in scale.measured.items() if name.startswith("tokens_")}:
        said = ", ".join(f"{n:.0f} {name.replace('_', ' ')} a second" for name, n in speed.items())
        load = f"at a load of {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "here"
        lines.append(f"{'speed':<11} {said}, measured just now {load}; times are those of completions of full length")
    planned = plan(stages, root, scale, shipped_keys(stages, root, scale, fresh), jobs)
    asked = any(isinstance(stage, Evaluate) for stage in stages)
    return "\n".join([planned, *lines, *(unread(run, scale, judges) if asked else [])])


def shipped_keys(stages: Sequence[Stage], root: Path, scale: Scale, fresh: bool) -> set[str]:
    """Keys of the stages that come with the code."""
    return set() if fresh else {stage.key for stage in shipped(stages, root, starts_of(scale.name))}
