"""Text at the edge: specs such as `name:option=value`, and hashes of content."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from base.errors import UserError


def content_key(value: Any) -> str:
    """Hash of anything JSON can hold (dataclasses included): equal content, equal key."""

    def plain(x: Any) -> Any:
        if dataclasses.is_dataclass(x) and not isinstance(x, type):
            return {f.name: plain(getattr(x, f.name)) for f in dataclasses.fields(x)}
        if isinstance(x, Mapping):
            return {str(k): plain(v) for k, v in sorted(x.items())}
        if isinstance(x, list | tuple | set | frozenset):
            return [plain(v) for v in (sorted(x) if isinstance(x, set | frozenset) else x)]
        return x

    return hashlib.sha256(json.dumps(plain(value), sort_keys=True).encode()).hexdigest()


def parse_spec(spec: str) -> tuple[str, dict[str, str]]:
    """`name:option=value,option=value` -> (name, options)."""
    name, colon, rest = spec.partition(":")
    options: dict[str, str] = {}
    for part in rest.split(",") if colon else []:
        key, equals, value = part.partition("=")
        if not equals or not key.strip() or key.strip() in options:
            raise UserError(f"cannot read '{part}' in '{spec}': write it as {name}:option=value,option=value")
        options[key.strip()] = value.strip()
    if not name.strip():
        raise UserError(f"'{spec}' names nothing: write NAME or NAME:option=value")
    return name.strip(), options
