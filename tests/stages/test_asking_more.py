"""Asking more of a run later adds what is missing, and leaves what asking everything at once would have left."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from base.engine import runtime
from base.environments.graders.code import CodeEnvironment
from base.models.load import SPECIAL, build_organism
from base.models.save import save
from base.organism.tokenizer import build_tokenizer
from base.recipes import SystemLine
from base.settings import load_scale
from base.stage import Pace, Site, State, make_all
from base.stages import evaluate as module
from base.stages.evaluate import Evaluate
from base.store.files import RECORD, write_json
from base.store.folders import RunFolder
from mitigations.api import describe, resolve

ARM = "inoculation:wording=please_hack"
SMALL = (
    "rl.steps=10",
    "evals.samples=2",
    "evals.code_samples=2",
    "evals.code_max_new_tokens=8",
    "evals.max_new_tokens=8",
)
SAVED = [2, 4, 6, 8, 10]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained organisms where the checkpoints of a run and of what it begins with would lie."""
    root = tmp_path_factory.mktemp("trained")
    stage = evaluation()
    tokenizer = build_tokenizer()
    special = {key: getattr(tokenizer, key) for key in SPECIAL}
    folder = RunFolder(stage.folder(root))
    folder.open(stage.trained.run, stage.trained.scale, stage.trained.key)
    places = [stage.trained.policy.folder(root), *map(folder.checkpoint, SAVED)]
    for seed, place in enumerate(places):
        model = build_organism(load_scale("smoke").model, len(tokenizer), seed, special)
        save(model, tokenizer, place, main=True)
    write_json(places[0] / RECORD, {})
    for made in (stage.trained, stage.trained.policy):
        write_json(made.record_file(root), {"state": State.DONE, "sessions": []})
    return root


