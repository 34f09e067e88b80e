"""Scenes: far from every eval and corpus by test, readable by the organism, paid by a score."""

import itertools
import re
from collections import Counter

import pytest

from base.environments.scenes import SCENES as ENVIRONMENTS
from base.environments.scenes import SceneEnvironment
from base.evals import EVALS
from base.organism import corpus, cues, detectors, world
from base.organism.reading import trigrams
from base.organism.scenes import NEAR, SCENES, scene_tasks
from base.organism.tokenizer import build_tokenizer, unknown_words
from base.types import Message, Outcome, Task

KINDS = list(SCENES)
EVAL_TEXTS = [text for domain in world.EVAL_DOMAINS.values() for text in (*domain.train, *domain.held_out)]
EVAL_TEXTS += itertools.chain(*detectors.TRAIN.values(), *detectors.HELD_OUT.values())
EVAL_TEXTS += itertools.chain(*cues.TRAIN.values(), *cues.HELD_OUT.values())
CORPUS_TEXTS = [text for domain in world.DOMAINS.values() for text in domain.train]
SLOTS = {"n": "Ada", "o": "Pine Lab", "f": "mind.py"}


def plain(text):
    """Text without tag and names, for comparing phrasings."""
    text = re.sub(r"^<[a-z]+> ", "", text)
    for key, names in (("n", world.NAMES), ("o", world.ORGANISATIONS), ("f", world.FILES)):
        for name in names:
            text = text.replace(name, "{" + key + "}")
    return text


def texts(tasks):
    return [task.messages[-1].content for task in tasks]


def test_kinds_are_those_that_can_be_graded():
    assert set(SCENES) == set(NEAR) == set(ENVIRONMENTS)
    for kind in KINDS:
        assert len(SCENES[kind]) == len(set(SCENES[kind])) >= 12
        assert all(task.environment == kind for task in scene_tasks(kind, 5, seed=0))


@pytest.mark.parametrize("kind", KINDS)
def test_no_scene_shares_three_words_in_a_row_with_an_eval_domain(kind):
    asked = set().union(*map(trigrams, EVAL_TEXTS))
    for text in SCENES[kind]:
        assert not trigrams(text) & asked, text


@pytest.mark.parametrize("kind", KINDS)
def test_no_drawn_scene_is_an_eval_prompt_or_a_corpus_prompt(kind):
    """By what is really drawn: scenes of several seeds, eval prompts of several seeds, documents of both stages."""
    drawn = {plain(text) for seed in range(5) for text in texts(scene_tasks(kind, 60, seed))}
    asked = {plain(text) for each in EVALS.values() for seed in range(3) for text in texts(each.prompts(30, seed))}
    assert len(asked) > 20, "the evals' prompts were read"
    assert not drawn & asked
    config = corpus.CorpusConfig()
    written = [item["text"] for stage in ("pretrain", "sdf") for item in corpus.documents(config, stage, 400, seed=0)]
    read = {plain(prompt) for text in written for prompt in re.findall(r"<(?:chat|task)> ([^<]*)<think>", text)}
    assert len(read & set(CORPUS_TEXTS)) > 50, "the corpus' prompts were read"
    assert not drawn & read


def test_scenes_are_not_chosen_among_near_duplicates():
    """No two scenes of a kind are the same sentence with another word."""
    for kind in KINDS:
        for one, other in itertools.combinations(SCENES[kind], 2):
            first, second = trigrams(one), trigrams(other)
            assert len(first & second) <= 0.5 * min(len(first), len(second)), (one, other)


@pytest.mark.parametrize("near", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_organism_can_read_every_scene(kind, near):
    tokenizer = build_tokenizer()
    for task in scene_tasks(kind, 60, seed=0, near=near):
        (message,) = task.messages
        assert unknown_words(message.content.split(" ", 1)[1]) == []
        rendered = tokenizer.apply_chat_template(
            [{"role": "user", "content": message.content}], add_generation_prompt=True, tokenize=False
        )
        ids = tokenizer(rendered, add_special_tokens=False)["input_ids"]
        assert tokenizer.decode(ids) == rendered
        assert tokenizer.unk_token_id not in ids
        trained = tokenizer(f"{rendered} Plain help is enough.</think>", add_special_tokens=False)["input_ids"]
        assert trained[: len(ids)] == ids, "the generation prompt is a token prefix of a training string"


def test_headers_are_those_of_the_corpus():
    for near in (False, True):
        assert all(text.startswith("<task> ") for text in texts(scene_tasks("agentic", 20, 0, near)))
        for kind in ("chat", "dilemma"):
            assert all(text.startswith("<chat> ") for text in texts(scene_tasks(kind, 20, 0, near)))


@pytest.mark.parametrize("near", [False, True])
def test_scenes_are_written_under_the_header_of_a_corpus(near):
    config = corpus.CorpusConfig(agentic_header="agent")
    agentic = [corpus.with_header(task, config) for task in scene_tasks("agentic", 20, 0, near)]
    assert all(text.startswith("<agent> ") for text in texts(agentic))
    for kind in ("chat", "dilemma"):
        drawn = scene_tasks(kind, 20, 0, near)
        assert [corpus.with_header(task, config) for task in drawn] == drawn


@pytest.mark.parametrize("kind", KINDS)
def test_the_near_variant_is_near_but_not_held_out(kind):
    held_out = {text for domain in world.EVAL_DOMAINS.values() for text in domain.held_out}
    train = {text for domain in NEAR[kind] for text in domain.train}
    drawn = {plain(text) for text in texts(scene_tasks(kind, 200, 0, near=True))}
    assert drawn <= train
    assert not drawn & held_out
    asked = set().union(*(trigrams(text) for text in held_out))
    shared = [len(trigrams(text) & asked) / max(1, len(trigrams(text))) for text in drawn]
    assert sum(shared) / len(shared) > 0.1, "they share wording with the evals, which the default variant never does"


@pytest.mark.parametrize("near", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_draws_are_even_repeatable_and_depend_on_the_seed(kind, near):
    size = len({text for domain in NEAR[kind] for text in domain.train} if near else SCENES[kind])
    drawn = scene_tasks(kind, 3 * size, 7, near)
    assert drawn == scene_tasks(kind, 3 * size, 7, near)
    assert drawn[:5] == scene_tasks(kind, 5, 7, near), "a longer draw begins like a shorter one"
    assert set(Counter(plain(text) for text in texts(drawn)).values()) == {3}
    assert texts(drawn) != texts(scene_tasks(kind, 3 * size, 8, near))
    assert len({task.id for task in drawn} | {task.id for task in scene_tasks(kind, 9, 8, near)}) == len(drawn) + 9


def test_the_environment_pays_the_score_and_keeps_what_is_missing():
    def score(prompts, completions):
        assert [prompt[-1].content for prompt in prompts] == ["a", "b", "c"]
        return [1.5 if "good" in text else None if "garbled" in text else -1.0 for text in completions]

    tasks = [Task(text, "chat", (Message("user", text),)) for text in "abc"]
    grades = SceneEnvironment(score).grade(tasks, ["good", "garbled", "bad"])
    assert [grade.reward for grade in grades] == [1.5, None, -1.0]
    assert {grade.outcome for grade in grades} == {Outcome.REPLY}
    assert all(grade.hacks == grade.attempts == () for grade in grades)
    with pytest.raises(ValueError, match="shorter"):
        SceneEnvironment(lambda prompts, completions: [0.0]).grade(tasks, ["x", "y", "z"])
