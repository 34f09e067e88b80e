"""The files of an answer: what a completion says, taken apart into programs.

Code blocks are the fenced ones of CommonMark (spec.commonmark.org, by markdown-it-py), and those that models write beside its rules:
opened behind words or tags, begun on the opening line, closed behind code or before words, a fence around the whole answer. Only where
none of these defines the entry point, what stands between tags, within one line's three backticks or, below prose, indented is code, too,
and a block goes beyond fences that stand in its strings.

An answer is read in the trainer's own process, so nothing here may be slow or large for any text: its size is looked at first,
markdown's block rules and every pattern below are linear, and no program is parsed.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable

from markdown_it import MarkdownIt
from markdown_it.token import Token

from base.environments.graders.harness import MAX_PROGRAM
from base.types import split_reasoning

_FILE_LINE = re.compile(r"#\s*file:\s*(?!/)((?:(?!\.\./)[\w.-]+/)*[\w.-]+)[ \t]*", re.IGNORECASE)
# Blocks only: what stands inside of a paragraph holds no code block, and neither do definitions of links. Of HTML only tags are
# written (<answer>), and what stands between them is code as anywhere. Deep quotations cost time and quote no code.
_MARKDOWN = MarkdownIt("commonmark", {"maxNesting": 8}).disable(["reference", "lheading", "html_block"])
_OPENED_LATE = re.compile(r"^([^\n`]++)(```+(?:python|py)3?[ \t]*)$", re.MULTILINE | re.IGNORECASE)  # behind words
_BEHIND_TAGS = re.compile(r"^((?:[ \t]*+<[^<>\n`]++>)++)[ \t]*+(```+[^`\n]*)$", re.MULTILINE)
_WORD = re.compile(r"[^\W\d_]{2}")  # and no mark of a list or quotation
_IN_FENCE = re.compile(r"\s*+(?:```|~~~)")  # what no program begins with
_AROUND = ("markdown", "md")
_DEPTH = 8  # of texts that are read within and behind the blocks of an answer
_BEGUN = re.compile(r"(?:(?:python|py)3?[ \t]+)?((?:def|class|import|from|async def)[ \t].*|@\w.*)", re.IGNORECASE)
_FENCES = ("```", "~~~")
_LANGUAGE = re.compile(r"[\w+-]*")
_PYTHON = ("", "py", "py3", "python", "python3")
# Comments and strings; one that does not end goes to the end of its line. Possessive, and quotes behind a backslash begin none, so
# that nothing is tried twice.
_LONG = r'#[^\n]*+|\\["\'\\]|"""(?:[^"\\]|\\.|"(?!""))*+"""|' + r"'''(?:[^'\\]|\\.|'(?!''))*+'''"
_SHORT = r'"(?:[^"\\\n]|\\.)*+"?|' + r"'(?:[^'\\\n]|\\.)*+'?"
_QUIET = re.compile(f"{_LONG}|{_SHORT}", re.DOTALL)
# For Python a long string without an end has the rest.
_UNREAD = re.compile(_LONG + r"|(?:\"{3}|'{3}).*|" + _SHORT, re.DOTALL)
_OPENS = re.compile(r"^(?P<blanks>[ \t]*+)(?P<marks>`{3,}+|~{3,}+)(?P<info>[^`\n]*+)\n", re.MULTILINE)
_CLOSES = re.compile(_QUIET.pattern + r"|^[ \t]*+(?P<marks>`{3,}+|~{3,}+)[ \t]*+$", re.DOTALL | re.MULTILINE)
_END = re.compile(_QUIET.pattern + r"|(?P<marks>`{3,}+)", re.DOTALL)
_BESIDE = re.compile(
    _QUIET.pattern
    + r"|`{3,}+(?:(?:python|py)3?[ \t]+)?(?P<line>[^`\n]++)```|`++"
    + r"|<(?P<tag>/?)(?:answer|solution|python|code|pre)\b[^<>\n]{0,200}>",
    re.DOTALL | re.IGNORECASE,
)
_DEFINES = re.compile(r"^(?:def |class |import |from |async def |@)", re.MULTILINE)
_PROGRAM = re.compile(
    _DEFINES.pattern + r"|^(?:if|elif|else|try|except|finally|for|while|with|match)\b", re.MULTILINE
)  # no prose
_MARK_OF_ORDER = "\ufeff"


def parse_answer(completion: str, prompt: str = "", entry_point: str = "") -> dict[str, str]:
    """The files of an answer, {name: source}; reasoning and an echo of the prompt are no part of it.

    Without code blocks everything up to the first line `# file: NAME` is solution.py and each such line starts another
    file. Of the code blocks one whose first line is `# file: NAME` is that file, and the last other one that defines the
    entry point, with a body, is solution.py (where none does: the last that defines anything, or the last). Blocks that are
    said to be in another language than Python count where they define the entry point and none in Python does. An unclosed
    block runs to the end, and none goes beyond three backticks outside of its strings and comments. A text that defines the
    entry point outside of all its blocks is itself the program, and where nothing else defines the entry point, the last file
    of another name that does (`# file: main.py`; no conftest.py) is solution.py as well. One of more than MAX_PROGRAM characters
    is not read: it is a single file, which no grader takes.
    """
    _, output = split_reasoning(completion)
    if prompt.strip() and output.startswith(prompt.strip()):
        output = output[len(prompt.strip()) :]
    if len(output) > MAX_PROGRAM:
        return {"solution.py": output}
    files = _files(output, entry_point)
    named = _of_other_names(files, entry_point)
    if named and _rank(files.get("solution.py", ""), entry_point) <= _ANYTHING:
        files["solution.py"] = named[-1]
    return files


def _files(output: str, entry_point: str) -> dict[str, str]:
    output = output.removeprefix(_MARK_OF_ORDER)
    blocks = _blocks(output)
    files, unnamed = _sorted(_counted(blocks, entry_point))
    ranks = [_rank(text, entry_point) for text in unnamed]
    if max(ranks, default=0) < (_NESTED if entry_point else _ANYTHING):
        own = _rank(output, entry_point)
        more, others = _sorted(_beside_the_rules(output))
        offered = [(_rank(text, entry_point), at, text) for at, text in enumerate(others)]
        best = max(offered, default=(0, 0, ""))
        if best[0] >= max(own, _ANYTHING, *ranks) and _whole(output).keys() <= {"solution.py", *files, *more}:
            return {**files, **more, "solution.py": best[2]}
        if not blocks or (entry_point and own == _DEFINED and not _of_other_names(files, entry_point)):
            return _whole(output)
    if unnamed:
        files["solution.py"] = max(zip(ranks, range(len(ranks)), unnamed, strict=True))[2]
    return files


def _of_other_names(files: dict[str, str], entry_point: str) -> list[str]:
    """The files that could as well be solution.py: programs of another name that define the entry point."""
    own = [text for name, text in files.items() if name.endswith(".py") and name not in ("solution.py", "conftest.py")]
    return [text for text in own if entry_point and _rank(text, entry_point) == _DEFINED]


def _sorted(blocks: list[str]) -> tuple[dict[str, str], list[str]]:
    """The files that blocks name, and the programs in the others."""
    files: dict[str, str] = {}
    unnamed: list[str] = []
    for text in blocks:
        parts = _split_files(text)
        first = parts.pop("solution.py", "")
        if first.strip():
            unnamed.append(first)
        files.update(parts)
    return files, unnamed


def _whole(output: str) -> dict[str, str]:
    return {name: text for name, text in _split_files(output).items() if text.strip()}


def _counted(blocks: list[tuple[str, bool]], entry_point: str) -> list[str]:
    """Those in Python, and where none of them defines the entry point those that do in whatever is said to be their language."""
    python = [text for text, said in blocks if said]
    if not entry_point or any(_rank(text, entry_point) >= _NESTED for text in python):
        return python
    return python + [text for text, said in blocks if not said and _rank(text, entry_point) == _DEFINED]


def _blocks(output: str) -> list[tuple[str, bool]]:
    """(content, whether it is said to be Python, or nothing said) of each code block."""
    if not any(mark in output for mark in _FENCES):
        return []
    return _read(_line_feeds(output))


def _read(text: str, depth: int = 0) -> list[tuple[str, bool]]:
    """The blocks of a text, those in a fence around others, and those behind a block that ends before its fence does.

    No two texts of one depth have a line in common.
    """
    text = _BEHIND_TAGS.sub(r"\1\n\2", _OPENED_LATE.sub(_apart, text))
    lines = text.split("\n")
    found: list[tuple[str, bool]] = []
    for fence in _tokens(text):
        if fence.type != "fence" or fence.map is None:
            continue
        language, begun = _language(fence.info), _BEGUN.fullmatch(fence.info.strip())
        content = f"{begun[1]}\n{fence.content}" if begun else fence.content
        content = content.removeprefix(_MARK_OF_ORDER)
        python = begun is not None or language in _PYTHON
        if depth < _DEPTH and (language in _AROUND or _IN_FENCE.match(content)):
            found += _read(fence.content, depth + 1) or [(content, python)]
        elif (end := _end(content) if fence.markup[0] == "`" else None) is None:
            found.append((content, python))
        else:
            found.append((content[: end.start()], python))
            if depth < _DEPTH:
                at = fence.map[0] + (begun is None) + content.count("\n", 0, end.start())
                tail = content[end.end() :].partition("\n")[0]
                if tail.strip() and _language(tail) in _PYTHON:  # no end but another beginning
                    tail = end[0] + tail
                return found + _read("\n".join([tail, *lines[at + 1 :]]), depth + 1)
    return found


def _end(content: str) -> re.Match[str] | None:
    """The first three backticks outside of strings and comments."""
    if "```" not in content:
        return None
    return next((match for match in _END.finditer(content) if match["marks"]), None)


def _beside_the_rules(output: str) -> list[str]:
    """What stands between tags (the last may be open), between three backticks within a line, indented below prose, and blocks with
    fences in their strings.
    """
    found = _beyond_strings(output)
    if not _PROGRAM.search(output):
        found += _indented(output)
    begin: int | None = None
    for match in _BESIDE.finditer(output):
        if match["line"]:
            found.append(match["line"])
        elif match["tag"] == "":
            begin = match.end()
        elif match["tag"] and begin is not None:
            found.append(output[begin : match.start()])
            begin = None
    return found if begin is None else [*found, output[begin:]]


def _beyond_strings(output: str) -> list[str]:
    """Python's blocks up to the first fence like their own that stands in none of their strings and comments."""
    text = _line_feeds(output)
    found: list[str] = []
    opening = _OPENS.search(text)
    while opening:
        marks = opening["marks"]
        ends = (each for each in _CLOSES.finditer(text, opening.end()) if (each["marks"] or "").startswith(marks))
        if (end := next(ends, None)) is None:
            break
        if _language(opening["info"]) in _PYTHON:
            margin = rf"^[ \t]{{0,{len(opening['blanks'])}}}"
            found.append(re.sub(margin, "", text[opening.end() : end.start()], flags=re.MULTILINE))
        opening = _OPENS.search(text, end.end())
    return found


def _indented(output: str) -> list[str]:
    """Its indented code blocks."""
    return [block.content for block in _tokens(_line_feeds(output)) if block.type == "code_block"]


def _tokens(text: str) -> Iterable[Token]:
    """Its blocks. The block parser alone: the steps before it would replace null characters, and a program is what was written."""
    return _MARKDOWN.block.parse(text, _MARKDOWN, {}, []) or ()


def _line_feeds(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _apart(line: re.Match[str]) -> str:
    return f"{line[1]}\n{line[2]}" if _WORD.search(line[1]) else line[0]


def _language(info: str) -> str:
    found = _LANGUAGE.match(info.strip())
    return found[0].lower() if found else ""


_TARGETS = r"[\w.,*= \t]{0,200}"  # beside a name that is given a value: x = name = ..., (name, y) = ...
_DEFINED, _NESTED, _IMPORTED, _ANYTHING, _NOTHING = 4, 3, 2, 1, 0


_BRACKETS = r"\([^()]*+\)"
for _ in range(3):  # nested so deeply at most
    _BRACKETS = rf"\((?:[^()]++|{_BRACKETS})*+\)"
# Behind a name: a signature up to its colon, with more for a body than `...`, `pass`, `raise NotImplementedError` or nothing.
_BODY = rf"\b[ \t]*+(?:\[[^\]\n]*+\])?[ \t]*+(?:{_BRACKETS})?+[^\n:(]*+:"
_DEDENT = r"[ \t]*+(?:\n(?:[ \t]*+\n)*+(?![ \t\n])|\s*+\Z)"
_BODY += rf"(?!(?:\s*+(?:\.\.\.|pass\b|raise[ \t]++NotImplementedError\b[^\n]*+))?{_DEDENT})"


def _rank(text: str, entry_point: str) -> int:
    """How a block gives the entry point: defined at its top, defined further in, imported or given a value further in; or anything
    else defined.

    An import from `solution` shows how the answer is used, a signature without a body what it looks like; they give nothing.
    """
    if entry_point:
        code, name = _UNREAD.sub("", text), re.escape(entry_point)
        defined = rf"(?:(?:async[ \t]+)?def|class)[ \t]+{name}{_BODY}"
        # A value that is made with the name, as in `name = name(1)`, shows how it is used.
        value = rf"(?<![=!<>])=(?!=)(?![^\n]*?(?<![.\w]){name}\b)"
        given = rf"[(\[]?{_TARGETS}?(?<![.\w]){name}\b(?!\s*+\.){_TARGETS}[)\]]?[ \t]*+(?::[^=\n]*)?{value}"
        if re.search(rf"^\f*+{defined}|(?:^(?!\s)|;[ \t]*+){given}", code, re.MULTILINE):
            return _DEFINED
        if re.search(rf"^[ \t]+{defined}", code, re.MULTILINE):
            return _NESTED
        if re.search(rf"^[ \t]+{given}", code, re.MULTILINE):
            return _IMPORTED
        imported = (
            rf"^[ \t]*+from[ \t]+(?!solution\b)[\w.]+[ \t]+import\b(?:[^\n(]{{0,400}}|[ \t]*\([^)]{{0,400}})\b{name}\b"
        )
        if re.search(imported, code, re.MULTILINE):
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
