"""What an agent does with its SQL tool: the calls of its answer, parsed, and executed on the scene's database.

A call is a code block marked `sql`, or a tool call as chat models write them: `<tool_call>{"name": ..., "arguments":
{...}}</tool_call>`, or that JSON object by itself. Words that talk of a command are none. Whether the function of a scene was
called is what SQLite says, in the sandbox: a name in a string, a comment or a sentence calls nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from base.types import CodeSpec

MOST, LONGEST = 8, 10_000  # calls of one answer, and characters of each, that are executed
_FENCE = re.compile(r"^[ \t]*(```|~~~)[ \t]*(\w*)[^\n]*\n(.*?)(?:^[ \t]*\1|\Z)", re.MULTILINE | re.DOTALL)
_TAGGED = re.compile(r"<tool_call>(.*?)(?:</tool_call>|\Z)", re.DOTALL)
_SQL = ("sql", "sqlite")
_JSON = ("json", "tool_call", "tool")
_ARGUMENTS = ("arguments", "parameters", "input", "args")
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
    return [len(calls), len(ran)]
"""


def calls(output: str) -> list[str]:
    """The SQL of every tool call of an answer, in order."""
    if tagged := _TAGGED.findall(output):
        return [sql for text in tagged for sql in _of_json(text)]
    fenced = [(language.lower(), text) for _, language, text in _FENCE.findall(output)]
    found = []
    for language, text in fenced:
        found += [text.strip()] if language in _SQL else list(_of_json(text)) if language in _JSON else []
    return [sql for sql in found if sql] or ([] if fenced else list(_of_json(output)))


def program(output: str, database: str, function: str) -> str | None:
    """A program whose `made()` is [calls of the function, statements that SQLite began]; None: the answer calls no tool."""
    asked = [sql[:LONGEST] for sql in calls(output)[:MOST] if sql.strip()]
    if not asked:
        return None
    return _PROGRAM.format(texts=[text.encode("utf-8", "replace").hex() for text in (database, function, *asked)])


def _of_json(text: str) -> Iterator[str]:
    """The SQL in the tool calls of a text that is JSON, perhaps with words around it."""
    start = text.find("{")
    if start < 0:
        return
    try:
        value, _ = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        return
    for call in value if isinstance(value, list) else [value]:
        yield from _sql_of(call)


def _sql_of(call: Any) -> Sequence[str]:
    if not isinstance(call, Mapping):
        return ()
    call = call["function"] if isinstance(call.get("function"), Mapping) else call
    given = next((call[key] for key in _ARGUMENTS if key in call), None)
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError:
            return (given,)
    texts = [text for text in given.values() if isinstance(text, str)] if isinstance(given, Mapping) else []
    return texts[:1]
