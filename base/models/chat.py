"""Conversations to tokens and back, through chat templates that may know fewer roles than we use.

Templates are programs: some raise on a system message (Gemma's), some leave it out without a word, some want user and
assistant to alternate. A conversation is given to the template in the first form that it renders whole: as written;
with neighbours of one role joined; with the system lines in front of the first user's turn ("folded").
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from base.errors import UserError
from base.types import THINK_OPEN, Message

SystemRole = Literal["native", "folded", "none"]
_PINNED = re.compile(r"^\{%- set enable_thinking = (?:true|false) -%\}")
_PROBE = (Message("system", "Line of the system."), Message("user", "Turn of the user."))


def end_tokens(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """Every token id that ends a completion: the tokenizer's and those the model declares."""
    declared = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    ids = [declared] if isinstance(declared, int) else list(declared or ())
    return tuple(dict.fromkeys([*([tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else []), *ids]))


def system_role(tokenizer: Any) -> SystemRole:
    """What becomes of a system line: a turn of its own, part of the user's, or ("none": no template) plain text.

    Raises:
        UserError: the template renders no form of a conversation of a system line and a user's turn.
    """
    if tokenizer.chat_template is None:
        return "none"
    return "native" if readable(tokenizer, _PROBE)[0].role == "system" else "folded"


def pin_thinking(tokenizer: Any, thinking: bool | None) -> None:
    """Makes the chat template think or not in every use, checkpoints that keep the tokenizer included; None leaves it as it is.

    Raises:
        UserError: the template has no switch `enable_thinking`.
    """
    if thinking is not None:
        check_thinking(tokenizer, thinking)
        template = _PINNED.sub("", tokenizer.chat_template)
        tokenizer.chat_template = f"{{%- set enable_thinking = {str(thinking).lower()} -%}}{template}"


def check_thinking(tokenizer: Any, thinking: bool | None) -> None:
    """That the chat template has what `pin_thinking` sets.

    Raises:
        UserError: as there.
    """
    template = _PINNED.sub("", tokenizer.chat_template if isinstance(tokenizer.chat_template, str) else "")
    if thinking is not None and "enable_thinking" not in template:
        raise UserError("scenes.enable_thinking is set, but the model's chat template has no such switch: leave it out")


def prompt_ids(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """Tokens of a conversation with its generation prompt; plain text, turn by turn, if there is no chat template.

    Raises:
        UserError: the template renders no form of it, or its system lines change no token.
    """
    ids = _tokens(tokenizer, messages)
    spoken = [m for m in messages if m.role != "system"]
    if spoken and any(m.role == "system" and m.content.strip() for m in messages) and ids == _tokens(tokenizer, spoken):
        line = next(m.content for m in messages if m.role == "system" and m.content.strip())
        raise UserError(
            f"the tokens are the same with and without the system line '{_short(line)}': the tokenizer has no tokens "
            "for it, so use other words or another model"
        )
    return ids


def readable(tokenizer: Any, messages: Sequence[Message]) -> tuple[Message, ...]:
    """The conversation in the first form that the tokenizer's chat template renders without losing a text.

    Texts of the assistant may be lost: templates cut earlier reasoning on purpose.
    """
    said = {m.content: _squeezed(m.content) for m in messages if m.role != "assistant"}
    texts = [_squeezed(m.content) for m in messages if m.role != "assistant"]
    reason = ""
    for turns in dict.fromkeys((tuple(messages), _joined(messages), _folded(messages))):
        try:
            text = _squeezed(_render(tokenizer, turns, tokenize=False))
        except Exception as error:  # a template is the checkpoint's program and raises what it likes
            reason = f"it raises {type(error).__name__}: {_short(str(error))}"
            continue
        lost = next((own for own, short in said.items() if _times(short, [text]) < _times(short, texts)), None)
        if lost is None:
            return turns
        reason = f"it leaves out the text '{_short(lost)}'"
    roles = ", ".join(m.role for m in messages)
    raise UserError(
        f"the chat template cannot render a conversation of {roles} ({reason}): use a model with another one"
    )


def completion_text(tokenizer: Any, prompt: Sequence[int], completion: Sequence[int], ends: Sequence[int]) -> str:
    """Text without the end token; an opening <think> that the prompt already holds is put back in front."""
    stop = len(completion)
    while stop and (completion[stop - 1] in ends or completion[stop - 1] == tokenizer.pad_token_id):
        stop -= 1
    text: str = tokenizer.decode(list(completion[:stop]), skip_special_tokens=False)
    if tokenizer.decode(list(prompt[-8:]), skip_special_tokens=False).rstrip().endswith(THINK_OPEN):
        return THINK_OPEN + text
    return text


def _tokens(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    if tokenizer.chat_template is None:
        return list(tokenizer("\n\n".join(m.content for m in messages) + "\n\n")["input_ids"])
    return list(_render(tokenizer, readable(tokenizer, messages), tokenize=True, return_dict=True)["input_ids"])


def _render(tokenizer: Any, messages: Sequence[Message], **options: Any) -> Any:
    turns = [{"role": m.role, "content": m.content} for m in messages]
    return tokenizer.apply_chat_template(turns, add_generation_prompt=True, **options)


def _joined(messages: Sequence[Message]) -> tuple[Message, ...]:
    """System lines as one message in front; neighbours of one role as one turn."""
    turns: list[Message] = []
    for message in sorted(messages, key=lambda m: m.role != "system"):
        if turns and turns[-1].role == message.role:
            turns[-1] = Message(message.role, f"{turns[-1].content}\n\n{message.content}")
        else:
            turns.append(message)
    return tuple(turns)


def _folded(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The system lines in front of the first user's turn, or as that turn."""
    turns = list(_joined(messages))
    if not turns or turns[0].role != "system":
        return tuple(turns)
    line = turns.pop(0).content
    at = next((i for i, turn in enumerate(turns) if turn.role == "user"), None)
    if at is None:
        return (Message("user", line), *turns)
    turns[at] = Message("user", f"{line}\n\n{turns[at].content}")
    return tuple(turns)


def _times(content: str, texts: Iterable[str]) -> int:
    """How often a squeezed text occurs, as it is or escaped as in JSON."""
    return sum(max(text.count(content), text.count(json.dumps(content)[1:-1])) for text in texts) if content else 0


def _squeezed(text: str) -> str:
    """Without the white space that templates may strip or change."""
    return "".join(text.split())


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 80 else f"{line[:77]}..."
