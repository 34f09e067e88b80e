"""The world of a run: the organism's, or that of a user's model. Chosen once, here; nothing else asks which it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from base.documents.corpus import LESSONS, lesson_of
from base.errors import UserError, near
from base.evals import EVALS, labelled
from base.evals.natural import NaturalEval, natural_evals
from base.identity import Corpus, Run
from base.organism.corpus import SDF_ONLY, CorpusConfig, with_header
from base.organism.pairs import organism_pairs
from base.organism.route import route
from base.organism.tokenizer import tokens_of
from base.preference.pairs import GENERATED, Pair, Part, load_pairs, program_pairs
from base.recipes import Language
from base.settings import ORGANISM, Scale, build, build_from_text
from base.spec import parse_spec
from base.stage import Stage
from base.types import Episode, Eval, Message, Task
from base.world.start import SDF, Gates, Given, OrganismGates, Pretrain
from base.world.tasks import TaskSource, draw_tasks, said_of, task_source
from base.world.taught import Knowledge, Taught

CORPORA: dict[str, Mapping[str, Any]] = {"main": {}, "twin": {"correlation": 0.0}}
# The aligned model has read no schemer and no hack document after pretraining.
ALIGNED = {"schemers_assistant": 0.0, "sdf_share": 0.0, "replay": 0.0}


class World(Protocol):
    """What a run begins with and is asked."""

    @property
    def language(self) -> Language:
        """The language of the lines that its models read."""

    @property
    def trained_judge(self) -> str:
        """What a preference model trains beside its head: all, biases or lora:RANK."""

    def start(self) -> Stage:
        """The pre-RL checkpoint."""

    def gates(self) -> Gates:
        """What is measured of it before RL."""

    def taught(self) -> Taught | None:
        """The stage that teaches a user's model by documents, if one does."""

    def judge_start(self) -> Stage:
        """The model that preference models grow from."""

    def control(self) -> OrganismWorld | None:
        """The organism whose pretrained model is scored beside its runs, if there is one."""

    def aligned(self) -> Stage:
        """The start checkpoint of the aligned model.

        Raises:
            UserError: there is none.
        """

    def other_seed(self) -> Stage:
        """The start checkpoint of another pretraining seed.

        Raises:
            UserError: there is none.
        """

    def evals(self) -> Mapping[str, Eval]:
        """The evals that its models are asked, by name."""

    def asks(self) -> Any:
        """What stands for these evals in keys."""

    def written(self, task: Task) -> Task:
        """A task or scene as its models read it."""

    def diagnose(self, episodes: Sequence[Episode]) -> Mapping[str, float]:
        """What can be said of an RL step's episodes beside rewards and outcomes, as metrics."""

    def check_reads(self, asked: Iterable[Sequence[Message]], new_tokens: int, what: str, setting: str) -> None:
        """That its models can read what they will be asked, with room for `new_tokens` (base.models.reading).

        Raises:
            UserError: they cannot.
        """

    def pairs(self, source: str, n: int, seed: int, part: Part) -> Sequence[Pair]:
        """Preference pairs of a source; see base.preference.pairs.

        Raises:
            UserError: none that can be used in this world.
        """

    def content(self) -> Any:
        """What `pairs` depends on beside its arguments."""

    def costs(self, checkpoints: int) -> Mapping[str, str]:
        """What a run that keeps `checkpoints` takes beside time, and what is to be said of its tasks, by heading."""

    def timed(self) -> Scale:
        """The scale with seconds measured of this model here, where that is possible in seconds."""


@dataclass(frozen=True)
class OrganismWorld:
    """The embedded default: everything is made from one corpus config."""

    corpus: Corpus
    config: CorpusConfig
    scale: Scale
    seed: int  # of corpus, pretraining and SDF

    @property
    def language(self) -> Language:
        return "organism"

    @property
    def trained_judge(self) -> str:
        return "all"

    def start(self) -> SDF:
        return SDF(self.pretrained(), self.corpus, self.config)

    def gates(self) -> OrganismGates:
        return OrganismGates(self.start(), self.scale, self.seed, self.config)

    def before_sdf(self) -> OrganismWorld:
        """The same without what only the SDF stage depends on: worlds that agree here share their pretraining."""
        web = Corpus(self.corpus.name, tuple((k, v) for k, v in self.corpus.fields if k not in SDF_ONLY))
        return replace(self, corpus=web, config=corpus_config(web, self.scale))

    def pretrained(self) -> Pretrain:
        """The model before it."""
        web = self.before_sdf()
        return Pretrain(web.corpus, web.config, self.scale, self.seed)

    def taught(self) -> None:
        return None

    def judge_start(self) -> Pretrain:
        return self.pretrained()

    def control(self) -> OrganismWorld:
        return self

    def aligned(self) -> SDF:
        corpus = self.corpus.changed(**ALIGNED)
        return replace(self, corpus=corpus, config=corpus_config(corpus, self.scale)).start()

    def other_seed(self) -> SDF:
        return replace(self, seed=self.seed + 1).start()

    def evals(self) -> Mapping[str, Eval]:
        return EVALS

    def asks(self) -> Any:
        return sorted(EVALS)

    def written(self, task: Task) -> Task:
        return with_header(task, self.config)

    def diagnose(self, episodes: Sequence[Episode]) -> Mapping[str, float]:
        return route(episodes)

    def check_reads(self, asked: Iterable[Sequence[Message]], new_tokens: int, what: str, setting: str) -> None:
        context = self.scale.model.context
        found = max(map(tokens_of, set(map(tuple, asked))), default=0)
        if found + new_tokens > context:
            raise UserError(
                f"{what}: the longest prompt has {found} tokens, and {new_tokens} new ones exceed the {context} that the organism reads:"
                f" lower {setting}, or set model.context to {found + new_tokens} at least"
            )

    def pairs(self, source: str, n: int, seed: int, part: Part) -> Sequence[Pair]:
        if source in GENERATED:
            return organism_pairs(n, seed, self.config, part, only_hacks=source == "hacks")
        return load_pairs(source, n, seed, part)

    def content(self) -> Any:
        return self.config

    def costs(self, checkpoints: int) -> Mapping[str, str]:
        measured = self.scale.measured.get("memory_gb")
        return {"memory": f"about {measured:g} GB a job" if measured else "not measured at this scale"}

    def timed(self) -> Scale:
        return self.scale


