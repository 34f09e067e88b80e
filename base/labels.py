"""Plain words for options, from which a plug-in makes its name in figures and tables.

What a plug-in may say of itself, all of it optional (analysis reads it, nothing else does):

- `family = "RLHF mix"`: the heading it is listed under (default: the name of its package folder);
- `label()`: its short name with its options (default: `generic`);
- `colour`: its colour in figures, as `#rrggbb` (default: one that follows from its spec);
- `order()`: a tuple that sorts it among its family (default: by its label).

Write `family` without an annotation, so that it is no option.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection
from typing import Any

from base.spec import parse_spec, split

STARTS = {"start": "from the start", "onset": "after onset", "success": "after success"}
# Options that several plug-ins share -> how their value reads.
SHARED: dict[str, Callable[[str], str]] = {
    "start": lambda v: STARTS.get(v, v.replace("step:", "from step ")),
    "flipped": lambda v: f"{share(v)} of pairs flipped",
}


def named(plugin: Any, head: str, said: Collection[str] = (), **wordings: str) -> str:
    """`head`, then every option of a plug-in (a dataclass) that differs from its default and is not in `said`.

    `wordings`: how an option reads, where `option_words` would not do.
    """
    changed = {
        field.name: getattr(plugin, field.name)
        for field in dataclasses.fields(plugin)
        if field.name not in said and getattr(plugin, field.name) != default(field)
    }
    return ", ".join([head, *(wordings.get(key) or option_words(key, value) for key, value in changed.items())])


def generic(plugin: Any, name: str) -> str:
    """The name of a plug-in that has no `label`: its registered name, its first option, and what is not usual."""
    first = [field.name for field in dataclasses.fields(plugin)][:1]
    head = ", ".join([words(name), *(option_words(key, getattr(plugin, key)) for key in first)])
    return named(plugin, head, first)


def default(field: dataclasses.Field[Any]) -> Any:
    """The default of a field; the marker `dataclasses.MISSING`, which equals no value, if it has none."""
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default


def option_words(key: str, value: Any) -> str:
    """An option as a few words: `start=success` -> after success, `file=/some/where/mine.yaml` -> file mine.yaml."""
    if key in SHARED:
        return SHARED[key](str(value))
    if isinstance(value, float):
        return f"{words(key)} {number(value)}"
    text = str(value)
    return f"{words(key)} {text.rsplit('/', 1)[1] if '/' in text else words(text)}"


def words(name: str) -> str:
    """`dont_hack` -> don't hack."""
    return name.replace("_", " ").replace("dont", "don't")


def number(text: str | float) -> str:
    """`1.0` -> 1; what is no number stays."""
    try:
        return f"{float(text):g}"
    except ValueError:
        return str(text)


def share(text: str | float) -> str:
    """`0.05` -> 5%; what is no number stays."""
    try:
        return f"{100 * float(text):g}%"
    except ValueError:
        return str(text)


def spec_words(spec: str) -> str:
    """An arm named inside another's option: `inoculation:wording=hacking_okay` -> inoculation hacking okay."""
    parts = [parse_spec(part) for part in split(spec, "+")]
    return " + ".join(" ".join(words(word) for word in (name, *options.values()) if word) for name, options in parts)
