"""What a run is, as parsed objects: the arm (plug-ins with their options) and everything else that makes runs differ."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic_core import core_schema

from base.errors import UserError, near
from base.seeds import checked_seed
from base.settings import build_from_text, retyped
from base.spec import content_key, parse_spec, quote, split, write_spec

NONE = "none"  # the arm without a plug-in: the baseline
Plugin = Callable[[], Any]  # a frozen dataclass; its fields are its options, calling it gives a recipe
Registry = Mapping[str, Callable[..., Plugin]]


@dataclass(frozen=True)
class Arm:
    """A stack of plug-ins, sorted by name; `Arm()` is the baseline. `str` gives its spec, which parses back to an equal arm."""

    parts: tuple[tuple[str, Plugin], ...] = ()

    def __post_init__(self) -> None:
        parts = {name: retyped(plugin, name) for name, plugin in self.parts}
        if len(parts) < len(self.parts):
            twice = next(name for name in parts if [part for part, _ in self.parts].count(name) > 1)
            raise UserError(f"'{twice}' is given twice: an arm has every mitigation once")
        object.__setattr__(self, "parts", tuple(sorted(parts.items(), key=lambda part: part[0])))

    @classmethod
    def parse(cls, spec: str, registry: Registry) -> Arm:
        """`none`, `NAME`, `NAME:option=value,...` or several joined by `+`.

        Raises:
            UserError: unknown plug-in, option or value, or a plug-in named twice.
        """
        parts: list[tuple[str, Plugin]] = []
        for text in [] if spec.strip() == NONE else split(spec, "+"):
            name, options = parse_spec(text)
            if name == NONE:
                raise UserError(f"cannot read '{spec}': 'none' is the arm without a mitigation and stands alone")
            if name not in registry:
                raise UserError(f"unknown mitigation '{name}': {near(name, [NONE, *registry])}")
            parts.append((name, _plugin(name, options, registry)))
        return cls(tuple(parts))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> core_schema.CoreSchema:
        """As an option of a plug-in: an arm, or a spec read with the registry in the context."""

        def read(value: Any, info: core_schema.ValidationInfo) -> Arm:
            try:
                return value if isinstance(value, Arm) else cls.parse(value, info.context or {})
            except UserError as error:
                raise ValueError(str(error)) from None

        return core_schema.with_info_plain_validator_function(read)

    def __str__(self) -> str:
        return "+".join(_written(name, plugin) for name, plugin in self.parts) or NONE

    def __bool__(self) -> bool:
        return bool(self.parts)


BASELINE = Arm()


def options_of(plugin: Any) -> dict[str, Any]:
    """Option names and values of a plug-in (for a class: their defaults)."""
    found = {}
    for entry in dataclasses.fields(plugin):
        usual = entry.default if entry.default_factory is dataclasses.MISSING else entry.default_factory()
        found[entry.name] = usual if isinstance(plugin, type) else getattr(plugin, entry.name)
    return found


def _plugin(name: str, options: Mapping[str, str], registry: Registry) -> Plugin:
    """A plug-in from the texts of its options."""
    cls = typing.cast(Any, registry[name])
    hints = typing.get_type_hints(cls)
    for key in options:
        if key not in hints:
            raise UserError(f"{name} has no option '{key}': {near(key, hints)}")
    return typing.cast(Plugin, build_from_text(cls, options, name, registry))


def _written(name: str, plugin: Plugin) -> str:
    """A plug-in's spec: its first option, and those that differ from their defaults."""
    given, usual = options_of(plugin), options_of(type(plugin))
    first = next(iter(given), None)
    named = {k: v for k, v in given.items() if v != usual[k] or (k == first and v not in ("", Arm()))}
    return write_spec(name, {k: _value(v) for k, v in named.items()})


def _value(value: Any) -> str:
    if isinstance(value, Arm):
        return f"({value})" if value else NONE
    return quote(value)


@dataclass(frozen=True)
class Corpus:
    """`name` of a corpus (main, twin) and the fields that are changed in it, with their values, sorted by field."""

    name: str = "main"
    fields: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        return write_spec(self.name, {key: quote(value) for key, value in self.fields})

    def changed(self, **fields: Any) -> Corpus:
        """The same corpus with further fields changed."""
        return Corpus(self.name, tuple(sorted({**dict(self.fields), **fields}.items())))


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise UserError(f"{name} must be a number, not {value!r}") from None


@dataclass(frozen=True)
class Run:
    """What makes one training run different from another; the unit of replication.

    `arm` empty is the baseline, `hackable` the share of coding tasks whose grader has its vulnerabilities (0 = no-hack
    control), `settings` the settings in which the run differs from its scale (base.settings.changes).
    """

    arm: Arm = field(default_factory=Arm)
    corpus: Corpus = field(default_factory=Corpus)
    hackable: float = 1.0
    pretrain_seed: int = 0
    seed: int = 0
    model: str = "organism"
    tasks: str = "organism"
    settings: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for name, value in (
            ("seed", checked_seed(self.seed, "the seed")),
            ("pretrain_seed", checked_seed(self.pretrain_seed, "the pretraining seed")),
            ("hackable", _number("hackable", self.hackable)),
        ):
            object.__setattr__(self, name, value)  # whatever kind of number it was, so that equal runs have equal keys
        if not 0.0 <= self.hackable <= 1.0:
            raise UserError(f"hackable is a share between 0 and 1, not {self.hackable}")

    @property
    def overrides(self) -> tuple[str, ...]:
        """`settings` as texts `key=value`."""
        return tuple(f"{key}={value}" for key, value in self.settings)

    @property
    def name(self) -> str:
        """Folder name: what differs and nothing else, e.g. `inoculation_wording=please_hack--main--p0s0`."""
        parts = [str(self.arm), str(self.corpus)]
        if self.hackable != 1.0:
            parts.append(f"hackable={self.hackable:g}")
        if self.model != "organism":
            parts.append(f"{Path(self.model).name}-{content_key(self.model)[:6]}")
        if self.tasks != "organism":
            parts.append(f"{Path(self.tasks).name}-{content_key(self.tasks)[:6]}")
        if self.settings:
            parts.append("set-" + content_key(self.settings)[:8])
        seeds = f"p{self.pretrain_seed}s{self.seed}"
        return folder_name([*parts, seeds])

    def record(self) -> dict[str, Any]:
        """As it is stored: specs as texts."""
        return {
            "arm": str(self.arm),
            "corpus": str(self.corpus),
            "hackable": self.hackable,
            "pretrain_seed": self.pretrain_seed,
            "seed": self.seed,
            "model": self.model,
            "tasks": self.tasks,
            "overrides": list(self.overrides),
        }


LONGEST_NAME = 200  # of a folder: file systems take 255 bytes, and temporary names are longer


def folder_name(parts: list[str]) -> str:
    """The parts as one folder's name, other parts another name; what is too long is cut and ends in a hash of all of it."""
    whole = "--".join(map(_readable, parts))
    if len(whole.encode()) <= LONGEST_NAME:
        return whole
    seeds = parts[-1]
    kept = whole.encode()[: LONGEST_NAME - len(seeds) - 14].decode(errors="ignore")
    return f"{kept}--{content_key(whole)[:10]}--{seeds}"


def _readable(part: str) -> str:
    """Letters, digits and `=.-_+` as they are, the marks of a spec as `_`; where more than these is lost, with a hash."""
    text = "".join(c if c.isalnum() or c in "=.-_+" else "_" for c in part)
    lost = any(c == "_" and old not in "_:,()" for c, old in zip(text, part, strict=True))
    return f"{text}-{content_key(part)[:6]}" if lost else text
