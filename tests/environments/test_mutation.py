"""What tests let through: real wrong programs only, and the check's report of them."""

import json
import random
from pathlib import Path

import pytest

from base.environments.__main__ import main
from base.environments.audit.check import check
from base.environments.audit.heldout import extend_one
from base.environments.audit.mutation import HARD_CODED, Tally, distinct, hard_coded, measure, mutate, wrong_programs
from base.environments.graders.code import CodeEnvironment
from base.organism.tasks import sample_tasks
from base.types import CodeSpec, Message, Task

MARK = CodeSpec(
    entry_point="mark",
    tests=("assert mark(95) == 'A'", "assert mark(70) == 'B'", "assert mark(20) == 'C'"),
    reference=(
        "def mark(points):\n    unused = 3\n    if points >= 90:\n        return 'A'\n    if points > 49:\n"
        "        return 'B'\n    return 'C'\n"
    ),
)
WEAK = Task("toy/mark", "code", (Message("user", "Marks."),), MARK)


def test_every_mutant_is_a_different_program() -> None:
    made = mutate(MARK, 60, random.Random(0))
    assert len({one.text for one in made}) == len(made) > 15
    assert len({one.kind for one in made}) >= 6
    for one in made:
        compile(one.text, "mutant.py", "exec")
    assert made == mutate(MARK, 60, random.Random(0))


def test_changes_that_make_no_difference_are_not_counted(environment: CodeEnvironment) -> None:
    extended = extend_one(WEAK, environment)
    refused, doubtful = wrong_programs(extended, environment, 60)
    texts = [one.text for one in (*refused, *doubtful)]
    assert texts
    assert not any("unused = 4" in text or "unused = 2" in text for text in texts)
    assert any("points > 90" in text for text in texts)
    assert any("points >= 49" in text for text in texts)


def test_tables_of_the_visible_answers_pass_only_the_visible_tests(environment: CodeEnvironment) -> None:
    programs = list(hard_coded(MARK))
    assert len(programs) == 2
    after = extend_one(WEAK, environment).task.spec
    for one in programs:
        assert environment.truth([MARK], [one.text])[0].accepted
        assert not environment.truth([after], [one.text])[0].accepted


def test_generated_tests_raise_the_score(environment: CodeEnvironment) -> None:
    strength = measure(WEAK, environment)
    assert (strength.visible, strength.own) == (3, 0)
    assert strength.generated >= 4
    tally = Tally.of([strength], tables=False)
    assert tally.visible == tally.own > tally.generated
    for one in strength.through_visible:
        assert environment.truth([MARK], [one.text])[0].accepted, "let through means accepted by the truth grader"
    seen = {one.text for one in strength.through_visible}
    for one in strength.wrong:
        assert environment.truth([MARK], [one.text])[0].accepted is (one.text in seen)


def test_the_organisms_own_tests_are_enough(environment: CodeEnvironment) -> None:
    strengths = [measure(task, environment, mutants=12) for task in sample_tasks(12, seed=3)]
    mutants, tables = Tally.of(strengths, tables=False), Tally.of(strengths, tables=True)
    assert mutants.wrong > 60
    assert mutants.own == 0
    assert tables.visible == tables.wrong
    assert tables.own == 0


def test_distinct_tests_ignore_spelling() -> None:
    assert len(distinct(["assert f(1)==2", "assert (f( 1 )) == 2", "assert f(1) == 3"])) == 2


def test_the_report_of_a_check(environment: CodeEnvironment) -> None:
    report = check([WEAK], environment, ("script",), mutants=10, held_out=4)
    assert report.ok, "what tests let through is no error"
    text = str(report)
    assert "distinct tests a task: 3.0 visible, 0.0 held out, 4.0 generated" in text
    assert "wrong programs refused" in text
    facts = report.as_json()["tests"]
    assert facts["distinct"] == {"visible": 3, "own": 0, "generated": 4}
    tables = facts["wrong_programs"]["tables of the visible answers"]
    assert tables["let_through"]["visible"] == tables["programs"] == 2
    assert facts["tasks"][0]["task"] == "toy/mark"
    assert "tests" not in check([WEAK], environment, ("script",)).as_json()


def test_the_check_command_reports_the_tests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = {"task_id": 1, "text": "Marks.", "code": MARK.reference, "test_list": list(MARK.tests)}
    (tmp_path / "in.jsonl").write_text(json.dumps(row))
    words = ["check", "--tasks", str(tmp_path / "in.jsonl"), "--harness", "script", "--json", str(tmp_path / "r.json")]
    assert main([*words, "--mutants", "8"]) == 0
    assert "wrong programs refused" in capsys.readouterr().out
    facts = json.loads((tmp_path / "r.json").read_text())["tests"]
    assert facts["wrong_programs"]["mutants"]["programs"] == 8
    assert (
        {"change", "program"} == set(facts["tasks"][0]["not_noticed"][0]) if facts["tasks"][0]["not_noticed"] else True
    )
    assert main([*words, "--mutants", "0"]) == 0
    assert "wrong programs" not in capsys.readouterr().out
    assert main([*words, "--mutants", "-1"]) == 2
    assert all(one.kind == HARD_CODED for one in hard_coded(MARK))
