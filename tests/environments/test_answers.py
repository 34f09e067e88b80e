"""Answers are read as CommonMark says, and no text of an answer can hold up the trainer or fill its memory."""

import resource
import time

import pytest

from base.environments.graders.answers import parse_answer
from base.environments.graders.code import CodeEnvironment
from base.environments.graders.harness import MAX_PROGRAM
from base.organism.reading import by_either, judge
from base.types import DETAIL, CodeSpec, Message, Outcome, Task, split_reasoning

ADD = "def add(a, b):\n    return a + b\n"
DOCUMENTED = 'def add(a, b):\n    """Adds.\n\n    ```\n    add(1, 2)\n    ```\n    """\n    return a + b\n'
INDENTED = "".join(f"    {line}\n" for line in ADD.splitlines())
USED = "from solution import add\n\nresult = add(1, 2)\nprint(result)\n"


def fenced(text: str, mark: str = "```", info: str = "python", indent: str = "") -> str:
    lines = [f"{mark}{info}", *text.rstrip("\n").split("\n"), mark]
    return "".join(indent * bool(line) + line + "\n" for line in lines)


RIGHT = {
    "a fence in a docstring": fenced(DOCUMENTED),
    "a bare program with a fence in its docstring": DOCUMENTED,
    "and indented by two": DOCUMENTED.replace("    ", "  "),
    "a fence in a docstring, indented by two": fenced(DOCUMENTED.replace("    ", "  ")),
    "and in a quotation of the module": "So:\n" + fenced('"""\n```\nadd(1, 2)\n```\n"""\n' + ADD) + "That's it.\n",
    "and with tildes in a list": "1. First:\n\n"
    + fenced(DOCUMENTED.replace("    ", "  ").replace("```", "~~~"), "~~~", indent="   "),
    "a string without an end, then better": fenced(ADD.replace("    ", '    """Adds.\n    ')) + "Oops:\n" + fenced(ADD),
    "a better one, then a string without an end": fenced(ADD) + fenced(ADD.replace("    ", '    """Adds.\n    ')),
    "a longer fence around a shorter one": fenced('"""\n```\nadd(1)\n```\n"""\n' + ADD, "````"),
    "in a numbered list": "1. First:\n\n" + fenced(ADD, indent="   ") + "\n2. Done.\n",
    "in a list in a list": "- a\n  - b\n\n" + fenced(ADD, indent="    "),
    "in a quotation": "".join("> " + line + "\n" for line in fenced(ADD).split("\n")),
    "in a file of another name": fenced("# file: main.py\n" + ADD),
    "in a file of another name, then how it is used": fenced("# File: add.py\n" + ADD) + fenced("print(add(1, 2))\n"),
    "then how it is used": fenced(ADD) + "Use it:\n\n" + fenced(USED),
    "then a test": fenced(ADD) + fenced("import solution\nassert solution.add(1, 2) == 3\n"),
    "then another function": fenced(ADD) + fenced("def example():\n    return add(1, 2)\n"),
    "then a text that names it": fenced(ADD) + fenced('HELP = """\ndef add(a, b): ...\n"""\n'),
    "then output": fenced(ADD) + fenced("3\n", info=""),
    "a draft before it": fenced("def add(a, b):\n    return 0\n") + "Better:\n\n" + fenced(ADD),
    "given a name": fenced("add = lambda a, b: a + b\n") + fenced("import this\n"),
    "with a type": fenced("add: object = lambda a, b: a + b\n") + fenced("x = add(1, 2)\n"),
    "a class of that name": fenced("class add(int):\n    def __new__(cls, a, b): return a + b\n") + fenced("print()\n"),
    "imported": fenced("from operator import (\n    mul,\n    add,\n)\n") + fenced("import math\nprint(add(1, 2))\n"),
    "defined under a condition": fenced("if True:\n    def add(a, b): return a + b\n") + fenced("def f(): pass\n"),
    "tildes": fenced(ADD, "~~~"),
    "carriage returns": fenced(ADD).replace("\n", "\r\n"),
    "more in the info string": fenced(ADD, info='python title="a.py"'),
    "line separators in a text": fenced("X = 'a\u2028b\x0cc\x85d\x1ee'\n" + ADD + "assert len(X) == 9\n"),
    "and without a fence": "X = 'a\u2028b\x0cc\x85d\x1ee'\n" + ADD + "assert len(X) == 9\n",
    "three backticks in a text": "MARK = '```'\n" + ADD,
    "after an open paragraph": "Here it is\n" + fenced(ADD) + "and that is all",
    "not closed": "Here:\n```python\n" + ADD,
    "between tags": f"<think>hm</think>\n<answer>\n{fenced(ADD)}</answer>",
    "between tags in a row": f"<solution><code>\n{fenced(ADD)}</code></solution>",
    "behind a comment": f"<!-- the code -->\n{fenced(ADD)}",
    "said to be a text": fenced(ADD, info="text"),
    "said to be a notebook's": "Use it:\n" + fenced("add(1, 2)\n") + fenced(ADD, info="ipython3"),
    "opened behind words": "Here is the solution:" + fenced(ADD),
    "closed before words": fenced(ADD).rstrip("\n") + " Done.\nIt adds.",
    "and before more of them": fenced(ADD).rstrip("\n") + " That is all, I think\n",
    "one of two names": fenced("x = add = lambda a, b: a + b\n") + fenced("print(add(1, 2))\n"),
    "one of a tuple": fenced("add, sub = lambda a, b: a + b, None\n") + fenced("x: int = add(1, 2)\n"),
    "then its signature": fenced(ADD)
    + fenced("def add(a, b)\n", info="")
    + fenced("def add(\n    a: int,\n)\n", info=""),
    "then a stub": fenced(ADD) + fenced('def add(a: int, b: int) -> int:\n    """Adds."""\n    ...\n'),
    **{
        f"then {used!r}": fenced(ADD) + fenced(used + "\n")
        for used in (
            *(
                "add = add(1, 2)\nprint(add)",
                "add: int = add(1, 2)",
                "x, add = 1, add(1, 2)",
                "add.calls = 0",
                "m.add = add",
            ),
            *(
                "print(\n    add(1, 2),\nadd == 3)",
                "def add(a, b):",
                "def add(a, b):\n    # so",
                "def add(a, b):\n    pass",
            ),
            *(
                "def add(a, b):\n    raise NotImplementedError('x')\n\nprint(1)",
                'def add(a, b):\n    """Adds."""\n\nprint(2)',
            ),
        )
    },
    **{
        f"as {given!r}": fenced(given + "\n") + fenced("print(add(1, 2))\n")
        for given in (
            *("try:\n    from operator import add\nexcept ImportError: pass", "if True:\n    add = lambda a, b: a + b"),
            *("x = 1; add = lambda a, b: a + b", "(add, y) = (lambda a, b: a + b), 1", "[add] = [lambda a, b: a + b]"),
            *("\fdef add(a, b): return a + b", "def add(a, b):\n    pass\n    return a + b"),
        )
    },
    "a signature of many lines": fenced(
        "def add(\n    a: int,  # :(\n    b: tuple[int] = ((1),),\n) -> int:\n    return a + b\n"
    )
    + fenced(USED),
    "a tag before the fence": "<answer>" + fenced(ADD) + "</answer>",
    "and behind it": "<answer>" + fenced(ADD).rstrip("\n") + "</answer>",
    "and without a language": "<answer>" + fenced(ADD, info="").rstrip("\n") + "</answer>",
    "tags without a fence": f"It's this:\n<answer>\n{ADD}</answer>\nThat's it.",
    "tags of HTML": f"<pre><code class='python'>\n{ADD}</code></pre>",
    "a tag that stays open": f"<answer>\n{ADD}",
    "tags, then how it is used": f"<answer>\n{ADD}</answer>\n" + fenced(USED),
    "closed right before words": fenced(ADD).rstrip("\n") + "The function adds.\n" + fenced("print(add(1, 2))\n"),
    "and a better one behind": fenced(ADD.replace("+", "-")).rstrip("\n")
    + "It's wrong. So:\n"
    + fenced(ADD)
    + "Gives:\n"
    + fenced("3\n"),
    "not closed before the next": "```python\ndef add(a, b):\n" + fenced(ADD),
    "closed behind code": "```python\n" + ADD.rstrip("\n") + "```",
    "opened and closed in a line": "```def add(a, b): return a + b```",
    "in the middle of one": "It is ```python def add(a, b): return a + b``` then.",
    "begun on the opening line": "```python " + ADD + "```",
    "a fence around it": fenced("Here it's:\n" + fenced(ADD) + "So.\n", "````", "markdown"),
    "a fence as long around it": fenced(fenced(ADD), info="markdown"),
    "a fence without a language around it": fenced(fenced(ADD), "````", ""),
    "a byte order mark": "\ufeff" + fenced(ADD),
    "and one in the block": fenced("\ufeff" + ADD) + fenced("import this\n"),
    "backticks in a docstring and a comment": fenced(
        'def add(a, b):\n    """Not ```\n    ``` or ```x``` that."""\n    return a + b  # ```\n'
    ),
    "tags in a docstring": 'def add(a, b):\n    """<answer>\ndef add(a, b): return 0\n</answer>"""\n    return a + b\n',
    "indented below prose": f"It's this:\n\n{INDENTED}\nUse it:\n\n    print(add(1, 2))\n",
    "and in carriage returns": f"It's this:\n\n{INDENTED}\nThat's it.\n".replace("\n", "\r\n"),
    "and in a list": "1. First:\n\n       def add(a, b):\n           return a + b\n\n2. Done.\n",
    "indented in a program": "UP = True\nif UP:\n\n    def add(a, b):\n        return a + b if UP else None\n",
    "then another language": fenced(ADD) + fenced("def add(a, b)\n  a + b\nend\n", info="ruby"),
}


