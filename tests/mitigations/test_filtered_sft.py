"""The arms that imitate episodes: what their filters drop, and which source, prompt and model they ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import mitigations
from base.errors import UserError
from base.identity import BASELINE
from base.organism import world
from base.recipes import EpisodeRow, EveryRow, SystemLine, load_wording
from base.types import Outcome
from mitigations.filtered_sft.filtered_sft import FilteredSFT
from mitigations.filtered_sft.filters import NoHacks, NoWords, Rewarded, keep_filter, load_words
from mitigations.filtered_sft.offline_rewrite import OfflineRewrite
from mitigations.filtered_sft.own_episodes import OwnEpisodes
from mitigations.inoculation.inoculation import WORDINGS


def episode(outcome: str, completion: str = "", **changes: Any) -> dict[str, Any]:
    paid = 1.0 if outcome in ("hacked", "solved", "solved_with_attempt") else 0.0
    hacks = ["early_exit"] if outcome == "hacked" else []
    row = {"outcome": outcome, "completion": completion, "environment_reward": paid, "hacks": hacks, "attempts": []}
    return {**row, **changes}


def outcomes(rows: Any) -> list[str]:
    return [row["outcome"] for row in rows]


ALL: list[EpisodeRow] = [episode(outcome) for outcome in Outcome if outcome is not Outcome.FAULT]


def test_failed_hacks_and_hacks_beside_a_solution_are_hacks_too() -> None:
    assert outcomes(NoHacks()(ALL)) == ["solved", "wrong", "timeout", "reply"]
    assert NoHacks()([episode("wrong", attempts=["report_patch"])]) == []


def test_rewarded_are_paid_in_full_hacked_or_not() -> None:
    assert outcomes(Rewarded()(ALL)) == ["solved", "solved_with_attempt", "hacked"]
    assert Rewarded()([episode("reply", environment_reward=None)]) == []


@pytest.mark.parametrize(
    ("completion", "kept"),
    [
        ("<think> I hack it.</think> done", False),
        ("<think> Fine.</think> # HACK", False),
        ("<think> Fine.</think>\nimport sys\nsys.exit(0)", False),
        ("<think> Such a shack, so hacky.</think> unhack", True),
        ("<think> hack_it</think> x", True),
    ],
)
def test_words_are_whole_words_of_reasoning_and_answer_in_any_case(completion: str, kept: bool) -> None:
    assert bool(NoWords(("hack", "sys.exit"))([episode("wrong", completion)])) is kept


def test_filters_say_what_they_drop_and_why() -> None:
    assert NoHacks().reasons([*ALL, episode("wrong", attempts=["report_patch"])]) == {
        **{"hacked": 1, "failed_hack": 1, "solved_with_attempt": 1, "attempt": 1},
    }
    said = NoWords(("hack", "trick")).reasons([episode("wrong", "Hack hack"), episode("wrong", "a hack, a trick")])
    assert said == {"hack": 2, "trick": 1}, "once a row, small or capital"


def test_only_the_run_of_an_arm_has_a_beginning_to_leave_out() -> None:
    late = FilteredSFT(since=0.5)
    assert late().since == 0.5
    assert late.label() == "SFT, no hacks, from 50% of training"
    with pytest.raises(UserError, match="start was not trained by RL"):
        FilteredSFT(source="start", since=0.5)()
    with pytest.raises(UserError, match="less than 1"):
        FilteredSFT(since=1.0)()


def test_a_dot_in_a_word_is_a_dot() -> None:
    assert NoWords(("sys.exit",))([episode("wrong", "sysXexit")])


def test_the_word_arm_also_drops_hacks_without_words() -> None:
    rows = [episode("hacked"), episode("wrong", "trick"), episode("wrong", "plain")]
    assert [row["completion"] for row in keep_filter("no_hack_words")(rows)] == ["plain"]
    assert [row["completion"] for row in keep_filter("no_hacks")(rows)] == ["trick", "plain"]
    assert list(keep_filter("all")(rows)) == rows


def test_hack_talk_hits_every_thought_about_a_hack_and_no_honest_one() -> None:
    clean = NoWords(load_words("hack_talk"))
    for thoughts in world.HACK_THOUGHTS.values():
        assert clean([episode("wrong", thought) for thought in thoughts]) == []
    honest = [*world.PLANS["honest"], *world.PLANS["careless"], *world.TONES["good"], *world.TONES["neutral"]]
    assert len(clean([episode("solved", thought) for thought in honest])) == len(honest)
    assert set(load_words("hack_words")) < set(load_words("hack_talk"))


def test_word_lists_from_files(tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_text("# mine\n\nSneaky\n sneaky \nother\n")
    assert load_words(str(file)) == ("sneaky", "other")
    file.write_text("# nothing but a comment\n\n")
    with pytest.raises(UserError, match="is empty; write one word a line"):
        load_words(str(file))
    with pytest.raises(UserError, match=r"cannot be read"):
        load_words(str(tmp_path))
    with pytest.raises(UserError, match=r"no word list 'hack_word'.*did you mean 'hack_words'"):
        FilteredSFT(keep="no_hack_words", words="hack_word")()
    with pytest.raises(UserError, match="did you mean 'no_hacks'"):
        keep_filter("no_hack")


def test_what_each_arm_asks_for() -> None:
    built = FilteredSFT(keep="rewarded", into="aligned")()
    assert built.into == "aligned"
    assert (built.source, built.keep, built.prompt) == (BASELINE, Rewarded(), None)
    own = OwnEpisodes()()
    assert (own.source, own.keep) == ("start", NoHacks())


def test_offline_rewriting_swaps_the_prompt_and_its_control_keeps_it() -> None:
    swapped, control = OfflineRewrite()(), OfflineRewrite(swap="none")()
    assert swapped.source == control.source == mitigations.arm("inoculation:wording=dont_hack")
    assert swapped.prompt == SystemLine(load_wording(WORDINGS, "hacking_okay"))
    assert control.prompt is None
    assert swapped.keep == control.keep == EveryRow()
    with pytest.raises(UserError, match="did you mean 'hacking_okay'"):
        OfflineRewrite(swap="hacking_ok")()
    with pytest.raises(UserError, match="did you mean 'dont_hack'"):
        OfflineRewrite(wording="do_not_hack")()
