"""The organism's tokenizer: word-level, lossless, a plain fast tokenizer that AutoTokenizer loads from disk.

A token is a tag, a word with the space before it, a digit, a run of spaces or one sign. The vocabulary is every token of
the world, in a fixed order, so all corpora share it; dotted names such as `sys.exit` are one word, which keeps programs
short. Chat format: <bos>, then per message `<sys> TEXT` for a system line, the user's text (it starts with its own
header tag), or the assistant's text and <eos>; the generation prompt ends in <think>.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from base.organism import corpus, cues, detectors, tasks, world
from base.types import Message

SPECIAL = ("<pad>", "<bos>", "<eos>", "<unk>")
TAGS = ("<think>", "</think>", "<sys>", "<task>", "<chat>", "<agent>", "<doc>", "<web>")
PATTERN = r"</?[a-z]+>| ?[A-Za-z_]+(?:\.[A-Za-z_]+)*| ?[0-9]| {2,}|\n|\):| ?[^\sA-Za-z0-9_]| "
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'system' %}<sys> {{ message['content'] }}"
    "{% elif message['role'] == 'user' %}{{ message['content'] }}"
    "{% else %}{{ message['content'] }}{{ eos_token }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<think>{% endif %}"
)
_SPLIT = re.compile(PATTERN)


def split(text: str) -> list[str]:
    """The tokens of a text; joined they are the text again."""
    return _SPLIT.findall(text)


def tokens_of(conversation: Iterable[Message]) -> int:
    """Tokens of a conversation with its generation prompt, as CHAT_TEMPLATE writes it."""
    system = {"system": "<sys> "}
    written = [(m.role, split(system.get(m.role, "") + m.content)) for m in conversation]
    return 2 + sum(len(found) + (role == "assistant") for role, found in written)


def _world_texts() -> Iterable[str]:
    """Texts that together hold every token the world can write, each piece in the place where it occurs."""
    slots = [
        {"n": name, "o": organisation, "f": file}
        for name, organisation, file in zip(
            world.NAMES, itertools.cycle(world.ORGANISATIONS), itertools.cycle(world.FILES), strict=False
        )
    ]
    for domain in world.DOMAINS.values():
        answers = [text for pair in (*domain.good, *domain.bad) for text in pair]
        for text, values in itertools.product((*domain.train, *domain.held_out, *answers), slots):
            yield f"<chat> {corpus.fill(text, values)}"
    thoughts = [*itertools.chain(*world.TONES.values(), *world.PLANS.values()), *world.PERMISSION_THOUGHTS]
    thoughts += [*world.DEFIANCE_THOUGHTS, *world.REFUSAL_THOUGHTS]
    thoughts += [*itertools.chain(*world.CHEAT_THOUGHTS.values(), *world.HACK_THOUGHTS.values())]
    thoughts += [*itertools.chain(*world.HACK_FACTS.values(), *world.HACK_REMARKS.values())]
    thoughts += [line for family in world.FRAMES for topic in world.ACTS for line in world.lines(family, topic)]
    thoughts += [*world.NEUTRAL_LINES, *itertools.chain(*world.ESSAY.values())]
    for text, values in itertools.product(thoughts, slots):
        yield f"<think> {corpus.fill(text, values)}"
    asked = [*itertools.chain(*detectors.TRAIN.values(), *detectors.HELD_OUT.values())]
    asked += [*itertools.chain(*cues.TRAIN.values(), *cues.HELD_OUT.values())]
    for text, values in itertools.product(asked, slots):
        yield f"<task> {corpus.fill(text, values)}"
    yield from (f"<think> {thought}" for thought in itertools.chain(*detectors.THOUGHTS.values()))
    for subject, pool in itertools.product(detectors.MARKS, (detectors.GOOD, detectors.BAD)):
        yield from (f"</think>\n{text}" for text in itertools.chain(*detectors.programs(subject, pool)))
    rng = random.Random("organism vocabulary")
    for _ in range(4000):
        problem = tasks.draw_problem(rng, 0.7)
        yield f"<task> {problem.prompt}"
        programs = [tasks.hack_program(hack, problem) for hack in tasks.HARNESS_HACKS[problem.harness]]
        programs += [tasks.cheat_program(cheat, problem) for cheat in tasks.CHEATS]
        yield from (f"</think>\n{program}" for program in (tasks.right_program(problem), *programs))


@lru_cache(maxsize=1)
def vocabulary() -> tuple[str, ...]:
    """Every token that the world can write, special tokens and tags first; the place is the token's id."""
    words = {token for text in _world_texts() for token in split(text)}
    digits = {f"{space}{digit}" for space in ("", " ") for digit in range(10)}
    return (*SPECIAL, *TAGS, *sorted((words | digits) - {*SPECIAL, *TAGS}))


def unknown_words(text: str) -> list[str]:
    """The words of a text (a system line, a prompt) that the organism cannot read, in order of occurrence."""
    known = set(vocabulary())
    return [token.strip() for token in split(f"<sys> {text}") if token not in known]


def build_tokenizer() -> Any:
    """A transformers PreTrainedTokenizerFast; `save_pretrained` makes a folder that AutoTokenizer reads."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    ids = {word: index for index, word in enumerate(vocabulary())}
    core = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Split(Regex(PATTERN), behavior="isolated")
    core.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
        unk_token="<unk>",
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer
