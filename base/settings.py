"""Settings of a run: its size (`Scale`), strict YAML and dotted overrides.

A scale is one YAML file in base/scales/; every key is a field below and unknown keys are refused. Sections named
`trainer` pass straight to that stage's TRL config (SFTConfig, GRPOConfig), whose own field names apply.
"""

from __future__ import annotations

import dataclasses
import json
import re
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import pydantic
import yaml

from base.errors import UserError, near
from base.yaml_text import parse_yaml, problem, read_yaml

Precision = Literal["auto", "fp32", "bf16_matmul", "bf16"]
Tracker = Literal["none", "tensorboard", "wandb", "trackio"]
Schedule = Literal[
    "constant", "constant_with_warmup", "linear", "cosine", "cosine_with_restarts", "polynomial", "inverse_sqrt"
]
Count = Annotated[int, pydantic.Field(ge=1, le=10**9)]
Steps = Annotated[int, pydantic.Field(ge=1, le=10**5)]
Asked = Annotated[int, pydantic.Field(ge=1, le=10**4)]  # answers per eval: each question is made before anything else
Kept = Annotated[int, pydantic.Field(ge=1, le=10**7)]  # in memory at once
Tokens = Annotated[int, pydantic.Field(ge=1, le=10**6)]
Epochs = Annotated[float, pydantic.Field(gt=0, le=10**4)]
Whole = Annotated[int, pydantic.Field(ge=0)]
Amount = Annotated[float, pydantic.Field(ge=0)]
Positive = Annotated[float, pydantic.Field(gt=0)]
Share = Annotated[float, pydantic.Field(ge=0, le=1)]

LARGEST_MODEL = 10**10  # parameters of the layers of a model that is made here
MOST_PROMPTS = 10**6  # of one RL training: each is drawn before anything is made
MOST_ROWS = 10**6  # completions of one RL step


def _parameters(text: str) -> str:
    if not re.fullmatch(r"all|biases|lora:[1-9][0-9]{0,3}", text):
        raise ValueError(f"trained={text:.30} must be all, biases or lora:RANK with a rank of 1 to 9999, e.g. lora:16")
    return text


Parameters = Annotated[str, pydantic.AfterValidator(_parameters)]  # what the optimiser may change


SCALES = Path(__file__).parent / "scales"


@dataclass(frozen=True)
class ModelSettings:
    """Shape of the from-scratch organism; ignored when --model names a Hugging Face model."""

    hidden_size: Kept = 128
    layers: Kept = 3
    heads: Kept = 4
    kv_heads: Kept = 2
    intermediate_size: Kept = 512
    context: Annotated[int, pydantic.Field(ge=64, le=10**6)] = 384

    def __post_init__(self) -> None:
        """Raises UserError where attention cannot be divided so, or the model would be too large."""
        width, heads = self.hidden_size, self.heads
        if width % heads or heads % self.kv_heads or width // heads % 2:
            raise UserError(
                f"model: heads ({heads}) must divide hidden_size ({width}) into even parts, and kv_heads ({self.kv_heads}) must"
                f" divide heads: e.g. hidden_size={-(-width // (2 * heads)) * 2 * heads} and kv_heads=1"
            )
        if (size := self.layers * width * (4 * width + 2 * self.intermediate_size)) > LARGEST_MODEL:
            raise UserError(
                f"model: {size:.1e} parameters are more than are made here ({LARGEST_MODEL:.0e}): lower layers, hidden_size or intermediate_size"
            )