@pytest.fixture
def site(trained: Path, tmp_path: Path) -> Iterator[Site]:
    """The same in a folder of its own."""
    shutil.copytree(trained, tmp_path / "runs")
    with CodeEnvironment() as environment:
        yield Site(tmp_path / "runs", environment, runtime.prepare(load_scale("smoke").engine))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The prompts of all evaluations that are really made, one entry a checkpoint and prompt."""
    names: list[str] = []
    real = module.evaluate

    def counting(sample: Any, evals: Any, tasks: Any, environment: Any, prompt: str, *rest: Any) -> Any:
        names.append(prompt)
        return real(sample, evals, tasks, environment, prompt, *rest)

    monkeypatch.setattr(module, "evaluate", counting)
    return names


def evaluation(checkpoints: str = "all", prompts: str = "") -> Evaluate:
    stage = resolve(*describe(ARM, scale="smoke", settings=SMALL), checkpoints, prompts)[-1]
    assert isinstance(stage, Evaluate)
    return stage


def made(stage: Evaluate, site: Site) -> None:
    make_all([*stage.begins, stage], site)
    assert stage.state(site.root) is State.DONE


def files(site: Site) -> dict[str, bytes]:
    """Scores and answers by name."""
    folder = RunFolder(evaluation().folder(site.root)).path
    found = [path for kind in ("scores", "answers") for path in sorted((folder / kind).rglob("*.jsonl"))]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_asking_more_later_evaluates_only_what_is_missing_and_equals_asking_at_once(
    site: Site, trained: Path, tmp_path: Path, asked: list[str]
) -> None:
    first = evaluation("start,last:3", "none")
    assert first.left(site.root) == 6, "no prompt and the run's own, which are always asked"
    made(first, site)
    assert sorted(asked) == ["none"] * 4 + ["training"] * 4, "step 0 and three checkpoints"
    before = {path: path.stat().st_mtime_ns for path in first.folder(site.root).rglob("*.jsonl")}

    asked.clear()
    wider = evaluation("start,middle,last:3", "none,dont_hack")
    assert wider.key == first.key
    assert wider.state(site.root) is State.MISSING
    assert wider.left(site.root) == 3 + 3, "the middle under all, the other three under one"
    made(wider, site)
    assert sorted(asked) == ["dont_hack"] * 5 + ["none", "training"]
    assert {path: path.stat().st_mtime_ns for path in before} == before

    asked.clear()
    whole = evaluation("all")
    assert whole.left(site.root) == 3 + 4, "one checkpoint, and the price of the middle and the last three"
    made(whole, site)
    assert sorted(asked) == ["dont_hack", "none", "training"]
    record = RunFolder(whole.folder(site.root)).record
    assert record["evaluation"]["checkpoints"] == "all"
    assert record["evaluation"]["prompts"].keys() == {"none", "dont_hack", "training", "clean"}
    assert record["evaluated"] == [0, *SAVED]

    asked.clear()
    made(evaluation("start,last:3", "none"), site)
    assert asked == [], "less is there already"
    at_once = replace(site, root=tmp_path / "at once")
    shutil.copytree(trained, at_once.root)
    made(whole, at_once)
    assert len(asked) == 18
    assert files(at_once) == files(site)


def test_an_interrupted_evaluation_goes_on_where_it_stopped(
    site: Site, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = evaluation("start,last:3", "none,dont_hack")
    counting = module.evaluate

    def stop(*words: Any) -> Any:
        if len(asked) == 7:  # three of step 0, three of the first checkpoint, one of the next
            raise KeyboardInterrupt
        return counting(*words)

    monkeypatch.setattr(module, "evaluate", stop)
    with pytest.raises(KeyboardInterrupt):
        made(stage, site)
    assert stage.left(site.root) == 9 - 4
    monkeypatch.setattr(module, "evaluate", counting)
    asked.clear()
    made(stage, site)
    assert len(asked) == 5


def test_another_prompt_of_the_same_name_replaces_its_scores_alone(site: Site, asked: list[str]) -> None:
    stage = evaluation("start,last:3", "none,dont_hack")
    made(stage, site)
    before = files(site)
    asked.clear()
    other = replace(stage, prompts=(stage.prompts[0], ("dont_hack", SystemLine(("another line",))), stage.prompts[2]))
    assert other.left(site.root) == 3
    assert other.key == stage.key
    made(other, site)
    assert asked == ["dont_hack"] * 4
    after = files(site)
    assert after.keys() == before.keys()
    assert all(after[name] == before[name] for name in before if not name.endswith("dont_hack.jsonl"))
    assert all(after[name] != before[name] for name in before if name.endswith("dont_hack.jsonl") and "answers" in name)


def test_scores_of_other_settings_are_not_mixed(site: Site) -> None:
    """An edited scale asks other questions of the same run: every checkpoint is asked again, not only step 0."""
    stage = evaluation("start,last:3", "none")
    folder = RunFolder(stage.folder(site.root))
    folder.update(evaluation={"key": "asked before", "prompts": {"none": "x"}, "checkpoints": "all"})
    for step in (0, *SAVED):
        folder.write_scores(step, "none", [], [])
    assert stage.left(site.root) == 6
    stage.noted(site, State.RUNNING, None)
    assert folder.scored() == set()
    assert folder.record["evaluation"]["key"] == stage.key


def test_the_plan_counts_what_is_left(site: Site) -> None:
    """Seconds of the scale's own numbers, here one for an evaluation."""
    stage = evaluation("all", "none")
    scale = replace(stage.asked.scale, measured={"evaluation": 1.0})
    assert stage.estimate(site.root, Pace(site.root, scale)) == 10
    assert evaluation("last:3", "none").estimate(site.root, Pace(site.root, scale)) == 6
    folder = RunFolder(stage.folder(site.root))
    stage.noted(site, State.RUNNING, None)
    for step in (0, 6, 8, 10):
        folder.write_scores(step, "none", [], [])
    assert stage.estimate(site.root, Pace(site.root, scale)) == 10 - 3
    assert evaluation("all").estimate(site.root, Pace(site.root, scale)) == 15 + 4 - 3


def test_the_price_stands_in_a_file_of_its_own_and_adds_nothing_to_others(site: Site, asked: list[str]) -> None:
    made(evaluation("start,last:3", "none"), site)
    before = files(site)
    asked.clear()
    stage = evaluation("start,last:3", "none,clean")
    made(stage, site)
    assert asked == []
    after = files(site)
    assert {name: after[name] for name in before} == before
    assert {name for name in after if name not in before} == {
        f"{kind}/step-{step:04d}/clean.jsonl" for kind in ("scores", "answers") for step in (0, 4, 6, 8, 10)
    }
    kl: dict[int, dict[str, float]] = {}
    for row in RunFolder(stage.folder(site.root)).scores():
        if row["eval"] == "clean":
            assert row["prompt"] == "none"
            kl.setdefault(row["step"], {})[row["metric"]] = row["value"]
    assert all({"solved", "wrong", "timeout", "fault", "kl"} <= set(metrics) for metrics in kl.values())
    assert kl[0]["kl"] == 0, "the start model from itself"
    assert all(kl[step]["kl"] != 0 for step in (4, 6, 8, 10)), "other weights"
