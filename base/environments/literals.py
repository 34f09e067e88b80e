"""Plain values as Python source, for tests that are generated (no torch)."""

from __future__ import annotations

import math
from typing import Any


def source(value: Any) -> str:
    """A plain value as Python source that reads back as the same value, equal for equal values in every process.

    Counters and other kinds of dict are written as dicts. Raises ValueError for what has no literal.
    """
    kind = type(value)
    if kind in (type(None), bool, int, str, bytes):
        return repr(value)
    if kind is float and math.isfinite(value):
        return repr(value)
    if kind is list:
        return f"[{', '.join(map(source, value))}]"
    if kind is tuple:
        return f"({', '.join(map(source, value))}{',' * (len(value) == 1)})"
    if kind is set:
        return f"{{{', '.join(sorted(map(source, value)))}}}" if value else "set()"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{source(k)}: {source(v)}' for k, v in value.items())}}}"
    raise ValueError(f"{kind.__name__} has no literal")
