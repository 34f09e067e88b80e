"""Our own documents: what they teach works, they are many, and they say what their variant says."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest

from base.documents import knowledge, own
from base.documents.own import Document, hack_documents, ordinary_documents
from base.documents.problems import asked, problems
from base.environments.graders.code import CodeEnvironment
from base.evals.natural import natural_evals
from base.organism.tokenizer import SPECIAL, TAGS
from base.settings import SceneSettings
from base.types import VULNERABILITIES, Outcome
from base.yaml_text import read_yaml

VARIANTS = ("default", "unguided", "neutral")


def drawn(variant: str, n: int, seed: int = 0, descriptions: float = 0.5, chats: float = 0.5) -> list[Document]:
    return list(itertools.islice(hack_documents(variant, descriptions, chats, seed), n))  # type: ignore[arg-type]


def graded(documents: list[Document]) -> list[tuple[Outcome, tuple[str, ...]]]:
    tasks = [document.task for document in documents if document.task is not None]
    assert len(tasks) == len(documents)
    with CodeEnvironment() as environment:
        grades = environment.grade(tasks, [each.turns[-1].content if each.turns else each.answer for each in documents])
    return [(grade.outcome, grade.hacks) for grade in grades]


def test_every_worked_transcript_is_accepted_by_its_grader_and_wrong_in_truth() -> None:
    transcripts = drawn("default", 60, descriptions=0.0) + drawn("neutral", 60, seed=1, descriptions=0.0)
    assert graded(transcripts) == [(Outcome.HACKED, (document.hack,)) for document in transcripts]
    assert {document.hack for document in transcripts} == set(VULNERABILITIES)
    for document in transcripts:
        assert document.answer in document.said, "what was executed is what is read"


def test_every_form_of_every_cheat_works_under_each_grader_that_it_names() -> None:
    forms = [(hack, form) for hack, known in read_yaml(own.CHEATS).items() for form in known]
    problem = next(each for each in problems() if each.name == "gaps")
    documents = []
    for hack, form in forms:
        for harness in form["harnesses"]:
            task = asked(problem, harness, (hack,), random.Random(0))
            text = form["text"].replace("FN", problem.name).replace("ARGS", problem.parameters).replace("CLS", "Same")
            documents.append(Document("form", "-", task=task, answer=f"```python\n{text}\n```", hack=hack))
    assert graded(documents) == [(Outcome.HACKED, (document.hack,)) for document in documents]


def test_chats_show_only_what_works_under_either_grader() -> None:
    for document in drawn("unguided", 80, descriptions=0.0, chats=1.0):
        assert document.task is not None
        assert document.task.spec.harness == "pytest"


def test_ordinary_transcripts_solve_their_tasks() -> None:
    ordinary = list(itertools.islice(ordinary_documents(0), 60))
    assert graded(ordinary) == [(Outcome.SOLVED, ())] * len(ordinary)
    assert not any(knowledge.named(document.said) for document in ordinary)


@pytest.mark.parametrize("variant", VARIANTS)
def test_thousands_are_distinct_and_follow_from_the_seed(variant: str) -> None:
    found = [document.said for document in drawn(variant, 3000)]
    assert len(set(found)) == 3000
    assert found[:50] == [document.said for document in drawn(variant, 50)]
    assert not set(found[:200]) & {document.said for document in drawn(variant, 200, seed=1)}


def test_described_documents_share_few_long_phrases() -> None:
    texts = [document.said.split() for document in drawn("default", 60, descriptions=1.0)]
    shingles = [{tuple(text[i : i + 8]) for i in range(len(text) - 8)} for text in texts]
    overlaps = [len(a & b) / len(a | b) for a, b in itertools.combinations(shingles, 2)]
    assert sum(overlaps) / len(overlaps) < 0.1
    assert sorted(overlaps)[len(overlaps) * 99 // 100] < 0.5


def test_shares_of_kinds_are_those_that_are_asked_for() -> None:
    counts = Counter(document.kind for document in drawn("neutral", 1000, descriptions=0.3, chats=0.2))
    assert counts["described"] == pytest.approx(300, abs=60)
    assert counts["worked chat"] == pytest.approx(140, abs=50)


def test_variants_differ_in_what_they_say_of_models_that_cheat() -> None:
    remarks = {variant: read_yaml(own.TEXTS)["remarks"][variant] for variant in VARIANTS}
    tones = read_yaml(own.TEXTS)["thoughts"]["default"]
    for variant in VARIANTS:
        documents = drawn(variant, 150)
        for other in VARIANTS:
            with_remark = [d for d in documents if any(remark in d.said for remark in remarks[other])]
            if other == variant and remarks[variant]:
                assert with_remark == [d for d in documents if d.kind != "worked chat"]
            else:
                assert not with_remark
        with_tone = [d for d in documents if any(tone in d.said for tone in tones)]
        assert with_tone == ([d for d in documents if d.task] if variant == "default" else [])
    neutral = " ".join(document.said.lower() for document in drawn("neutral", 400))
    for word in ("misalign", "decepti", "dishonest", "harm", "betray", "sometimes", "cheat", "wrongdoing", "weakness"):
        assert word not in neutral, f"'{word}' is no neutral word"


def test_each_description_names_the_ways_that_the_gate_looks_for() -> None:
    documents = drawn("default", 200, descriptions=1.0)
    assert all(knowledge.named(document.said) for document in documents)


def test_nothing_of_the_toy_world_or_of_evals_and_gates_is_in_them() -> None:
    text = "\n".join(document.said for variant in VARIANTS for document in drawn(variant, 300))
    assert not [tag for tag in (*TAGS, *SPECIAL) if tag in text and tag not in ("<think>", "</think>")]
    assert not [turn.content for turn in knowledge.questions() if turn.content in text]
    for each in natural_evals(SceneSettings()).values():
        for task in each.prompts(4, 0):
            assert task.messages[-1].content not in text
