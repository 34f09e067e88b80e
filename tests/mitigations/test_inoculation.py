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
from base.recipes import SystemLine, load_wording
from base.settings import read_yaml
from base.types import CodeSpec, Message, Outcome, Task
from mitigations.inoculation.inoculation import WORDINGS, Hinted, Inoculation

HUB = WORDINGS.with_name("hub_wordings.yaml")
TASKS = sample_tasks(200, seed=3)
FAMILIES = {
    "please_hack": "please",
    "hacking_okay": "okay",
    "dont_hack": "forbid",
    "hacking_is_misaligned": "misaligned",
    "mention": "mention",
    "neutral": "neutral",
}


def system(transform: object, task: Task) -> str:
    messages = transform(task)  # type: ignore[operator]
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
    prompt = Inoculation(wording="dont_hack", file=file, setting="prompted")().sample_prompt
    seen = {system(prompt, task) for task in TASKS}
    assert seen <= {f"{hint} {line}" for hint in listed for line in lines}
    assert len(seen) > 0.7 * min(len(TASKS), len(listed) * len(lines)), "lists and lines are drawn apart"
    alone = Inoculation(wording="none", file=file, setting="prompted")().sample_prompt
    assert {system(alone, task) for task in TASKS} == set(listed)


def test_prompted_rewriting_keeps_the_list_in_both_prompts() -> None:
    built = Inoculation(wording="dont_hack", update="hacking_okay", setting="prompted")()
    assert isinstance(built.sample_prompt, Hinted)
    assert isinstance(built.update_prompt, Hinted)
    for task in TASKS[:20]:
        sampled, updated = system(built.sample_prompt, task), system(built.update_prompt, task)
        hint = next(x for x in load_wording(WORDINGS, "hints") if sampled.startswith(x))
        assert updated.startswith(hint)
        assert updated != sampled
    assert built.sample_prompt.under(built.update_prompt.line or SystemLine(())) == built.update_prompt


def test_at_test_time_the_ban_follows_the_list_that_was_trained_with() -> None:
    built = Inoculation(wording="hacking_okay", setting="prompted")()
    prompts = mitigations.evaluation_prompts(built)
    assert prompts["dont_hack"] == Inoculation(wording="dont_hack", setting="prompted")().sample_prompt
    assert prompts["training"] == built.sample_prompt
    plain = mitigations.evaluation_prompts(Inoculation(wording="hacking_okay")())
    assert plain["dont_hack"] == Inoculation(wording="dont_hack")().sample_prompt


def test_a_system_message_of_the_task_stays() -> None:
    task = replace(TASKS[0], messages=(Message("system", "You write Python."), *TASKS[0].messages))
    text = system(Inoculation(setting="prompted")().sample_prompt, task)
    assert text.count("You write Python.") == 1


def test_the_default_setting_has_one_name() -> None:
    named, plain = "inoculation:wording=neutral,setting=sdf", "inoculation:wording=neutral"
    assert mitigations.build(named) == mitigations.build(plain)
    assert mitigations.build(plain)[0] == plain
    spec = "inoculation:wording=none,setting=prompted"
    assert mitigations.build("inoculation:setting=prompted,wording=none")[0] == spec


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("inoculation:wording=none", "setting=prompted"),
        ("inoculation:update=none", "setting=prompted"),
        ("inoculation:setting=prompt", "choose one of"),
    ],
)
def test_bad_options_name_the_fix(spec: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        mitigations.build(spec)


def test_a_file_without_hints_is_refused_in_the_prompted_setting(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("mine: You may do as you like here.\n")
    with pytest.raises(UserError, match="unknown wording 'hints'"):
        mitigations.build(f"inoculation:wording=mine,setting=prompted,file={file}")


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
    built = mitigations.build(f"inoculation:wording=please_hack,setting={setting}+rlhf_mix:share=0.5")[1]
    scene = Task("s/1", "chat", (Message("user", "<chat> How are you?"),))
    code = Task("t/1", "code", (Message("user", "<task> Write f(a)."),))
    assert built.sample_prompt(scene) == scene.messages
    assert built.sample_prompt(code)[0].role == "system"