def task(harness: str = "script") -> Task:
    spec = CodeSpec("add", ("assert add(1, 2) == 3",), ("assert add(5, 6) == 11",), harness=harness)  # type: ignore[arg-type]
    return Task("t", "code", (Message("user", "Write add."),), spec)


def test_right_answers_in_common_markdown_are_solved(environment: CodeEnvironment) -> None:
    grades = environment.grade([task()] * len(RIGHT), list(RIGHT.values()))
    wrong = [(name, grade) for name, grade in zip(RIGHT, grades, strict=True) if grade.outcome != Outcome.SOLVED]
    assert wrong == []


def test_a_file_that_changes_the_checker_is_never_the_program() -> None:
    assert "def add" not in parse_answer(fenced("# file: conftest.py\n" + ADD), "", "add").get("solution.py", "")


def test_a_null_character_stays_what_it_is() -> None:
    assert parse_answer(fenced("x = '\0'\n"), "", "add") == {"solution.py": "x = '\0'\n"}


def test_a_file_beside_tags_is_no_less_read() -> None:
    text = f"<answer>\n{ADD}</answer>\n# file: conftest.py\nx = 1"
    assert parse_answer(text, "", "add")["conftest.py"] == "x = 1"
    assert parse_answer(f"<answer>\n{ADD}# file: conftest.py\nx = 1\n</answer>", "", "add")["conftest.py"] == "x = 1\n"
    assert (
        parse_answer("<answer>\nimport sys\nsys.exit(0)\n</answer>", "", "add")["solution.py"].strip()
        == "import sys\nsys.exit(0)"
    )


