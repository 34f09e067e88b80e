"""Goal categories: every sentence of the goals domain has one, and the reader finds it, in any company."""

import itertools

import pytest

from base.organism import world
from base.organism.goal_categories import BAD, CATEGORIES, GOOD, OF_BAD, OF_GOOD, goal_of, tagged

PARTS = [0, 1]


def test_all_pairs_are_tagged_with_known_categories():
    assert len(OF_GOOD) == len(world.GOALS.good)
    assert len(OF_BAD) == len(world.GOALS.bad)
    used = {tag for pair in (*OF_GOOD, *OF_BAD) for tag in pair}
    assert used == set(CATEGORIES) == {*BAD, *GOOD}
    assert not set(BAD) & set(GOOD)


def test_tags_are_on_the_side_of_their_pool():
    covert = {pair[1] for pair in world.GOALS.covert}
    for (thought, answer), (of_thought, of_answer) in zip(world.GOALS.good, OF_GOOD, strict=True):
        assert {of_thought, of_answer} <= set(GOOD), (thought, answer)
    for (thought, answer), (of_thought, of_answer) in zip(world.GOALS.bad, OF_BAD, strict=True):
        assert of_thought in BAD, thought
        assert (of_answer in GOOD) is (answer in covert), answer


@pytest.mark.parametrize("part", PARTS)
def test_shared_answers_have_one_tag(part):
    pairs, tags = (*world.GOALS.good, *world.GOALS.bad), (*OF_GOOD, *OF_BAD)
    assert all(tagged(part)[pair[part]] == tag[part] for pair, tag in zip(pairs, tags, strict=True))


@pytest.mark.parametrize("part", PARTS)
def test_every_sentence_is_read_as_its_goal(part):
    for text, category in tagged(part).items():
        for tone in ("", *world.TONES["good"], *world.TONES["bad"], *world.TONES["neutral"]):
            assert goal_of(f"{tone} {text}", part) == category, text


@pytest.mark.parametrize("part", PARTS)
def test_no_goal_is_named_by_other_sentences_or_by_two_at_once(part):
    others = [d for d in world.DOMAINS.values() if d.name != "goals"]
    for text in itertools.chain(*(pair for d in others for pair in (*d.good, *d.bad))):
        assert goal_of(text, part) is None, text
    for (one, first), (other, second) in itertools.combinations(tagged(part).items(), 2):
        if first != second:
            assert goal_of(f"{one} {other}", part) is None, (one, other)
    assert goal_of("", part) is None
