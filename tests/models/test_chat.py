"""Chat templates that refuse, drop, move or trim what they are given."""

from __future__ import annotations

from typing import Any

import pytest
from zoo import DROPS, MOVES, NATIVE, RAISES, byte_tokenizer, save, tokenizer
from zoo import model as make

from base.errors import UserError
from base.models.chat import pin_thinking, prompt_ids, readable, system_role
from base.models.load import load_tokenizer
from base.types import Message

SYSTEM, USER, ASSISTANT = Message("system", "w1 w2"), Message("user", "w3 w4"), Message("assistant", "w5")


def text(words: Any, *messages: Message) -> str:
    return str(words.decode(prompt_ids(words, messages)))


@pytest.mark.parametrize(
    ("template", "role", "expected"),
    [
        (NATIVE, "native", "<bos> <system> w1 w2 <user> w3 w4 <assistant>"),
        (MOVES, "native", "<bos> <user> w1 w2 w3 w4 <assistant>"),
        (RAISES, "folded", "<bos> <user> w1 w2 w3 w4 <assistant>"),
        (DROPS, "folded", "<bos> <user> w1 w2 w3 w4 <assistant>"),
        (None, "none", "w1 w2 w3 w4"),
    ],
)
def test_the_system_line_is_read_under_every_template(template: str | None, role: str, expected: str) -> None:
    words = tokenizer(template)
    assert system_role(words) == role
    assert text(words, SYSTEM, USER) == expected
    assert prompt_ids(words, [USER]) != prompt_ids(words, [SYSTEM, USER])


@pytest.mark.parametrize("template", [NATIVE, MOVES, RAISES, DROPS])
def test_without_a_system_line_nothing_is_changed(template: str) -> None:
    words = tokenizer(template)
    assert text(words, USER, ASSISTANT, USER) == "<bos> <user> w3 w4 <assistant> w5 <user> w3 w4 <assistant>"
    assert readable(words, [USER, ASSISTANT, USER]) == (USER, ASSISTANT, USER)


def test_roles_that_must_alternate_are_joined() -> None:
    words = tokenizer(RAISES)
    assert text(words, USER, Message("user", "w6")) == "<bos> <user> w3 w4 w6 <assistant>"
    assert text(words, SYSTEM, USER, Message("user", "w6"), ASSISTANT, USER) == (
        "<bos> <user> w1 w2 w3 w4 w6 <assistant> w5 <user> w3 w4 <assistant>"
    )
    assert text(words, SYSTEM) == "<bos> <user> w1 w2 <assistant>"


def test_a_second_system_line_is_not_lost() -> None:
    late = [SYSTEM, USER, Message("system", "w8"), Message("user", "w9")]
    assert text(tokenizer(MOVES), *late) == "<bos> <user> w1 w2 w8 w3 w4 w9 <assistant>"
    only_first = NATIVE.replace(
        "{% for m in messages %}", "{% for m in messages if m.role != 'system' or loop.first %}"
    )
    assert "w8" in text(tokenizer(only_first), *late)


def test_a_line_that_the_user_also_says_is_still_read() -> None:
    both = [Message("system", "w3"), Message("user", "w3 w4")]
    assert text(tokenizer(DROPS), *both) == "<bos> <user> w3 w3 w4 <assistant>"


def test_a_template_that_escapes_texts_is_not_taken_for_one_that_drops_them() -> None:
    words = tokenizer(NATIVE.replace("{{ m['content'] }}", "{{ m['content'] | tojson }}"))
    assert readable(words, [Message("system", 'say "x"\n'), USER])[0].role == "system"


def test_a_line_without_tokens_is_refused() -> None:
    words = byte_tokenizer(without="xyz")
    assert prompt_ids(words, [SYSTEM, USER]) != prompt_ids(words, [USER])
    words.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    with pytest.raises(UserError, match="with and without the system line 'xyz'"):
        prompt_ids(words, [Message("system", "xyz"), USER])


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ raise_exception('Only tools') }}", "raises TemplateError: Only tools"),
        ("<bos> {% for m in messages %}{{ m['content'][0]['text'] }}{% endfor %}", "leaves out the text 'Line of"),
        ("<bos> {{ messages[0]['role'] }}", "leaves out"),
        ("{% for", "raises TemplateSyntaxError"),
    ],
)
def test_a_template_of_no_use_is_one_line_at_loading(template: str, message: str, tmp_path: Any) -> None:
    folder = save(make("llama"), tokenizer(template), tmp_path)
    with pytest.raises(UserError, match=message) as found:
        load_tokenizer(folder)
    assert str(folder) in str(found.value)
    assert "\n" not in str(found.value)


def test_a_template_that_can_think_is_told_whether_to() -> None:
    made = tokenizer(
        NATIVE.replace(
            "<assistant> ", "<assistant> {% if enable_thinking is not defined or enable_thinking %}w1{% endif %}"
        )
    )
    asked = [Message("user", "w2")]
    usual = prompt_ids(made, asked)
    pin_thinking(made, None)
    assert prompt_ids(made, asked) == usual
    pin_thinking(made, False)
    assert prompt_ids(made, asked) == usual[:-1]
    pin_thinking(made, True)
    assert prompt_ids(made, asked) == usual, "the last word counts, also of a checkpoint that keeps an earlier one"
    with pytest.raises(UserError, match="no such switch"):
        pin_thinking(tokenizer(), False)