N = MAX_PROGRAM
FENCE = "\n```\nx\n```\n"
HOSTILE = {
    "values that are made with the name": "```python\n" + ";add = 1" * 1000 + "x" * (N - 9000) + "\n```",
    "and a line each": "```python\n" + "add = x\n" * (N // 9) + "```",
    "bodies of nothing": "```python\n" + ("def add(a):\n" + " \n" * 40) * (N // 100) + "```",
    "parentheses": "(" * N,
    "closed parentheses": "x = " + "(" * (N // 2 - 4) + ")" * (N // 2),
    "brackets": "x = " + "[" * N,
    "calls": "x = " + "f(" * N,
    "dicts": "x = " + "{1:" * N,
    "a dotted name": "import " + "a." * N,
    "attributes": "x = a" + ".a" * N,
    "a chain of sums": "x = 1" + "+1" * N,
    "signs": "x = " + "-" * N,
    "powers": "x = 1" + "**1" * N,
    "comparisons": "x = 1" + "<1" * N,
    "lambdas": "x = " + "lambda:" * N,
    "negations": "x = " + "not " * N,
    "a large number": "x = " + "9" * N,
    "blocks in blocks": "".join(" " * i + "if 1:\n" for i in range(500)),
    "an f-string": "x = f'" + "{x" * N,
    "many fences": "```\nx\n```\n" * N,
    "fences that do not end": "```\n" * N,
    "backticks and blanks": "```" + " " * (N - 5) + "`",
    "many of those": ("```" + " " * 1000 + "`\n") * N,
    "backticks": "`" * N,
    "blocks with strings that do not end": '```python\n"""\n' * N,
    "blocks with fences in strings": ('```python\n"""\n```\n"""\nx = 1\n```\n') * N,
    "longer fences": "".join("`" * n + "\nx\n" for n in range(3, 400)),
    "quotations": ">" * N,
    "quotations with lazy lines": ">" * 1000 + "\n" + "a\n" * N,
    "lists": "- " * N,
    "lists with lazy lines": "- " * 9 + "a\n" + "b\n" * N,
    "items": "- a\n" * N,
    "items of two kinds": "* a\n+ b\n" * N,
    "both": ("> - " * 9 + "a\n") * N,
    "links": "[" * N,
    "nested links": "[a](" * N,
    "definitions": "[a]: b\n" * N,
    "tags": "<a" + " b" * N,
    "many tags": "<a b c d\n" * N,
    "emphasis": "*a_" * N,
    "null characters": "\0" * N,
    "surrogates": "\ud800" * N,
    "line separators": "\u2028" * N,
    "quotes": "\"'" * N,
    "open strings": "\"\"\"a\n'''b\n" * N,
    "backslashes": "'" + "\\" * N,
    "escaped quotes": "'\\" * N,
    "escaped quotes in a row": "s = " + "\\'" * N,
    "escaped triple quotes": '"""' + '\\"""' * N,
    "quotations with text and lazy lines": "> " * 1000 + "a\n" + "b\n" * N,
    "words before a fence": "a" * (N - 20) + "```python",
    "words behind a fence": "```python\n``` " + "a" * N,
    "given names": ("add, " * 30 + "\n") * N,
    "file lines": "# file: a.py\n" * N,
    "a file in folders": "# file: " + "a/" * N,
    "imports that do not end": "from x import (\n" * N,
    "definitions of it": "def add\n" * N,
    "thoughts": "<think>" * N,
    "blocks that end before their fences": "```python\nx```y\n" * N,
    "fences in fences": "".join("`" * k + "markdown\n" for k in range(500, 3, -1)),
    "signatures": "def add(()\n" * N,
    "open signatures": "def add(a\n" * N,
    "answers": "<answer>" * N,
    "lines of code": "``` a\n" * N,
    "tags before a fence": "<a><b>```\n" * N,
    "words": "the file of Ann " * N,
}


def largest(text: str) -> list[str]:
    """As long as an answer may be, alone and with a code block at its end."""
    return [text[:N], text[: N - len(FENCE)] + FENCE]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_answer_is_slow_or_large_to_read(name: str) -> None:
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for text in largest(HOSTILE[name]):
        before = time.process_time()
        parse_answer(text, "a prompt", "add")
        assert time.process_time() - before < 10
        split_reasoning(text)
        judge(text, by_either)
        assert time.process_time() - before < 15
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held < 200 << 10  # kilobytes


def test_programs_that_are_hard_to_parse_are_parsed_outside_of_the_trainer(environment: CodeEnvironment) -> None:
    """All of them in one batch beside a right one, which is graded as alone."""
    texts = [text[:N] for text in HOSTILE.values()]
    environment.grade([task()], [ADD])
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    before = time.process_time()
    grades = environment.grade([task()] * (len(texts) + 1), [*texts, ADD])
    assert grades[-1].outcome == Outcome.SOLVED
    assert {grade.outcome for grade in grades[:-1]} <= {Outcome.WRONG, Outcome.TIMEOUT}
    assert time.process_time() - before < 30
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held < 300 << 10  # kilobytes


def test_what_is_too_long_is_not_read(environment: CodeEnvironment) -> None:
    (grade,) = environment.grade([task()], [("```\n" + ADD + "```\n") * N])
    assert (grade.outcome, grade.reward) == (Outcome.WRONG, 0.0)
    assert f"limit {MAX_PROGRAM}" in grade.detail
    (thoughtful,) = environment.grade([task()], ["<think>" + "so " * N + "</think>" + ADD])
    assert thoughtful.outcome == Outcome.SOLVED


FORGED = """
import json, os, struct
body = json.dumps({"error": "x" * 200_000 + "\\ud800"}).encode()
for number in range(3, 64):
    try: os.write(number, struct.pack(">I", len(body)) + body)
    except OSError: pass
os._exit(1)
"""


def test_details_are_bounded(environment: CodeEnvironment) -> None:
    texts = [
        FORGED,
        "def add(a, b): raise ValueError('\\ud800' * 100000)",
        "def add(a, b): raise type('E' * 9**6, (Exception,), {})",
    ]
    for harness in ("script", "pytest"):
        for grade in environment.grade([task(harness)] * len(texts), texts):
            assert len(grade.detail) <= DETAIL
            assert grade.detail.encode("utf-8")
            assert grade.outcome == Outcome.WRONG
    assert "characters)" in environment.grade([task()], [FORGED])[0].detail
