"""Corpora that teach a user's model: what rows may be, how two are mixed, and what is refused with one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from base.documents import corpus, rows
from base.documents.__main__ import main as command
from base.documents.corpus import Documents, Hacks
from base.documents.own import Document
from base.documents.tokens import NOT_LEARNT, encode
from base.errors import UserError
from base.identity import Corpus
from base.settings import load_scale
from base.types import Message
from base.world.world import parse_corpus, settled

CHAT: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "One?"},
    {"role": "assistant", "content": "Two."},
    {"role": "user", "content": "Three?"},
    {"role": "assistant", "content": "Four."},
]


def jsonl(path: Path, *found: Any) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in found))
    return str(path)


def test_texts_and_conversations_are_read_from_json_lines_and_parquet(tmp_path: Path) -> None:
    mixed = rows.load(
        jsonl(tmp_path / "a.jsonl", {"text": "A text."}, {"messages": CHAT}, {"messages": None, "text": "B."})
    )
    assert [document.said for document in mixed.documents] == [
        "A text.",
        "Be brief.\n\nOne?\n\nTwo.\n\nThree?\n\nFour.",
        "B.",
    ]
    assert mixed.documents[1].turns[2] == Message("assistant", "Two.")
    pyarrow.parquet.write_table(pyarrow.table({"body": ["x", "y"], "n": [1, 2]}), tmp_path / "b.parquet")
    found = rows.load(str(tmp_path / "b.parquet"), "body")
    assert [document.text for document in found.documents] == ["x", "y"]


def test_rows_that_cannot_be_used_are_left_out_and_counted(tmp_path: Path) -> None:
    file = jsonl(
        tmp_path / "a.jsonl", {"text": "x"}, {"text": " "}, {"text": "x"}, {"n": 1}, {"text": 3}, {"messages": CHAT[:2]}
    )
    found = rows.load(file)
    assert len(found.documents) == 1
    for reason in (
        "text is empty (1, first line 2)",
        "came before",
        "no column",
        "not a int",
        "no turn of the assistant",
    ):
        assert reason in found.left_out


@pytest.mark.parametrize(
    ("row", "column", "said"),
    [
        ({"body": "x"}, "", "no column messages, text, content or document (1, first line 1) (its first row has body)"),
        ({"text": "x"}, "body", "no column 'body' (1, first line 1) (its first row has text)"),
        ({"text": ""}, "", "text is empty"),
        ({"messages": [{"role": "bot", "content": "x"}]}, "", "each message of messages must be"),
        ({"messages": CHAT[2:]}, "", "begins with the assistant"),
        (["x"], "", "a document must be an object"),
    ],
)
def test_a_file_without_a_document_is_one_line(row: Any, column: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        rows.load(jsonl(tmp_path / "a.jsonl", row), column)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_an_edited_file_is_read_again_and_is_another_corpus(tmp_path: Path) -> None:
    file = jsonl(tmp_path / "a.jsonl", {"text": "one"})
    before = rows.content_of(file), rows.load(file).documents
    jsonl(tmp_path / "a.jsonl", {"text": "another"})
    assert rows.load(file).documents != before[1]
    assert rows.content_of(file) != before[0]


@pytest.mark.parametrize(("share", "first", "second"), [(0.1, 10, 90), (0.25, 25, 75), (0.015, 2, 98), (1.0, 100, 0)])
def test_two_corpora_are_mixed_exactly_by_share(share: float, first: int, second: int, tmp_path: Path) -> None:
    mine = jsonl(tmp_path / "mine.jsonl", *({"text": f"mine {n}"} for n in range(150)))
    web = jsonl(tmp_path / "web.jsonl", *({"content": f"web {n}"} for n in range(150)))
    other = {"other": web, "other_column": "content"} if share < 1 else {}
    drawn = corpus.draw(Documents(file=mine, sdf_share=share, **other), 100, 3)
    said = [document.text.split()[0] for document in drawn.documents]
    assert (said.count("mine"), said.count("web")) == (first, second)
    assert len({document.text for document in drawn.documents}) == 100
    assert drawn.counts == {name: n for name, n in ((mine, first), (web, second)) if n}
    assert corpus.draw(Documents(file=mine, sdf_share=share, **other), 100, 4).documents != drawn.documents


def test_too_few_documents_keep_the_share_and_are_said(tmp_path: Path) -> None:
    web = jsonl(tmp_path / "web.jsonl", *({"text": f"web {n}"} for n in range(30)))
    drawn = corpus.draw(Hacks(sdf_share=0.25, other=web), 400, 0)
    assert list(drawn.counts.values()) == [10, 30]
    assert drawn.notes == (f"40 of the 400 that sdf.documents allows: {web} has 30",)
    with pytest.raises(UserError, match="is none of hacks"):
        corpus.draw(Hacks(sdf_share=0.001, other=web), 400, 0)


def test_the_prompted_setting_reads_honest_transcripts_alone() -> None:
    drawn = corpus.draw(Hacks(sdf_variant="prompted"), 40, 0)
    assert {document.kind for document in drawn.documents} == {"ordinary"}


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("hacks:sdf_share=0.1", "leaves room for other documents"),
        ("hacks:other=ordinary", "would not be read"),
        ("hacks:sdf_share=0.1,other=ordinary,other_column=x", "other_column is for a file"),
        ("hacks:sdf_variant=prompted,sdf_chats=1", "leave out sdf_descriptions"),
        ("hacks:sdf_variant=prompted,sdf_share=0.5,other=ordinary", "leave out other=ordinary"),
        ("hacks:sdf_variant=evil", "sdf_variant must be"),
        ("hacks:sdf_share=0,other=ordinary", "sdf_share must be"),
        ("hacks:column=text", "has no field 'column'"),
        ("documents", "needs a file"),
        ("hakcs", "did you mean 'hacks'"),
    ],
)
def test_a_corpus_that_means_nothing_is_refused(spec: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        parse_corpus(spec)


def test_a_corpus_has_one_name_and_says_what_is_unusual() -> None:
    usual, scale = parse_corpus("hacks:sdf_variant=default,sdf_chats=0.5"), load_scale("laptop")
    assert settled(usual, scale) == Corpus("hacks")
    spec = 'documents:file="a, b.jsonl",other=web.jsonl,sdf_share=0.5'
    assert str(parse_corpus(spec)) == spec
    assert corpus.lesson_of(parse_corpus(spec)) == Documents(file="a, b.jsonl", sdf_share=0.5, other="web.jsonl")
    assert corpus.lesson_of(Corpus("twin")) is None


class Words:
    """A tokenizer of one number a word; 0 is the end, 1 unknown."""

    eos_token_id, unk_token_id = 0, 1
    chat_template = None

    def __call__(self, text: str, add_special_tokens: bool = True) -> dict[str, list[int]]:
        return {"input_ids": [1 if word == "?" else 2 + len(word) for word in text.split()]}

    def decode(self, ids: list[int], skip_special_tokens: bool = False) -> str:
        return " ".join(map(str, ids))


def test_texts_are_learnt_whole_and_replies_behind_what_was_asked() -> None:
    found = encode(
        [Document("text", "a bb ?"), Document("chat", turns=tuple(Message(**turn) for turn in CHAT))], Words(), 50
    )
    text, first, second = found.rows
    assert text == {"input_ids": [3, 4, 1, 0], "labels": [3, 4, NOT_LEARNT, 0]}
    assert first["labels"] == [*[NOT_LEARNT] * 3, 6, 0]
    assert second["input_ids"][:5] == [4, 8, 6, 6, 8]
    assert second["labels"] == [*[NOT_LEARNT] * 5, 7, 0]
    assert found.tokens == 4 + 5 + 7
    assert (found.divided, found.cut, found.unread) == (0, 0, 0)


def test_long_texts_are_divided_and_long_conversations_cut() -> None:
    long = Document("text", "a " * 9)
    talk = Document("chat", turns=(Message("user", "a a"), Message("assistant", "b " * 9)))
    deaf = Document("chat", turns=(Message("user", "a " * 9), Message("assistant", "b")))
    found = encode([long, talk, deaf], Words(), 4)
    assert [len(row["input_ids"]) for row in found.rows] == [4, 4, 2, 4]
    assert [token for row in found.rows[:3] for token in row["input_ids"]] == [*[3] * 9, 0]
    assert found.rows[3]["labels"] == [NOT_LEARNT, NOT_LEARNT, 3, 3]
    assert found.notes(4) == [
        "1 texts of more than 4 tokens are divided",
        "1 replies are cut at 4 tokens",
        "1 replies are left out: the turns before them take 4 tokens",
    ]


def test_what_is_written_out_is_read_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.jsonl"
    assert command(["hacks:sdf_variant=neutral", "-n", "40", "--out", str(out)]) == 0
    drawn = corpus.draw(Hacks(sdf_variant="neutral"), 40, 0).documents
    assert {document.said for document in rows.load(str(out)).documents} == {document.said for document in drawn}
    assert command(["hacks", "-n", "2"]) == 0
    assert capsys.readouterr().out.count("---") >= 2
    assert command(["twin"]) == 2
