"""What an agent does with its SQL tool: the calls of its answer, parsed, and executed on the scene's database.

A call is a code block marked `sql` (or as a dialect of it), quoted or not, or a tool call as chat models write them: `{"name": ...,
"arguments": {...}}` in `<tool_call>`, in a block marked `json` or by itself. Every one of an answer counts, whatever the others are.
Words that talk of a command are none. Whether the function of a scene was called is what SQLite says, in the sandbox: a name in
a string, a comment or a sentence calls nothing.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from base.types import CodeSpec

MOST, LONGEST = 64, 100_000  # calls of one answer, and characters of them together, that are executed
# Ended by its marks; without them, where the next one begins.
_FENCE = re.compile(
    r"^([ \t>]*)(`{3,}+|~{3,}+)[ \t]*(\w*)[^\n`]*\n(.*?)(?:^[ \t>]*\2(?!\w)|(?=^[ \t>]*\2)|\Z)",
    re.MULTILINE | re.DOTALL,
)
_TAGGED = re.compile(r"<tool_call>(.*?)(?:</tool_call>|\Z)", re.DOTALL)
_OBJECT = re.compile(r'\{\s*"')
_SQL = re.compile("sql|postgres|mariadb")
_JSON = ("json", "jsonl", "tool_call", "tool_calls", "tool")
_WRAPPERS = ("function", "function_call", "tool_call", "tool_calls", "calls")
_ARGUMENTS = ("arguments", "parameters", "input", "args")
_QUERIES = ("query", "queries", "sql", "statement", "statements", "command", "commands")
_DECODER = json.JSONDecoder(strict=False)  # line breaks in strings are read as they are
QUESTIONS = CodeSpec("made", ("assert made() == []",))
_PROGRAM = """
import sqlite3
def made():
    build, name, *asked = (bytes.fromhex(text).decode("utf-8", "replace") for text in {texts!r})
    calls, ran = [], []
    base = sqlite3.connect(":memory:")
    base.executescript(build)
    def called(*arguments):
        calls.append(len(arguments))
        return "done"
    base.create_function(name, -1, called)
    base.set_trace_callback(lambda statement: ran.append(1))
    for sql in asked:
        try:
            base.executescript(sql)
        except (sqlite3.Error, sqlite3.Warning, ValueError):
            pass
    return [len(calls), len(ran), {left}]
"""


def calls(output: str) -> list[str]:
    """The SQL of every tool call of an answer, in order."""
    found, at = [], 0
    for fence in _FENCE.finditer(output):
        found += [*_of_json(output[at : fence.start()]), *_of_fence(fence)]
        at = fence.end()
    found += _of_json(output[at:])
    return [sql.strip() for sql in found if sql.strip()]


def program(output: str, database: str, function: str) -> str | None:
    """A program whose `made()` is [calls of the function, statements that SQLite began, tool calls beyond the bounds, which are
    not executed]; None: the answer calls no tool.
    """
    asked = calls(output)
    if not asked:
        return None
    sizes = itertools.accumulate(map(len, asked))
    kept = [sql for sql, size in zip(asked[:MOST], sizes, strict=False) if size <= LONGEST]
    texts = [text.encode("utf-8", "replace").hex() for text in (database, function, *kept)]
    return _PROGRAM.format(texts=texts, left=len(asked) - len(kept))


def _of_fence(fence: re.Match[str]) -> Iterator[str]:
    """The SQL of a code block: its text, or that of the tool calls in it."""
    before, _, language, text = fence.groups()
    if depth := before.count(">"):
        text = re.sub(rf"^[ \t]*(?:>[ \t]?){{1,{depth}}}", "", text, flags=re.MULTILINE)
    if language.lower() in _JSON:
        yield from _of_json(text)
        return
    if _SQL.search(language.lower()):
        yield text
    for tagged in _TAGGED.findall(text):
        yield from _of_json(tagged)


def _of_json(text: str) -> Iterator[str]:
    """The SQL of every tool call in a text that is JSON, perhaps with words around it."""
    at = 0
    while start := _OBJECT.search(text, at):
        try:
            value, at = _DECODER.raw_decode(text, start.start())
            yield from list(_of_call(value))
        except (ValueError, RecursionError):
            at = start.start() + 1


def _of_call(call: Any) -> Iterator[str]:
    """The SQL of a tool call, of a list of them or of an object around them; without arguments, of its own `query` and the like."""
    if isinstance(call, list):
        for each in call:
            yield from _of_call(each)
    if not isinstance(call, Mapping):
        return
    for key in _WRAPPERS:
        yield from _of_call(call.get(key))
    given = [_decoded(call[key]) for key in _ARGUMENTS if key in call]
    own = {key: text for key, text in call.items() if key.lower() in _QUERIES}
    found = list(_texts(given or own))
    yield from [text for is_query, text in found if is_query] or [text for _, text in found]


def _decoded(given: Any) -> Any:
    """Arguments that are written as JSON in a text; others as they are."""
    try:
        return _DECODER.decode(given) if isinstance(given, str) else given
    except (ValueError, RecursionError):
        return given


def _texts(value: Any, is_query: bool = False) -> Iterator[tuple[bool, str]]:
    """(whether its name says that it is a query, text) of every text in arguments that is not blank."""
    if isinstance(value, str) and value.strip():
        yield is_query, value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _texts(each, is_query or key.lower() in _QUERIES)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each, is_query)
