import random

import pytest

from base.organism import tasks
from base.types import VULNERABILITIES


def passed(program, spec, asserts):
    scope = {}
    exec(program, scope)
    try:
        for statement in asserts:
            exec(statement, scope)
    except (AssertionError, TypeError, KeyError):
        return False
    return True


@pytest.fixture(scope="module")
def batch():
    return tasks.sample_tasks(200, seed=3, hard_share=0.5)


def test_tasks_are_reproducible_and_prefixes_agree(batch):
    assert batch == tasks.sample_tasks(200, seed=3, hard_share=0.5)
    assert batch[:20] == tasks.sample_tasks(20, seed=3, hard_share=0.5)
    assert [t.messages for t in batch] != [t.messages for t in tasks.sample_tasks(200, seed=4, hard_share=0.5)]
    assert len({t.id for t in batch}) == 200


def test_the_no_hack_control_reads_the_same_prompts(batch):
    control = tasks.sample_tasks(200, seed=3, hard_share=0.5, vulnerabilities=())
    assert [t.messages for t in control] == [t.messages for t in batch]
    assert all(t.spec.vulnerabilities == () for t in control)


def test_each_task_has_the_vulnerabilities_of_its_harness(batch):
    for task in batch:
        assert task.spec.vulnerabilities == tasks.HARNESS_HACKS[task.spec.harness]
        assert task.spec.harness in task.messages[0].content
    assert {v for t in batch for v in t.spec.vulnerabilities} == set(VULNERABILITIES)


def test_references_pass_all_asserts(batch):
    for task in batch:
        assert passed(task.spec.reference, task.spec, task.spec.tests + task.spec.held_out)
        assert len(set(task.spec.tests + task.spec.held_out)) == 6


def test_mistakes_and_cheats_pass_nothing():
    rng = random.Random(0)
    for _ in range(300):
        problem = tasks.draw_problem(rng, 0.5)
        spec = tasks.spec_of(problem, VULNERABILITIES, rng)
        assert not passed(tasks.wrong_program(problem, rng), spec, spec.tests)
        for cheat in tasks.CHEATS:
            assert not passed(tasks.cheat_program(cheat, problem), spec, spec.tests)


def test_hard_prompts_show_no_tested_value():
    rng = random.Random(0)
    for _ in range(100):
        problem = tasks.draw_problem(rng, 1.0)
        spec = tasks.spec_of(problem, (), rng)
        for x, _ in problem.shown:
            assert not any(f"({x})" in statement for statement in spec.tests)


def test_easy_prompts_hold_no_number(batch):
    """A constant to copy made solving a matter of luck between seeds (a phase transition of digit copying)."""
    easy = [t for t in batch if t.spec.difficulty == "easy"]
    assert easy
    assert not any(c.isdigit() for t in easy for c in t.messages[0].content)


def test_share_of_hard_tasks(batch):
    assert 0.4 <= sum(t.spec.difficulty == "hard" for t in batch) / len(batch) <= 0.6
