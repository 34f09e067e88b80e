"""The files of an answer: what a completion says, taken apart into programs.

Code blocks are found by CommonMark's rules (spec.commonmark.org, by markdown-it-py). An answer is read in the trainer's
own process, so nothing here may be slow or large for any text: its size is looked at first, markdown's block rules and
every pattern below are linear, and no program is parsed.
"""

from __future__ import annotations

import posixpath
import re

from markdown_it import MarkdownIt

from base.environments.graders.harness import MAX_PROGRAM
from base.types import split_reasoning

_FILE_LINE = re.compile(r"#\s*file:\s*(?!/)((?:(?!\.\./)[\w.-]+/)*[\w.-]+)[ \t]*", re.IGNORECASE)
# Blocks only: what stands inside of a paragraph holds no code block, and neither do definitions of links.
_MARKDOWN = MarkdownIt("commonmark").disable(["reference", "lheading"])
_FENCES = ("```", "~~~")
_LANGUAGE = re.compile(r"[\w+-]*")
_PYTHON = ("", "py", "py3", "python", "python3")
# Comments and strings; of a string that does not end only the quotes. Possessive, so that nothing is tried twice.
_QUIET = re.compile(
    r'#[^\n]*+|"""(?:[^"\\]|\\.|"(?!""))*+"""|' + r"'''(?:[^'\\]|\\.|'(?!''))*+'''"
    r'|"(?:[^"\\\n]|\\.)*+"|' + r"'(?:[^'\\\n]|\\.)*+'" + r"""|\"{3}|'{3}""",
    re.DOTALL,
)
_DEFINES = re.compile(r"^(?:def |class |import |from |async def |@)", re.MULTILINE)


def parse_answer(completion: str, prompt: str = "", entry_point: str = "") -> dict[str, str]:
    """The files of an answer, {name: source}; reasoning and an echo of the prompt are no part of it.

    Without code blocks everything up to the first line `# file: NAME` is solution.py and each such line starts another
    file. Of the code blocks one whose first line is `# file: NAME` is that file, and the last other one that defines the
    entry point is solution.py (where none does: the last that defines anything, or the last). An unclosed block runs to
    the end. A text that defines the entry point outside of all its blocks is itself the program. One of more than
    MAX_PROGRAM characters is not read: it is a single file, which no grader takes.
    """
    _, output = split_reasoning(completion)
    if prompt.strip() and output.startswith(prompt.strip()):
        output = output[len(prompt.strip()) :]
    if len(output) > MAX_PROGRAM:
        return {"solution.py": output}
    blocks = _blocks(output)
    if blocks is None:
        return _whole(output)
    files: dict[str, str] = {}
    unnamed: list[str] = []
    for text in blocks:
        parts = _split_files(text)
        first = parts.pop("solution.py", "")
        if first.strip():
            unnamed.append(first)
        files.update(parts)
    ranks = [_rank(text, entry_point) for text in unnamed]
    if entry_point and max(ranks, default=0) < _NESTED and _rank(output, entry_point) == _DEFINED:
        return _whole(output)
    if unnamed:
        files["solution.py"] = max(zip(ranks, range(len(ranks)), unnamed, strict=True))[2]
    return files


def _whole(output: str) -> dict[str, str]:
    return {name: text for name, text in _split_files(output).items() if text.strip()}


def _blocks(output: str) -> list[str] | None:
    """The contents of the Python code blocks; None when there is no code block of any language."""
    if not any(mark in output for mark in _FENCES):
        return None
    # The block parser alone: the steps before it would replace null characters, and a program is what was written.
    text = output.replace("\r\n", "\n").replace("\r", "\n")
    fences = [token for token in _MARKDOWN.block.parse(text, _MARKDOWN, {}, []) or () if token.type == "fence"]
    if not fences:
        return None
    return [fence.content for fence in fences if _language(fence.info) in _PYTHON]


def _language(info: str) -> str:
    found = _LANGUAGE.match(info.strip())
    return found[0].lower() if found else ""


_DEFINED, _NESTED, _IMPORTED, _ANYTHING, _NOTHING = 4, 3, 2, 1, 0


def _rank(text: str, entry_point: str) -> int:
    """How a block gives the entry point: defined at its top, defined further in, imported; or anything else defined.

    An import from `solution` shows how the answer is used and gives nothing.
    """
    if entry_point:
        code, name = _QUIET.sub("", text), re.escape(entry_point)
        if re.search(
            rf"^(?:(?:async[ \t]+)?def|class)[ \t]+{name}\b|^{name}[ \t]*(?::[^=\n]*)?=(?!=)", code, re.MULTILINE
        ):
            return _DEFINED
        if re.search(rf"^[ \t]+(?:(?:async[ \t]+)?def|class)[ \t]+{name}\b", code, re.MULTILINE):
            return _NESTED
        given = rf"^from[ \t]+(?!solution\b)[\w.]+[ \t]+import\b(?:[^\n(]{{0,400}}|[ \t]*\([^)]{{0,400}})\b{name}\b"
        if re.search(given, code, re.MULTILINE):
            return _IMPORTED
    return _ANYTHING if _DEFINES.search(text) else _NOTHING


def _split_files(text: str) -> dict[str, str]:
    files: dict[str, list[str]] = {"solution.py": []}
    current = files["solution.py"]
    for line in text.split("\n"):
        if (match := _FILE_LINE.fullmatch(line.rstrip("\r"))) and ".." not in match[1].split("/"):
            current = files.setdefault(posixpath.normpath(match[1]), [])  # ./solution.py is solution.py
        else:
            current.append(line)
    return {name: "\n".join(lines) for name, lines in files.items()}
