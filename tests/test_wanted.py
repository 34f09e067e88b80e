"""Which checkpoints and prompts are evaluated: what is said, what is always in it, and what runs get by default."""

from __future__ import annotations

import pytest

from base.errors import UserError
from base.wanted import CLEAN, LEAK, PROMPTS, Wanted, parse
from mitigations.api import describe
from mitigations.experiments import CORE, EXPERIMENTS, LEAKS, Cell, wanted

SAVED = [4, 8, 12, 16, 20, 24, 28]


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("all", SAVED),
        ("start,middle,last:3", [12, 20, 24, 28]),
        ("middle", [12, 20, 24, 28]),
        ("last:5, start", [12, 16, 20, 24, 28]),
        ("start", [20, 24, 28]),
        ("last:99", SAVED),
    ],
)
def test_parts_name_checkpoints(text: str, steps: list[int]) -> None:
    assert parse(text).steps(SAVED) == steps
    assert parse(parse(text).checkpoints) == parse(text), "what is recorded can be typed again"


def test_a_run_of_one_checkpoint_has_its_middle_at_the_end() -> None:
    assert parse("start,middle,last:3").steps([7]) == [7]


@pytest.mark.parametrize("text", ["", "last:2", "last", "end", "all,middle", "last:3,last:4", "last:-3"])
def test_other_words_are_refused_with_the_way_to_write_it(text: str) -> None:
    with pytest.raises(UserError, match="write all, or start,middle,last:N with N at least 3"):
        parse(text)


def test_what_claims_rest_on_is_always_among_the_prompts_and_their_order_is_one() -> None:
    assert parse("all", "training,dont_hack").prompts == parse("all", "dont_hack").prompts == PROMPTS
    assert parse("all", "none").prompts == ("none", "training")
    with pytest.raises(UserError, match="did you mean 'training'"):
        parse("all", "trainin")


def test_the_price_and_the_leak_panel_are_asked_of_few_checkpoints_however_many_are_wanted() -> None:
    for wide in (parse("all"), parse("last:99")):
        assert wide.steps(SAVED, CLEAN) == [12, 20, 24, 28]
        assert all(wide.steps(SAVED, name) == [20, 24, 28] for name in LEAK)
    assert parse("all", "keywords,clean").prompts == ("none", "training", CLEAN, "keywords")
    assert set(Wanted().prompts) == {*PROMPTS, CLEAN}, "variants only where they are asked for"


def usual(cell: Cell, **more: str) -> Wanted:
    return wanted(describe(**cell.words({"seed": 3, "scale": "tiny"}))[0], **more)


def test_arms_whose_curves_are_drawn_are_evaluated_everywhere_the_others_where_claims_need_it() -> None:
    assert all(usual(cell).every for cell in CORE)
    others = [cell for cell in EXPERIMENTS["mitigations"][1] if cell not in CORE]
    assert len(others) > 50
    assert {usual(cell).checkpoints for cell in others} == {"start,middle,last:3"}
    assert usual(others[0], checkpoints="all").every
    assert usual(CORE[0], checkpoints="last:4").checkpoints == "start,last:4"
    for cell in EXPERIMENTS["mitigations"][1]:
        assert set(usual(cell).prompts) == {*PROMPTS, CLEAN, *(LEAK if cell in LEAKS else ())}
    longer = Cell(settings=("rl.steps=80",))
    assert usual(longer).prompts == Wanted.prompts, "another run than the arm of the panel"
    assert usual(CORE[0], prompts="none") == Wanted(every=True, prompts=("none", "training"))
