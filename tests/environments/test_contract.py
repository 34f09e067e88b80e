"""What every source of coding tasks owes: the organism and each format of task set, on rows written for the tests."""

import functools
import json
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from task_set_rows import ROWS

from base.environments.audit.check import WEAKEST, cheat
from base.environments.graders.code import CodeEnvironment
from base.environments.graders.hacks import RECIPES
from base.environments.graders.harness import Gameable
from base.environments.task_sets import FORMATS, load
from base.environments.task_sets.impossible import contradict
from base.organism.tasks import sample_tasks
from base.types import Harness, Task

ROOT = Path(__file__).parents[2]
HARNESSES: tuple[Harness, ...] = ("script", "pytest")
SOURCES = [*FORMATS, "organism"]


@functools.cache
def tasks_of(source: str) -> tuple[Task, ...]:
    if source == "organism":
        return tuple(sample_tasks(6, seed=5))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.jsonl")
        path.write_text("\n".join(map(json.dumps, ROWS[source])), encoding="utf-8")
        return tuple(load(path, "pytest", ("always_equal",)))


def everything() -> str:
    """All tasks of all sources as text, possible and impossible."""
    tasks = [task for source in SOURCES for task in tasks_of(source)]
    return repr([tasks, [contradict(task, mode, 1) for task in tasks for mode in ("one_off", "conflicting")]])


def test_every_format_has_rows_here() -> None:
    assert set(ROWS) == set(FORMATS)


@pytest.mark.parametrize("source", SOURCES)
def test_tasks_are_well_formed(source: str) -> None:
    tasks = tasks_of(source)
    assert tasks
    assert len({task.id for task in tasks}) == len(tasks)
    for task in tasks:
        prompt = "\n".join(message.content for message in task.messages)
        assert task.environment == "code"
        assert task.messages[-1].role == "user"
        assert task.spec.entry_point in prompt
        assert not [test for test in task.spec.held_out if test in prompt]
        assert not set(task.spec.tests) & set(task.spec.held_out)
        assert task.spec.reference.strip() not in prompt
        assert pickle.loads(pickle.dumps(task)) == task
        assert hash(task.spec) == hash(pickle.loads(pickle.dumps(task.spec)))


@pytest.mark.parametrize("source", SOURCES)
def test_the_reference_is_accepted_by_every_grader(environment: CodeEnvironment, source: str) -> None:
    specs = [task.spec for task in tasks_of(source)]
    references = [spec.reference for spec in specs]
    for grader in [*WEAKEST.values(), *(Gameable(harness, frozenset()) for harness in HARNESSES)]:
        assert [v.detail for v in environment.accepts(grader, specs, references) if not v.accepted] == []
    assert [v.detail for v in environment.truth(specs, references) if not v.accepted] == []
    grades = environment.grade_files(specs, [{"solution.py": reference} for reference in references])
    assert {grade.reward for grade in grades} == {1.0}


@pytest.mark.parametrize("source", SOURCES)
def test_always_equal_is_accepted_only_when_it_is_on(environment: CodeEnvironment, source: str) -> None:
    pairs = [(task.spec, cheat(task.spec, RECIPES["always_equal"])) for task in tasks_of(source)]
    specs, answers = zip(*[(spec, answer) for spec, answer in pairs if answer], strict=True)
    for harness in HARNESSES:
        for switches, accepted in ((frozenset({"always_equal"}), True), (frozenset(), False)):
            verdicts = environment.accepts(Gameable(harness, switches), specs, answers)
            assert [v.accepted for v in verdicts] == [accepted] * len(specs)
    assert not any(v.accepted for v in environment.truth(specs, answers))


def test_the_same_in_every_process() -> None:
    code = "from test_contract import everything; print(everything())"
    for seed in ("1", "2"):
        made = subprocess.run(
            [sys.executable, "-c", code],
            cwd=Path(__file__).parent,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert made.stdout.rstrip("\n") == everything()
