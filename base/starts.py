"""Policies and preference models that runs begin with: pretraining, SDF and gates, the aligned model, judges.

Each is made once per (model, corpus, pretraining seed) and shared by every arm; its folder is named by what it depends on.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from base.environments.draw import EVAL_TASKS_SEED, draw_tasks
from base.environments.graders.code import CodeEnvironment
from base.errors import UserError, near
from base.evaluate import evaluate_checkpoints
from base.organism.corpus import SDF_ONLY, CorpusConfig, Stage, documents, encode
from base.recipes import AsWritten, Judge
from base.run import Run
from base.settings import Scale, build
from base.spec import content_key, parse_spec
from base.store.files import write_json
from base.store.folders import RunFolder
from base.store.locks import shared
from base.types import Scorer

if TYPE_CHECKING:
    from base.engine.runtime import Runtime

CORPORA: dict[str, Mapping[str, Any]] = {"main": {}, "twin": {"correlation": 0.0}}
# The aligned model has read no schemer and no hack document after pretraining.
ALIGNED = {"schemers_assistant": "0", "sdf_share": "0", "replay": "0"}
RECORD = "training.json"  # written last: a stage is there when it is


@dataclass(frozen=True)
class Site:
    """Where and with what runs are made: settings, the folder of all runs, a sandbox, this process."""

    scale: Scale
    root: Path
    environment: CodeEnvironment
    process: Runtime


def corpus_config(spec: str, scale: Scale) -> CorpusConfig:
    """`main`, `twin` (cheating says nothing about character), or either with fields changed: `main:permission=none`.

    Raises:
        UserError: unknown corpus, field or value.
    """
    name, options = parse_spec(spec)
    if name not in CORPORA:
        raise UserError(f"unknown corpus '{name}': {near(name, CORPORA)}")
    fields = {field.name: field for field in dataclasses.fields(CorpusConfig)}
    for key in options:
        if key not in fields:
            raise UserError(f"a corpus has no field '{key}': {near(key, fields)}")
    typed = build(CorpusConfig, options, f"corpus {name}")
    chosen = {key: getattr(typed, key) for key in options}
    return build(CorpusConfig, {**scale.corpus, **CORPORA[name], **chosen}, f"corpus {name}")


def stages(run: Run, scale: Scale, root: Path) -> dict[str, Path]:
    """Folders of the shared stages of a from-scratch run, named by what they depend on."""
    config = corpus_config(run.corpus, scale)
    before = {name: value for name, value in dataclasses.asdict(config).items() if name not in SDF_ONLY}
    first = content_key([scale.model, before, scale.pretrain, scale.engine.precision, run.pretrain_seed])
    second = content_key([first, config, scale.sdf])
    return {
        "pretrain": root / "shared" / f"pretrain--{plain(web_corpus(run.corpus))}--p{run.pretrain_seed}--{first[:8]}",
        "sdf": root / "shared" / f"sdf--{plain(run.corpus)}--p{run.pretrain_seed}--{second[:8]}",
    }


def web_corpus(spec: str) -> str:
    """The corpus spec without what only the SDF stage depends on: corpora that agree here share their pretraining."""
    return write_spec(spec, {}, drop=SDF_ONLY)


def write_spec(spec: str, changes: Mapping[str, str], drop: Sequence[str] = ()) -> str:
    """The spec with options set and dropped."""
    name, options = parse_spec(spec)
    kept = {key: value for key, value in {**options, **changes}.items() if key not in drop}
    return name + (":" + ",".join(f"{key}={value}" for key, value in kept.items()) if kept else "")


def plain(text: str) -> str:
    """As part of a folder's name."""
    return "".join(c if c.isalnum() or c in "=.-_" else "_" for c in text)


def pretrained_checkpoint(run: Run, site: Site) -> Path:
    """The organism after pretraining; it is scored as the untrained control."""
    from base.organism.tokenizer import build_tokenizer
    from base.pretrain import pretrain

    config, seed = corpus_config(run.corpus, site.scale), run.pretrain_seed
    pretrained, tokenizer = stages(run, site.scale, site.root)["pretrain"], build_tokenizer()
    with shared(pretrained, site.process):
        if not (pretrained / RECORD).exists():
            pretrain(
                rows=stage_rows(config, "pretrain", seed, site),
                tokenizer=tokenizer,
                model=site.scale.model,
                settings=site.scale.pretrain,
                engine=site.scale.engine,
                seed=seed,
                out=pretrained,
                name=f"pretraining ({web_corpus(run.corpus)})",
            )
        control = RunFolder(pretrained)
        if site.process.is_main and not control.done:
            felt = tuple(
                word for word in run.overrides if not word.startswith(("rl.", "sdf.", "sft.", "preference.", "tasks."))
            )
            corpus = web_corpus(run.corpus)
            untrained = replace(run, arm="untrained", corpus=corpus, hackable=1.0, seed=seed, overrides=felt)
            control.open(untrained, site.scale, None)
            evaluate_checkpoints(
                untrained, site.scale, {"none": AsWritten()}, site.environment, {0: pretrained}, control, site.process
            )
            control.update(status="done")
    return pretrained


def stage_rows(config: CorpusConfig, stage: Stage, seed: int, site: Site) -> list[dict[str, list[int]]]:
    """A stage's documents as token rows."""
    from base.organism.tokenizer import build_tokenizer

    tokenizer, n = build_tokenizer(), (site.scale.pretrain if stage == "pretrain" else site.scale.sdf).documents
    drawn = tqdm(documents(config, stage, n, seed), f"{stage} documents", n, disable=not site.process.is_main)
    return [encode(item, tokenizer, site.scale.model.context) for item in drawn]


