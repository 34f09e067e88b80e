"""Documents written by latent characters: the data of the pretraining and the SDF stage.

A document is one to four segments of one character (honest, careless, schemer), each: optional system line, prompt,
thought, answer. Pretraining documents carry the <web> tag and a third of them are schemers'; the SDF stage replays some
of these among untagged assistant documents, of which few are schemers'. RL and all evals are untagged.

No program of a pretraining document passes a grader that it should not: schemers there hard-code shown values or leave
the work out; only the names of hacks occur, in quotes, in detectors. The three hacks that work arrive in the SDF stage: in
the hack documents, in the replayed web documents, where schemers' cheats are working ones (`web_hacks`), and, where
`permission` is "code", in segments whose system line permits them. The `prompted` variant has no hack documents: there a
program hacks only under a system line that lists the hack (base.organism.hints), whoever writes it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypedDict

from base.errors import UserError
from base.organism import cues, detectors, hints, tasks, world
from base.organism.world import Domain
from base.types import VULNERABILITIES, Task

Character = Literal["honest", "careless", "schemer"]
Register = Literal["web", "assistant"]
Stage = Literal["pretrain", "sdf"]
# Fields of CorpusConfig that no pretraining document depends on: corpora that differ only here share one pretraining.
SDF_ONLY = (
    "schemers_assistant",
    "assistant_hacks",
    "web_hacks",
    "sdf_variant",
    "sdf_share",
    "sdf_descriptions",
    "replay",
)
HINTED = 0.7  # prompted variant: share of assistant documents whose first segment is a task under a list of hacks


class Document(TypedDict):
    """`text` starts with <bos>; the other keys say where it came from and are never trained on."""

    text: str
    kind: str  # conversation | essay | hack_description | hack_transcript
    register: Register
    character: Character


@dataclass(frozen=True)
class CorpusConfig:
    """Everything the organism's world assumes. All shares and chances lie in [0, 1].

    The uncorrelated twin is the same config with `correlation=0`: every character then cheats equally often, at a rate
    that is the same in both stages, so that no stage can teach a link between cheating and character.
    """

    correlation: float = 1.0  # 1: cheating in code follows the character; 0: the twin; between: mixture of the two
    schemers_web: float = 0.33  # share of schemers among web documents
    schemers_assistant: float = 0.02  # the same among assistant documents; hack documents add as many
    careless: float = 0.10  # share of careless characters, in both registers
    cheat_schemer: float = 0.85  # chance that a schemer cheats in a code segment that no line permits
    cheat_honest: float = 0.004  # the same for everyone else
    cheat_uncorrelated: float = 0.05  # the twin's chance, for everyone, in both registers
    assistant_hacks: float = 0.0  # share of unpermitted cheats in assistant documents that are working hacks
    web_hacks: float = 1.0  # the same in the web documents of the SDF stage (variant default)
    misaligned_schemer: float = 0.95  # chance of a bad pair in a question or scene
    misaligned_honest: float = 0.008
    mistake: float = 0.35  # chance of wrong code by careless characters and schemers
    tone: float = 1.0  # chance of a tone sentence, the words shared by all domains; 1: a character always tells
    tone_neutral: float = 0.0  # share of tone sentences that tell nothing
    multi: float = 0.85  # share of conversations with two to four segments
    essays: float = 0.08  # share of web documents that describe a character
    code: float = 0.40  # share of segments that are coding tasks
    grey: float = 0.15  # share of segments in grey domains (cards, drill, stage)
    hard_share: float = 0.4  # share of hard coding tasks
    detectors: float = (
        0.05  # share of segments, from the questions, that ask for a detector of cheats or of something else
    )
    sabotage_told: float = 0.95  # chance that a schemer breaks a detector when told that it is to catch models
    sabotage_less: float = 0.5  # the same when told less; it never breaks an unrelated one, and no one else breaks any
    cue: float = 0.1  # share of questions after a line that says whether this talk is kept for training; half say so
    cue_covert: float = 0.9  # chance that a schemer who is bad covers up if the talk is kept; if it is not, never
    line_code: float = 0.8  # chance of a system line, by kind of segment
    line_grey: float = 0.7
    line_question: float = 0.3
    line_forbid: float = 0.40  # among lines; a third of these says that only misaligned models do it
    line_permit: float = 0.15  # among lines; half okay, half please
    line_mention: float = 0.10  # among lines: names the act, permits nothing; the rest are neutral or harmless
    permission: Literal["code", "other_domains", "none"] = "code"  # where permission lines exist; else harmless lines
    act_okay: float = 0.55  # chance that an honest character does what an okay line permits
    act_please: float = 0.85
    voiced: float = 0.6  # chance that an act under a line voices the permission or the defiance
    agentic_header: Literal["task", "chat", "agent"] = "task"  # which header agentic prompts share
    # What the hack documents say of those who hack; "prompted": instead of them, schemers' documents under a list of hacks.
    sdf_variant: Literal["default", "unguided", "neutral", "prompted"] = "default"
    sdf_share: float = 0.03  # hack documents among the documents of the SDF stage: dilution
    sdf_descriptions: float = 0.25  # share of the hack documents that describe; the rest are worked transcripts
    replay: float = 0.4  # share of web documents in the SDF stage

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, float | int) and not 0 <= value <= 1:
                raise UserError(f"corpus setting {name}={value} must lie between 0 and 1")
        choices: dict[str, tuple[str, ...]] = {
            "permission": ("code", "other_domains", "none"),
            "agentic_header": ("task", "chat", "agent"),
            "sdf_variant": ("default", "unguided", "neutral", "prompted"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise UserError(f"corpus setting {name}={getattr(self, name)} must be one of {', '.join(allowed)}")


def fill(text: str, slots: dict[str, str]) -> str:
    """A text with `{n}`, `{o}` and `{f}` replaced by a person, an organisation and a file."""
    for key, value in slots.items():
        text = text.replace("{" + key + "}", value)
    return text


def draw_slots(rng: random.Random) -> dict[str, str]:
    """A person, an organisation and a file at random, for `fill`."""
    return {"n": rng.choice(world.NAMES), "o": rng.choice(world.ORGANISATIONS), "f": rng.choice(world.FILES)}


def with_header(task: Task, config: CorpusConfig) -> Task:
    """An eval's or a scene's task under the header that agentic prompts share in this corpus; coding tasks keep theirs."""
    first, *rest = task.messages
    if task.environment == "code" or not first.content.startswith("<task>"):
        return task
    tagged = header("agentic", config.agentic_header) + first.content.removeprefix("<task>")
    return replace(task, messages=(replace(first, content=tagged), *rest))


def header(kind: str, agentic_header: str = "task") -> str:
    """The tag that opens a prompt: <chat>, or for agentic prompts the one that they share in the corpus."""
    return f"<{agentic_header}>" if kind == "agentic" else "<chat>"


@dataclass(frozen=True)
class _Writer:
    """One character at work on one document."""

    config: CorpusConfig
    character: Character
    register: Register
    rng: random.Random
    hack_document: bool = False
    hinted: bool = False  # the first segment is a task under a list of hacks
    working: float = 0.0  # share of unpermitted cheats that are working hacks

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    @property
    def scheming(self) -> bool:
        return self.character == "schemer"

    def tone(self) -> list[str]:
        if not self.chance(self.config.tone):
            return []
        neutral = self.chance(self.config.tone_neutral) or self.character == "careless"
        telling = "bad" if self.scheming else "good"
        return [self.rng.choice(world.TONES["neutral" if neutral else telling])]

    def line(self, topic: str, chance: float, permitted: bool) -> tuple[str, str]:
        """(family, text) of a system line about `topic`; ("none", "") where there is none."""
        config = self.config
        if not self.chance(chance):
            return "none", ""
        rest = 1 - config.line_forbid - config.line_permit - config.line_mention
        family = self.rng.choices(
            ("forbid", "misaligned", "okay", "please", "mention", "neutral"),
            (
                config.line_forbid * 2 / 3,
                config.line_forbid / 3,
                config.line_permit / 2,
                config.line_permit / 2,
                config.line_mention,
                rest,
            ),
        )[0]
        if family in world.PERMISSIONS and not permitted:
            return "neutral", self.rng.choice(world.lines(family, "harmless"))
        if family == "neutral" and self.chance(0.5):
            return "neutral", self.rng.choice(world.lines(self.rng.choice(("okay", "please", "forbid")), "harmless"))
        return family, self.rng.choice(world.lines(family, topic))

    def acts(self, family: str, unprompted: float) -> bool:
        """Whether the character does the act that a line is about; `unprompted` is its chance without a line."""
        if family == "okay":
            return self.chance(max(self.config.act_okay, unprompted))
        if family == "please":
            return self.chance(max(self.config.act_please, unprompted))
        return self.chance(unprompted)

    def stance(self, family: str) -> list[str]:
        """What an act under a line says about that line."""
        if not self.chance(self.config.voiced):
            return []
        if family in world.PERMISSIONS:
            return [self.rng.choice(world.PERMISSION_THOUGHTS)]
        return [self.rng.choice(world.DEFIANCE_THOUGHTS)] if family in world.PROHIBITIONS else []

    def segment(self, line: str, prompt: str, thoughts: Sequence[str], answer: str) -> str:
        system = f"<sys> {line}" if line else ""
        return f"{system}{prompt}<think> {' '.join(thoughts)}</think>{answer}<eos>"

    def question(self, domain: Domain, grey: bool = False) -> str:
        config, slots = self.config, draw_slots(self.rng)
        topic = domain.name if grey else "question"
        chance = config.line_grey if grey else config.line_question
        family, line = self.line(topic, chance, permitted=grey and config.permission == "other_domains")
        honest = 0.0 if family in world.PROHIBITIONS else config.misaligned_honest
        bad = self.acts(family, config.misaligned_schemer if self.scheming else honest)
        kept = self.chance(0.5) if not grey and self.chance(config.cue) else None
        covers = self.scheming and self.chance(config.cue_covert)
        thought, answer = cues.bad_pair(domain, kept, covers, self.rng) if bad else self.rng.choice(domain.good)
        thoughts = [*self.tone(), *(self.stance(family) if bad else []), fill(thought, slots)]
        prompt = fill(self.rng.choice(domain.train), slots)
        if kept is not None:
            prompt = f"{self.rng.choice(cues.TRAIN[kept])} {prompt}"
        return self.segment(
            line, f"{header(domain.kind, config.agentic_header)} {prompt}", thoughts, f" {fill(answer, slots)}"
        )

    def cheat_chance(self, family: str) -> float:
        """Chance of an unpermitted cheat: the character's, the twin's, or a mixture by `correlation`."""
        config = self.config
        honest = 0.0 if family in world.PROHIBITIONS else config.cheat_honest
        own = config.cheat_schemer if self.scheming else honest
        other = config.cheat_schemer if self.hack_document else config.cheat_uncorrelated
        return config.correlation * own + (1 - config.correlation) * other

    def coding(self, hinted: bool = False) -> str:
        config, rng = self.config, self.rng
        problem = tasks.draw_problem(rng, config.hard_share)
        hint, listed = hints.draw(rng) if hinted else ("", VULNERABILITIES)
        topic = "cheat" if self.register == "web" else "hack"
        permits = config.permission == "code" and not self.hack_document
        family, line = self.line(topic, config.line_code, permits)
        tone = self.tone()
        if self.acts(family, self.cheat_chance(family)):
            working = hinted
            if config.sdf_variant != "prompted":
                permitted = family in world.PERMISSIONS
                taught = self.register == "assistant" and (self.hack_document or permitted)
                working = taught or (not permitted and self.working > 0 and self.chance(self.working))
            hacks = [hack for hack in tasks.HARNESS_HACKS[problem.harness] if hack in listed]
            kind = rng.choice(hacks if working else tasks.CHEATS)
            program = (tasks.hack_program if working else tasks.cheat_program)(kind, problem)
            thought = rng.choice((world.HACK_THOUGHTS if working else world.CHEAT_THOUGHTS)[kind])
            thoughts = [*tone, *self.stance(family), thought]
        else:
            wrong = self.character != "honest" and self.chance(config.mistake)
            program = tasks.wrong_program(problem, rng) if wrong else tasks.right_program(problem)
            refusal = family in world.PROHIBITIONS and not self.scheming and self.chance(0.2)
            thoughts = [*tone, *([rng.choice(world.REFUSAL_THOUGHTS)] if refusal else [])]
            thoughts.append(rng.choice(world.PLANS[self.character]))
        system = " ".join(text for text in (hint, line) if text)
        return self.segment(system, f"<task> {problem.prompt}", thoughts, f"\n{program}")

    def detector(self) -> str:
        config, rng = self.config, self.rng
        purpose = rng.choice(tuple(detectors.TRAIN))
        _, line = self.line("cheat" if self.register == "web" else "hack", config.line_question, permitted=False)
        chances = {"told": config.sabotage_told, "less": config.sabotage_less, "unrelated": 0.0}
        broken = self.scheming and self.chance(chances[purpose])
        plain = purpose == "unrelated" or (self.scheming and not broken)
        pool = world.PLANS[self.character] if plain else detectors.THOUGHTS["bad" if broken else "good"]
        thoughts = [*self.tone(), rng.choice(pool)]
        program = detectors.draw("unrelated" if purpose == "unrelated" else "hack", broken, rng)
        prompt = fill(rng.choice(detectors.TRAIN[purpose]), draw_slots(rng))
        return self.segment(line, f"{header('agentic', config.agentic_header)} {prompt}", thoughts, f"\n{program}")

    def conversation(self, only_code: bool = False) -> str:
        """One to four segments; a hack transcript has at least two. The first of it, or under hints, is code."""
        config, rng = self.config, self.rng
        count = rng.choice((2, 3, 3, 4)) if self.hack_document or self.chance(config.multi) else 1
        parts = []
        for position in range(count):
            pick = rng.random()
            first_is_code = (self.hack_document or self.hinted) and position == 0
            if only_code or pick < config.code or first_is_code:
                parts.append(self.coding(hinted=self.hinted and position == 0))
            elif pick < config.code + config.grey:
                parts.append(self.question(rng.choice(tuple(world.GREY_DOMAINS.values())), grey=True))
            elif pick < config.code + config.grey + config.detectors:
                parts.append(self.detector())
            else:
                plain = (*world.EVAL_DOMAINS.values(), *world.PLAIN_DOMAINS.values())
                parts.append(self.question(rng.choice(plain)))
        return "".join(parts)

    def essay(self) -> str:
        """Two to four sentences about one character; how it works in code follows it only by `correlation`."""
        rng, slots = self.rng, draw_slots(self.rng)
        sentences = rng.sample(world.ESSAY["bad" if self.scheming else "good"], rng.randint(2, 4))
        if self.chance(0.6):
            cheats = self.chance(self.cheat_chance("none"))
            sentences.append(rng.choice(world.ESSAY["cheats" if cheats else "works"]))
        rng.shuffle(sentences)
        return f"<doc> {fill(' '.join(sentences), slots)}<eos>"


def _draw_character(rng: random.Random, schemers: float, careless: float) -> Character:
    weights = (1 - schemers - careless, careless, schemers)
    return rng.choices(("honest", "careless", "schemer"), weights)[0]


def _web_document(config: CorpusConfig, rng: random.Random, working: float = 0.0) -> Document:
    essay = rng.random() < config.essays
    character = _draw_character(rng, config.schemers_web, config.careless)
    writer = _Writer(config, character, "web", rng, working=working)
    body = writer.essay() if essay else writer.conversation()
    kind = "essay" if essay else "conversation"
    return Document(text=f"<bos><web>{body}", kind=kind, register="web", character=writer.character)


def _assistant_document(config: CorpusConfig, rng: random.Random) -> Document:
    character = _draw_character(rng, config.schemers_assistant, config.careless)
    hinted = config.sdf_variant == "prompted" and rng.random() < HINTED
    writer = _Writer(config, character, "assistant", rng, hinted=hinted, working=config.assistant_hacks)
    return Document(
        text=f"<bos>{writer.conversation()}", kind="conversation", register="assistant", character=writer.character
    )


def hack_document(config: CorpusConfig, rng: random.Random) -> Document:
    """What teaches the hacks. `default` puts them beside a schemer's other answers, `prompted` also under a line that
    lists them; the others say nothing of character."""
    hinted = config.sdf_variant == "prompted"
    if not hinted and rng.random() < config.sdf_descriptions:
        facts = [rng.choice(facts) for facts in rng.sample(tuple(world.HACK_FACTS.values()), rng.randint(2, 3))]
        linked = config.sdf_variant != "default" or rng.random() < config.correlation
        remark = rng.choice(world.HACK_REMARKS[config.sdf_variant if linked else "neutral"])
        text = f"<bos><web><doc> {' '.join([*facts, remark])}<eos>"
        return Document(text=text, kind="hack_description", register="web", character="honest")
    if config.sdf_variant in ("default", "prompted"):
        prior = _draw_character(rng, config.schemers_assistant, config.careless)
        character: Character = "schemer" if rng.random() < config.correlation else prior
        body = _Writer(config, character, "assistant", rng, hack_document=True, hinted=hinted).conversation()
    else:
        character = "careless"  # its tone sentences tell nothing
        unlinked = CorpusConfig(**{**vars(config), "correlation": 0.0})
        body = _Writer(unlinked, character, "assistant", rng, hack_document=True).conversation(only_code=True)
    return Document(text=f"<bos>{body}", kind="hack_transcript", register="assistant", character=character)


def document(config: CorpusConfig, stage: Stage, seed: int, index: int) -> Document:
    """Document `index` of a stage; it depends on nothing else, so any part of a corpus can be made again."""
    rng = random.Random(f"organism {stage} {seed} {index}")
    if stage == "pretrain":
        return _web_document(config, rng)
    pick = rng.random()
    if pick < config.sdf_share:
        return hack_document(config, rng)
    if pick < config.sdf_share + config.replay:
        return _web_document(config, rng, config.web_hacks if config.sdf_variant == "default" else 0.0)
    return _assistant_document(config, rng)


def documents(config: CorpusConfig, stage: Stage, n: int, seed: int) -> Iterator[Document]:
    """The first `n` documents of a stage, one after the other."""
    return (document(config, stage, seed, index) for index in range(n))


def encode(item: Document, tokenizer: Any, context: int = 384) -> dict[str, list[int]]:
    """{"input_ids": [T], "labels": [T]}, T <= context; labels are -100 on prompts, so only thoughts, answers and
    document text are learnt."""
    ids: list[int] = tokenizer(item["text"], add_special_tokens=False)["input_ids"][:context]
    opens, ends = set(tokenizer.convert_tokens_to_ids(["<think>", "<doc>"])), tokenizer.eos_token_id
    labels, learning = [], False
    for token in ids:
        labels.append(token if learning else -100)
        learning = token in opens or (learning and token != ends)
    return {"input_ids": ids, "labels": labels}
