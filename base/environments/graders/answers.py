"""The files of an answer: what a completion says, taken apart into programs."""

from __future__ import annotations

import posixpath
import re

from base.types import split_reasoning

_FILE_LINE = re.compile(r"#\s*file:\s*(?!/)((?:(?!\.\./)[\w.-]+/)*[\w.-]+)[ \t]*", re.IGNORECASE)
_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})[ \t]*([\w+-]*)[^\n`]*")
_DEFINES = re.compile(r"^(?:def |class |import |from |async def |@)", re.MULTILINE)


def parse_answer(completion: str, prompt: str = "") -> dict[str, str]:
    """The files of an answer, {name: source}; reasoning and an echo of the prompt are no part of it.

    Without code fences everything up to the first line `# file: NAME` is solution.py and each such line starts another
    file. With fences only they count: one whose first line is `# file: NAME` is that file, the last other one that
    defines something is solution.py; an unclosed fence runs to the end.
    """
    _, output = split_reasoning(completion)
    if prompt.strip() and output.startswith(prompt.strip()):
        output = output[len(prompt.strip()) :]
    fences = _fences(output)
    if fences is None:
        return {name: text for name, text in _split_files(output).items() if text.strip()}
    files: dict[str, str] = {}
    unnamed: list[str] = []
    for text in fences:
        parts = _split_files(text)
        first = parts.pop("solution.py", "")
        if first.strip():
            unnamed.append(first)
        files.update(parts)
    if unnamed:
        defining = [text for text in unnamed if _DEFINES.search(text)]
        files["solution.py"] = (defining or unnamed)[-1]
    return files


def _fences(output: str) -> list[str] | None:
    """The contents of the Python code blocks; None when there is no fence at all."""
    found: list[str] = []
    seen, inside, keep, lines = False, "", False, list[str]()
    for line in output.splitlines():
        match = _FENCE.fullmatch(line)
        if not inside and match:
            seen, inside, lines = True, match[1], []
            keep = match[2].lower() in ("", "py", "python", "python3")
        elif inside and match and match[1].startswith(inside) and not match[2]:
            if keep:
                found.append("\n".join(lines) + "\n")
            inside = ""
        elif inside:
            lines.append(line)
    if inside and keep:
        found.append("\n".join(lines) + "\n")
    return found if seen else None


def _split_files(text: str) -> dict[str, str]:
    files: dict[str, list[str]] = {"solution.py": []}
    current = files["solution.py"]
    for line in text.split("\n"):
        if (match := _FILE_LINE.fullmatch(line.rstrip("\r"))) and ".." not in match[1].split("/"):
            current = files.setdefault(posixpath.normpath(match[1]), [])  # ./solution.py is solution.py
        else:
            current.append(line)
    return {name: "\n".join(lines) for name, lines in files.items()}
