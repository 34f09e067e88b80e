"""YAML files of users, read inside limits: whatever one holds, it is read or one line says why not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError

from base.errors import UserError

_TWO_NUMBERS = re.compile(r"[-+]?0[0-9_]+|.*:.*")  # of YAML 1.1 in base 8 or 60, of YAML 1.2 in base 10 or none
_HALF = re.compile("[\ud800-\udfff]")
_KEYS = {"tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"}


class _Yaml(yaml.SafeLoader):
    """YAML whose numbers may have an exponent without a point (5e-4), as in YAML 1.2, and are the same in every version; keys are
    texts, and stand once in a mapping.
    """

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise ComposerError(None, None, f"'{key.value}' stands there twice", key.start_mark)
            if key.tag not in _KEYS:
                raise ComposerError(
                    None, None, f"the name {key.value} is read as no text: put it in quotes", key.start_mark
                )
            seen.add(key.value)
        return node

    def construct_yaml_int(self, node: Any) -> int:
        _refuse_two_numbers(node)
        return int(super().construct_yaml_int(node))

    def construct_yaml_float(self, node: Any) -> float:
        _refuse_two_numbers(node)
        return float(super().construct_yaml_float(node))


def _refuse_two_numbers(node: Any) -> None:
    if _TWO_NUMBERS.fullmatch(node.value):
        said = (
            f"{node.value} is one number in YAML 1.1 and none or another in 1.2: write it without leading 0 and colon"
        )
        raise ConstructorError(None, None, said, node.start_mark)


_Yaml.add_constructor("tag:yaml.org,2002:int", _Yaml.construct_yaml_int)
_Yaml.add_constructor("tag:yaml.org,2002:float", _Yaml.construct_yaml_float)
_Yaml.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)
LARGEST_YAML = 1_000_000  # values of a file, those that aliases repeat included


def parse_yaml(text: str) -> Any:
    """What a text says.

    Raises:
        yaml.YAMLError: malformed, or more than can be meant.
    """
    try:
        value = yaml.load(text, _Yaml)
        values = _count(value, {})
    except RecursionError:
        raise yaml.YAMLError("nested too deeply, or a part of itself") from None
    except ValueError as error:  # 2020-13-45
        raise yaml.YAMLError(str(error)) from None
    except (TypeError, AttributeError, KeyError):  # !!timestamp x, !!bool x
        raise yaml.YAMLError("a value is not of the type that the tag before it (!!) says") from None
    if values > LARGEST_YAML:
        raise yaml.YAMLError(f"its aliases repeat so much that it holds more than {LARGEST_YAML:,} values")
    return value


def _count(value: Any, known: dict[int, int]) -> int:
    if isinstance(value, str) and _HALF.search(value):
        raise yaml.YAMLError("a character that is cut in half (a lone surrogate): write the character itself")
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        inside = [*value, *value.values()] if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_count(each, known) for each in inside)
    return known[id(value)]


def read_yaml(path: Path) -> Any:
    """Contents of a YAML file.

    Raises:
        UserError: none that can be read, or a malformed one, with its line.
    """
    try:
        return parse_yaml(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        raise UserError(f"{path}{line}: malformed YAML ({problem(error)})") from None


def problem(error: yaml.YAMLError) -> str:
    """What is wrong, in one line."""
    return " ".join(str(getattr(error, "problem", error)).split())
