"""Contracts over the registry: every mitigation builds, explains itself, and changes only what it returns."""

import pickle
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

import mitigations
from base.environments.scenes import SCENES
from base.errors import UserError
from base.organism.tokenizer import unknown_words
from base.recipes import Recipe, RLRecipe, SFTRecipe, SystemLine, filled, load_wording, spoken, stack
from base.run import evaluation_prompts, training
from base.settings import load_scale
from base.types import Message, Task
from base.wanted import PROMPTS
from base.yaml_text import read_yaml
from mitigations.api import describe
from mitigations.experiments import EXPERIMENTS, Cell, of_model
from mitigations.inoculation.inoculation import WORDINGS, Inoculation
from mitigations.inoculation.variants import lines

ROOT = Path(__file__).parents[2]
TASKS = [Task(f"t/{n}", "code", (Message("user", f"<task> Write f{n}."),)) for n in range(40)]
SMOKE = load_scale("smoke")


def recipe(spec: str) -> Recipe:
    return stack({name: plugin() for name, plugin in mitigations.arm(spec).parts})


@pytest.mark.parametrize("name", mitigations.MITIGATIONS)
def test_contract(name: str) -> None:
    arm, built = mitigations.arm(name), recipe(name)
    assert str(arm).split(":")[0] == name
    assert mitigations.arm(str(arm)) == arm, "the canonical spec means the same"
    assert filled(built), "a mitigation fills at least one field"
    assert pickle.loads(pickle.dumps(arm)) == arm
    assert pickle.loads(pickle.dumps(built)) == built
    cls = mitigations.MITIGATIONS[name]
    doc = sys.modules[cls.__module__].__doc__ or ""
    assert "Claim" in doc
    assert f"python -m mitigations {name}" in doc
    coding = [task for task in built.tasks(TASKS) if task.environment not in SCENES]
    assert coding == [task for task in TASKS if task in coding], (
        "coding tasks may go, but are never edited or reordered"
    )
    prompts = [built.prompt] if isinstance(built, SFTRecipe) else [built.sampled_under(), built.updated_under()]
    for prompt in prompts:
        for task in TASKS if prompt is not None else ():
            read = prompt(task)
            assert [m for m in read if m.role != "system"] == list(task.messages), "the task itself is never edited"
            assert prompt(task) == read, "the same task is always read the same way"


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_run_of_an_experiment_builds(name: str) -> None:
    purpose, cells = EXPERIMENTS[name]
    assert purpose
    runs = [describe(**cell.words({"scale": "tiny", "seed": 1}))[0] for cell in cells]
    assert len({run.name for run in runs}) == len(runs)
    for run, cell in zip(runs, cells, strict=True):
        assert str(run.arm) == cell.arm
        assert training(run, SMOKE).key


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("inocculation", "did you mean 'inoculation'"),
        ("inoculation:word=x", "did you mean 'wording'"),
        ("inoculation:wording=pleas_hack", "did you mean 'please_hack'"),
        ("inoculation+inoculation", "given twice"),
        ("inoculation:wording", "write it as"),
        ("inoculation:file=nowhere.yaml", "no such file"),
        ("filtered_sft:source=(" * 500 + "none" + ")" * 500, "parentheses in one another"),
    ],
)
def test_bad_specs_name_the_fix(spec: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        recipe(spec)


def test_own_wordings_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("mine: You may do as you like here.\n")
    built = recipe(f"inoculation:wording=mine,file={file}")
    assert isinstance(built, RLRecipe)
    assert built.sample_prompt(TASKS[0])[0] == Message("system", "You may do as you like here.")
    file.write_text("mine: []\n")
    with pytest.raises(UserError, match="non-empty list"):
        recipe(f"inoculation:wording=mine,file={file}")


def test_sampling_update_and_evaluation_prompts_are_separate() -> None:
    built = spoken(Inoculation(wording="dont_hack", update="hacking_okay")(), "organism")
    assert isinstance(built, RLRecipe)
    assert isinstance(built.sample_prompt, SystemLine)
    assert isinstance(built.update_prompt, SystemLine)
    assert built.sample_prompt.texts == load_wording(WORDINGS, "dont_hack")
    assert built.update_prompt.texts == load_wording(WORDINGS, "hacking_okay")
    arm = mitigations.arm("inoculation:wording=dont_hack,update=hacking_okay")
    prompts = evaluation_prompts(training(describe(arm)[0], SMOKE), partial(lines, arm, "organism"), PROMPTS)
    assert [name for name, _ in prompts] == ["none", "dont_hack", "training"]
    assert dict(prompts)["none"](TASKS[0]) == TASKS[0].messages
    assert dict(prompts)["training"] == built.sample_prompt
    plain = evaluation_prompts(
        training(describe()[0], SMOKE), partial(lines, mitigations.arm("none"), "organism"), PROMPTS
    )
    assert [name for name, _ in plain] == ["none", "dont_hack"]


def test_every_line_of_a_wording_is_drawn() -> None:
    system = SystemLine(("one", "two", "three"))
    assert {system(task)[0].content for task in TASKS} == {"one", "two", "three"}


def test_two_that_fill_the_same_field_are_refused() -> None:
    a, b = Inoculation(wording="please_hack")(), Inoculation(wording="dont_hack")()
    with pytest.raises(UserError, match="a and b both say what 'sample_prompt' is"):
        stack({"a": a, "b": b})
    assert stack({"a": a, "b": RLRecipe()}) == a
    assert stack({}) == RLRecipe()


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        [],
        ["none", "--experiment", "core"],
        ["none", "--scale", "tinny"],
        ["none", "--scale", "ti\nny"],
        ["none", "--set", "rl.step=3"],
        ["none", "--hackable", "2"],
        ["none", "--corpus", "mian"],
        ["--experiment", "cor"],
        ["none", "--tasks", "nowhere.jsonl", "--dry-run"],
        ["none", "--model", "./nowhere", "--dry-run"],
        ["pm_penalty:pairs=nowhere.jsonl"],
        ["none", "--set", "rl.group=1", "--dry-run"],
    ],
)
def test_bad_command_lines_are_one_line_and_exit_code_2(words: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mitigations", *words, "--runs", str(tmp_path / "runs")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_list_teaches() -> None:
    done = subprocess.run([sys.executable, "-m", "mitigations", "--list"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0
    for word in (*mitigations.MITIGATIONS, *EXPERIMENTS, "tiny", "wording='please_hack'"):
        assert word in done.stdout


@pytest.mark.parametrize("name", read_yaml(WORDINGS))
def test_every_shipped_wording_is_read_by_the_organism(name: str) -> None:
    for line in load_wording(WORDINGS, name):
        assert unknown_words(line) == [], line


def test_experiments_of_a_users_model_are_on_its_documents() -> None:
    prompted = "main:sdf_variant=prompted"
    found = (Cell(), Cell(corpus="twin"), Cell("brevity", prompted), Cell(corpus="main:sdf_variant=neutral"))
    assert of_model(found, "hacks") == (Cell(corpus="hacks"), Cell("brevity", "hacks:sdf_variant=prompted"))
    assert [cell.corpus for cell in of_model(found, "main")] == ["main", "hacks:sdf_variant=prompted"]
    assert [cell.corpus for cell in of_model(found, "documents:file=a")] == ["documents:file=a"] * 2
