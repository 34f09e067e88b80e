"""Mitigations by name. A plug-in is a frozen dataclass: its fields are its options, calling it gives the hooks it fills."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping
from typing import Any

from base.config import UserError, coerce, near, parse_spec
from base.hooks import AsWritten, Mitigation, SystemLine, load_wording, stack
from base.types import PromptTransform
from mitigations.inoculation.inoculation import WORDINGS, Inoculation

MITIGATIONS: dict[str, Callable[..., Callable[[], Mitigation]]] = {
    "inoculation": Inoculation,
}


def build(spec: str) -> tuple[str, Mitigation]:
    """(canonical spec: every option spelt out, hooks) of `none`, `NAME`, `NAME:option=value,...` or several joined by `+`.

    Raises:
        UserError: unknown mitigation, option or value, or two that fill the same hook.
    """
    if spec.strip() == "none":
        return "none", Mitigation()
    parts: dict[str, Mitigation] = {}
    canonical: list[str] = []
    for text in spec.split("+"):
        name, options = parse_spec(text)
        if name not in MITIGATIONS:
            raise UserError(f"unknown mitigation '{name}': {near(name, ['none', *MITIGATIONS])}")
        if name in parts:
            raise UserError(f"'{name}' is given twice in '{spec}'")
        plugin = _plugin(name, options)
        parts[name] = plugin()
        spelt = [f"{key}={value}" for key, value in options_of(plugin).items() if value not in ("", None)]
        canonical.append(name + (":" + ",".join(spelt) if spelt else ""))
    return "+".join(canonical), stack(parts)


def options_of(plugin: Any) -> Mapping[str, Any]:
    """Option names and values (or defaults, for a class) of a plug-in."""
    return {f.name: getattr(plugin, f.name, f.default) for f in dataclasses.fields(plugin)}


def _plugin(name: str, options: Mapping[str, str]) -> Callable[[], Mitigation]:
    cls = MITIGATIONS[name]
    hints = typing.get_type_hints(cls)
    for key in options:
        if key not in hints:
            raise UserError(f"{name} has no option '{key}': {near(key, hints)}")
    return cls(**{key: coerce(hints[key], value, f"{name}:{key}") for key, value in options.items()})


def evaluation_prompts(mitigation: Mitigation) -> dict[str, PromptTransform]:
    """The prompts a checkpoint is evaluated under: none, "don't hack", and the run's own training prompt if it has one."""
    prompts: dict[str, PromptTransform] = {
        "none": AsWritten(),
        "dont_hack": SystemLine(load_wording(WORDINGS, "dont_hack")),
    }
    if mitigation.sample_prompt != AsWritten():
        prompts["training"] = mitigation.sample_prompt
    return prompts