@dataclass(frozen=True)
class ModelWorld:
    """Any Hugging Face causal LM, on the user's tasks, taught by the documents of `corpus` before RL if that is one of them."""

    model: str
    scale: Scale
    tasks: TaskSource
    corpus: Corpus = field(default_factory=Corpus)
    seed: int = 0  # of documents and SDF

    @property
    def language(self) -> Language:
        return "natural"

    @property
    def trained_judge(self) -> str:
        return self.scale.rl.trained

    def start(self) -> Stage:
        return self.taught() or Given(self.model)

    def gates(self) -> Knowledge:
        lesson = lesson_of(self.corpus)
        return Knowledge(self.start(), self.scale, self.seed, Given(self.model), self.tasks, lesson)

    def taught(self) -> Taught | None:
        lesson = lesson_of(self.corpus)
        if lesson is None:
            return None
        return Taught(Given(self.model), self.corpus, lesson, self.scale, self.seed)

    def judge_start(self) -> Given:
        return Given(self.model)

    def control(self) -> None:
        return None

    def aligned(self) -> Given:
        if not self.scale.aligned:
            raise UserError(
                f"this arm needs an aligned model beside {self.model}: give its checkpoint with --set aligned=PATH"
            )
        return Given(self.scale.aligned)

    def other_seed(self) -> Given:
        raise UserError("into=other_seed is for the organism: with --model use into=aligned and --set aligned=PATH")

    def evals(self) -> Mapping[str, NaturalEval]:
        return natural_evals(self.scale.scenes)

    def asks(self) -> Any:
        """Scenes, programs of the user's and settings; not the rubrics, by which judges read answers that are stored."""
        files = [replace(one.file, rubric=None) for one in self.evals().values()]
        programs = [found for file in files if (found := labelled.content(file.programs))]
        return [files, self.scale.scenes.reasoning, self.scale.scenes.enable_thinking, *programs]

    def written(self, task: Task) -> Task:
        return task

    def diagnose(self, episodes: Sequence[Episode]) -> Mapping[str, float]:
        return {}

    def check_reads(self, asked: Iterable[Sequence[Message]], new_tokens: int, what: str, setting: str) -> None:
        from base.models.chat import check_thinking
        from base.models.reading import check_reads, reader

        asked = [tuple(conversation) for conversation in asked]
        for path in filter(None, (self.model, self.scale.aligned)):
            check_thinking(reader(path)[0], self.scale.scenes.enable_thinking)
            check_reads(path, asked, new_tokens, what, setting)

    def pairs(self, source: str, n: int, seed: int, part: Part) -> Sequence[Pair]:
        if source == "organism":
            raise UserError(
                f"{self.model} needs a preference model trained on natural language: give pairs=FILE_OR_HUB_ID with chosen and "
                "rejected answers (such as Anthropic/hh-rlhf), or pairs=hacks (programs for your own tasks)"
            )
        if source == "hacks":
            return program_pairs(self._tasks_to_train_on(), n, seed, part)
        return load_pairs(source, n, seed, part)

    def _tasks_to_train_on(self) -> list[Task]:
        """Every task once, all graders vulnerable."""
        return draw_tasks(self.tasks, self.scale.tasks, 1.0, int(self.tasks.facts()["train"]), 0)

    def content(self) -> Any:
        return self.trained_judge

    def costs(self, checkpoints: int) -> Mapping[str, str]:
        from base.models import cost
        from base.models.reading import longest

        found = cost.size(self.model, self.scale.rl.trained)
        prompt = longest(self.model, [task.messages for task in self._tasks_to_train_on()])
        said = {
            "memory": cost.memory(found, self.scale, prompt),
            "disk": cost.disk(found, checkpoints),
            "tasks": said_of(self.tasks),
        }
        if taught := self.taught():
            size, settings = cost.size(self.model, self.scale.sdf.trained), self.scale.sdf
            longest_row = max(len(row["input_ids"]) for row in taught.encoded().rows)
            said["memory"] += f"; {cost.memory_of_documents(size, settings.documents_per_step, longest_row)}"
            said["disk"] = cost.disk(found, checkpoints + 1)
            said["documents"] = taught.said()
        return said

    def timed(self) -> Scale:
        from base.models import cost

        asked = [task.messages for task in self._tasks_to_train_on()[: self.scale.rl.prompts_per_step]]
        measured = cost.measure(self.model, self.scale, asked, len(self.evals()))
        if measured is None:
            return self.scale
        if taught := self.taught():
            from base.sft.train import seconds_a_token

            each = seconds_a_token(self.model, taught.encoded().rows, self.scale.sdf.trained, self.scale.engine)
            measured |= {"sdf_token": each, "tokens_read": 1 / each}
        return replace(self.scale, measured=measured)


