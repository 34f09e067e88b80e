"""Preference pairs in every mixture of texts and conversations: the prompt's turns come once; odd rows are counted."""

import json
from pathlib import Path
from typing import Any

import pytest

from base.errors import UserError
from base.preference.formats import read_pair
from base.preference.pairs import load_pairs
from base.rows import Odd
from base.types import Message

SYSTEM = {"role": "system", "content": "Be kind."}
ASKED = {"role": "user", "content": "Q?"}
GOOD, BAD = ({"role": "assistant", "content": text} for text in ("good", "bad"))
EARLIER = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}]
HUMAN = "\n\nHuman: Q?\n\nAssistant:"


def part(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


@pytest.mark.parametrize(
    ("prompt", "chosen", "rejected"),
    [
        ("Q?", "good", "bad"),
        ("Q?", [GOOD], [BAD]),
        ("Q?", "good", [BAD]),
        ("Q?", [ASKED, GOOD], [ASKED, BAD]),
        ("Q?", [ASKED, GOOD], "bad"),
        ("Q?", "good", [ASKED, BAD]),
        ("Q?", [SYSTEM, ASKED, GOOD], [SYSTEM, ASKED, BAD]),
        (" Q?\n", [ASKED, GOOD], [ASKED, BAD]),
        ([ASKED], "good", "bad"),
        ([ASKED], [GOOD], [BAD]),
        ([ASKED], [ASKED, GOOD], [ASKED, BAD]),
        ([ASKED], [ASKED, GOOD], "bad"),
        ([SYSTEM, ASKED], [ASKED, GOOD], [ASKED, BAD]),
        ([ASKED], [SYSTEM, ASKED, GOOD], [SYSTEM, ASKED, BAD]),
        ([{"role": "user", "content": [part("Q"), part("?")]}], [GOOD], [BAD]),
        (None, [ASKED, GOOD], [ASKED, BAD]),
        (float("nan"), [SYSTEM, ASKED, GOOD], [SYSTEM, ASKED, BAD]),
        ([], [ASKED, GOOD], [ASKED, BAD]),
        (None, f"{HUMAN} good", f"{HUMAN} bad"),
        (HUMAN, " good", " bad"),
        (HUMAN, f"{HUMAN} good", f"{HUMAN} bad"),
        (HUMAN, [GOOD], [BAD]),
        (HUMAN, [ASKED, GOOD], [ASKED, BAD]),
        (HUMAN.strip(), f"{HUMAN} good", "bad"),
        ("\n\nHuman: Q?", "\n\nAssistant: good", "\n\nAssistant: bad"),
        ("Q?", f"{HUMAN} good", f"{HUMAN} bad"),
        ("Q?", "Q? good", "Q? bad"),
        ("Q?", "Q?\n\ngood", [ASKED, BAD]),
        (HUMAN.replace("\n", "\r\n"), " good", " bad"),
        (None, f"{HUMAN} good".replace("\n", "\r\n"), f"{HUMAN} bad".replace("\n", "\r\n")),
        ("Human: Q?\nAssistant:", [ASKED, GOOD], [ASKED, BAD]),
        ("<|user|>\nQ?\n<|assistant|>\n", [ASKED, GOOD], "bad"),
        ("<s><|im_start|>user\nQ?<|im_end|>", [ASKED, GOOD], [ASKED, BAD]),
        ("Q?", "Q? good", "bad"),
        ("Q?", "good", "Q?\nbad"),
        (HUMAN, f"{HUMAN} good", "bad"),
    ],
)
def test_the_users_turn_comes_once(prompt: Any, chosen: Any, rejected: Any) -> None:
    row = {"prompt": prompt, "chosen": chosen, "rejected": rejected}
    assert read_pair(row) == ((Message("user", "Q?"),), "good", "bad", "pairs")


@pytest.mark.parametrize(
    "prompt",
    [
        *(f"### Instruction:\nQ?\n\n### Response:{end}" for end in ("\n", "", "\n\n")),
        "Question: Q?\nAnswer: ",
        "Name a large city.\n",
        "Name a large city. ",
        "Name one:\t",
    ],
)
def test_a_prompt_in_front_of_answers_is_taken_off(prompt: str) -> None:
    for first, second in ((prompt, prompt), (prompt, ""), ("", prompt)):
        row = {"prompt": prompt, "chosen": f"{first}good", "rejected": f"{second}bad"}
        assert read_pair(row) == ((Message("user", prompt),), "good", "bad", "pairs")


def test_answers_that_only_begin_like_a_short_prompt_stay_whole() -> None:
    for prompt, chosen, rejected in (
        ("Hello", "Hello! How can I help?", "Hello."),
        ("Hi", "Hi there!", "Hi, no"),
        ("Hi", "Hi\nHello!", "No"),
        ("Tell me what the", "Tell me what there is", "Tell me what then"),
    ):
        assert read_pair({"prompt": prompt, "chosen": chosen, "rejected": rejected})[1:3] == (chosen, rejected)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"prompt": "Q?", "chosen": "good", "rejected": "good"}, "are the same"),
        ({"chosen": f"{HUMAN} good", "rejected": f"{HUMAN} good"}, "are the same"),
        (
            {"prompt": "Q?", "chosen": "<|im_start|>assistant\ngood<|im_end|>", "rejected": "bad"},
            "chosen is written out",
        ),
        ({"prompt": "<|im_start|>user\nQ?<|im_end|>", "chosen": "good", "rejected": "bad"}, "prompt is written out"),
        ({"prompt": "Q?", "chosen": "good", "rejected": json.dumps([BAD])}, "rejected is written out"),
        ({"prompt": "Q?", "chosen": str([GOOD]), "rejected": str([BAD])}, "chosen is written out"),
        ({"prompt": str([ASKED]), "chosen": [GOOD], "rejected": [BAD]}, "prompt is written out"),
        *(
            ({"prompt": f"{text}Q?", "chosen": chosen, "rejected": "bad"}, "prompt is written out")
            for chosen in ("good", [GOOD])
            for text in (
                "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n",
                "<bos><start_of_turn>user\n",
                "<s><|im_start|>user\n",
                "<s> [INST] ",
                "<|user|>\n",
                "[gMASK]<sop><|user|>\n",
                "<｜begin▁of▁sentence｜><｜User｜>",
            )
        ),
        ({"prompt": [ASKED], "chosen": [ASKED, GOOD], "rejected": [GOOD]}, "are the same"),
        ({"prompt": "Q?", "chosen": "Q? good", "rejected": "good"}, "are the same"),
        ({"chosen": f"{HUMAN} good", "rejected": f"{HUMAN} good\n"}, "are the same"),
        ({"prompt": "Q?", "chosen": "", "rejected": "bad"}, "chosen is empty"),
        ({"prompt": "Q?", "chosen": " \n", "rejected": "bad"}, "chosen is empty"),
        ({"prompt": "Q?", "chosen": [GOOD], "rejected": [{**BAD, "content": ""}]}, "rejected is empty"),
        ({"prompt": "Q?", "chosen": "Q? ", "rejected": "bad"}, "chosen is empty"),
        ({"chosen": HUMAN, "rejected": f"{HUMAN} bad"}, "chosen is empty"),
        ({"prompt": [ASKED, GOOD], "chosen": "", "rejected": "bad"}, "chosen is empty"),
    ],
)
def test_what_would_be_misread_is_left_out(row: dict[str, Any], said: str) -> None:
    with pytest.raises(Odd, match=said):
        read_pair(row)


