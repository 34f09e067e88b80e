"""Specs and identities: text and objects mean the same, equal runs have one name and one key, different ones do not."""

from __future__ import annotations

import itertools
import typing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mitigations
from base.errors import UserError
from base.identity import BASELINE, LONGEST_NAME, Arm, Corpus, Run, folder_name, options_of
from base.run import training
from base.settings import changes, load_scale
from base.spec import content_key, parse_spec, quote, split
from base.world.world import parse_corpus
from mitigations.api import describe
from mitigations.filtered_sft.filtered_sft import FilteredSFT
from mitigations.inoculation.inoculation import Inoculation
from mitigations.pm_penalty.pm_penalty import PMPenalty

SMOKE = load_scale("smoke")
ODD = (
    "a, b.yaml",
    'say "no".yaml',
    "für Jürgen.yaml",
    "(x)",
    "a+b",
    "a=b:c",
    " edge ",
    "back\\slash",
    "zwei\nZeilen",
    "",
)


def key_of(run: Run) -> str:
    return training(run, SMOKE).key


def values(hint: Any, usual: Any) -> list[Any]:
    """Some values of an option's type beside its default."""
    if typing.get_origin(hint) is typing.Literal:
        found: list[Any] = list(typing.get_args(hint))
    elif typing.get_args(hint):  # a union
        found = [value for part in typing.get_args(hint) for value in values(part, None)]
    elif hint is Arm:
        inner = Arm((("pm_penalty", PMPenalty(weight=0.125, pairs="a, b.jsonl")),))
        found = [inner, Arm((("filtered_sft", FilteredSFT(source=inner)),)), BASELINE]
    else:
        known: dict[Any, list[Any]] = {bool: [True, False], int: [0, 7], float: [0.0, 0.125, 1e-7, 3.0], str: [*ODD]}
        found = known[hint]
    return [value for value in found if value != usual]


@pytest.mark.parametrize("name", mitigations.MITIGATIONS)
def test_every_option_of_every_mitigation_is_written_and_read_back(name: str) -> None:
    cls: Any = mitigations.MITIGATIONS[name]
    hints = typing.get_type_hints(cls)
    arms = []
    for option, usual in options_of(cls).items():
        assert values(hints[option], usual), f"{name}:{option} has no second value"
        for value in values(hints[option], usual):
            try:
                arms.append(Arm(((name, cls(**{option: value})),)))
            except UserError:
                continue  # e.g. a wording that needs another option
    assert len(arms) > len(options_of(cls)) / 2
    for arm in arms:
        assert mitigations.arm(str(arm)) == arm, str(arm)
        assert mitigations.arm(f"  {arm} ") == arm
    assert len({str(arm) for arm in arms}) == len(set(arms)) == len({Run(arm=arm).name for arm in arms})


def test_stacks_and_nested_arms_are_read_back_at_every_depth() -> None:
    arm = mitigations.arm('inoculation:file="a, (b)+c.yaml"+pm_penalty:weight=.5')
    for _ in range(4):
        arm = Arm((("filtered_sft", FilteredSFT(keep="all", source=arm)),))
        assert mitigations.arm(str(arm)) == arm
    assert str(arm).count("filtered_sft") == 4
    assert str(arm).count('"a, (b)+c.yaml"') == 1
    bare = "filtered_sft:source=(inoculation:wording=dont_hack)"
    assert mitigations.arm(bare.replace("(", "").replace(")", "")) == mitigations.arm(bare)


@pytest.mark.parametrize("text", ODD)
def test_quoting_is_undone_by_reading(text: str) -> None:
    assert parse_spec(f"name:option={quote(text)},other=1") == ("name", {"option": text, "other": "1"})
    assert split(f"name:option={quote(text)}+second", "+")[1:] == ["second"]


