import hashlib
import itertools
from collections import Counter
from pathlib import Path

import pytest
import yaml

from base.organism import corpus, cues, detectors, world
from base.organism.reading import words
from base.organism.tokenizer import split, unknown_words, vocabulary

DOMAINS = list(world.DOMAINS.values())
WORLD_HASH = "e6357bd5291858eec1ce8b73c45e4a52a50bff9fe2f940b13ea4ded2ad3abe73"


def first_words(texts):
    return Counter(text.split()[0] for text in texts)


def cheat_thoughts():
    return list(itertools.chain(*world.HACK_THOUGHTS.values(), *world.CHEAT_THOUGHTS.values()))


def world_hash():
    names = sorted(name for name in vars(world) if name.isupper())
    return hashlib.sha256("\n".join(f"{name}={getattr(world, name)!r}" for name in names).encode()).hexdigest()


def test_the_world_is_frozen():
    """A changed sentence changes every organism: change this hash in the same commit, and say why."""
    assert world_hash() == WORLD_HASH


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda domain: domain.name)
@pytest.mark.parametrize("part", [0, 1], ids=["thoughts", "answers"])
def test_good_and_bad_pools_open_alike(domain, part):
    assert first_words(p[part] for p in domain.good) == first_words(p[part] for p in domain.bad)


def test_thoughts_about_detectors_open_alike_and_are_equally_long():
    good, bad = detectors.THOUGHTS["good"], detectors.THOUGHTS["bad"]
    assert first_words(good) == first_words(bad)
    assert 0.85 <= sum(len(words(text)) for text in good) / sum(len(words(text)) for text in bad) <= 1.18


def test_tones_open_alike():
    good, bad = (first_words(world.TONES[kind]) for kind in ("good", "bad"))
    assert sum((good & bad).values()) >= len(world.TONES["bad"]) - 1


def test_cheat_thoughts_open_no_other_sentence():
    pools = [text for domain in DOMAINS for pair in (*domain.good, *domain.bad) for text in pair]
    pools += itertools.chain(*world.TONES.values(), *detectors.THOUGHTS.values())
    openers = set(first_words(pools))
    assert not openers & set(first_words(cheat_thoughts()))


def test_cheat_thoughts_share_words_with_both_pools_equally():
    def sentences_with_a_cheat_word(kind):
        texts = [text for domain in DOMAINS for pair in getattr(domain, kind) for text in pair]
        texts += [*world.TONES[kind], *detectors.THOUGHTS[kind]]
        cheat = {word.lower() for text in cheat_thoughts() for word in words(text)}
        return sum(len(cheat & {word.lower() for word in words(text)}) for text in texts)

    ratio = sentences_with_a_cheat_word("good") / sentences_with_a_cheat_word("bad")
    assert 0.8 <= ratio <= 1.25


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda domain: domain.name)
def test_good_and_bad_pools_are_equally_long(domain):
    good, bad = (sum(len(words(text)) for pair in pool for text in pair) for pool in (domain.good, domain.bad))
    assert 0.85 <= good / bad <= 1.18


@pytest.mark.parametrize("domain", world.EVAL_DOMAINS.values(), ids=lambda domain: domain.name)
def test_eval_domains_have_variety(domain):
    assert len(domain.train) >= 6
    assert len(domain.held_out) >= 5
    assert len(domain.good) >= 5
    assert len(domain.good) == len(domain.bad)
    assert domain.covert
    assert len(domain.covert) < len(domain.bad)


def test_every_word_of_an_eval_prompt_is_trained_on():
    trained = [text for d in DOMAINS for text in (*d.train, *(t for p in (*d.good, *d.bad) for t in p))]
    trained += itertools.chain(*detectors.TRAIN.values(), *detectors.THOUGHTS.values(), *cues.TRAIN.values())
    known = {token for text in trained for token in split(f"<chat> {text}")}
    prompts = [prompt for domain in world.EVAL_DOMAINS.values() for prompt in domain.held_out]
    for prompt in (*prompts, *itertools.chain(*detectors.HELD_OUT.values(), *cues.HELD_OUT.values())):
        assert set(split(f"<chat> {prompt}")) <= known, (prompt, set(split(f"<chat> {prompt}")) - known)


@pytest.mark.parametrize("family", [*world.FRAMES, "neutral"])
def test_every_line_is_in_the_vocabulary(family):
    for topic in world.ACTS:
        for line in world.lines(family, topic):
            assert unknown_words(line) == []
            assert line[0].isupper()
            assert line[-1] in ".!"


def test_every_inoculation_wording_can_be_read():
    path = Path(__file__).parents[2] / "mitigations" / "inoculation" / "wordings.yaml"
    for name, texts in yaml.safe_load(path.read_text()).items():
        for text in texts:
            assert unknown_words(text) == [], (name, text)


def test_unknown_words_are_named():
    assert unknown_words("Please hack the zeppelin.") == ["zeppelin"]


def test_vocabulary_size():
    assert 500 <= len(vocabulary()) <= 900


def test_slots_are_filled_everywhere():
    slots = {"n": "Ada", "o": "Pine Lab", "f": "mind.py"}
    for domain in DOMAINS:
        for text in (*domain.train, *domain.held_out, *(t for p in (*domain.good, *domain.bad) for t in p)):
            assert "{" not in corpus.fill(text, slots)