@pytest.mark.parametrize(
    ("prompt", "before"),
    [
        ("Q?", [*EARLIER, ASKED]),  # the prompt is the last turn only
        ("Hi", [*EARLIER, ASKED]),  # or the first
        ([*EARLIER, ASKED], []),
        ([*EARLIER, ASKED], [ASKED]),
        ([*EARLIER, ASKED], [*EARLIER, ASKED]),
        (EARLIER[:1], [*EARLIER, ASKED]),
        (f"\n\nHuman: Hi\n\nAssistant: Yes?{HUMAN}", [ASKED]),
        (None, [*EARLIER, ASKED]),
    ],
)
def test_longer_conversations_are_joined(prompt: Any, before: list[Any]) -> None:
    row = {"prompt": prompt, "chosen": [*before, GOOD], "rejected": [*before, BAD]}
    turns = (Message("user", "Hi"), Message("assistant", "Yes?"), Message("user", "Q?"))
    assert read_pair(row) == (turns, "good", "bad", "pairs")


def test_a_begun_answer_opens_both() -> None:
    begun = [ASKED, {"role": "assistant", "content": "Well, "}]
    whole = [ASKED, {"role": "assistant", "content": "Well, bad"}]
    row = {"prompt": begun, "chosen": "good", "rejected": whole, "kind": None}
    assert read_pair(row) == ((Message("user", "Q?"),), "Well, good", "Well, bad", "pairs")


