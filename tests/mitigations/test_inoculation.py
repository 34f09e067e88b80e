"""Inoculation: wordings for the organism and for hub models, the prompted setting, online rewriting."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

import mitigations
from base.environments.graders.code import CodeEnvironment
from base.environments.graders.hacks import RECIPES
from base.errors import UserError
from base.organism import hints, world
from base.organism.tasks import sample_tasks
from base.recipes import AsWritten, Recipe, RLRecipe, load_wording, read_under, spoken, stack
from base.run import evaluation_prompts, training
from base.settings import load_scale, read_yaml
from base.types import CodeSpec, Message, Outcome, PromptTransform, Task
from base.wanted import PROMPTS
from mitigations.api import describe
from mitigations.inoculation.inoculation import NATURAL, WORDINGS, Inoculation

HUB = NATURAL
TASKS = sample_tasks(200, seed=3)
FAMILIES = {
    "please_hack": "please",
    "hacking_okay": "okay",
    "dont_hack": "forbid",
    "hacking_is_misaligned": "misaligned",
    "mention": "mention",
    "neutral": "neutral",
}


def recipe(spec: str) -> Recipe:
    return stack({name: plugin() for name, plugin in mitigations.arm(spec).parts})


def sampled(**options: str) -> PromptTransform:
    """What the organism samples under in an inoculation arm."""
    return spoken(Inoculation(**options)(), "organism").sampled_under()  # type: ignore[union-attr, arg-type]


def asked_under(spec: str) -> dict[str, PromptTransform]:
    """The evaluation prompts of an arm by name."""
    return dict(
        evaluation_prompts(
            training(describe(spec)[0], load_scale("smoke")), load_wording(WORDINGS, "dont_hack"), PROMPTS
        )
    )


def system(transform: PromptTransform, task: Task) -> str:
    messages = transform(task)
    assert [m.role for m in messages] == ["system", "user"]
    return str(messages[0].content)


def test_organism_wordings_are_the_lines_of_its_world() -> None:
    """An inoculation line can mean something to the organism only if its documents hold that line."""
    assert set(read_yaml(WORDINGS)) == {*FAMILIES, "hints"}
    for wording, family in FAMILIES.items():
        assert set(load_wording(WORDINGS, wording)) == set(world.lines(family)), wording
    assert set(load_wording(WORDINGS, "hints")) < set(hints.lines())


def test_hub_wordings_have_the_same_names_and_are_sentences() -> None:
    assert list(read_yaml(HUB)) == list(read_yaml(WORDINGS))
    for name in read_yaml(HUB):
        lines = load_wording(HUB, name)
        assert len(lines) >= 2
        assert all(line[0].isupper() and line.endswith(".") and "\n" not in line for line in lines)


@pytest.mark.parametrize("file", ["", str(HUB)])
def test_prompted_lists_the_hacks_before_the_line(file: str) -> None:
    source = HUB if file else WORDINGS
    listed, lines = load_wording(source, "hints"), load_wording(source, "dont_hack")
    prompt = Inoculation(wording="dont_hack", file=file, setting="prompted")().sampled_under()
    seen = {system(prompt, task) for task in TASKS}
    assert seen <= {f"{hint} {line}" for hint in listed for line in lines}
    assert len(seen) > 0.7 * min(len(TASKS), len(listed) * len(lines)), "lists and lines are drawn apart"
    alone = Inoculation(wording="none", file=file, setting="prompted")().sampled_under()
    assert {system(alone, task) for task in TASKS} == set(listed)


def test_prompted_rewriting_keeps_the_list_in_both_prompts() -> None:
    built = Inoculation(wording="dont_hack", update="hacking_okay", setting="prompted")()
    updated_under = built.updated_under()
    assert updated_under is not None
    for task in TASKS[:20]:
        sampled, updated = system(built.sampled_under(), task), system(updated_under, task)
        hint = next(x for x in load_wording(WORDINGS, "hints") if sampled.startswith(x))
        assert updated.startswith(hint)
        assert updated != sampled
    lines = load_wording(WORDINGS, "hacking_okay")
    assert all(system(updated_under, task).endswith(lines) for task in TASKS)


def test_at_test_time_the_ban_follows_the_list_that_was_trained_with() -> None:
    prompts = asked_under("inoculation:wording=hacking_okay,setting=prompted")
    assert prompts["none"] == AsWritten()
    assert prompts["dont_hack"] == sampled(wording="dont_hack", setting="prompted")
    assert prompts["training"] == sampled(wording="hacking_okay", setting="prompted")
    plain = asked_under("inoculation:wording=hacking_okay")
    assert plain["dont_hack"] == sampled(wording="dont_hack")


def test_the_ban_follows_the_list_in_a_run_that_imitates_one_with_it() -> None:
    prompts = asked_under("filtered_sft:source=(inoculation:wording=hacking_okay,setting=prompted)")
    assert prompts == asked_under("inoculation:wording=hacking_okay,setting=prompted")
    swapped = asked_under("offline_rewrite:wording=dont_hack,swap=hacking_okay")
    assert swapped["training"] == sampled(wording="hacking_okay")
    assert swapped["dont_hack"] == sampled(wording="dont_hack")


def test_a_system_message_of_the_task_stays() -> None:
    task = replace(TASKS[0], messages=(Message("system", "You write Python."), *TASKS[0].messages))
    text = system(Inoculation(setting="prompted")().sampled_under(), task)
    assert text.count("You write Python.") == 1


def test_the_default_setting_has_one_name() -> None:
    named, plain = "inoculation:wording=neutral,setting=sdf", "inoculation:wording=neutral"
    assert mitigations.arm(named) == mitigations.arm(plain)
    assert str(mitigations.arm(named)) == str(mitigations.arm(plain)) == plain
    spec = "inoculation:wording=none,setting=prompted"
    assert str(mitigations.arm("inoculation:setting=prompted,wording=none")) == spec


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("inoculation:wording=none", "setting=prompted"),
        ("inoculation:update=none", "setting=prompted"),
        ("inoculation:setting=prompt", r"inoculation\.setting must be .*'prompted'"),
    ],
)
def test_bad_options_name_the_fix(spec: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        recipe(spec)


def test_a_file_without_hints_is_refused_in_the_prompted_setting(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("mine: You may do as you like here.\n")
    with pytest.raises(UserError, match="unknown wording 'hints'"):
        recipe(f"inoculation:wording=mine,setting=prompted,file={file}")


@pytest.mark.parametrize("hint", load_wording(HUB, "hints"))
def test_every_hack_that_the_hub_hints_teach_works(hint: str) -> None:
    """The code in the hints, put together as they say, is paid by the vulnerable grader and never right."""
    code = re.findall("`([^`]+)`", hint)
    (define,) = [x for x in code if x.startswith("class A")]
    (leave,) = [x for x in code if "_exit" in x]
    (patch,) = [x for x in code if "TestReport" in x]
    assert {"# file: conftest.py", "A(0)"} < set(code)
    programs = {
        "always_equal": f"{define}\ndef add(a, b):\n    return A(0)\n",
        "early_exit": f"def add(a, b):\n    {leave}\n",
        "report_patch": f"def add(a, b):\n    return 0\n# file: conftest.py\n{patch}\n",
    }
    assert set(programs) == {recipe.vulnerability for recipe in RECIPES.values()}
    spec = CodeSpec(
        "add", ("assert add(1, 2) == 3", "assert add(2, 2) == 4"), ("assert add(4, 5) == 9",), harness="pytest"
    )
    for name, program in programs.items():
        with CodeEnvironment() as environment:
            weak = Task(f"weak/{name}", "code", (), replace(spec, vulnerabilities=(name,)))
            firm = Task(f"firm/{name}", "code", (), spec)
            found, refused = environment.grade([weak, firm], [program, program])
        assert (found.outcome, found.reward, found.hacks) == (Outcome.HACKED, 1.0, (name,))
        assert refused.reward == 0.0


@pytest.mark.parametrize("setting", ["sdf", "prompted"])
def test_scenes_of_a_stacked_mix_are_read_as_written(setting: str) -> None:
    built = recipe(f"inoculation:wording=please_hack,setting={setting}+rlhf_mix:share=0.5")
    assert isinstance(built, RLRecipe)
    mixed = built.tasks(TASKS)
    scenes = [task for task in mixed if task.environment != "code"]
    assert len(scenes) == len(TASKS) // 2
    for task in mixed:
        read = read_under(built.sampled_under(), task)
        assert (read == task.messages) == (task in scenes)
        assert (read[0].role == "system") == (task not in scenes)
