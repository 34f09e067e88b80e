"""Text files of users: whatever the editor or table program has put before, after and between."""

import codecs
import gzip
import json
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest

from base.errors import UserError, one_line
from base.rows import HALVED, NotJson, rows_of, text_of
from mitigations.filtered_sft.filters import load_words
from mitigations.rlhf_mix.prompts import load_prompts

ROWS = [{"a": "größe"}, {"a": 2}]


def rows(path: Path) -> list[object]:
    return [row for _, row in rows_of(str(path), "rows")]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["r.jsonl", "r.json"])
def test_marks_line_ends_and_packing_change_nothing(
    tmp_path: Path, name: str, packed: bool, mark: bytes, ending: str
) -> None:
    text = json.dumps(ROWS, indent=1) if name == "r.json" else "\n".join(map(json.dumps, ROWS)) + "\n"
    data = mark + text.replace("\n", ending).encode()
    path = tmp_path / (f"{name}.gz" if packed else name)
    path.write_bytes(gzip.compress(data) if packed else data)
    assert rows(path) == ROWS
    path = tmp_path / name  # packed, whatever the name says
    path.write_bytes(gzip.compress(data) if packed else data)
    assert rows(path) == ROWS


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ('{"a": 1}'.encode("utf-16"), "is UTF-16: save it as UTF-8"),
        ('{"a": 1}'.encode("utf-16-le"), "is UTF-16: save it as UTF-8"),
        ('{"a": 1}'.encode("utf-32"), "is UTF-32: save it as UTF-8"),
        ('{"a": 1}\n{"a": "größe"}'.encode("latin-1"), r"not UTF-8 \(byte 0xf6 in line 2; Latin-1 or Windows-1252"),
        (gzip.compress(b'{"a": 1}' * 999, mtime=0)[:-20], "cannot be read"),
        (b"\x1f\x8b\x08\x00broken", "cannot be read"),
    ],
)
def test_other_encodings_are_named_in_one_line(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(data)
    with pytest.raises(UserError, match=says) as caught:
        rows(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_numbers_that_python_does_not_read_stop_nothing(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(
        f'{{"a": {"9" * 5000}}}\n{{"a": NaN}}\n{{"a": {10**100}}}\n{{"a": 1, "a": 2}}\n{{"a"', encoding="utf-8"
    )
    huge, nan, large, twice, torn = rows(path)
    assert str(huge) == str(nan) == "{'a': nan}"
    assert (large, twice, torn) == ({"a": 10**100}, {"a": 2}, NotJson())
    path = tmp_path / "r.json"
    path.write_text(f'[{{"a": {"9" * 5000}}}, {{"a": 2}}]', encoding="utf-8")
    assert rows(path)[1] == {"a": 2}


def test_half_a_character_makes_a_row_odd_wherever_it_stands(tmp_path: Path) -> None:
    lines = ['{"a": ["it is cut \\ud83d"]}', '{"a": "whole \\ud83d\\ude00"}', '\ufeff{"a": 1}', '{"\\uDC00": 1}']
    (tmp_path / "r.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert rows(tmp_path / "r.jsonl") == [HALVED, {"a": "whole \U0001f600"}, {"a": 1}, HALVED]
    (tmp_path / "r.json").write_text(f"[{lines[0]}, {lines[1]}]", encoding="utf-8")
    assert rows(tmp_path / "r.json") == [HALVED, {"a": "whole \U0001f600"}]


def test_tables_prompt_files_and_word_lists_with_a_mark(tmp_path: Path) -> None:
    (tmp_path / "w.txt").write_bytes(codecs.BOM_UTF8 + "Größe\r\nzwei\r\n".encode())
    assert load_words(str(tmp_path / "w.txt")) == ("größe", "zwei")
    (tmp_path / "p.csv").write_bytes(codecs.BOM_UTF8 + 'prompt,x\r\n"How, then?",1\r\nWhy\u2028so?,2\r\n'.encode())
    (tmp_path / "p.yaml").write_bytes(codecs.BOM_UTF8 + b'chat: p.csv\ndilemma: ["Why?"]\n')
    assert [p[0].content for p in load_prompts(tmp_path / "p.yaml", "chat")] == ["How, then?", "Why\u2028so?"]
    assert [p[0].content for p in load_prompts(tmp_path / "p.yaml", "dilemma")] == ["Why?"]
    (tmp_path / "q.csv").write_bytes("prompt\ngröße\n".encode("cp1252"))
    (tmp_path / "q.yaml").write_text("chat: q.csv\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"q\.csv is not UTF-8"):
        load_prompts(tmp_path / "q.yaml", "chat")
    with pytest.raises(UserError, match="cannot be read"):
        text_of(tmp_path / "none.csv", "a table")


def test_a_parquet_file_with_any_byte_changed_is_read_or_named_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    pd.DataFrame({"a": ["größe", "b"], "n": [1, 2]}).to_parquet(path, compression=None)
    whole = path.read_bytes()
    assert len(rows(path)) == 2
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with suppress(UserError):  # another error is a fault
            rows(path)


def test_a_home_that_is_not_there_is_one_line() -> None:
    with pytest.raises(RuntimeError) as raised:
        rows(Path("~nosuchuser/r.jsonl"))
    assert "write the folder out" in one_line(raised.value)
    assert one_line(RuntimeError("another")) == ""
