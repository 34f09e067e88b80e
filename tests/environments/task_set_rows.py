"""Rows of every format, written for the tests: small, and with what makes real rows hard."""

import json
from typing import Any

MBPP = {
    "task_id": 7,
    "text": "Double a number.",
    "code": "def double(x):\r\n  return 2 * x",
    "test_list": ["assert double(1) == 2", "assert double(4) == 8"],
    "test_setup_code": "",
    "challenge_test_list": ["assert double(-1) == -2"],
}

COUNT_VOWELS = {
    "task_id": "HumanEval/900",
    "prompt": (
        "from typing import List\n\nVOWELS = 'aeiou'\n\n\ndef count_vowels(words: List[str]) -> List[int]:\n"
        '    """How many vowels each word has.\n    >>> count_vowels([\'tea\'])\n    [2]\n    """\n'
    ),
    "canonical_solution": "    return [sum(letter in VOWELS for letter in word) for word in words]\n",
    "entry_point": "count_vowels",
    "test": (
        "METADATA = {'author': 'x'}\n\n\ndef check(candidate):\n"
        "    assert candidate(['tea']) == [2], 'first'\n    assert candidate([]) == []\n"
        "    assert candidate(['grün', 'ωmega']) == [0, 2], \"unicode\"\n    assert True, 'says nothing'\n"
        "    assert candidate(['sky', 'queue']) == [0, 4]\n"
        "    assert tuple(candidate(['a'])) == tuple(count_vowels(['a']))\n"
    ),
}
ROOT = {
    "task_id": "HumanEval/901",
    "prompt": (
        "import math\n\n\ndef line(a: float, x: float) -> float:\n    return a * x - 1\n\n\n"
        'def root(a: float) -> float:\n    """Where line(a, x) is zero."""\n'
    ),
    "canonical_solution": "    return 1 / a\n",
    "entry_point": "root",
    "test": (
        "def check(candidate):\n    import random\n    from random import choice\n    rng = random.Random(3)\n"
        "    for _ in range(40):\n        a = rng.randint(1, 9) * choice([1, -1])\n        str = f'{a}'\n"
        "        x = candidate(float(str))\n        assert math.fabs(line(a, x)) < 1e-6\n"
        "    for a, want in [(2, 0.5), (4, 0.25)]:\n        assert candidate(a) == want\n"
    ),
}

SUM_LINES: dict[str, Any] = {
    "problem_id": 12,
    "question": "Read n and then n numbers. Print their sum, and on a second line the word größe.",
    "solutions": json.dumps(
        [
            "print 'python two'",
            "import sys\nn = int(input())\nprint(sum(map(int, sys.stdin.readline().split())), '')\nprint('größe')\nsys.exit(0)\n",
        ]
    ),
    "input_output": json.dumps(
        {
            "inputs": ["2\r\n1 2\r\n", "1\n5\n", "3\n1 1 1\n", f"2\n{10**60} 1\n", ["2", "-3 3"], "1\n7\n"],
            "outputs": ["3\r\ngröße\r\n", "5 \ngröße\n\n", "3\ngröße", f"{10**60 + 1}\ngröße\n", ["0", "größe"], "7\ngröße\n"],
        },
        ensure_ascii=False,
    ),
    "difficulty": "introductory",
    "url": "",
    "starter_code": "",
}  # fmt: skip
MERGE = {
    "problem_id": 13,
    "question": "Merge two tables of counts.",
    "solutions": json.dumps(
        [
            "class Solution:\n    def merge(self, a: Dict[int, int], b: List[List[int]]) -> Dict[int, int]:\n"
            "        table = defaultdict(int, a)\n        for key, count in b:\n            table[key] += count\n"
            "        return dict(table)\n"
        ]
    ),
    "input_output": json.dumps(
        {
            "fn_name": "merge",
            "inputs": [[{"1": 2}, [[1, 3], [2, 1]]], [{}, []], [{"5": 1}, [[5, 1]]], [{"1": 1}, [[2, 2]]]],
            "outputs": [[{"1": 5, "2": 1}], [{}], [{"5": 2}], [{"1": 1, "2": 2}]],
        }
    ),
    "starter_code": "class Solution:\n    def merge(self, a: Dict[int, int], b: List[List[int]]) -> Dict[int, int]:\n        ",
}
LONGEST = {
    "problem_id": "0014",
    "question": "The length of the longest word.",
    "solutions": ["def longest(text):\n    return max(map(len, text.split()), default=0)\n"],
    "input_output": {"fn_name": "longest", "inputs": [["a bb"], [""], ["ÿÿÿ b"]], "outputs": [2, 0, 3]},
    "starter_code": "def longest(text):\n\t",
}

