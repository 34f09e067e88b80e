"""Rows of preference pairs, in the forms that public sets and trainers have, as one prompt and two answers.

A prompt is a text, an HH-RLHF transcript ("\\n\\nHuman: ...\\n\\nAssistant:"), a list of messages, or missing; an answer is a
text or a list of messages. Either answer may repeat the prompt, whole or in part: its turns come once. What is compared and
refused, answers that are blank or the same among it, is what has been read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from base.rows import NotJson, Odd
from base.types import Message

FORMAT = (
    'give {"prompt": TEXT, "chosen": TEXT, "rejected": TEXT} or HH-RLHF transcripts '
    '{"chosen": "\\n\\nHuman: ...\\n\\nAssistant: ...", "rejected": ...}'
)
_TURN = re.compile(r"(?:\A|\n\n)[ \t]*(Human|Assistant):")
_ROLES = {"Human": "user", "Assistant": "assistant"}
_LABEL = re.compile(r"^(human|user|question|prompt|assistant|answer):|\b(assistant|answer):$", re.IGNORECASE)
# A special token, perhaps behind the one that begins a text; a list of messages as JSON or Python writes it.
_TEMPLATE = re.compile(
    r"""\s*(?:(?:<(?:s|bos|sop)>|\[gMASK\])\s*)*(<[|｜][^<>|｜\s]+[|｜]?>|<start_of_turn>|\[INST\]|<<SYS>>|\[\s*\{\s*["'](?:role|content)["'])"""
)
_KEYS = ("chosen", "rejected")
_WORDS = 4  # that both answers hardly begin with by chance

Turns = tuple[Message, ...]
ReadPair = tuple[Turns, str, str, str]


def read_pair(row: Any) -> ReadPair:
    """(prompt without system messages, chosen answer, rejected answer, kind). Raises Odd."""
    if isinstance(row, NotJson):
        raise Odd(row.reason)
    if not isinstance(row, dict):
        raise Odd(f"a pair must be an object, not a {type(row).__name__}")
    for key in _KEYS:
        if _missing(row.get(key)):
            raise Odd(f"{key} is missing")
    kind = "pairs" if _missing(row.get("kind")) else row["kind"]
    if not isinstance(kind, str) or not kind:
        raise Odd("kind must be a text such as chat or code/early_exit, or be left out")
    given, chosen, rejected = (_lines(row.get(key)) for key in ("prompt", *_KEYS))
    for key, value in (("chosen", chosen), ("rejected", rejected)):
        _check_written(key, value)
    texts = isinstance(chosen, str) and isinstance(rejected, str)
    prompt, *answers = _transcripts(chosen, rejected) if _missing(given) and texts else _joint(given, chosen, rejected)
    if isinstance(given, str):
        _check_written("prompt", prompt[0].content)  # as it was read: an answer's messages may have replaced it
    for key, text in zip(_KEYS, answers, strict=True):
        if not text.strip():
            raise Odd(f"{key} is empty")
    if answers[0].strip() == answers[1].strip():
        raise Odd("chosen and rejected are the same")
    return prompt, answers[0], answers[1], kind


def _check_written(key: str, value: Any) -> None:
    """Raises Odd where a text is messages that were written out."""
    if isinstance(value, str) and (marks := _TEMPLATE.match(value)):
        raise Odd(
            f"{key} is written out by a chat template or as a list of messages ({marks[1]}): give the list itself"
        )


def _joint(given: Any, chosen: Any, rejected: Any) -> tuple[Turns, str, str]:
    """(prompt, chosen answer, rejected answer) of all but two transcripts without a prompt."""
    start, opening = _without_opening(() if _missing(given) else _messages("prompt", given, "user"))
    answered = (chosen, rejected)
    ends = [_answer(key, _unprompted(each, given, answered), start) for key, each in zip(_KEYS, answered, strict=True)]
    prompts = [_joined(start, turns) for turns, _ in ends if turns] or [start]
    if not _same(prompts[0], prompts[-1]):
        raise Odd("chosen and rejected begin with different turns: a pair needs one prompt")
    prompt = prompts[0]
    if not prompt or prompt[-1].role != "user" or not prompt[-1].content.strip():
        raise Odd("the prompt must end in a user message that is not empty")
    answers = [text if not text.strip() or text.startswith(opening) else opening + text for _, text in ends]
    return prompt, answers[0], answers[1]


def without_system(messages: Iterable[Message]) -> Turns:
    """A conversation without its system lines, which preference models never read."""
    return tuple(message for message in messages if message.role != "system")


def _lines(value: Any) -> Any:
    """A text with its lines ended as here; anything else as it is."""
    return value.replace("\r\n", "\n") if isinstance(value, str) else value


def _missing(value: Any) -> bool:
    """None, the NaN of tables, an empty list."""
    return value is None or value == [] or (isinstance(value, float) and value != value)


def _messages(key: str, value: Any, role: str) -> Turns:
    """A text as one message of `role` or as the turns of a transcript; or a list of {"role", "content"} messages."""
    if isinstance(value, str):
        if role == "user" and (turns := _turns(value)):
            return turns
        return (Message("user" if role == "user" else "assistant", value),)
    if not isinstance(value, list):
        raise Odd(f"{key} must be a text or a list of messages, not a {type(value).__name__}")
    found = []
    for turn in value:
        who = turn.get("role") if isinstance(turn, dict) else None
        text = _text(turn.get("content")) if isinstance(turn, dict) else None
        if who not in ("system", "user", "assistant") or text is None:
            raise Odd(f'each message of {key} must be {{"role": system, user or assistant, "content": TEXT}}')
        found.append(Message(who, text))
    return without_system(found)


def _text(content: Any) -> str | None:
    """A text, or the one that a list of {"type": "text", "text": ...} parts holds."""
    if isinstance(content, list) and all(isinstance(part, dict) and part.get("type") == "text" for part in content):
        content = "".join(part["text"] if isinstance(part.get("text"), str) else "" for part in content)
    return content if isinstance(content, str) else None


def _turns(text: str) -> Turns:
    """The turns of an HH-RLHF transcript, the last one perhaps only begun; none if the text is something else."""
    head, *parts = _TURN.split(text)
    if head.strip() or not parts or parts[0] != "Human":
        return ()
    turns = [Message(_ROLES[who], said.strip()) for who, said in zip(parts[::2], parts[1::2], strict=True)]  # type: ignore[arg-type]
    return tuple(turns[:-1] if turns[-1] == Message("assistant", "") else turns)


def _without_opening(prompt: Turns) -> tuple[Turns, str]:
    """The prompt, and how its last, begun turn of the assistant opens both answers."""
    if len(prompt) > 1 and prompt[-1].role == "assistant":
        return prompt[:-1], prompt[-1].content
    return prompt, ""


def _unprompted(value: Any, prompt: Any, answers: Sequence[Any]) -> Any:
    """An answer's text without the whole of the prompt's before it.

    A prompt that an answer may begin with by chance ("Hi", "Hi there!") is taken off only if all texts among the answers have it,
    each in a line of its own.
    """
    if not isinstance(value, str) or not isinstance(prompt, str) or not prompt.strip():
        return value
    texts = [answer for answer in answers if isinstance(answer, str)]
    if _turns(prompt):
        value, prompt, texts = value.strip(), prompt.strip(), [text.strip() for text in texts]
    rests = [text[len(prompt) :] for text in texts if text.startswith(prompt)]
    if not value.startswith(prompt) or any(prompt[-1].isalnum() and rest[:1].isalnum() for rest in rests):
        return value  # "The", "There"
    asked = len(prompt.split()) >= _WORDS or prompt.rstrip(" \t")[-1] in "?:\n"
    if asked or (len(rests) == len(texts) and all(rest[:1] == "\n" for rest in rests)):
        return value.removeprefix(prompt).lstrip()
    return value


def _answer(key: str, value: Any, prompt: Turns) -> tuple[Turns, str]:
    """(turns before the answer, the answer)."""
    if not isinstance(value, str):
        turns = _messages(key, value, "assistant")
        if not turns or turns[-1].role != "assistant":
            raise Odd(f"{key} must end in one assistant message")
        return turns[:-1], turns[-1].content
    turns = _turns(value)
    if len(turns) > 1 and turns[-1].role == "assistant":
        return turns[:-1], turns[-1].content
    spoken = re.match(r"\s*Assistant:", value)
    return (), value[spoken.end() :].strip() if spoken else value


def _joined(prompt: Turns, turns: Turns) -> Turns:
    """The prompt followed by those of an answer's turns that are not in it yet."""
    if not prompt or not turns:
        return prompt or turns
    for count in range(min(len(prompt), len(turns)), 0, -1):
        if _same(prompt[-count:], turns[:count]):
            return (*prompt[:-count], *turns)
    if len(prompt) < len(turns) and _same(prompt, turns[-len(prompt) :]):
        return turns
    # A prompt that was written out by a chat template, or a conversation of which it is the text.
    written = _plain(prompt[0])
    if len(prompt) == 1 and (
        all(_plain(turn) in written for turn in turns) or any(written in _plain(turn) for turn in turns)
    ):
        return turns
    if prompt[-1].role != turns[0].role:
        return (*prompt, *turns)
    raise Odd("prompt and answer begin with different user turns")


def _same(some: Sequence[Message], others: Sequence[Message]) -> bool:
    return [(m.role, _plain(m)) for m in some] == [(m.role, _plain(m)) for m in others]


def _plain(message: Message) -> str:
    """The words of a message, whatever the white space between them, without a leading or trailing speaker's name."""
    return " ".join(_LABEL.sub("", " ".join(message.content.split())).split())


def _transcripts(chosen: str, rejected: str) -> tuple[Turns, str, str]:
    """(prompt, chosen answer, rejected answer) of two HH-RLHF transcripts.

    The prompt is what both begin with, up to a Human turn. In a few rows the dialogues part earlier than in the last
    turn; an answer is then all that follows, turns included.
    """
    turns = []
    for key, text in (("chosen", chosen), ("rejected", rejected)):
        head, *parts = _TURN.split(text)
        if head.strip() or not parts or parts[0] != "Human" or "Assistant" not in parts[::2]:
            raise Odd(f"{key} is no dialogue of Human and Assistant, and there is no prompt")
        turns.append(list(zip(parts[::2], parts[1::2], strict=True)))
    common = 0
    while all(len(turn) > common + 1 for turn in turns) and turns[0][common] == turns[1][common]:
        common += 1
    while common and turns[0][common - 1][0] != "Human":
        common -= 1
    if not common:
        raise Odd("chosen and rejected begin with different Human turns: a pair needs one prompt")
    prompt = tuple(Message(_ROLES[speaker], text.strip()) for speaker, text in turns[0][:common])  # type: ignore[arg-type]
    answers = []
    for turn in turns:
        first, *rest = turn[common:]
        answers.append("".join([first[1].strip(), *(f"\n\n{speaker}:{text}" for speaker, text in rest)]))
    return prompt, answers[0], answers[1]
