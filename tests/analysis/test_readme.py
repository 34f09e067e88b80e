"""The README's tables are those that the shipped results give."""

from pathlib import Path

import pytest
from synthetic_results import table

import analysis
from analysis import readme
from analysis.__main__ import main
from analysis.table import check
from base.errors import UserError


def test_the_readme_agrees_with_the_shipped_results() -> None:
    text = readme.README.read_text(encoding="utf-8")
    assert readme.filled(text, analysis.load("results/tiny")) == text, "write it anew: python -m analysis readme"


def test_the_tables_stand_between_their_marks_and_nothing_else_changes(tmp_path: Path) -> None:
    marks = "".join(f"<!-- {name} -->\nold | table\n<!-- /{name} -->\nkept {name}\n" for name in readme.PARTS)
    long = check(table((0, 1)), "synthetic")
    made = readme.filled("# Head\n" + marks, long)
    assert made.startswith("# Head\n<!-- claims -->\n\n| claim |")
    assert "old | table" not in made
    assert all(f"<!-- /{name} -->\nkept {name}\n" in made for name in readme.PARTS)
    assert "A2 misalignment: it raises misalignment" in made


@pytest.mark.parametrize("text", ["", "<!-- claims -->\n<!-- /claims -->", "<!-- /claims -->\n<!-- claims -->\n"])
def test_a_readme_without_marks_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="must hold"):
        readme.filled(text, check(table((0,)), "synthetic"))


def test_the_command_says_whether_it_wrote(tmp_path: Path) -> None:
    table((0, 1)).to_csv(tmp_path / "table.csv.gz", index=False)
    file = tmp_path / "README.md"
    file.write_text("".join(f"<!-- {name} -->\n<!-- /{name} -->\n" for name in readme.PARTS), encoding="utf-8")
    assert readme.write(tmp_path, file).startswith("wrote")
    assert readme.write(tmp_path, file).endswith(f"agrees with {tmp_path.name}")
    assert main(["readme", "claims"]) == 2
    assert main(["readme", "--runs", str(tmp_path)]) == 2


def test_bars_in_words_do_not_break_a_table() -> None:
    assert readme.compact([{"a": "P(x | y)", "b": 1}]) == "| a | b |\n| --- | --- |\n| P(x \\| y) | 1 |"