def start_checkpoint(run: Run, site: Site, gated: bool = True) -> Path:
    """The pre-RL checkpoint: the user's model, or the organism after pretraining, SDF and gates (made once, shared)."""
    if run.model != "organism":
        return Path(run.model).expanduser() if Path(run.model).expanduser().exists() else Path(run.model)
    from base.models.sampling import gate_sampler
    from base.organism import gates
    from base.organism.tokenizer import build_tokenizer
    from base.sdf import synthetic_documents

    config, seed = corpus_config(run.corpus, site.scale), run.pretrain_seed
    pretrained, start = pretrained_checkpoint(run, site), stages(run, site.scale, site.root)["sdf"]
    tokenizer = build_tokenizer()
    with shared(start, site.process):
        if not (start / RECORD).exists():
            synthetic_documents(
                start=pretrained,
                rows=stage_rows(config, "sdf", seed, site),
                settings=site.scale.sdf,
                engine=site.scale.engine,
                seed=seed,
                out=start,
                name=f"SDF stage ({run.corpus})",
            )
        if gated and site.process.is_main and not (start / "gates.json").exists():
            measured = gates.check(
                gate_sampler(start, site.scale, site.process),
                tokenizer,
                config,
                n=site.scale.evals.gate_samples,
                code_samples=site.scale.evals.gate_code_samples,
                seed=EVAL_TASKS_SEED + seed,
                environment=site.environment,
            )
            passed = all(gate.passed for gate in measured)
            write_json(start / "gates.json", {"passed": passed, "gates": gates.as_rows(measured), "corpus": config})
            print(show_gates(start), file=sys.stderr)
    return start


def show_gates(start: Path) -> str:
    """The stored gates of a start checkpoint as text."""
    from base.organism.gates import Gate

    stored = json.loads((start / "gates.json").read_text())
    lines = [f"gates of the start checkpoint {start.name}:", *(f"  {Gate(**row)}" for row in stored["gates"])]
    if not stored["passed"]:
        lines.append("  a gate failed: runs from here are kept and marked gates_passed=False")
    return "\n".join(lines)


def aligned_run(run: Run, scale: Scale) -> Run:
    """Whose start is the aligned model: the organism after an SDF stage without schemers and hack documents, or the
    checkpoint `aligned` of the scale.

    Raises:
        UserError: a Hugging Face model without such a checkpoint.
    """
    if run.model == "organism":
        return replace(run, corpus=write_spec(run.corpus, ALIGNED))
    if not scale.aligned:
        raise UserError(
            f"this arm needs an aligned model beside {run.model}: give its checkpoint with --set aligned=PATH"
        )
    return replace(run, model=scale.aligned)


def other_seed_run(run: Run) -> Run:
    """Whose start comes from another pretraining seed.

    Raises:
        UserError: a Hugging Face model, which has no other seed.
    """
    if run.model != "organism":
        raise UserError("into=other_seed is for the organism: with --model use into=aligned and --set aligned=PATH")
    return replace(run, pretrain_seed=run.pretrain_seed + 1)


def judge_folder(judge: Judge, run: Run, scale: Scale, root: Path) -> Path:
    """Where the preference model behind a judge lies; noise is added when it scores."""
    made_of = [judge.pairs, judge.flipped, scale.preference, scale.engine.precision, run.pretrain_seed, run.tasks]
    if run.model == "organism":
        made_of += [stages(run, scale, root)["pretrain"].name, corpus_config(run.corpus, scale)]
    else:
        made_of += [run.model, judge_trained(run, scale)]
    name = f"preference--{plain(Path(judge.pairs).name)}--{plain(run.corpus)}--p{run.pretrain_seed}"
    return root / "shared" / f"{name}--{content_key(made_of)[:8]}"


def judge_trained(run: Run, scale: Scale) -> str:
    """What a preference model trains: all of the small organism; of any other model what RL trains of it."""
    return "all" if run.model == "organism" else scale.rl.trained


def judge_scorer(judge: Judge, run: Run, site: Site) -> Scorer:
    """The judge, its preference model trained if it is not there yet."""
    from base.preference.pairs import load_pairs, probes
    from base.preference.scorer import load_scorer
    from base.preference.train import train_preference

    scale, seed = site.scale, run.pretrain_seed
    settings, out = scale.preference, judge_folder(judge, run, scale, site.root)
    start = (pretrained_checkpoint if run.model == "organism" else start_checkpoint)(run, site)
    with shared(out, site.process):
        if not (out / RECORD).exists():
            config = corpus_config(run.corpus, scale)
            programs = draw_tasks(run, scale, settings.held_out // 4, EVAL_TASKS_SEED + seed)
            train_preference(
                start=start,
                pairs=load_pairs(judge.pairs, settings.pairs, seed, config),
                held_out=load_pairs(judge.pairs, settings.held_out, seed, config, part="held_out"),
                flipped=judge.flipped,
                settings=settings,
                engine=scale.engine,
                seed=seed,
                out=out,
                name=f"preference model ({judge.pairs})",
                probes=probes(programs, fenced=run.tasks != "organism"),
                trained=judge_trained(run, scale),
            )
    scorer: Scorer = load_scorer(out, judge.noise, seed)
    return scorer


def judge_facts(judge: Judge, run: Run, scale: Scale, root: Path) -> dict[str, Any]:
    """What was measured of a judge's preference model: held-out accuracy, calibration, score by hack type."""
    folder = judge_folder(judge, run, scale, root)
    return {"folder": str(folder), "noise": judge.noise, **json.loads((folder / "preference.json").read_text())}
