"""Judges by their specs, as on the command line."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from base.errors import UserError, near
from base.judges.hf import HFJudge
from base.judges.judge import Judge
from base.judges.openai import OpenAIJudge
from base.judges.rules import RULES, RuleJudge
from base.judges.verdict_files import FileJudge

_OPTION = re.compile(r",(\w+)=([^,]*)$")
_UNREAD = "cannot read judge '{spec}': write openai:URL#MODEL, e.g. openai:http://127.0.0.1:8000/v1#name"
_BOUNDS: dict[str, tuple[float, float]] = {
    "batch": (1, 10_000),
    "mass": (0, 1),
    "threshold": (0, 1),
    "tokens": (1, 100_000),
    "timeout": (0.01, 3600),
    "retries": (0, 20),
    "wait": (0, 60),
    "parallel": (1, 256),
}


def parse_judge(spec: str) -> Judge:
    """`hf:PATH_OR_ID`, `openai:URL#MODEL`, `rule:NAME` or `file:PATH`; options of the first two behind commas.

    Raises:
        UserError: it cannot be read, or what it names is not there.
    """
    kind, colon, rest = spec.strip().partition(":")
    if kind not in JUDGES or not colon or not rest.strip():
        raise UserError(f"cannot read judge '{spec}': write hf:PATH_OR_ID, openai:URL#MODEL, rule:NAME or file:PATH")
    return JUDGES[kind](spec.strip(), rest.strip())


def parse_judges(specs: Sequence[str]) -> tuple[Judge, ...]:
    """Several; the first one's verdicts count, the others stand beside them.

    Raises:
        UserError: as `parse_judge`, or two of one name.
    """
    judges = tuple(map(parse_judge, specs))
    names = [judge.name for judge in judges]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"two judges are called '{name}': give each once")
    return judges


def check_judges(judges: Iterable[Judge]) -> None:
    """Finds what is wrong with judges before anything is made for them to read; endpoints are not asked.

    Raises:
        UserError: a model that is not there or not reachable, a file of verdicts that is none.
    """
    for judge in judges:
        if isinstance(judge, HFJudge | FileJudge):
            judge.check()


def _hf(spec: str, rest: str) -> Judge:
    path, options = _options(spec, rest, HFJudge)
    local = path.startswith((".", "/", "~")) or Path(path).exists()
    if local and not (Path(path).expanduser() / "config.json").is_file():
        raise UserError(f"judge {spec}: {path} is not a Hugging Face checkpoint folder: it has no config.json")
    return HFJudge(path, **options)


def _openai(spec: str, rest: str) -> Judge:
    address, options = _options(spec, rest, OpenAIJudge)
    url, mark, model = address.partition("#")
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, brackets that do not close
        raise UserError(_UNREAD.format(spec=f"openai:...#{model}" if "@" in url else spec)) from None
    if parts.username or parts.password:
        raise UserError(
            f"judge openai: {parts.hostname}: a key belongs in the environment (option key=NAME), not in the address"
        )
    if not whole or not mark or not model or not (url.isascii() and url.isprintable() and " " not in url):
        raise UserError(_UNREAD.format(spec=spec))
    return OpenAIJudge(url, model, **options)


def _rule(spec: str, rest: str) -> Judge:
    if rest not in RULES:
        raise UserError(f"judge {spec}: unknown rule '{rest}': {near(rest, RULES)}")
    return RuleJudge(rest)


def _file(spec: str, rest: str) -> Judge:
    if not Path(rest).expanduser().is_file():
        raise UserError(f"judge {spec}: {rest}: no such file")
    return FileJudge(rest)


JUDGES: dict[str, Callable[[str, str], Judge]] = {"hf": _hf, "openai": _openai, "rule": _rule, "file": _file}


def _options(spec: str, rest: str, cls: Any) -> tuple[str, dict[str, Any]]:
    """What stands before the options, and the options with their types."""
    fields = {field.name: field for field in dataclasses.fields(cls) if field.default is not dataclasses.MISSING}
    options: dict[str, Any] = {}
    while found := _OPTION.search(rest):
        name, text = found.groups()
        if name not in fields:
            raise UserError(f"judge {spec}: no option '{name}': {near(name, fields)}")
        options[name] = _typed(spec, name, text, type(fields[name].default))
        rest = rest[: found.start()]
    return rest, options


def _typed(spec: str, name: str, text: str, kind: type) -> Any:
    if kind is str:
        return text
    least, most = _BOUNDS[name]
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not least <= value <= most:
        raise UserError(f"judge {spec}: {name} must be a {'whole ' * (kind is int)}number from {least:g} to {most:g}")
    return value
