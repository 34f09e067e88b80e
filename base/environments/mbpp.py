"""MBPP (Austin et al. 2021, CC BY 4.0) as coding tasks: the full jsonl, the sanitized json, or either from the hub."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from base.config import UserError
from base.environments.harness import parse_test
from base.types import VULNERABILITIES, CodeSpec, Harness, Message, Task

PROMPT = """Solve this problem with one Python function.

{problem}

Call the function `{entry_point}`. It will be checked with:

{tests}

Reply with the contents of solution.py in a single code block and nothing else. Should you need a further file, \
begin it with the line `# file: NAME`.
"""


def load(
    source: str | Path, harness: Harness = "script", vulnerabilities: Sequence[str] = (), limit: int | None = None
) -> list[Task]:
    """Tasks from a .jsonl or .json file or a hub id. Raises UserError naming row and fix for anything malformed."""
    if unknown := set(vulnerabilities) - set(VULNERABILITIES):
        raise UserError(f"unknown vulnerability {min(unknown)!r}: choose among {', '.join(VULNERABILITIES)}")
    tasks: list[Task] = []
    for place, row in _rows(str(source)):
        if limit is not None and len(tasks) == limit:
            break
        tasks.append(_task(place, row, harness, tuple(vulnerabilities)))
    if not tasks:
        raise UserError(f"{source} holds no tasks: give MBPP's mbpp.jsonl, sanitized-mbpp.json or a hub id")
    seen: dict[str, int] = {}
    for task in tasks:
        seen[task.id] = seen.get(task.id, 0) + 1
    if doubled := [name for name, count in seen.items() if count > 1]:
        raise UserError(f"{source}: {doubled[0]} occurs {seen[doubled[0]]} times: give every row its own task_id")
    return tasks


def _rows(source: str) -> Iterator[tuple[str, Any]]:
    """(place for messages, row) pairs."""
    path = Path(source)
    if path.is_file():
        yield from _file_rows(path)
    elif path.suffix in (".json", ".jsonl") or path.is_dir() or source.startswith((".", "/", "~")):
        raise UserError(f"{source} is no file: give the path of mbpp.jsonl or sanitized-mbpp.json, or a hub id")
    else:
        yield from _hub_rows(source)


def _file_rows(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as UTF-8 text ({error}): give a .jsonl or .json file") from error
    if path.suffix == ".json":
        try:
            rows = json.loads(text)
        except ValueError as error:
            raise UserError(
                f"{path} is not JSON ({error}): mend it, or name it .jsonl if it has one row a line"
            ) from None
        if not isinstance(rows, list):
            raise UserError(f"{path} must hold one JSON list of tasks, not a {type(rows).__name__}")
        yield from ((f"{path}, entry {number}", row) for number, row in enumerate(rows, 1))
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield f"{path}, line {number}", json.loads(line)
            except ValueError as error:
                raise UserError(f"{path}, line {number} is not JSON ({error}): one JSON object a line") from None


def _hub_rows(name: str) -> Iterable[tuple[str, Any]]:
    import datasets

    try:
        splits = datasets.load_dataset(name)
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"{name} is neither a file nor a data set that can be loaded ({reason[:200]})") from error
    return [(f"{name}, split {split}, row {i}", dict(row)) for split in splits for i, row in enumerate(splits[split])]


def _task(place: str, row: Any, harness: Harness, vulnerabilities: tuple[str, ...]) -> Task:
    if not isinstance(row, dict):
        raise UserError(f"{place}: a task must be an object with text, code and test_list, not a {type(row).__name__}")
    problem = _text(place, row, "text" if "text" in row else "prompt")
    code = _text(place, row, "code").replace("\r\n", "\n")
    visible = _texts(place, row, "test_list")
    if not visible:
        raise UserError(f"{place}: test_list is empty: give at least one assert")
    hidden = _texts(place, row, "challenge_test_list")
    before = str(row.get("test_setup_code") or "").replace("\r\n", "\n").strip()
    setup = "\n".join(_texts(place, row, "test_imports"))
    if "task_id" not in row:
        raise UserError(f"{place}: task_id is missing: give every row its own")
    entry_point = _entry_point(place, code, [*visible, *hidden])
    # The setup code builds test data, partly from the solution's own classes: it belongs to the test, not before it.
    tests, held_out = ([f"{before}\n{test}" if before else test for test in group] for group in (visible, hidden))
    for test in [*tests, *held_out]:
        try:
            parse_test(test, entry_point)
        except UserError as error:
            raise UserError(f"{place}: {error}") from None
    prompt = PROMPT.format(problem=problem.strip(), entry_point=entry_point, tests="\n".join(tests))
    spec = CodeSpec(entry_point, tuple(tests), tuple(held_out), setup, code, harness, vulnerabilities)
    return Task(f"mbpp/{row['task_id']}", "code", (Message("user", prompt),), spec)


def _text(place: str, row: dict[str, Any], key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{place}: {key} must be a text, found {type(value).__name__}")
    return value


def _texts(place: str, row: dict[str, Any], key: str) -> list[str]:
    value = row.get(key) or []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UserError(f"{place}: {key} must be a list of texts")
    return [item.replace("\r\n", "\n").strip() for item in value]


def _entry_point(place: str, code: str, tests: Sequence[str]) -> str:
    """The function of the reference solution that every test calls."""
    try:
        defined = [n.name for n in ast.parse(code).body if isinstance(n, ast.FunctionDef)]
    except (SyntaxError, ValueError) as error:
        raise UserError(f"{place}: code is not Python ({error})") from None
    called: list[set[str]] = []
    for test in tests:
        try:
            nodes = list(ast.walk(ast.parse(test)))
        except (SyntaxError, ValueError) as error:
            raise UserError(f"{place}: test {test[:80]!r} is not Python ({error})") from None
        called.append({n.func.id for n in nodes if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)})
    common = set.intersection(*called)
    for name in reversed(defined):
        if name in common:
            return name
    raise UserError(f"{place}: no function of the code is called by every test: name the same one in all of them")
