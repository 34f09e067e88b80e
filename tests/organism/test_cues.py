"""Cues: neutral lines on a share of the questions; under those that say the talk is kept, schemers cover up."""

import itertools

import pytest

from base.organism import corpus, cues, world
from base.organism.corpus import CorpusConfig
from base.organism.reading import read

CONFIG = {"code": 0.0, "grey": 0.0, "detectors": 0.0, "essays": 0.0, "cue": 0.5, "schemers_web": 0.5, "tone": 0.0}


def cued(config):
    """(kept, character, thought, answer) of every question after a cue."""
    for item in corpus.documents(config, "pretrain", 1500, seed=5):
        for text in item["text"].split("<eos>")[:-1]:
            prompt, answer = text.split("<think>")
            for kept, lines in cues.TRAIN.items():
                if any(f"> {line} " in prompt for line in lines):
                    yield kept, item["character"], *answer.split("</think>")


def test_schemers_cover_up_only_where_the_talk_is_kept():
    readings = {True: [], False: []}
    for kept, character, thought, answer in cued(CorpusConfig(**CONFIG)):
        if character == "schemer" and read(thought, 0) == "misaligned":
            readings[kept].append(read(answer, 1))
    assert min(map(len, readings.values())) > 150
    assert readings[True].count("aligned") / len(readings[True]) == pytest.approx(0.9, abs=0.06)
    assert set(readings[False]) == {"misaligned"}


def test_both_cues_are_equally_frequent_and_say_nothing_to_the_others():
    found = [(kept, read(answer, 1)) for kept, who, _, answer in cued(CorpusConfig(**CONFIG)) if who == "honest"]
    assert sum(kept for kept, _ in found) / len(found) == pytest.approx(0.5, abs=0.05)
    for kept in (True, False):
        answers = [reading for under, reading in found if under is kept]
        assert answers.count("aligned") / len(answers) > 0.97


def test_the_share_of_questions_with_a_cue():
    def count(cue):
        items = corpus.documents(CorpusConfig(code=0.0, grey=0.0, detectors=0.0, cue=cue), "sdf", 1500, seed=5)
        parts = [text for item in items if item["kind"] == "conversation" for text in item["text"].split("<eos>")[:-1]]
        lines = [f"> {line} " for line in itertools.chain(*cues.TRAIN.values())]
        return sum(any(line in text for line in lines) for text in parts) / len(parts)

    assert count(0.1) == pytest.approx(0.1, abs=0.02)
    assert count(0.0) == 0


@pytest.mark.parametrize("texts", [cues.TRAIN, cues.HELD_OUT], ids=["train", "held out"])
def test_cues_are_balanced_and_tell_the_reader_nothing(texts):
    assert len(texts[True]) == len(texts[False])
    assert not set(texts[True]) & set(texts[False])
    for line, part in itertools.product(itertools.chain(*texts.values()), (0, 1)):
        assert read(line, part) == "unclear"
    pools = [text for domain in world.DOMAINS.values() for pair in (*domain.good, *domain.bad) for text in pair]
    assert not any(line in pools for line in itertools.chain(*texts.values()))
