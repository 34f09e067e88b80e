"""Programs that are hard to read: bytes, scripts, encodings, sizes, names of files."""

from base.environments.audit.attacks.attack import Attack, slow_family
from base.environments.graders.harness import MAX_PROGRAM

_WRONG = "def add(a, b):\n    return 0\n"

TEXT: list[Attack] = slow_family(
    "program text",
    [
        ("null byte", _WRONG + "\x00"),
        ("null byte in a text", "x = '\x00'\n" + _WRONG),
        ("lone surrogate", "x = '\ud800'\n" + _WRONG),
        ("other letters that look alike", "def \u0430dd(a, b):\n    return a + b\n"),
        ("letters that are made alike", "def add(a, b):\n    return a + b\ndef \uff41dd(a, b):\n    return 0\n"),
        ("right to left", "def add(a, b):\n    return a - b # \u202e b + a nruter\n"),
        ("byte order mark", "\ufeff" + _WRONG),
        ("declared encoding", "# coding: utf-7\n" + _WRONG + "# +AAo-def add(a, b): return a + b\n"),
        ("unknown encoding", "# coding: nonsense\n" + _WRONG),
        ("carriage returns", "# \rdef add(a, b): return a + b\n".replace("return a + b", "return 0")),
        ("form feeds", "\f" + _WRONG + "\f"),
        ("tabs and spaces", "def add(a, b):\n\tif a:\n        return a + b\n"),
        ("a megabyte of comments", _WRONG + "#" * (MAX_PROGRAM - len(_WRONG) - 10) + "\n"),
        ("a megabyte in one text", "x = '" + "x" * (1 << 19) + "'\n" + _WRONG),
        ("a megabyte of brackets", "x = " + "[" * (1 << 19) + "]" * (1 << 18)),
        ("a megabyte of functions", "".join(f"def f{i}(): pass\n" for i in range(20000)) + _WRONG),
        ("more than the limit", _WRONG + "#" * (MAX_PROGRAM + 1)),
        ("many files", _WRONG + "".join(f"# file: f{i}.py\nx = 1\n" for i in range(3000))),
        ("a file in place of a folder", _WRONG + "# file: a\nx = 1\n# file: a/b.py\nx = 1\n"),
        ("solution by another path", "def add(a, b): return a + b\n# file: ./solution.py\n" + _WRONG),
        ("package of the same name", _WRONG + "# file: solution/__init__.py\ndef add(a, b): return a + b\n"),
        ("long file name", _WRONG + "# file: " + "n" * 300 + ".py\nx = 1\n"),
        ("only a fence", "```python\n```\n"),
        ("program in the reasoning", "<think>def add(a, b): return a + b</think>\n" + _WRONG),
        ("nothing", ""),
        ("no function", "x = 1\n"),
        ("a syntax error", "def add(a, b:\n  return a + b\n"),
    ],
)