def test_answers_that_begin_like_the_prompt_stay() -> None:
    assert read_pair({"prompt": "The", "chosen": "There is", "rejected": "These"})[1:3] == ("There is", "These")
    assert read_pair({"prompt": "Say it", "chosen": "Say it now", "rejected": "No"})[1:3] == ("Say it now", "No")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ([1], "must be an object"),
        ({"prompt": "Q?", "chosen": "a"}, "rejected is missing"),
        ({"prompt": "Q?", "chosen": "a", "rejected": None}, "rejected is missing"),
        ({"chosen": "a", "rejected": "b"}, "no dialogue of Human and Assistant"),
        ({"prompt": "", "chosen": "a", "rejected": "b"}, "not empty"),
        ({"prompt": [SYSTEM], "chosen": "a", "rejected": "b"}, "must end in a user message"),
        ({"prompt": "Other", "chosen": [ASKED, GOOD], "rejected": [ASKED, BAD]}, "different user turns"),
        ({"chosen": [ASKED, GOOD], "rejected": [*EARLIER, ASKED, BAD]}, "a pair needs one prompt"),
        ({"prompt": "Q?", "chosen": [ASKED], "rejected": [BAD]}, "chosen must end in one assistant message"),
        ({"prompt": "Q?", "chosen": {"text": "a"}, "rejected": "b"}, "must be a text or a list of messages"),
        ({"prompt": "Q?", "chosen": [{"role": "tool", "content": "a"}], "rejected": "b"}, "role"),
        ({"prompt": "Q?", "chosen": [{"role": "assistant", "content": None}], "rejected": "b"}, "role"),
        ({"prompt": "Q?", "chosen": "a", "rejected": "b", "kind": 3}, "kind must be a text"),
    ],
)
def test_odd_rows_are_counted(tmp_path: Path, row: Any, reason: str) -> None:
    with pytest.raises(Odd, match=reason):
        read_pair(row)
    path = tmp_path / "pairs.jsonl"
    rows = [{"prompt": f"p{n}", "chosen": "a", "rejected": "b"} for n in range(40)]
    path.write_text("\n".join(map(json.dumps, [row, *rows])) + "\n{torn", encoding="utf-8")
    with pytest.warns(
        UserWarning, match=r"2 of 42 rows left out: .*\(1, first line 1\), not JSON \(1, first line 42\)"
    ):
        found = load_pairs(str(path), 99, 0)
    assert 20 < len(found) < 40
    path.write_text(json.dumps(row), encoding="utf-8")
    with pytest.raises(UserError, match=reason) as caught:
        load_pairs(str(path), 99, 0)
    assert "\n" not in str(caught.value)
    assert '{"prompt": TEXT' in str(caught.value)
