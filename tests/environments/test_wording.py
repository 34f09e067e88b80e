"""Statements whose right answers are not one text, told from stories that only hold such words."""

from pathlib import Path

import pytest
from task_set_rows import ECHO
from test_task_sets import write

from base.environments.task_sets import load
from base.environments.task_sets.wording import interactive, several_answers
from base.errors import UserError

SEVERAL = (
    "If there are multiple answers, you may print any one of them.",
    "If there are several, print any of them.",
    "If there exist multiple valid colourings, you can output any.",
    "If there are several optimal ways, choose any of them.",
    "If there are many solutions, output an arbitrary one.",
    "If there is more than one solution you can return whichever you like.",
    "Should several shortest routes exist, any one is considered right.",
    "Output any valid sequence.",
    "Find any such permutation.",
    "All possible answers will be accepted.",
    "A string with that property is asked for; any string with this property is accepted.",
    "There can be multiple correct answers.",
    "Other answers are also possible.",
    "You don't have to minimize the number of operations.",
    "The number of steps need not be minimal.",
    "Return the pairs in any order.",
    "You may print the edges in\narbitrary order.",
    "The indices may be printed in any order.",
    "The order of the output does not matter.",
    "Your answer is right if its error does not exceed 10^{-6}.",
    "Your answer is right if its error does not exceed $10^{-6}$.",
    "Absolute error less than 10 - 8 is allowed.",
    "Your answer may have an absolute or relative error of 1e-6.",
    "The answer is accepted when it differs from the jury's one by no more than 0.0001.",
    "Print the answer with precision of at least 4 digits after the decimal point.",
    "Your answer will be considered correct if the checker says so.",
)
ONE = (
    "Print the smallest of all possible answers.",
    "If there are multiple answers, print the lexicographically smallest one.",
    "If there are several such students, choose the one with the smallest index.",
    "It is guaranteed that 10 - 6 is 4 and 1 <= n <= 10^5, for any n.",
    "In one move you can choose any two elements and swap them.",
    "In one step you may choose any valid cell and paint it.",
    "Vasya chooses any k of n balls. In how many ways can he do it?",
    "The edges are given in arbitrary order.",
    "The robot may pick up the boxes in any order. Print the shortest time.",
    "Print the least number of moves if the cities can be visited in any order.",
    "Note that the order of the numbers in the pair does not matter.",
    "Polycarp doesn't care about the order of the lessons: any order is fine for him.",
    "Two ways are considered different if there is any cell covered in one only.",
    "Do not print any extra spaces.",
    "Print the answer rounded to two decimal places.",
    "The precision of his watch was poor.",
    "You can print each letter in any case (upper or lower).",
    "Write a function which accepts an arbitrary list and converts it to a heap.",
)


@pytest.mark.parametrize("wording", SEVERAL)
def test_several_right_answers(wording: str) -> None:
    assert several_answers(f"Tell a story. {wording}\n\nExamples")


@pytest.mark.parametrize("wording", ONE)
def test_one_right_answer(wording: str) -> None:
    assert not several_answers(f"Tell a story. {wording}\n\nExamples")


def test_such_rows_are_left_out(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="several right answers"):
        load(write(tmp_path, ECHO | {"description": SEVERAL[0]}))
    assert load(write(tmp_path, ECHO | {"description": ONE[0]}))
    assert interactive("This is an interactive problem. Remember to flush the output.")
    with pytest.raises(UserError, match="interactive"):
        load(write(tmp_path, ECHO | {"description": "This is an interactive problem."}))
