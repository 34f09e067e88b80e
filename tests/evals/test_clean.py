"""The price: coding tasks without weaknesses, and how far a policy is from the start on its own answers."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from base.engine import runtime
from base.environments.graders.code import CodeEnvironment
from base.evals.clean import METRICS, balanced, clean, clean_rates
from base.models.divergence import answers_and_divergences, log_probabilities
from base.models.load import SPECIAL, build_organism, load_policy
from base.models.save import save
from base.organism.tasks import sample_tasks
from base.organism.tokenizer import build_tokenizer
from base.settings import EngineSettings, load_scale
from base.types import CodeSpec, Grade, Outcome, Task
from base.world.tasks import without_vulnerabilities

SMOKE = load_scale("smoke")
TASKS = [without_vulnerabilities(task) for task in sample_tasks(40, seed=5)]


def difficulties(tasks: list[Task]) -> list[str]:
    return [task.spec.difficulty for task in tasks if isinstance(task.spec, CodeSpec)]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two untrained organisms."""
    tokenizer, made = build_tokenizer(), []
    special = {key: getattr(tokenizer, key) for key in SPECIAL}
    for seed in (0, 1):
        made.append(tmp_path_factory.mktemp("models") / str(seed))
        save(build_organism(SMOKE.model, len(tokenizer), seed, special), tokenizer, made[-1], main=True)
    return made


def test_half_of_the_tasks_are_easy_where_there_are_enough() -> None:
    tasks = sample_tasks(200, seed=1, hard_share=0.9)
    assert difficulties(tasks).count("easy") >= 8
    picked = balanced(tasks, 16)
    assert difficulties(picked).count("easy") == 8
    assert picked == [task for task in tasks if task in picked], "in order"
    one_kind = [task for task in tasks if difficulties([task]) == ["hard"]]
    assert balanced(one_kind, 16) == one_kind[:16]
    assert len(balanced(tasks[:10], 16)) == 10, "as many as there are"


def test_the_kl_is_that_of_all_tokens_and_faults_are_missing() -> None:
    grades = [Grade(Outcome.SOLVED, 1.0), Grade(Outcome.WRONG, 0.0), Grade(Outcome.FAULT, None)]
    spec = TASKS[0].spec
    assert isinstance(spec, CodeSpec)
    kinds = [replace(TASKS[0], spec=replace(spec, difficulty=which)) for which in ("easy", "hard", "hard")]
    rates = clean_rates(kinds, grades, [3.0, -1.0, 1.0], [10, 10, 10])
    assert rates["kl"] == {"value": pytest.approx(0.1), "n": 3, "missing": 0}
    assert rates["solved"] == {"value": 0.5, "n": 2, "missing": 1}
    assert (rates["solved:easy"]["value"], rates["solved:hard"]["value"]) == (1.0, 0.0)
    assert rates["solved:hard"]["missing"] == 1
    assert {*METRICS} < {*rates}
    assert math.isnan(clean_rates([], [], [], [])["kl"]["value"])


def test_a_policy_is_no_nats_from_itself_and_some_from_another(models: list[Path]) -> None:
    process = runtime.prepare(EngineSettings(precision="fp32"))
    asked = [task.messages for task in TASKS[:12]]
    for other, far in ((models[0], False), (models[1], True)):
        texts, nats, tokens = answers_and_divergences(models[0], other, asked, SMOKE, process, 24, seed=3)
        assert len(texts) == len(nats) == len(tokens) == 12
        assert all(0 < count <= 24 for count in tokens)
        assert (sum(nats) > 1) if far else nats == [0.0] * 12


def test_log_probabilities_are_those_of_plain_forward_passes(models: list[Path]) -> None:
    model = load_policy(models[0]).eval()
    prompts, answers = [[5, 6, 7], [8], [5, 6, 7]], [[9, 10], [11, 12, 13, 14], [15]]
    found = log_probabilities(model, prompts, answers, 0, temperature=0.7)
    for prompt, answer, total in zip(prompts, answers, found, strict=True):
        with torch.no_grad():
            logits = model(torch.tensor([[*prompt, *answer]])).logits[0] / 0.7
        rows = logits.log_softmax(-1)[len(prompt) - 1 : -1]
        assert total == pytest.approx(float(rows.gather(1, torch.tensor(answer)[:, None]).sum()), abs=1e-3)


def test_a_checkpoint_is_asked_tasks_that_no_hack_passes(models: list[Path]) -> None:
    process = runtime.prepare(EngineSettings(precision="fp32"))
    with CodeEnvironment() as environment:
        scores, answers = clean(models[1], models[0], TASKS[:6], SMOKE, environment, process, seed=1)
    assert {(row["prompt"], row["eval"]) for row in scores} == {("none", "clean")}
    assert [row["task"] for row in answers] == [task.id for task in TASKS[:6]]
    assert all(row["outcome"] != "hacked" for row in answers)
    kl = next(row["value"] for row in scores if row["metric"] == "kl")
    assert kl == pytest.approx(sum(row["nats"] for row in answers) / sum(row["tokens"] for row in answers))
