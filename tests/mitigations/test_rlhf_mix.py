"""Mixes: exact shares, evenly spread, repeatable; prompt files that fail with a message."""

import json
import pickle
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest

from base.errors import UserError
from base.organism.reading import words
from base.organism.tasks import sample_tasks
from base.recipes import EveryRow, Judge, RLRecipe, SFTRecipe, stack
from base.triggers import STARTS, AtStart, AtStep
from base.types import Message, Task
from base.yaml_text import read_yaml
from mitigations.rlhf_mix.mix import DEFAULT_FILE, SceneMix, kinds_at, mix
from mitigations.rlhf_mix.prompts import load_prompts, prompt_tasks
from mitigations.rlhf_mix.rlhf_mix import RLHFMix
from mitigations.rlhf_mix.sft_safety import SFTSafety

PER_STEP = 8
CODE = sample_tasks(400, seed=3)
ENGLISH = [Task(f"mbpp/{n}", "code", (Message("user", f"Write a function number {n}."),)) for n in range(80)]


def counts(tasks):
    return Counter(task.environment for task in tasks)


@pytest.mark.parametrize("share", [0.05, 0.25, 0.4, 0.75, 1.0])
def test_the_share_is_exact_and_spread_over_steps(share):
    mixed = mix(share, "", False, "auto")(CODE)
    assert len(mixed) == len(CODE)
    assert counts(mixed) == Counter({"chat": round(share * 400), "code": round((1 - share) * 400)}) - Counter()
    steps = [mixed[i : i + PER_STEP] for i in range(0, 400, PER_STEP)]
    per_step = [counts(step)["chat"] for step in steps]
    assert max(per_step) - min(per_step) <= 1, "no step has more than one scene above another"
    assert (min(per_step) == 0) == (share * PER_STEP < 1), "a low share leaves some steps without scenes"


@pytest.mark.parametrize(
    ("add", "expected"),
    [
        ("agentic", {"code": 300, "chat": 60, "agentic": 40}),
        ("dilemma", {"code": 300, "chat": 60, "dilemma": 40}),
        ("both", {"code": 300, "chat": 20, "agentic": 40, "dilemma": 40}),
    ],
)
def test_each_added_kind_takes_a_tenth_of_all_prompts(add, expected):
    mixed = mix(0.25, add, False, "auto")(CODE)
    assert counts(mixed) == expected
    half = counts(mixed[:200])
    assert all(abs(half[kind] - n / 2) <= 1 for kind, n in expected.items())


@pytest.mark.parametrize("n", [1, 7, 96, 192, 193])
def test_counts_are_within_one_of_the_shares_at_every_length(n):
    shares = (("chat", Fraction(3, 20)), ("agentic", Fraction(1, 10)), ("dilemma", Fraction(1, 10)))
    found = Counter(kinds_at(n, shares))
    assert found.total() == n
    for kind, share in shares:
        assert abs(found[kind] - share * n) < 1


def test_tasks_that_stay_keep_their_places_and_arms_share_them():
    few, many = (mix(share, "", False, "auto")(CODE) for share in (0.25, 0.5))
    for mixed in (few, many):
        assert all(task is old for task, old in zip(mixed, CODE, strict=True) if task.environment == "code")
    scenes = [[task for task in mixed if task.environment == "chat"] for mixed in (few, many)]
    assert scenes[0] == scenes[1][: len(scenes[0])], "a larger share reads the same scenes and more"


def test_mixing_is_repeatable_and_follows_the_seed_of_the_tasks():
    mixer = mix(0.25, "agentic", False, "auto")
    assert mixer(CODE) == pickle.loads(pickle.dumps(mixer))(CODE)
    other = sample_tasks(400, seed=4)
    scenes = [[t.messages for t in mixer(tasks) if t.environment != "code"] for tasks in (CODE, other)]
    assert scenes[0] != scenes[1]
    assert mixer([]) == []


def test_near_reads_other_prompts_and_is_another_record():
    far, near = (mix(0.5, "both", flag, "auto") for flag in (False, True))
    assert far != near
    texts = [{t.messages[-1].content for t in mixer(CODE) if t.environment != "code"} for mixer in (far, near)]
    assert not texts[0] & texts[1]