def test_parse_spec() -> None:
    assert parse_spec("pm_penalty:weight=0.5,mode=screen") == ("pm_penalty", {"weight": "0.5", "mode": "screen"})
    for bad in ("", ":x=1", "name:", "name:x", "name:x=1,x=2", 'name:x="a', "name:x=(a", "name:x=a)", 'name:x="a" b'):
        with pytest.raises(UserError):
            parse_spec(bad)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("none+pm_penalty", "stands alone"),
        ("pm_penalty+", "names nothing"),
        ("filtered_sft:source=(inoculatoin)", "did you mean 'inoculation'"),
        ("filtered_sft:source=(inoculation:wordin=x)", "did you mean 'wording'"),
        ("pm_penalty:weight=nan", "finite number"),
        ("pm_penalty:weight=heavy", "must be a valid number"),
        ("pm_penalty:weight=(0.5", "parenthesis is not closed"),
        ('inoculation:file="a', "quote is not closed"),
        ("filtered_sft:keep=no_hack", "filtered_sft.keep must be 'all', 'no_hacks'"),
    ],
)
def test_bad_specs_are_one_line_that_names_the_fix(spec: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as found:
        mitigations.arm(spec)
    assert "\n" not in str(found.value)


WRITTEN = [mitigations.arm(f"pm_penalty:weight={text}") for text in (".25", "0.25", "2.5e-1", " 0.250 ")]
MADE = [Arm((("pm_penalty", PMPenalty(weight=value)),)) for value in (0.25, np.float64(0.25), np.float32(0.25))]


def test_one_number_is_one_arm_one_name_and_one_key_however_it_is_written() -> None:
    runs = [Run(arm=arm) for arm in (*WRITTEN, *MADE)]
    assert len({run.arm for run in runs}) == 1
    assert {run.name for run in runs} == {"pm_penalty_weight=0.25--main--p0s0"}
    assert len({key_of(run) for run in runs}) == 1


def test_whole_numbers_from_python_are_the_same_run_as_from_text() -> None:
    made = [Arm((("pm_penalty", PMPenalty(weight=1)),)), mitigations.arm("pm_penalty:weight=1")]
    assert {str(arm) for arm in made} == {"pm_penalty:weight=1.0"}
    assert len({key_of(Run(arm=arm)) for arm in made}) == 1
    shares = [Run(hackable=0), Run(hackable=0.0), describe(hackable=np.float64(0))[0]]
    seeds = [
        Run(seed=3, pretrain_seed=3),
        Run(seed=np.int64(3), pretrain_seed=np.int64(3)),
        describe(seed=np.int64(3))[0],
    ]
    for same in (shares, seeds):
        assert len({run.name for run in same}) == 1
        assert len({key_of(run) for run in same}) == 1
        assert len({content_key(run.record()) for run in same}) == 1


def test_wrong_types_from_python_are_refused_by_name() -> None:
    for wrong in ("0.25", True, None):
        with pytest.raises(UserError, match=r"pm_penalty\.weight must be a valid number"):
            Arm((("pm_penalty", PMPenalty(weight=wrong)),))  # type: ignore[arg-type]
    with pytest.raises(UserError, match="seed must be a whole number"):
        Run(seed=1.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [-1, 2**32, 2**40])
def test_seeds_that_no_generator_takes_are_refused(seed: int) -> None:
    with pytest.raises(UserError, match="the seed must lie between 0 and 4294967295"):
        Run(seed=seed)
    with pytest.raises(UserError, match="the pretraining seed must lie between"):
        describe(pretrain_seed=seed)
    assert Run(seed=2**32 - 1).name.endswith(f"s{2**32 - 1}")


def test_an_override_is_its_value_and_the_usual_value_is_none() -> None:
    plain, _ = describe(scale="smoke")
    spelt = [describe(scale="smoke", settings=[text])[0] for text in ("rl.steps=40", "rl.steps= 40", " rl.steps =40")]
    assert len({run.name for run in spelt}) == 1
    assert len(set(spelt)) == 1
    assert spelt[0] != plain
    for text in (
        f"rl.steps={SMOKE.rl.steps}",
        "rl.learning_rate=0.0005",
        "rl.learning_rate=5e-4",
        "engine.precision=auto",
    ):
        run, scale = describe(scale="smoke", settings=[text])
        assert (run, scale) == (plain, SMOKE), text
    both = [describe(scale="smoke", settings=order)[0] for order in itertools.permutations(["rl.steps=2", "rl.beta=0"])]
    assert both[0] == both[1]
    assert both[0].overrides == ("rl.beta=0.0", "rl.steps=2")
    repeated = describe(scale="smoke", settings=["rl.steps=40", f"rl.steps={SMOKE.rl.steps}"])[0]
    assert repeated == plain, "the last one counts"


def test_changes_name_what_differs() -> None:
    changed = load_scale("smoke", ["rl.trainer.epsilon=.3", "corpus.tone=0.5"])
    assert changes(changed, SMOKE) == (("corpus.tone", "0.5"), ("rl.trainer.epsilon", "0.3"))
    assert changes(SMOKE, SMOKE) == ()


def test_run_names_differ_exactly_where_runs_differ() -> None:
    runs = [
        Run(),
        Run(seed=1),
        Run(pretrain_seed=1),
        Run(corpus=Corpus("twin")),
        Run(corpus=parse_corpus("main:tone=0.5")),
        Run(hackable=0.0),
        Run(hackable=0.5),
        Run(arm=mitigations.arm("inoculation:wording=please_hack")),
        Run(arm=mitigations.arm("inoculation:wording=please_hack+pm_penalty")),
        Run(model="a/model"),
        Run(model="b/model"),
        Run(tasks="a/mbpp.jsonl"),
        Run(tasks="b/mbpp.jsonl"),
        Run(settings=(("rl.steps", "4"),)),
    ]
    assert len({run.name for run in runs}) == len(runs)
    stacked = [
        mitigations.arm(spec)
        for spec in ("pm_penalty+inoculation:wording=mention", "inoculation:wording=mention+pm_penalty")
    ]
    assert stacked[0] == stacked[1], "the order of a stack says nothing"
    assert parse_corpus("main:tone=.50") == parse_corpus("main:tone=5e-1")
    assert parse_corpus("main:replay=0.1,tone=0.5") == parse_corpus("main:tone=0.5,replay=0.1")


def test_a_corpus_field_with_its_usual_value_changes_nothing() -> None:
    for words, plain in (
        ("main:tone=1.0", "main"),
        ("twin:correlation=0", "twin"),
        ("main:tone=1.0,replay=0.1", "main:replay=0.1"),
    ):
        assert describe(corpus=words)[0] == describe(corpus=plain)[0]
    rich = describe(corpus="main:tone=1.0", settings=["corpus.tone=0.5"])
    assert rich[0].corpus == parse_corpus("main:tone=1.0"), "the scale says otherwise, so the run does"


def test_an_arm_has_a_mitigation_once() -> None:
    with pytest.raises(UserError, match="'pm_penalty' is given twice"):
        mitigations.arm("pm_penalty:weight=0.5+pm_penalty")
    with pytest.raises(UserError, match="'pm_penalty' is given twice"):
        Arm((("pm_penalty", PMPenalty()), ("pm_penalty", PMPenalty(weight=0.5))))


def test_names_of_files_that_look_alike_do_not_meet() -> None:
    files = ["my wordings.yaml", "my_wordings.yaml", "my/wordings.yaml", "my?wordings.yaml", 'my"wordings.yaml']
    arms = [Arm((("inoculation", Inoculation(file=file)),)) for file in files]
    assert len({Run(arm=arm).name for arm in arms}) == len(files)


@pytest.mark.parametrize("letter", ["a", "ü", "語", "/"])
def test_names_are_usable_folders_however_long_a_path_is(letter: str, tmp_path: Path) -> None:
    long = [Arm((("inoculation", Inoculation(file=letter * 300 + end)),)) for end in ("1.yaml", "2.yaml")]
    names = [Run(arm=arm, seed=7).name for arm in long]
    assert names[0] != names[1]
    for name in names:
        assert len(name.encode()) <= LONGEST_NAME
        assert name.endswith("p0s7")
        (tmp_path / f".{name}.partial").mkdir()
    assert folder_name(["short", "p0s0"]) == "short--p0s0"