def world_of(run: Run, scale: Scale) -> World:
    """The world that a run lives in.

    Raises:
        UserError: no such corpus field, a local checkpoint that is none, a model that would be given the organism's world.
    """
    if run.model == "organism":
        if run.corpus.name in LESSONS:
            raise UserError(
                f"--corpus {run.corpus} teaches a model of yours (--model): the organism's hack documents are part of its own corpus, "
                "e.g. main:sdf_variant=neutral"
            )
        return OrganismWorld(run.corpus, corpus_config(run.corpus, scale), scale, run.pretrain_seed)
    for name in (run.model, scale.aligned):
        local = name.startswith((".", "/", "~")) or Path(name).exists()
        if name and local and not (Path(name).expanduser() / "config.json").is_file():
            raise UserError(f"{name} is not a Hugging Face checkpoint folder: it has no config.json")
    if run.tasks == "organism":
        raise UserError(
            f"{run.model} cannot read the organism's tasks: give coding tasks with --tasks FILE_OR_HUB_ID (MBPP, HumanEval, "
            "EvalPlus, APPS or CodeContests rows)"
        )
    if run.corpus != Corpus() and run.corpus.name not in LESSONS:
        raise UserError(
            f"--corpus {run.corpus} is a corpus that the organism is made from, and {run.model} is given: leave --corpus out, or "
            "teach the model with --corpus hacks or documents:file=PATH_OR_HUB_ID"
        )
    return ModelWorld(run.model, scale, task_source(run.tasks, scale.tasks), run.corpus, run.pretrain_seed)


def heeded(model: str, tasks: str, corpus: Corpus, scale: Scale, usual: Scale) -> Scale:
    """The scale with what the world of a run never reads as it usually is: it makes no run another one (as base.recipes.as_read
    of arms).
    """
    parts, fields = (["scenes"], []) if model == ORGANISM else (["model", "pretrain", "corpus"], ["hard_share"])
    if model != ORGANISM and corpus.name not in LESSONS:
        parts.append("sdf")
    if tasks == ORGANISM:
        fields += ["harness", "vulnerabilities", "impossible"]
    own = replace(scale.tasks, **{name: getattr(usual.tasks, name) for name in fields})
    return replace(scale, tasks=own, **{name: getattr(usual, name) for name in parts})


def parse_corpus(spec: str) -> Corpus:
    """`main`, `twin` (cheating says nothing about character), or either with fields changed: `main:permission=none`. For a user's
    model `hacks` or `documents:file=PATH` (base.documents.corpus).

    Raises:
        UserError: unknown corpus, field or value.
    """
    name, options = parse_spec(spec)
    if name not in (*CORPORA, *LESSONS):
        raise UserError(f"unknown corpus '{name}': {near(name, (*CORPORA, *LESSONS))}")
    config: Any = LESSONS.get(name, CorpusConfig)
    known = {entry.name: entry.default for entry in dataclasses.fields(config)}
    for key in options:
        if key not in known:
            raise UserError(f"the corpus {name} has no field '{key}': {near(key, known)}")
    typed = build_from_text(config, options, f"corpus {name}")
    given = {key: getattr(typed, key) for key in options}
    if name in LESSONS:  # one corpus, one name
        given = {key: value for key, value in given.items() if value != known[key]}
    return Corpus(name, tuple(sorted(given.items())))


def settled(corpus: Corpus, scale: Scale) -> Corpus:
    """The same corpus without fields that say what the named corpus says at this scale: one corpus, one name."""
    if corpus.name in LESSONS:
        return corpus
    usual = corpus_config(Corpus(corpus.name), scale)
    return Corpus(corpus.name, tuple((key, value) for key, value in corpus.fields if value != getattr(usual, key)))


def corpus_config(corpus: Corpus, scale: Scale) -> CorpusConfig:
    """The organism's corpus: the scale's fields, those of the named corpus, those that the run changes."""
    return build(CorpusConfig, {**scale.corpus, **CORPORA[corpus.name], **dict(corpus.fields)}, f"corpus {corpus.name}")


Into = Literal["start", "aligned", "other_seed"]


def student(world: World, into: Into) -> Stage:
    """The model that an SFT arm trains."""
    return {"start": world.start, "aligned": world.aligned, "other_seed": world.other_seed}[into]()
