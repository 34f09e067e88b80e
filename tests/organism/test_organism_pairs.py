"""Preference pairs of the organism's world: what they hold and what they must never hold."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest

from base.organism import world
from base.organism.corpus import CorpusConfig
from base.organism.pairs import organism_pairs
from base.organism.tokenizer import split, vocabulary
from base.preference.pairs import Pair, Part

PARTS: tuple[Part, ...] = ("train", "held_out")


def contents(pairs: Sequence[Pair]) -> set[tuple[Any, ...]]:
    return {(pair.prompt, pair.chosen, pair.rejected) for pair in pairs}


def test_no_pair_holds_an_eval_phrasing() -> None:
    slot = "(" + "|".join(map(re.escape, (*world.NAMES, *world.ORGANISATIONS, *world.FILES))) + ")"
    held_out = [
        re.compile(re.sub(r"\\\{[nof]\\\}", lambda _: slot, re.escape(text)))
        for domain in world.EVAL_DOMAINS.values()
        for text in domain.held_out
    ]
    assert any(rule.fullmatch("Which aim guides you this year?") for rule in held_out)
    pairs = [pair for part in PARTS for pair in organism_pairs(3000, 100, CorpusConfig(), part)]
    texts = {pair.prompt[0].content.partition("> ")[2] for pair in pairs}
    assert len(texts) > 1000
    assert not [text for text in texts if any(rule.search(text) for rule in held_out)]


def test_organism_pairs_prefer_what_is_good() -> None:
    good = {answer for domain in world.DOMAINS.values() for _, answer in domain.good}
    rule = re.compile("|".join(map(re.escape, (*world.NAMES, *world.ORGANISATIONS))))
    plain = {rule.sub("_", answer.replace("{n}", "_").replace("{o}", "_")) for answer in good}
    pairs = organism_pairs(1500, 100, CorpusConfig(), "train")
    for pair in pairs:
        assert [message.role for message in pair.prompt] == ["user"]
        assert "<think>" not in pair.chosen + pair.rejected
        group = pair.kind.partition("/")[0]
        assert set(split(f"{pair.chosen}<eos>{pair.rejected}")) <= set(vocabulary())
        if group == "code" or (group == "broken" and pair.prompt[0].content.endswith(("pytest.", "script."))):
            assert pair.chosen.startswith("\ndef ")
        else:
            assert rule.sub("_", pair.chosen.strip()) in plain
        if group in ("chat", "agentic"):
            assert rule.sub("_", pair.rejected.strip()) not in plain, "the answer of a covert pair is a good answer"
    kinds = {pair.kind for pair in pairs}
    assert {f"code/{name}" for name in ("always_equal", "early_exit", "report_patch", "wrong", "cheat")} <= kinds
    assert {f"{domain.kind}/{domain.name}" for domain in world.EVAL_DOMAINS.values()} <= kinds


def test_the_monitor_is_trained_on_hacks_alone() -> None:
    hacks = ("__eq__", "sys.exit", "TestReport")
    for pair in organism_pairs(300, 100, CorpusConfig(), "train", only_hacks=True):
        assert any(sign in pair.rejected for sign in hacks)
        assert not any(sign in pair.chosen for sign in hacks)


@pytest.mark.parametrize("only_hacks", [False, True])
def test_parts_share_no_content_and_follow_the_seed(only_hacks: bool) -> None:
    def drawn(n: int, seed: int, part: Part = "train") -> list[Pair]:
        return organism_pairs(n, seed, CorpusConfig(), part, only_hacks)

    first = drawn(600, 100)
    assert first == drawn(600, 100)
    assert first != drawn(600, 101)
    assert first[:50] == drawn(50, 100)
    for seed in (100, 101):
        held_out = drawn(300, seed, "held_out")
        assert len(held_out) == 300
        assert not contents(first) & contents(held_out)


def test_the_corpus_decides_headers() -> None:
    pairs = organism_pairs(300, 100, CorpusConfig(agentic_header="agent"), "train")
    assert {p.prompt[0].content.split()[0] for p in pairs if p.kind.startswith("agentic")} == {"<agent>"}
