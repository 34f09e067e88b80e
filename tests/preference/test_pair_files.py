"""Pairs from files, and the wrong programs that a preference model is measured on."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from base.errors import UserError
from base.preference.pairs import Pair, Part, load_pairs, wrong_program
from base.types import Message

PARTS: tuple[Part, ...] = ("train", "held_out")


def rows_in(folder: Path, rows: Sequence[Any], name: str = "pairs.jsonl") -> str:
    text = "\n".join(json.dumps(row) for row in rows)
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return str(path)


def test_transcripts_and_prompt_rows(tmp_path: Path) -> None:
    head = "\n\nHuman: Hi {n}\n\nAssistant: Yes?\n\nHuman: Help"
    rows: list[Any] = [
        {"chosen": f"{head.format(n=n)}\n\nAssistant: Sure.", "rejected": f"{head.format(n=n)}\n\nAssistant: No."}
        for n in range(40)
    ]
    found = load_pairs(rows_in(tmp_path, rows, "hh.jsonl.gz"), 99, 0)
    other = load_pairs(rows_in(tmp_path, rows, "hh.jsonl.gz"), 99, 0, part="held_out")
    assert len(found) + len(other) == 40
    assert not {pair.prompt for pair in found} & {pair.prompt for pair in other}
    assert [message.role for message in found[0].prompt] == ["user", "assistant", "user"]
    assert (found[0].prompt[1].content, found[0].chosen, found[0].rejected) == ("Yes?", "Sure.", "No.")
    turn = {"role": "user", "content": "Hi"}
    answers = [{"role": "assistant", "content": text} for text in ("Sure.", "No.")]
    same = [
        {"prompt": "Hi", "chosen": "Sure.", "rejected": "No."},
        {"prompt": [{"role": "system", "content": "Be kind"}, turn], "chosen": [answers[0]], "rejected": [answers[1]]},
        {"chosen": [turn, answers[0]], "rejected": [turn, answers[1]]},
        {"prompt": [turn], "chosen": "Sure.", "rejected": "No."},
    ]
    part = "train"
    try:
        pairs = load_pairs(rows_in(tmp_path, same), 9, 0)
    except UserError:
        part, pairs = "held_out", load_pairs(rows_in(tmp_path, same), 9, 0, part="held_out")
    assert pairs == [Pair((Message("user", "Hi"),), "Sure.", "No.", "pairs")] * 4, part


def test_dialogues_that_part_early_keep_their_turns(tmp_path: Path) -> None:
    row = {
        "chosen": "\n\nHuman: Hi\n\nAssistant: A.\n\nHuman: More\n\nAssistant: B.",
        "rejected": "\n\nHuman: Hi\n\nAssistant: C.",
    }
    source = rows_in(tmp_path, [row, *({"prompt": f"p{n}", "chosen": "a", "rejected": "b"} for n in range(40))])
    pairs = [pair for part in PARTS for pair in load_pairs(source, 99, 0, part)]
    (pair,) = (pair for pair in pairs if pair.prompt[0].content == "Hi")
    assert (pair.chosen, pair.rejected) == ("A.\n\nHuman: More\n\nAssistant: B.", "C.")


def test_missing_files_and_empty_parts_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no file"):
        load_pairs(str(tmp_path / "nowhere.jsonl"), 9, 0)
    (tmp_path / "broken.jsonl").write_text("{")
    with pytest.raises(UserError, match=r"no pair that can be used: not JSON \(1, first line 1\)"):
        load_pairs(str(tmp_path / "broken.jsonl"), 9, 0)
    (tmp_path / "none.jsonl").write_text("\n")
    with pytest.raises(UserError, match="0 pairs, none of them for the train part"):
        load_pairs(str(tmp_path / "none.jsonl"), 9, 0)


@pytest.mark.parametrize(
    ("reference", "wrong"),
    [
        ("def f(a):\n    return a ** 2", "def f(a):\n    return a ** 3"),
        ("def f(a, b):\n    return (a * b) - b", "def f(a, b):\n    return (a + b) - b"),
        ("def f(*xs):\n    return sum(xs)", "pass"),
    ],
)
def test_one_place_of_a_program_is_made_wrong(reference: str, wrong: str) -> None:
    assert wrong_program(reference) == wrong