@dataclass(frozen=True)
class SFTSettings:
    """One supervised stage (pretraining, SDF, SFT). `documents` counts corpus documents; batches hold whole documents."""

    documents: Kept = 14000
    epochs: Epochs = 1.0
    documents_per_step: Count = 20
    learning_rate: Amount = 3e-3
    schedule: Schedule = "constant_with_warmup"
    warmup_steps: Whole = 100
    weight_decay: Amount = 0.05
    save_steps: Whole = 0  # 0: only the end; otherwise also a resume point every so many steps
    trainer: Mapping[str, Any] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """Updates: the last one of an epoch is filled up with further documents."""
        return round(self.epochs * -(-self.documents // self.documents_per_step))


@dataclass(frozen=True)
class EpisodeSettings(SFTSettings):
    """SFT on episodes; `documents` is the number of distinct ones that every arm gets."""

    documents: Kept = 3000
    trained: Parameters = "all"  # all | biases | lora:RANK


@dataclass(frozen=True)
class SDFSettings(SFTSettings):
    """Training on documents before RL. Of a corpus for a user's model `documents` is the most that are drawn, and texts of more
    than `longest` tokens are divided.
    """

    trained: Parameters = "all"  # all | biases | lora:RANK
    longest: Tokens = 1024

    def as_keyed(self) -> Any:
        """As it counts in the keys of organisms, which know no `longest`, and no `trained` where that is all."""
        known = [field.name for field in dataclasses.fields(SFTSettings)]
        plain = SFTSettings(**{name: getattr(self, name) for name in known})
        return plain if self.trained == "all" else [plain, self.trained]


@dataclass(frozen=True)
class PreferenceSettings:
    """A preference model: a reward head on the pretrained model, trained on pairs (chosen, rejected)."""

    pairs: Kept = 4000
    held_out: Annotated[int, pydantic.Field(ge=2, le=10**7)] = (
        500  # further pairs that measure accuracy and calibration and standardise the score
    )
    epochs: Epochs = 1.0
    pairs_per_step: Count = 32
    learning_rate: Amount = 1e-3
    warmup_steps: Whole = 10
    weight_decay: Amount = 0.0
    trainer: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RLSettings:
    """GRPO. One step = prompts_per_step groups of `group` completions; beta is the KL weight to the pre-RL model.

    `kl` says where that KL is: `loss`, a k3 term for every token, as in the GRPO paper; or `reward`, subtracted from what
    a completion is paid (nats of the whole completion times beta), as in RLOO and InstructGPT.
    """

    steps: Steps = 24
    prompts_per_step: Count = 8
    group: Count = 12
    learning_rate: Amount = 5e-4
    beta: Amount = 0.1
    kl: Literal["reward", "loss"] = "loss"
    temperature: Positive = 1.0
    max_completion_tokens: Tokens = 80
    micro_batch: Count = 48  # completions per forward pass
    trained: Parameters = "all"  # all | biases | lora:RANK
    save_every: Count = 4
    trainer: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises UserError where one training, or one step of it, would be more than can be meant."""
        if (n := self.steps * self.prompts_per_step) > MOST_PROMPTS:
            raise UserError(
                f"rl.steps={self.steps} x rl.prompts_per_step={self.prompts_per_step} are {n} prompts, of at most {MOST_PROMPTS}: lower one"
            )
        if (n := self.prompts_per_step * self.group) > MOST_ROWS:
            raise UserError(
                f"rl.prompts_per_step={self.prompts_per_step} x rl.group={self.group} are {n} completions a step, of at most {MOST_ROWS}:"
                " lower one"
            )


@dataclass(frozen=True)
class TaskSettings:
    """Which coding tasks RL and the hack rate use. `harness` and `vulnerabilities` are for tasks from a file or hub id; the
    organism's tasks choose their harness themselves and have every weakness of it.
    """

    hard_share: Share = 0.7  # share of hard tasks (organism)
    harness: Literal["script", "pytest"] = "pytest"  # grader of tasks from a file or hub id
    vulnerabilities: tuple[str, ...] = ("always_equal", "early_exit", "report_patch")  # of those that are hackable
    impossible: Literal["none", "one_off", "conflicting"] = (
        "none"  # false visible tests: base/environments/task_sets/impossible.py
    )


@dataclass(frozen=True)
class EvalSettings:
    """Answers per eval and per system prompt; `code_samples` is for the hack rate. `gate_*` are the same for the gates."""

    samples: Asked = 96
    code_samples: Asked = 96
    gate_samples: Asked = 48
    gate_code_samples: Asked = 384
    max_new_tokens: Tokens = 64
    code_max_new_tokens: Tokens = 80
    temperature: Positive = 1.0


@dataclass(frozen=True)
class SceneSettings:
    """What a user's model is asked in the evals (base.evals.natural); the organism has scenes of its own.

    `files` (eval -> path) replace our scenes, `golden` (eval -> path) our golden sets. `reasoning` is the system line that asks
    for reasoning ("": none is asked for); `enable_thinking` goes to chat templates that know it.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    golden: Mapping[str, str] = field(default_factory=dict)
    reasoning: str = "First think, between <think> and </think>; then give your answer behind it."
    enable_thinking: bool | None = None


@dataclass(frozen=True)
class EngineSettings:
    """How the stages compute: DeepSpeed ZeRO stage, precision, where completions come from; and who watches them.

    `offload`: what ZeRO keeps in the machine's memory in place of the GPU's: the optimiser's state (stages 1 to 3), or that and the
    parameters (stage 3).
    """

    zero_stage: Literal[0, 1, 2, 3] = 2
    offload: Literal["none", "optimizer", "parameters"] = "none"
    precision: Precision = (
        "auto"  # bf16_matmul: fp32 weights, bf16 products; auto: that where the CPU can, bf16 on GPUs
    )
    generation: Literal["auto", "fast", "hf", "vllm"] = "auto"
    grading_workers: Annotated[int, pydantic.Field(ge=1, le=1024)] = 1
    report_to: Tracker = "none"


UNSEEN = ("engine.report_to",)  # settings that change no result, and so no run's identity


@dataclass(frozen=True)
class Scale:
    """Everything that follows from the one dial: smoke, tiny, small; for a user's model laptop, hub."""

    name: str
    purpose: str
    model: ModelSettings = field(default_factory=ModelSettings)
    pretrain: SFTSettings = field(default_factory=SFTSettings)
    sdf: SDFSettings = field(default_factory=SDFSettings)
    tasks: TaskSettings = field(default_factory=TaskSettings)
    rl: RLSettings = field(default_factory=RLSettings)
    preference: PreferenceSettings = field(default_factory=PreferenceSettings)
    sft: EpisodeSettings = field(default_factory=EpisodeSettings)
    aligned: str = ""  # checkpoint of an aligned model; the organism makes its own
    gates: Literal["warn", "refuse"] = "warn"  # what a failed gate of the start checkpoint does to a run
    evals: EvalSettings = field(default_factory=EvalSettings)
    scenes: SceneSettings = field(default_factory=SceneSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)
    measured: Mapping[str, float] = field(default_factory=dict)  # seconds by kind of work, memory_gb: for --dry-run
    corpus: Mapping[str, Any] = field(default_factory=dict)  # fields of base.organism.corpus.CorpusConfig


T = TypeVar("T")
_STRICT = pydantic.ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, revalidate_instances="always")


def build(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """A frozen settings dataclass from plain values (YAML), strictly: unknown keys and wrong types are refused by name.

    Raises:
        UserError: what is wrong, and what is known instead.
    """
    if not isinstance(values, Mapping):
        raise UserError(f"{where} must be a mapping of settings, not {type(values).__name__}")
    reader: Any = _adapter(typing.cast(Any, cls))
    try:  # through JSON, whose lists and numbers are what YAML has: a list may become a tuple, a text never a number
        built: T = reader.validate_json(json.dumps(values, default=str))
        return built
    except pydantic.ValidationError as error:
        raise _user_error(error, cls, where) from None


def build_from_text(cls: type[T], options: Mapping[str, str], where: str, context: Any = None) -> T:
    """The same from texts, as they stand in specs: `0.25`, `.25` and `2.5e-1` are one number.

    `context` is for types that read themselves (base.identity.Arm).

    Raises:
        UserError: what is wrong, and what is known instead.
    """
    reader: Any = _adapter(typing.cast(Any, cls))
    try:
        built: T = reader.validate_strings(dict(options), context=context)
        return built
    except pydantic.ValidationError as error:
        raise _user_error(error, cls, where) from None


def retyped(given: T, where: str) -> T:
    """An object made in Python, with every field as its type has it: 1 is 1.0 where a float is meant.

    Raises:
        UserError: a field of another type.
    """
    reader: Any = _adapter(typing.cast(Any, type(given)))
    try:
        made: T = reader.validate_python(given)
        return made
    except pydantic.ValidationError as error:
        raise _user_error(error, type(given), where) from None


@cache
def _adapter(cls: type[Any]) -> pydantic.TypeAdapter[Any]:
    """The strict reader of a dataclass, those in its fields included."""
    seen: list[Any] = [cls]
    for kind in seen:
        kind.__pydantic_config__ = _STRICT
        hints = typing.get_type_hints(kind)
        seen += [hint for hint in hints.values() if dataclasses.is_dataclass(hint) and hint not in seen]
    return pydantic.TypeAdapter(cls)


def _user_error(error: pydantic.ValidationError, cls: type[Any], where: str) -> UserError:
    """The first complaint as one line."""
    found = error.errors()
    first = next(
        (each for each in found if each["type"] == "value_error"), found[0]
    )  # of a union: the one that explains
    *path, last = (str(part) for part in first["loc"] or ("",))
    node: Any = cls
    for part in path:
        node = typing.get_type_hints(node).get(part, node) if dataclasses.is_dataclass(node) else node
    place = ".".join([where, *path])
    if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        known = typing.get_type_hints(node) if dataclasses.is_dataclass(node) else {}
        return UserError(f"unknown setting '{last}' in {place}: {near(last, known)}")
    if first["type"] in ("missing", "missing_argument"):
        return UserError(f"{place} lacks {last}")
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, UserError):
        return cause
    message = first["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    if first["type"] == "value_error":
        return UserError(f"{place}: {message}")
    return UserError(f"{place}.{last} must be {message}, not {first['input']!r}")


ORGANISM = "organism"  # the model, and the tasks, that a run has unless it names others
ORGANISM_SCALES = ("smoke", "tiny", "small")  # their learning rates and lengths would destroy any other model


def scale_for(model: str, scale: str) -> str:
    """The scale of a run of `model`, where the user names `scale` or, with "", none.

    Raises:
        UserError: a model without a scale that is made for it, or the organism at one that is made for others.
    """
    if model == ORGANISM:
        if scale in set(scale_names()) - set(ORGANISM_SCALES):
            raise UserError(
                f"--scale {scale} is made for a model of yours and would teach the organism nothing: add --model PATH_OR_ID, or "
                f"take {', '.join(ORGANISM_SCALES)} or a YAML file of your own"
            )
        return scale or "tiny"
    if scale in ("", *ORGANISM_SCALES):
        given = f"--scale {scale} is" if scale else "without --scale, settings are"
        raise UserError(
            f"{given} made for the organism and would destroy {model}: add --scale laptop (two CPU cores), --scale hub (GPUs) "
            "or a YAML file of your own"
        )
    return scale


def scale_names() -> list[str]:
    """The scales that ship with the code, by name."""
    return sorted(path.stem for path in SCALES.glob("*.yaml"))


def load_scale(name_or_path: str, overrides: Sequence[str] = ()) -> Scale:
    """A scale by name (base/scales/NAME.yaml) or from a user's YAML file, with overrides such as `rl.steps=40`.

    Raises:
        UserError: unknown scale, malformed YAML, unknown or wrongly typed setting.
    """
    path = Path(name_or_path) if name_or_path.endswith((".yaml", ".yml")) else SCALES / f"{name_or_path}.yaml"
    if not path.exists() and path.parent == SCALES:
        raise UserError(
            f"unknown scale '{name_or_path}': {near(name_or_path, scale_names())}, or a path to a YAML file"
        )
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise UserError(f"{path}: a scale is a mapping of settings; see base/scales/tiny.yaml")
    for override in overrides:
        dotted, equals, text = override.partition("=")
        if dotted.strip() in ("name", "purpose") or dotted.strip().startswith("measured"):
            raise UserError(
                f"override '{override}': it describes the scale and is no setting; copy the scale's file instead"
            )
        if not equals:
            raise UserError(f"cannot read override '{override}': write it as section.key=value, e.g. rl.steps=40")
        node: Any = values
        *parents, leaf = dotted.strip().split(".")
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise UserError(f"override '{override}': '{parent}' is a single value, not a section")
        try:
            node[leaf] = parse_yaml(text)
        except yaml.YAMLError as error:
            raise UserError(f"override '{override}': the value is not valid YAML ({problem(error)})") from None
    return build(Scale, {"name": path.stem, **values}, f"scale {path.stem}")


def changes(scale: Scale, usual: Scale) -> tuple[tuple[str, str], ...]:
    """(dotted name, value as JSON) of every setting in which `scale` differs from `usual`, sorted by name; those that change no
    result are left out.
    """

    def leaves(value: Any, name: str = "") -> dict[str, str]:
        if isinstance(value, Mapping) and value:
            inner = [leaves(v, f"{name}.{key}" if name else str(key)) for key, v in value.items()]
            return {key: text for found in inner for key, text in found.items()}
        return {name: json.dumps(value, sort_keys=True)}

    ours, theirs = leaves(dataclasses.asdict(scale)), leaves(dataclasses.asdict(usual))
    return tuple((k, text) for k, text in sorted(ours.items()) if theirs.get(k) != text and k not in UNSEEN)