# A program that prints through descriptors, from a thread and at its end.
_LOW = """\
import atexit, os, sys, threading
data = os.read(0, os.fstat(0).st_size).split()
out = []
@atexit.register
def last():
    sys.__stdout__.write("\\n".join(out) + "\\n")
def main():
    sys.setrecursionlimit(5000)
    def depth(n):
        return 0 if n == 0 else 1 + depth(n - 1)
    out.append(str(depth(int(data[0]))))
threading.stack_size(1 << 24)
threading.Thread(target=main).start()
"""
ECHO = {
    "name": "900_A. Count down",
    "description": "Print the number that was read.",
    "public_tests": {"input": ["3\n"], "output": ["3\n"]},
    "private_tests": {"input": ["2000\n", "3\n"], "output": ["2000\n", "3\n"]},
    "generated_tests": {"input": [f"{n}\n" for n in range(30, 90)], "output": [f"{n}\n" for n in range(30, 90)]},
    "solutions": {"language": [1, 2, 3], "solution": ["print raw_input()", "int main() {}", _LOW]},
    "input_file": "",
    "output_file": "",
}
NOTHING_TO_SAY = ECHO | {
    "name": "900_B. Silence",
    "description": "Print nothing for 0, else an indented table of one row.",
    "public_tests": [{"input": "0\n", "output": "\n"}, {"input": "2\n", "output": "  2\t2 \n"}],
    "private_tests": [],
    "generated_tests": None,
    "solutions": [
        {"language": 3, "solution": "n = int(open(0).read())\nif n:\n    print('  ', n, '\\t', n, sep='')\n"}
    ],
}
ANY_ANSWER = ECHO | {
    "name": "900_C",
    "description": "Find two numbers of this sum. If there are several, print any of them.",
}
NO_PYTHON = ECHO | {"name": "900_D", "solutions": {"language": [2], "solution": ["int main() {}"]}}

# HumanEval+ and MBPP+ as their .jsonl files have them, then as the hub has them.
SHIFT = {
    "task_id": "HumanEval/902",
    "prompt": (
        "from typing import List\n\n\ndef shift(xs: List[int], k: int) -> List[int]:\n"
        '    """Adds k to each.\n    >>> shift([1], 2)\n    [3]\n    """\n'
    ),
    "entry_point": "shift",
    "canonical_solution": "    return [x + k for x in xs]\n",
    "base_input": [[[1], 2], [[], 0]],
    "plus_input": [[[1, 2, 3], 5], [[10] * 5, -1], ["no numbers", 3], [list(range(3000)), 1]],
    "atol": 0,
    "contract": "\n    assert isinstance(k, int)\n",
}
FRACTION = SHIFT | {
    "task_id": "HumanEval/903",
    "prompt": 'def fraction(x: float) -> float:\n    """What follows the point."""\n',
    "entry_point": "fraction",
    "canonical_solution": "    return x % 1.0\n",
    "base_input": [[3.5], [1.33]],
    "plus_input": [[2.25], [100.1]],
    "atol": 1e-6,
}
NESTED = {
    "task_id": "Mbpp/904",
    "prompt": '"""\nWrite a function to sum nested tuples.\nassert nested(((1, 2), (3,)), {1: 2}) == 6\n"""\n',
    "entry_point": "nested",
    "canonical_solution": "\nimport math\ndef nested(a, d):\n  return sum(map(sum, {t: 1 for t in a})) + d.get(7, 0)\n",
    "base_input": [[[[1, 2], [3]], {"1": 2}]],
    "plus_input": [[[[1, 2], [3, 4]], {"7": 2}]],
    "atol": 0,
    "contract": "",
    "assertion": "\nassert nested(((1, 2), (3,)), {1: 2}) == 6\n",
}
SHARED = NESTED | {
    "task_id": "Mbpp/905",
    "entry_point": "similar_elements",
    "canonical_solution": "\ndef similar_elements(a, b):\n  return tuple(set(a) & set(b))\n",
    "base_input": [[[3, 4, 5], [5, 4]]],
    "plus_input": [[[1, 2, 9], [9, 2, 3]], [[], [1]]],
    "assertion": "\nassert set(similar_elements((3, 4, 5), (5, 4))) == set((4, 5))\n",
}
_COMPARES = (
    "import numpy as np\n\ndef is_floats(x) -> bool:\n    return isinstance(x, float)\n\n"
    "def assertion(out, exp, atol):\n    if atol == 0 and is_floats(exp):\n        atol = 1e-6\n    assert out == exp\n\n"
)
HUB_UPPER = {
    "task_id": "HumanEval/906",
    "prompt": 'def upper(x):\n    """In capitals."""\n',
    "canonical_solution": "    return x.upper()\n",
    "entry_point": "upper",
    "test": (
        f"{_COMPARES}def check(candidate):\n    inputs = [['a'], ['b'], ['cc'], ['dd'], ['']]\n"
        "    results = ['A', 'B', 'CC', 'DD', '']\n    for i, (inp, exp) in enumerate(zip(inputs, results)):\n"
        "        assertion(candidate(*inp), exp, 0)\n"
    ),
}
HUB_SQUARE = {
    "task_id": 907,
    "code": "def square(x):\n  return x * x",
    "prompt": "Square a number.",
    "source_file": "x.ipynb",
    "test_imports": ["import math"],
    "test_list": ["assert square(2)==4"],
    "test": (
        f"{_COMPARES}inputs = [[1], [3], [5]]\nresults = [1, 9, 25]\n"
        "for i, (inp, exp) in enumerate(zip(inputs, results)):\n    assertion(square(*inp), exp, 0)\n"
    ),
}

ROWS: dict[str, list[dict[str, Any]]] = {
    "MBPP": [MBPP],
    "EvalPlus": [SHIFT, FRACTION, NESTED, SHARED, HUB_UPPER, HUB_SQUARE],
    "HumanEval": [COUNT_VOWELS, ROOT],
    "APPS": [SUM_LINES, MERGE, LONGEST],
    "CodeContests": [ECHO, NOTHING_TO_SAY],
}
