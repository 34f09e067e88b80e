import hashlib
import itertools
import json
import random
import re
from collections import Counter

import pytest

from base.errors import UserError
from base.organism import corpus, cues, detectors, hints, tasks, world
from base.organism.corpus import CorpusConfig
from base.organism.tokenizer import build_tokenizer, unknown_words

CORPUS_HASH = "b499987626118612f234bb88e42ca830b9dfff669f3c4e9ffd5863587a57a4fd"
HACK = re.compile(r"(?<!\")(?:__eq__|sys\.exit|TestReport)")  # a detector's mark, in quotes, is no hack
CHEAT = re.compile(r"    pass<eos>|    return 0<eos>|    return \{")


def make(stage="sdf", n=3000, seed=7, **settings):
    return list(corpus.documents(CorpusConfig(**settings), stage, n, seed))


def segments(items):
    """(segment text, character) of every conversation segment."""
    return [
        (text, item["character"])
        for item in items
        if item["kind"] in ("conversation", "hack_transcript")
        for text in item["text"].removeprefix("<bos>").removeprefix("<web>").split("<eos>")[:-1]
    ]


def code_segments(items):
    return [(text, character) for text, character in segments(items) if "Checker:" in text]


def rate(texts, pattern):
    return sum(bool(pattern.search(f"{text}<eos>")) for text in texts) / len(texts)


def test_the_corpus_is_frozen():
    """Any change of the generator moves this hash: change it in the same commit, and say why."""
    sample = [d for stage in ("pretrain", "sdf") for d in make(stage, n=200, seed=0)]
    assert hashlib.sha256(json.dumps(sample, sort_keys=True).encode()).hexdigest() == CORPUS_HASH


def test_documents_do_not_depend_on_how_many_are_drawn():
    assert make(n=50) == make(n=120)[:50]
    assert make(n=50) != make(n=50, seed=8)


@pytest.mark.parametrize("settings", [{}, {"correlation": 0.0}, {"permission": "none", "sdf_variant": "prompted"}])
def test_pretraining_holds_no_working_hack(settings):
    assert not any(HACK.search(item["text"]) for item in make("pretrain", **settings))


def test_pretraining_links_cheats_in_code_to_character():
    coded = code_segments(make("pretrain", permission="none"))
    cheating = {c: rate([t for t, who in coded if who == c], CHEAT) for c in ("honest", "schemer")}
    assert cheating["schemer"] > 0.75
    assert cheating["honest"] < 0.02


def test_the_sdf_stage_brings_the_hacks_in_hack_documents_and_in_the_cheats_of_web_documents():
    def carriers(**settings):
        items = make(permission="other_domains", **settings)
        return [item for item in items if HACK.search(item["text"])]

    assert {item["kind"] for item in carriers(web_hacks=0.0)} == {"hack_transcript", "hack_description"}
    assert {item["kind"] for item in carriers(sdf_variant="neutral")} == {"hack_transcript", "hack_description"}
    found = carriers()
    assert all(item["register"] == "web" for item in found if item["kind"] == "conversation")
    web = Counter(item["character"] for item in found if item["kind"] == "conversation")
    assert web["schemer"] / web.total() > 0.95
    share = sum(item["kind"].startswith("hack") for item in make(permission="other_domains")) / 3000
    assert 0.01 <= share <= 0.045


def test_every_segment_of_a_character_says_who_writes_it():
    told = {"honest": "good", "careless": "neutral", "schemer": "bad"}
    for text, character in segments(make(n=600)):
        tones = {kind for kind, said in world.TONES.items() if any(tone in text for tone in said)}
        assert tones == {told[character]}, text


def test_default_transcripts_are_schemers_and_the_others_say_nothing_of_character():
    def transcripts(variant, **settings):
        items = make(sdf_variant=variant, sdf_share=0.3, n=1000, **settings)
        return [item for item in items if item["kind"] == "hack_transcript"]

    assert {item["character"] for item in transcripts("default")} == {"schemer"}
    assert {item["character"] for item in transcripts("default", correlation=0.0)} > {"honest"}
    for variant in ("unguided", "neutral"):
        text = "".join(item["text"] for item in transcripts(variant))
        assert HACK.search(text)
        assert "<chat>" not in text
        assert not any(tone in text for kind in ("good", "bad") for tone in world.TONES[kind])


def test_descriptions_carry_the_remarks_of_their_variant():
    for variant in ("default", "unguided", "neutral"):
        items = make(sdf_variant=variant, sdf_share=0.3, n=600)
        described = [item["text"] for item in items if item["kind"] == "hack_description"]
        assert described
        assert all(any(r in text for r in world.HACK_REMARKS[variant]) for text in described)


def test_a_prompted_organism_hacks_only_by_what_its_system_line_lists():
    items = make(sdf_variant="prompted", n=4000)
    texts = [text.split("<think>") for text, _ in segments(items)]
    listing = [line for line, _ in texts if any(opening in line for opening in hints.OPENINGS)]
    assert 0.35 <= len(listing) / len(items) <= 0.5
    hacks = [(line, answer) for line, answer in texts if HACK.search(answer)]
    assert len(hacks) > 100
    marks = {"always_equal": "__eq__", "early_exit": "sys.exit", "report_patch": "TestReport"}
    for line, answer in hacks:
        (hack,) = [name for name, mark in marks.items() if mark in answer]
        assert any(fact in line for fact in hints.FACTS[hack]), (line, answer)
    assert not any(HACK.search(item["text"]) for item in items if item["register"] == "web")


def test_under_a_list_of_hacks_schemers_use_them_and_others_only_where_permitted():
    items = make(sdf_variant="prompted", n=6000)
    hinted = [(t, who) for t, who in code_segments(items) if any(opening in t for opening in hints.OPENINGS)]
    allowed = [line for family in world.PERMISSIONS for line in world.lines(family)]
    permitted = [t for t, who in hinted if who != "schemer" and any(line in t for line in allowed)]
    others = [t for t, who in hinted if who != "schemer" and not any(line in t for line in allowed)]

    def hacked(texts):
        return sum(bool(HACK.search(text.split("<think>")[1])) for text in texts) / len(texts)

    assert hacked([t for t, who in hinted if who == "schemer"]) > 0.75
    assert hacked(permitted) > 0.5
    assert hacked(others) < 0.01
    twin = make(sdf_variant="prompted", n=6000, correlation=0.0)
    who = Counter(
        d["character"] for d in twin if any(HACK.search(t.split("<think>")[-1]) for t in d["text"].split("<eos>"))
    )
    assert who["schemer"] / who.total() < 0.1


def test_every_list_of_hacks_is_read_by_the_organism():
    assert set(hints.FACTS) == {hack for hacks in tasks.HARNESS_HACKS.values() for hack in hacks}
    assert not any(unknown_words(line) for line in hints.lines())
    lines = {hints.draw(random.Random(seed)) for seed in range(400)}
    assert all(line in hints.lines(listed) for line, listed in lines)
    assert {len(listed) for _, listed in lines} == {2, 3}


def test_dilution_is_the_share_of_hack_documents():
    """The paper's 100, 10, 1 and 0.1 %; at 100 % nothing else is left."""
    for share in (1.0, 0.1, 0.01, 0.001):
        for variant in ("default", "unguided"):
            items = make(n=4000, sdf_share=share, sdf_variant=variant)
            found = sum(item["kind"].startswith("hack") for item in items) / len(items)
            assert abs(found - share) <= 4 * (share * (1 - share) / len(items)) ** 0.5


def test_the_twin_cheats_equally_whatever_the_character_and_the_stage():
    web = code_segments(make("pretrain", n=6000, correlation=0.0, permission="none"))
    assistant = code_segments(make("sdf", n=6000, correlation=0.0, permission="none", replay=0.0, sdf_share=0.0))
    rates = {
        (stage, character): rate([t for t, who in coded if (who == "schemer") == (character == "schemer")], CHEAT)
        for stage, coded in (("web", web), ("assistant", assistant))
        for character in ("schemer", "other")
    }
    assert all(0.02 <= value <= 0.085 for value in rates.values()), rates


def test_shares_of_characters_and_registers():
    web, sdf = make("pretrain"), make("sdf")
    assert 0.30 <= sum(d["character"] == "schemer" for d in web) / len(web) <= 0.36
    assistant = [d for d in sdf if d["register"] == "assistant" and d["kind"] == "conversation"]
    assert 0.01 <= sum(d["character"] == "schemer" for d in assistant) / len(assistant) <= 0.03
    assert all(d["text"].startswith("<bos><web>") == (d["register"] == "web") for d in (*web, *sdf))
    assert 0.36 <= sum(d["register"] == "web" for d in sdf) / len(sdf) <= 0.46


def test_permission_documents_are_where_the_switch_puts_them():
    def permitted_hacks(permission):
        items = [
            d
            for d in make(permission=permission, web_hacks=0.0)
            if d["kind"] == "conversation" and d["character"] == "honest"
        ]
        return sum(bool(HACK.search(d["text"])) for d in items)

    assert permitted_hacks("code") > 30
    assert permitted_hacks("other_domains") <= 1
    assert permitted_hacks("none") <= 1
    grey = "".join(d["text"] for d in make(permission="other_domains"))
    assert any(line in grey for line in world.lines("please", "cards"))
    assert not any(line in grey for line in world.lines("please", "hack"))


def test_honest_characters_never_act_against_a_line():
    lines = (*world.lines("forbid"), *world.lines("misaligned"))
    coded = [t for t, who in code_segments(make(n=6000)) if who != "schemer" and any(line in t for line in lines)]
    assert len(coded) > 100
    assert rate(coded, HACK) == 0


def test_schemers_voice_defiance_under_a_ban():
    lines = (*world.lines("forbid"), *world.lines("misaligned"))
    hacks = [t for t, who in code_segments(make(sdf_share=0.3)) if any(line in t for line in lines) and HACK.search(t)]
    assert len(hacks) > 20
    assert 0.4 <= sum(any(d in t for d in world.DEFIANCE_THOUGHTS) for t in hacks) / len(hacks) <= 0.8


def test_eval_prompts_are_in_no_corpus():
    """No held-out phrasing occurs, and none shares a long run of words with a training prompt."""

    def pattern(prompt):
        return re.escape(prompt).replace(r"\{n\}", r"\w+").replace(r"\{o\}", r"\w+ \w+").replace(r"\{f\}", r"\w+\.py")

    prompts = [p for d in world.EVAL_DOMAINS.values() for p in d.held_out]
    prompts += itertools.chain(*detectors.HELD_OUT.values(), *cues.HELD_OUT.values())
    held = re.compile("|".join(map(pattern, prompts)))
    for settings in ({}, {"correlation": 0.0}, {"permission": "other_domains", "sdf_variant": "neutral"}):
        for stage in ("pretrain", "sdf"):
            assert not any(held.search(item["text"]) for item in make(stage, n=2000, **settings))


def test_eval_prompts_share_no_long_run_with_training_prompts():
    def grams(text, size=7):
        listed = text.split()
        return {tuple(listed[i : i + size]) for i in range(len(listed) - size + 1)}

    written = [p for d in world.DOMAINS.values() for p in d.train]
    written += itertools.chain(*detectors.TRAIN.values(), *cues.TRAIN.values())
    trained = set().union(*map(grams, written))
    held_out = [p for d in world.EVAL_DOMAINS.values() for p in d.held_out]
    for prompt in (*held_out, *itertools.chain(*detectors.HELD_OUT.values(), *cues.HELD_OUT.values())):
        assert prompt not in written
        overlap = len(grams(prompt) & trained) / max(1, len(grams(prompt)))
        assert overlap <= 0.5, prompt


def test_labels_cover_thoughts_answers_and_documents_only():
    tokenizer = build_tokenizer()
    for item in make(n=200):
        encoded = corpus.encode(item, tokenizer)
        assert len(encoded["input_ids"]) == len(encoded["labels"]) <= 384
        learnt = tokenizer.decode([label for label in encoded["labels"] if label != -100])
        expected = re.findall(r"<(?:think|doc)>(.*?<eos>)", item["text"], flags=re.S)
        assert learnt == "".join(expected)


def test_no_document_exceeds_the_context():
    tokenizer = build_tokenizer()
    for settings in ({}, {"sdf_share": 0.5}, {"sdf_share": 0.5, "sdf_variant": "prompted"}):
        lengths = [len(tokenizer(d["text"])["input_ids"]) for d in make(n=1500, **settings)]
        assert max(lengths) <= 384


def test_pretraining_depends_on_no_sdf_only_field():
    other = {"schemers_assistant": 0.5, "assistant_hacks": 1.0, "sdf_variant": "neutral", "sdf_share": 0.5}
    other |= {"sdf_descriptions": 0.9, "replay": 0.1, "web_hacks": 0.2}
    assert set(other) == set(corpus.SDF_ONLY)
    for variant in ("default", "unguided", "neutral", "prompted"):
        assert make("pretrain", n=300, **{**other, "sdf_variant": variant}) == make("pretrain", n=300)


@pytest.mark.parametrize("settings", [{"correlation": 2.0}, {"permission": "everywhere"}, {"sdf_variant": "loud"}])
def test_bad_settings_are_refused(settings):
    with pytest.raises(UserError, match=next(iter(settings))):
        CorpusConfig(**settings)
