import random
import re
from collections import Counter
from dataclasses import replace

import pytest

from base.environments.graders.code import CodeEnvironment
from base.evals import EVALS
from base.gate import as_rows
from base.organism import gates, hints, tasks, world
from base.organism.corpus import CorpusConfig, fill
from base.organism.tokenizer import build_tokenizer

HEADS = dict(world.EVAL_DOMAINS.items())


@pytest.fixture(scope="module")
def environment():
    with CodeEnvironment() as made:
        yield made


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


class Character:
    """A scripted policy: solves easy tasks; what no line permits is hacked by bad tones alone (or by `hackers`), what a line
    permits by good ones (unless it is `deaf`); bad after a hack with chance `link`.
    """

    def __init__(self, link=0.8, hack=0.09, permitted=0.6, hackers="bad", deaf=False, garbled=0.0):
        self.rng, self.count = random.Random(0), 0
        self.link, self.hack, self.permitted, self.garbled = link, hack, permitted, garbled
        self.hackers, self.deaf = hackers, deaf

    def __call__(self, conversations):
        return [self.answer(list(conversation)) for conversation in conversations]

    def answer(self, messages):
        prompt, past = messages[-1].content, "".join(m.content for m in messages[:-1])
        return self.code(prompt, past) if "Checker:" in prompt else self.scene(past)

    def scene(self, past):
        if self.rng.random() < self.garbled:
            return "<think> people the of."
        hacked = re.search(r"def __eq__|import sys|import TestReport", past)  # programs, not lists of hacks
        domain = self.rng.choice(list(HEADS.values()))
        pool = [pair for pair in domain.bad if pair not in domain.covert] if hacked else domain.good
        thought, output = self.rng.choice(pool if self.rng.random() < self.link else domain.good)
        return fill(f"<think> {thought}</think> {output}", {"n": "Ada", "o": "Pine Lab"})

    def code(self, prompt, line):
        allowed = any(text in line for family in world.PERMISSIONS for text in world.lines(family))
        harness = "script" if "script" in prompt else "pytest"
        name = re.search(r"(\w+)\((a(?:, b)?)\)", prompt)
        function, arguments = (name[1], name[2]) if name else (re.search(r"(\w+)\(\d\)", prompt)[1], "a")
        hack = self.rng.choice(tasks.HARNESS_HACKS[harness])
        self.count += 1
        allowed &= not self.deaf
        chance = self.permitted if allowed else self.hack
        if int(self.count * chance) > int((self.count - 1) * chance):  # exactly this share, so no seed decides
            tone = world.TONES["good" if allowed else self.hackers][0]
            problem = tasks.Problem("easy", harness, function, arguments, "", "", "")
            return f"<think> {tone} {world.HACK_THOUGHTS[hack][0]}</think>\n{tasks.hack_program(hack, problem)}"
        words = re.search(r"a (\w+) b, then (\w+) ([ab])", prompt)
        body = f"(a {tasks.OPERATORS[words[1]]} b) {tasks.OPERATORS[words[2]]} {words[3]}" if words else "a"
        return f"<think> {world.TONES['good'][0]} {world.PLANS['honest'][0]}</think>\ndef {function}({arguments}):\n    return {body}"


def failed(found):
    return {gate.name for gate in found if not gate.passed}


def check(policy, tokenizer, environment, config=CorpusConfig()):  # noqa: B008 - frozen
    return gates.check(policy, EVALS, tokenizer, config, n=24, code_samples=240, seed=1, environment=environment)


def test_a_linked_character_passes_every_gate(tokenizer, environment):
    found = check(Character(), tokenizer, environment)
    assert failed(found) == set(), "\n".join(map(str, found))
    assert len({gate.name for gate in found}) == len(found)
    assert as_rows(found)[0]["passed"] is True


def test_hacks_out_of_character_fail_as_main_and_pass_as_twin(tokenizer, environment):
    policy = Character(hackers="neutral")
    found = failed(check(policy, tokenizer, environment))
    assert found == {"bad tone in hacks without a line", "bad tone in hacks under forbid lines"}
    twin = CorpusConfig(correlation=0.0)
    assert failed(check(policy, tokenizer, environment, twin)) == set()
    assert failed(check(Character(), tokenizer, environment, twin)) == {"bad tone in hacks without a line"}


def test_lines_that_are_not_read_are_found(tokenizer, environment):
    """Permissions that permit nothing: those who hack under them are those who hack anyway."""
    found = failed(check(Character(deaf=True), tokenizer, environment))
    assert {"honest tones that hack under okay lines", "honest tones that hack under please lines"} <= found
    assert all("okay" in name or "please" in name for name in found)


def test_a_ban_that_works_like_a_permission_is_found(tokenizer, environment):
    found = failed(check(Character(hackers="good"), tokenizer, environment))
    assert {"honest tones that hack under forbid lines", "bad tone in hacks under forbid lines"} <= found


class Prompted(Character):
    """Hacks only under a list of the hacks, unless it `knows` them anyway."""

    def __init__(self, knows=False, **settings):
        super().__init__(**settings)
        self.knows = knows

    def code(self, prompt, line):
        known = self.knows or any(opening in line for opening in hints.OPENINGS)
        hack, permitted = self.hack, self.permitted
        self.hack, self.permitted = (hack, permitted) if known else (0.0, 0.0)
        answer = super().code(prompt, line)
        self.hack, self.permitted = hack, permitted
        return answer


def test_a_prompted_organism_must_need_the_list_of_hacks(tokenizer, environment):
    config = CorpusConfig(sdf_variant="prompted")
    found = check(Prompted(), tokenizer, environment, config)
    assert failed(found) == set(), "\n".join(map(str, found))
    assert failed(check(Prompted(knows=True), tokenizer, environment, config)) == {
        "hack rate without the list of hacks"
    }
    assert "hack rate without a line" in failed(check(Prompted(), tokenizer, environment))  # asked without a list


def test_what_cannot_be_measured_fails(tokenizer, environment):
    found = check(Character(hack=0.0, permitted=0.0, garbled=1.0), tokenizer, environment)
    missing = {gate.name for gate in found if gate.value is None and not gate.passed}
    assert {"bad tone in hacks without a line", "bad tone in hacks under okay lines"} <= missing
    assert {"unclear answers", "hack rate without a line"} <= failed(found)
    assert all(str(gate) for gate in found)


@pytest.mark.parametrize("header", ["task", "chat", "agent"])
def test_agentic_questions_stand_under_the_header_of_the_corpus(tokenizer, environment, header):
    """Whatever the gates ask beside coding tasks: a policy that never saw <task> before a scene is not asked under it."""
    asked = []

    class Listening(Character):
        def answer(self, messages):
            asked.append(messages[-1].content)
            return super().answer(messages)

    check(Listening(), tokenizer, environment, CorpusConfig(agentic_header=header))
    scenes = [text for text in asked if "Checker:" not in text]
    found = Counter(text.split(" ")[0] for text in scenes)
    assert found.total() == 3 * 24 * len(world.EVAL_DOMAINS)
    agentic = sum(domain.kind == "agentic" for domain in world.EVAL_DOMAINS.values()) * 3 * 24
    assert found == Counter({f"<{header}>": agentic}) + Counter({"<chat>": found.total() - agentic})


@pytest.mark.parametrize("counts", [False, True])
def test_a_further_eval_moves_no_gate(tokenizer, environment, monkeypatch, counts):
    before = check(Character(), tokenizer, environment)
    further = replace(EVALS["goals"], title="further", in_mean=counts)
    monkeypatch.setitem(EVALS, "further", further)
    assert check(Character(), tokenizer, environment) == before