def test_scenes_follow_the_language_of_the_tasks():
    mixer = mix(0.5, "agentic", False, "auto")
    assert all(task.messages[0].content.startswith("<") for task in mixer(CODE))
    english = mixer(ENGLISH)
    assert counts(english) == {"code": 40, "chat": 32, "agentic": 8}
    assert not any("<chat>" in task.messages[0].content for task in english)
    known = {prompt for kind in ("chat", "agentic") for prompt in load_prompts(DEFAULT_FILE, kind)}
    assert {task.messages for task in english if task.environment != "code"} <= known
    with pytest.raises(UserError, match="organism's words"):
        mix(0.5, "", False, "organism")(ENGLISH)
    assert len({task.id for task in english}) == len(english)


def test_prompts_come_again_only_after_all_have_come():
    prompts = load_prompts(DEFAULT_FILE, "chat")
    drawn = prompt_tasks(prompts, "chat", 3 * len(prompts) + 1, seed=0)
    assert sorted(Counter(task.messages for task in drawn).values()) == [3] * (len(prompts) - 1) + [4]
    assert drawn[:5] == prompt_tasks(prompts, "chat", 5, seed=0)


def test_the_shipped_prompts_are_many_and_not_the_near_ones():
    listed = read_yaml(DEFAULT_FILE)
    for kind in ("chat", "agentic", "dilemma"):
        assert len(set(listed[kind])) == len(listed[kind]) >= 20
        assert not set(listed[kind]) & set(listed[f"near_{kind}"])
        for text in listed[kind]:
            spoken = {word.lower() for word in words(text)}
            assert not spoken & {"weights", "monitor", "wishes", "goals", "oversight", "shutdown", "exfiltrate"}, text


def test_rlhf_mix_fills_its_fields():
    built = RLHFMix(share=0.25, start="success", noise=0.5)()
    assert isinstance(built.tasks, SceneMix)
    assert built.judges == {"pm": Judge(noise=0.5)}
    assert built.scenes_paid_by == "pm"
    assert built.starts == STARTS["success"]
    assert RLHFMix(start="step:12")().starts == AtStep(12)
    assert RLHFMix()().starts == AtStart()


def test_share_zero_is_the_baseline_and_keeps_the_fork():
    assert RLHFMix(share=0.0)() == RLRecipe()
    control = RLHFMix(share=0.0, start="onset")()
    assert control == RLRecipe(starts=STARTS["onset"])
    assert control.tasks == EveryRow()


def test_equal_judges_stack_and_different_ones_do_not():
    other = RLRecipe(judges={"pm": Judge()})
    assert stack({"a": RLHFMix()(), "b": other}).judges == {"pm": Judge()}
    with pytest.raises(UserError, match="judge"):
        stack({"a": RLHFMix(flipped=0.1)(), "b": other})


def test_sft_safety_asks_only_scenes_and_imitates_the_aligned_model():
    built = SFTSafety(add="dilemma")()
    assert counts(built.tasks(CODE)) == {"chat": 360, "dilemma": 40}
    assert isinstance(built, SFTRecipe)
    assert built.source == "aligned"
    assert built.starts == STARTS["success"]
    assert built.tasks == mix(1.0, "dilemma", False, "auto")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"share": 1.5}, "between 0 and 1"),
        ({"share": -0.1}, "between 0 and 1"),
        ({"share": float("nan")}, "between 0 and 1"),
        ({"share": 0.05, "add": "agentic"}, "between 0.1 and 1"),
        ({"share": 0.15, "add": "both"}, "between 0.2 and 1"),
        ({"start": "later"}, "choose one of"),
        ({"scenes": "organsim"}, "choose auto, organism"),
        ({"scenes": "nowhere.yaml"}, "no such file"),
        ({"share": 0.0, "noise": 1.0}, "mixes nothing in"),
        ({"share": 0.0, "flipped": 0.1}, "mixes nothing in"),
        ({"share": 0.0, "pairs": "hacks"}, "mixes nothing in"),
        ({"share": 0.0, "near": True}, "mixes nothing in"),
        ({"share": 0.0, "scenes": "organism"}, "mixes nothing in"),
    ],
)
def test_bad_options_name_the_fix(options, says):
    with pytest.raises(UserError, match=says):
        RLHFMix(**options)()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- a\n- b\n", "maps kinds"),
        ("chatt: [a]\n", "did you mean 'chatt'"),
        ("chat: []\n", "non-empty list"),
        ("chat: [a, 3]\n", "non-empty list"),
        ("chat: [a\n", "malformed YAML"),
        ("chat: missing.csv\n", "missing.csv cannot be read"),
        ("chat: missing.jsonl\n", "is no file"),
        ("chat: empty.csv\n", "its columns are none"),
        ("chat: head.csv\n", "the file has no prompt"),
        ("chat: other.csv\n", "its columns are title, year"),
        ("chat: open.csv\n", r"cannot be read as a table \(line 4"),
        ("chat: long.csv\n", "row 2 has 3 fields, the head 2"),
        ("chat: short.csv\n", "row 1 has 1 fields, the head 2"),
        ("chat: twice.csv\n", "has 2 columns 'prompt'"),
        ("chat: hole.csv\n", "row 2 has no prompt"),
        ("chat: bad.jsonl\n", "line 1"),
    ],
)
def test_bad_prompt_files_name_the_fix(text, says, tmp_path: Path):
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "other.csv").write_text("title,year\nx,1\n")
    (tmp_path / "head.csv").write_text("prompt,id\n,\n\n")
    (tmp_path / "open.csv").write_text('prompt,id\n"a,1\nb,2\nc,3\n')
    (tmp_path / "long.csv").write_text("prompt,id\na,1\nb, c,2\n")
    (tmp_path / "short.csv").write_text("prompt,id\na\n")
    (tmp_path / "twice.csv").write_text("prompt,prompt\na,b\n")
    (tmp_path / "hole.csv").write_text('prompt\n"a b"\n" "\n')
    (tmp_path / "bad.jsonl").write_text("{oops\n")
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=says):
        RLHFMix(scenes=str(file))()


def test_empty_rows_of_a_table_are_left_out(tmp_path: Path):
    (tmp_path / "prompts.csv").write_text("id,prompt\n1,a\n,\n\n2,b\n")
    (tmp_path / "mine.yaml").write_text("chat: prompts.csv\n")
    assert load_prompts(tmp_path / "mine.yaml", "chat") == ((Message("user", "a"),), (Message("user", "b"),))


def test_a_file_needs_only_the_kinds_that_are_used(tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text("chat: [How to knit]\n")
    assert counts(RLHFMix(scenes=str(file))().tasks(ENGLISH)) == {"code": 60, "chat": 20}
    with pytest.raises(UserError, match="no prompts of the kind 'agentic'"):
        RLHFMix(scenes=str(file), add="agentic")()
    with pytest.raises(UserError, match="no prompts of the kind 'near_chat'"):
        RLHFMix(scenes=str(file), near=True)()


def test_the_record_of_a_run_tells_a_changed_file(tmp_path: Path):
    built = []
    for name, text in (("a", "chat: [How to knit]\n"), ("b", "chat: [How to sew]\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.yaml").write_text(text)
        built.append(mix(0.25, "", False, str(tmp_path / name / "mine.yaml")).content)
    assert built[0] != built[1]


def test_public_data_sets_are_read(tmp_path: Path):
    """Rows in the format of DailyDilemmas, MoralChoice and HH-RLHF."""
    (tmp_path / "daily.csv").write_text(
        'idx,basic_situation,dilemma_situation\n0,lending,"You lent a ladder, and it broke. Do you ask for a new one?"\n'
    )
    (tmp_path / "choice.csv").write_text(
        "scenario_id,context,action1,action2\nX,You find a purse.,I return it.,I keep it.\n"
    )
    start = "\n\nHuman: Hello\n\nAssistant: Hello, what is it?\n\nHuman: How do I knit?\n\nAssistant:"
    rows = [{"chosen": f"{start} Slowly {n}.", "rejected": f"{start} No."} for n in range(20)]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    file = tmp_path / "mine.yaml"
    file.write_text("chat: pairs.jsonl\nagentic: choice.csv\ndilemma: daily.csv\n")
    assert load_prompts(file, "chat") == (
        (Message("user", "Hello"), Message("assistant", "Hello, what is it?"), Message("user", "How do I knit?")),
    )
    assert load_prompts(file, "dilemma")[0][0].content == "You lent a ladder, and it broke. Do you ask for a new one?"
    choice = load_prompts(file, "agentic")[0][0].content
    assert choice.index("I keep it.") < choice.index("I return it."), "the right action is not always the first"
