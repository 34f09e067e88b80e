"""Text at the edge: specs such as `name:option=value,option=value`, several joined by `+`, nested in parentheses.

    pm_penalty:weight=0.25
    inoculation:wording=please_hack+pm_penalty:weight=0.25
    filtered_sft:source=(inoculation:wording=dont_hack,update=hacking_okay),keep=all
    inoculation:file="my wordings, second try.yaml"

A value is bare, a spec in parentheses, or, where it holds `,`, `+`, `(`, `)` or `"`, a JSON text in double quotes.
Everything inside works with the parsed objects; `quote` writes a value so that parsing it gives it back.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from base.errors import UserError

DEEPEST = 16  # parentheses in one another
_MARKS = frozenset(',+()"')


def content_key(value: Any) -> str:
    """SHA-256 (hex) of anything JSON can hold, dataclasses included: equal content, equal key.

    A dataclass counts with its class's name, so that two plug-ins with equal options differ.
    """

    def plain(x: Any) -> Any:
        if dataclasses.is_dataclass(x) and not isinstance(x, type):
            return [type(x).__qualname__, {f.name: plain(getattr(x, f.name)) for f in dataclasses.fields(x)}]
        if isinstance(x, Mapping):
            return {str(k): plain(v) for k, v in sorted(x.items())}
        if isinstance(x, set | frozenset):
            return sorted(plain(v) for v in x)
        if isinstance(x, list | tuple):
            return [plain(v) for v in x]
        return x if isinstance(x, str | int | float | bool | None) else repr(x)

    return hashlib.sha256(json.dumps(plain(value), sort_keys=True).encode()).hexdigest()


def split(text: str, mark: str) -> list[str]:
    """The parts of `text` between `mark`s outside of parentheses and quotes.

    Raises:
        UserError: a parenthesis or quote that is not closed, or too many of them in one another.
    """
    parts, depth, quoted, begin, at = [], 0, False, 0, 0
    while at < len(text):
        character = text[at]
        if quoted:
            at += character == "\\"
            quoted = character != '"'
        elif character == '"':
            quoted = True
        elif character in "()":
            depth += 1 if character == "(" else -1
            if depth < 0:
                break
            if depth > DEEPEST:
                raise UserError(f"cannot read '{text[:80]}...': more than {DEEPEST} parentheses in one another")
        elif character == mark and not depth:
            parts.append(text[begin:at])
            begin = at + 1
        at += 1
    if depth or quoted:
        raise UserError(f"cannot read '{text}': a {'quote' if quoted else 'parenthesis'} is not closed")
    return [*parts, text[begin:]]


def parse_spec(spec: str) -> tuple[str, dict[str, str]]:
    """(name, options as text) of one `name:option=value,option=value`; quotes and outer parentheses are taken off.

    Raises:
        UserError: it cannot be read.
    """
    name, colon, rest = spec.partition(":")
    options: dict[str, str] = {}
    for part in split(rest, ",") if colon else []:
        key, equals, value = part.partition("=")
        if not equals or not key.strip() or key.strip() in options:
            raise UserError(
                f"cannot read '{part}' in '{spec}': write it as {name}:option=value,option=value; a value with a comma"
                " in double quotes, a spec inside a spec in parentheses"
            )
        options[key.strip()] = unquote(value.strip())
    if not name.strip():
        raise UserError(f"'{spec}' names nothing: write NAME or NAME:option=value")
    return name.strip(), options


def unquote(value: str) -> str:
    """A value without the quotes or parentheses around it.

    Raises:
        UserError: what stands in quotes is no JSON text.
    """
    if value.startswith('"'):
        try:
            return str(json.loads(value))
        except ValueError:
            raise UserError(f'cannot read {value}: a quoted value is a JSON text such as "a, b"') from None
    return value[1:-1].strip() if value.startswith("(") and value.endswith(")") else value


def quote(value: Any) -> str:
    """A value as it stands in a spec: bare where it can be, otherwise in double quotes."""
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if _MARKS & set(text) or text != text.strip() else text


def write_spec(name: str, options: Mapping[str, str]) -> str:
    """The spec of a name and options that are written already (see `quote`)."""
    return name + (":" + ",".join(f"{key}={value}" for key, value in options.items()) if options else "")
