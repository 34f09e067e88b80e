"""Mitigations by name. A plug-in is a frozen dataclass: its fields are its options, calling it gives the hooks it fills."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping
from typing import Any

from base.errors import UserError, near
from base.recipes import Arm, AsWritten, Mitigation, SystemLine, load_wording, stack
from base.settings import coerce
from base.spec import parse_spec
from base.triggers import AtStart
from base.types import PromptTransform
from mitigations.filtered_sft.filtered_sft import FilteredSFT
from mitigations.filtered_sft.offline_rewrite import OfflineRewrite
from mitigations.filtered_sft.own_episodes import OwnEpisodes
from mitigations.inoculation.inoculation import WORDINGS, Hinted, Inoculation
from mitigations.pm_penalty.monitor import Classifier
from mitigations.pm_penalty.pm_penalty import PMPenalty
from mitigations.rlhf_mix.rlhf_mix import RLHFMix
from mitigations.rlhf_mix.sft_safety import SFTSafety

MITIGATIONS: dict[str, Callable[..., Callable[[], Mitigation]]] = {
    "inoculation": Inoculation,
    "pm_penalty": PMPenalty,
    "classifier_penalty": Classifier,
    "rlhf_mix": RLHFMix,
    "sft_safety": SFTSafety,
    "filtered_sft": FilteredSFT,
    "offline_rewrite": OfflineRewrite,
    "own_episodes": OwnEpisodes,
}


def build(spec: str) -> tuple[str, Mitigation]:
    """(canonical spec, hooks) of `none`, `NAME`, `NAME:option=value,...` or several joined by `+`.

    The canonical spec spells out a mitigation's first option and those that differ from their defaults.

    Raises:
        UserError: unknown mitigation, option or value, or two that fill the same hook.
    """
    parts = _parts(spec)
    canonical = [text for text, _ in parts.values()]
    return "+".join(canonical) or "none", stack({name: part for name, (_, part) in parts.items()})


def arm(spec: str) -> tuple[str, Arm]:
    """(canonical spec, arm): `build`, the evaluation prompts, and the arms whose runs must be there before.

    Raises:
        UserError: as `build`, or an arm that imitates itself.
    """
    canonical, mitigation = build(spec)
    forks = None
    if mitigation.starts != AtStart():
        kept = [text for text, part in _parts(spec).values() if part.starts == AtStart()]
        forks = "+".join(kept) or "none"
    imitates = None
    if mitigation.episodes is not None and mitigation.episodes.source not in ("start", "aligned"):
        imitates = arm(mitigation.episodes.source)
    return canonical, Arm(mitigation, evaluation_prompts(mitigation, imitates and imitates[1]), forks, imitates)


def _parts(spec: str) -> dict[str, tuple[str, Mitigation]]:
    """Name -> (canonical text, hooks) of the parts of a spec; `none` has no parts."""
    parts: dict[str, tuple[str, Mitigation]] = {}
    for text in [] if spec.strip() == "none" else spec.split("+"):
        name, options = parse_spec(text)
        if name not in MITIGATIONS:
            raise UserError(f"unknown mitigation '{name}': {near(name, ['none', *MITIGATIONS])}")
        if name in parts:
            raise UserError(f"'{name}' is given twice in '{spec}'")
        plugin = _plugin(name, options)
        given, defaults = options_of(plugin), options_of(type(plugin))
        first = next(iter(given))
        named = [key for key, value in given.items() if value != defaults[key] or (key == first and value != "")]
        spelt = [f"{key}={given[key]}" for key in named]
        parts[name] = name + (":" + ",".join(spelt) if spelt else ""), plugin()
    return parts


def options_of(plugin: Any) -> Mapping[str, Any]:
    """Option names and values (or defaults, for a class) of a plug-in."""
    return {f.name: getattr(plugin, f.name, f.default) for f in dataclasses.fields(plugin)}


def filled(mitigation: Mitigation) -> list[str]:
    """The hooks that a mitigation fills."""
    empty = Mitigation()
    hooks = [field.name for field in dataclasses.fields(Mitigation)]
    return [name for name in hooks if getattr(mitigation, name) != getattr(empty, name)]


def _plugin(name: str, options: Mapping[str, str]) -> Callable[[], Mitigation]:
    cls = MITIGATIONS[name]
    hints = typing.get_type_hints(cls)
    for key in options:
        if key not in hints:
            raise UserError(f"{name} has no option '{key}': {near(key, hints)}")
    return cls(**{key: coerce(hints[key], value, f"{name}:{key}") for key, value in options.items()})


def evaluation_prompts(mitigation: Mitigation, imitates: Arm | None = None) -> dict[str, PromptTransform]:
    """The prompts a checkpoint is evaluated under: none, "don't hack", and the run's own training prompt if it has one.

    The training prompt of an arm that imitates another is the one its episodes are read under. Where that lists the hacks,
    "don't hack" follows the same list.
    """
    forbidding = SystemLine(load_wording(WORDINGS, "dont_hack"))
    trained_under = mitigation.sample_prompt
    if mitigation.episodes is not None:
        trained_under = mitigation.episodes.prompt or (imitates.mitigation.sample_prompt if imitates else AsWritten())
    dont_hack = trained_under.under(forbidding) if isinstance(trained_under, Hinted) else forbidding
    prompts: dict[str, PromptTransform] = {"none": AsWritten(), "dont_hack": dont_hack}
    if trained_under != AsWritten():
        prompts["training"] = trained_under
    return prompts
