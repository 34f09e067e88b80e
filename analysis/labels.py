"""Short readable names of arms, corpora and overridden settings, made from their specs.

What an arm is called, the heading it is listed under, its colour and its place there are the plug-in's own (base.labels);
a plug-in that says nothing is named by its options and listed under its folder. What a table holds of a plug-in that is
no longer there is named by the text of its spec.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from analysis import settings
from base.errors import UserError
from base.identity import Arm
from base.labels import generic, option_words, share, words
from base.spec import parse_spec, quote, split, write_spec
from mitigations import MITIGATIONS

CONTROLS, SETTINGS, STACKED = "baseline and controls", "corpora and settings", "stacked"
NAMES = {"none": "baseline", "untrained": "pretrained only"}  # arms without a plug-in
# Options of corpora and keys of --set -> how their value reads.
VALUES: dict[str, Callable[[str], str]] = {
    "sdf_variant": lambda v: "prompted" if v == "prompted" else f"{v} documents",
    "sdf_share": lambda v: f"{share(v)} hack documents",
    "rl.kl": lambda v: f"KL in the {v}",
    "rl.beta": lambda v: f"rl.beta={v}" if float(v) else "without KL",
    "tasks.hard_share": lambda v: f"{share(v)} hard tasks",
    "sdf.documents": lambda v: f"{v} SDF documents",
    "rl.trained": lambda v: f"RL trains {v}",
}
Options = Mapping[str, str]


def arm(spec: str) -> str:
    """The short name of a mitigation spec: `pm_penalty:weight=0.25,start=onset` -> `PM reward, weight 0.25, after onset`.

    A spec that cannot be read is its own name.
    """
    try:
        return NAMES.get(spec) or " + ".join(_part(part) for part in split(spec, "+"))
    except UserError:
        return spec


def corpus(spec: str) -> list[str]:
    """The parts of a corpus's name; the main corpus has none: `twin:sdf_variant=neutral` -> twin, neutral documents."""
    name, options = read(spec)
    return [*([] if name == "main" else [name]), *(_value(k, v) for k, v in options.items())]


def overrides(text: str) -> list[str]:
    """The parts of the name of overridden settings (analysis.settings): `rl.kl="loss" tasks.hard_share=0.4` -> rl.kl=loss, 40% hard
    tasks.
    """
    values = {key: settings.plain(value) for key, value in settings.read(text).items()}
    if text in settings.OF_TABLE:
        values.pop("rl.learning_rate", None)  # it goes with what is trained
    return [VALUES[key](value) if key in VALUES else f"{key}={value}" for key, value in values.items()]


def family(spec: str) -> str:
    """The heading under which an arm is listed."""
    name = read(spec)[0]
    if "+" in name or ("+" in spec and len(split(spec, "+")) > 1):
        return STACKED
    return CONTROLS if name in NAMES else _family(name)


def families() -> list[str]:
    """All headings of single arms in the order in which they are listed: the controls, then that of the registry."""
    return [CONTROLS, *dict.fromkeys(_family(name) for name in MITIGATIONS)]


def order(spec: str, label: str) -> tuple[Any, ...]:
    """Sorts the arms of a family: by plug-in, by its own order, then by label, with the numbers in it as numbers."""
    name = read(spec)[0]
    plugin = _plugin(spec)
    own = plugin.order() if hasattr(plugin, "order") else ()
    pieces = re.split(r"(\d+(?:\.\d+)?)", label)
    natural = tuple(float(piece) if i % 2 else piece for i, piece in enumerate(pieces))
    return (list(MITIGATIONS).index(name) if name in MITIGATIONS else len(MITIGATIONS), own, natural)


def colour(spec: str) -> str:
    """The colour that a plug-in claims for itself in figures, `#rrggbb`; empty if it claims none."""
    return str(getattr(_plugin(spec), "colour", ""))


def read(spec: str) -> tuple[str, Options]:
    """(name, options given) of a spec; one that cannot be read is a name without options."""
    try:
        return parse_spec(spec)
    except UserError:
        return spec, {}


def _family(name: str) -> str:
    cls = MITIGATIONS.get(name)
    claimed = getattr(cls, "family", "")
    if claimed or cls is None:
        return str(claimed) or words(name)
    package, _, module = cls.__module__.rpartition(".")
    return words(package.rpartition(".")[2] if package not in ("", "mitigations") else module)


@cache
def _plugin(spec: str) -> Any:
    """The plug-in of a spec with the options that it knows; None if there is no such plug-in or it refuses them."""
    name, given = read(spec)
    cls = MITIGATIONS.get(name)
    if not isinstance(cls, type) or not dataclasses.is_dataclass(cls):
        return None
    known = {field.name for field in dataclasses.fields(cls)} & given.keys()
    try:
        return Arm.parse(write_spec(name, {key: quote(given[key]) for key in known}), MITIGATIONS).parts[0][1]
    except (UserError, TypeError, ValueError):
        return None  # results outlive the options they were made with


def _part(spec: str) -> str:
    name, given = read(spec)
    plugin = _plugin(spec)
    if plugin is None:
        return ", ".join([words(name), *(_value(k, v) for k, v in given.items())])
    known = {field.name for field in dataclasses.fields(plugin)}
    label = plugin.label() if hasattr(plugin, "label") else generic(plugin, name)
    return ", ".join([label, *(_value(k, v) for k, v in given.items() if k not in known)])


def _value(key: str, text: str) -> str:
    return VALUES[key](text) if key in VALUES else option_words(key, text)
