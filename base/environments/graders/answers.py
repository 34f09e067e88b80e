"""The files of an answer: what a completion says, taken apart into programs.

Code blocks are the fenced ones of CommonMark (spec.commonmark.org, by markdown-it-py), and those that models write beside its rules:
between tags, opened behind words, closed before words. An answer is read in the trainer's own process, so nothing here may be slow
or large for any text: its size is looked at first, markdown's block rules and every pattern below are linear, and no program is
parsed.
"""

from __future__ import annotations

import posixpath
import re

from markdown_it import MarkdownIt

from base.environments.graders.harness import MAX_PROGRAM
from base.types import split_reasoning

_FILE_LINE = re.compile(r"#\s*file:\s*(?!/)((?:(?!\.\./)[\w.-]+/)*[\w.-]+)[ \t]*", re.IGNORECASE)
# Blocks only: what stands inside of a paragraph holds no code block, and neither do definitions of links. Of HTML only tags are
# written (<answer>), and what stands between them is code as anywhere. Deep quotations cost time and quote no code.
_MARKDOWN = MarkdownIt("commonmark", {"maxNesting": 8}).disable(["reference", "lheading", "html_block"])
_OPENED_LATE = re.compile(r"^([^\n`]++)(```+(?:python|py)3?[ \t]*)$", re.MULTILINE | re.IGNORECASE)  # behind words
_WORD = re.compile(r"[^\W\d_]{2}")  # and no mark of a list or quotation
_CLOSED_EARLY = re.compile(r"^ {0,3}```+[ \t]+(?:\S+[.!:,]|\S+[ \t]+\S[^\n]*)$", re.MULTILINE)  # before words
_FENCES = ("```", "~~~")
_LANGUAGE = re.compile(r"[\w+-]*")
_PYTHON = ("", "py", "py3", "python", "python3")
# Comments and strings; one that does not end goes to the end of its line. Possessive, and quotes behind a backslash begin none, so
# that nothing is tried twice.
_QUIET = re.compile(
    r'#[^\n]*+|\\["\'\\]|"""(?:[^"\\]|\\.|"(?!""))*+"""|' + r"'''(?:[^'\\]|\\.|'(?!''))*+'''"
    r'|"(?:[^"\\\n]|\\.)*+"?|' + r"'(?:[^'\\\n]|\\.)*+'?",
    re.DOTALL,
)
_DEFINES = re.compile(r"^(?:def |class |import |from |async def |@)", re.MULTILINE)


def parse_answer(completion: str, prompt: str = "", entry_point: str = "") -> dict[str, str]:
    """The files of an answer, {name: source}; reasoning and an echo of the prompt are no part of it.

    Without code blocks everything up to the first line `# file: NAME` is solution.py and each such line starts another
    file. Of the code blocks one whose first line is `# file: NAME` is that file, and the last other one that defines the
    entry point is solution.py (where none does: the last that defines anything, or the last). Blocks that are said to be in
    another language than Python count where they define the entry point and none in Python does. An unclosed block runs to the
    end. A text that defines the entry point outside of all its blocks is itself the program. One of more than MAX_PROGRAM
    characters is not read: it is a single file, which no grader takes.
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
    for text in _counted(blocks, entry_point):
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


def _counted(blocks: list[tuple[str, bool]], entry_point: str) -> list[str]:
    """Those in Python, and where none of them defines the entry point those that do in whatever is said to be their language."""
    python = [text for text, said in blocks if said]
    if not entry_point or any(_rank(text, entry_point) >= _NESTED for text in python):
        return python
    return python + [text for text, said in blocks if not said and _rank(text, entry_point) == _DEFINED]


def _blocks(output: str) -> list[tuple[str, bool]] | None:
    """(content, whether it is said to be Python, or nothing said) of each code block; None when there is none."""
    if not any(mark in output for mark in _FENCES):
        return None
    # The block parser alone: the steps before it would replace null characters, and a program is what was written.
    text = _OPENED_LATE.sub(_apart, output.replace("\r\n", "\n").replace("\r", "\n"))
    fences = [token for token in _MARKDOWN.block.parse(text, _MARKDOWN, {}, []) or () if token.type == "fence"]
    if not fences:
        return None
    return [(_CLOSED_EARLY.split(fence.content)[0], _language(fence.info) in _PYTHON) for fence in fences]


def _apart(line: re.Match[str]) -> str:
    return f"{line[1]}\n{line[2]}" if _WORD.search(line[1]) else line[0]


def _language(info: str) -> str:
    found = _LANGUAGE.match(info.strip())
    return found[0].lower() if found else ""


_TARGETS = r"[\w.,*= \t]{0,200}"  # beside a name that is given a value: x = name = ..., name, y = ...
_DEFINED, _NESTED, _IMPORTED, _ANYTHING, _NOTHING = 4, 3, 2, 1, 0


def _rank(text: str, entry_point: str) -> int:
    """How a block gives the entry point: defined at its top, defined further in, imported; or anything else defined.

    An import from `solution` shows how the answer is used and gives nothing.
    """
    if entry_point:
        code, name = _QUIET.sub("", text), re.escape(entry_point)
        if re.search(
            rf"^(?:(?:async[ \t]+)?def|class)[ \t]+{name}\b|^(?!\s){_TARGETS}?\b{name}\b{_TARGETS}(?::[^=\n]*)?=(?!=)",
            code,
            re.MULTILINE,
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
