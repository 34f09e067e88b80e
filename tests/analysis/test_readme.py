"""The tables of the documents are those that the shipped results give."""

from pathlib import Path

import pytest
from synthetic_results import table

from analysis import readme
from analysis.__main__ import main, text_of
from analysis.evidence import Evidence
from analysis.figures import CLAIMS
from analysis.table import check, load
from base.errors import UserError
from base.store.results import TABLE

SHOWN = readme.Shown(Evidence(check(table((0, 1)), "synthetic"), CLAIMS), Evidence(check(table((0,)), "synthetic")))
RESULTS, APPEARS = Path("results/tiny"), Path("results/appears")


def marks(parts: tuple[str, ...]) -> str:
    return "".join(f"<!-- {name} -->\nold | table\n<!-- /{name} -->\nkept {name}\n" for name in parts)


def test_documents_and_texts_agree_with_the_shipped_results() -> None:
    shown = readme.Shown(Evidence(load(RESULTS), CLAIMS), Evidence(load(APPEARS)))
    for name, parts in readme.DOCUMENTS.items():
        text = (readme.ROOT / name).read_text(encoding="utf-8")
        assert readme.filled(text, shown, parts) == text, f"write {name} anew: python -m analysis readme"
    for name in ("claims", "targets", "mitigations"):
        stored = (RESULTS / "figures" / f"{name}.md").read_text(encoding="utf-8")
        assert text_of(name, shown.evidence)(True) + "\n" == stored, f"write {name}.md anew: python -m analysis {name}"


def test_every_part_stands_in_a_document() -> None:
    assert sorted(part for parts in readme.DOCUMENTS.values() for part in parts) == sorted(readme.PARTS)


def test_the_tables_stand_between_their_marks_and_nothing_else_changes() -> None:
    made = readme.filled("# Head\n" + marks(tuple(readme.PARTS)), SHOWN, tuple(readme.PARTS))
    assert made.startswith("# Head\n<!-- headlines -->\n\n| claim |")
    assert "old | table" not in made
    assert all(f"<!-- /{name} -->\nkept {name}\n" in made for name in readme.PARTS)
    assert "A2 misalignment: RL on gameable graders raises misalignment" in made


def test_a_headline_without_runs_says_so() -> None:
    lines = readme.headlines_part(SHOWN).splitlines()
    assert len(lines) == 2 + len(readme.HEADLINES) + 2
    assert lines[-1].startswith("These are 6 of 15 claims with runs")
    assert next(line for line in lines if "| FS2" in line).split(" | ")[1:4] == ["not run yet", "-", "-"]
    assert "not run yet" not in next(line for line in lines if "| A2" in line)


def test_values_by_seed_are_in_the_order_of_the_seeds() -> None:
    line = next(line for line in readme.arms_part(SHOWN).splitlines() if line.startswith("| baseline"))
    assert all(cell.count(" / ") == 1 for cell in line.split(" | ")[1:4])  # two seeds


@pytest.mark.parametrize("text", ["", "<!-- claims -->\n<!-- /claims -->", "<!-- /claims -->\n<!-- claims -->\n"])
def test_a_document_without_marks_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="must hold"):
        readme.filled(text, SHOWN, ("claims", "targets"))


def test_the_command_says_whether_it_wrote(tmp_path: Path) -> None:
    table((0, 1)).to_parquet(tmp_path / TABLE, index=False)
    for name, parts in readme.DOCUMENTS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(marks(parts), encoding="utf-8")
    assert readme.write(tmp_path, tmp_path).count("wrote") == len(readme.DOCUMENTS)
    assert readme.write(tmp_path, tmp_path).count(f"agrees with {tmp_path.name}") == len(readme.DOCUMENTS)
    assert main(["readme", "claims"]) == 2
    assert main(["readme", "--runs", str(tmp_path)]) == 2


def test_bars_in_words_do_not_break_a_table() -> None:
    assert readme.compact([{"a": "P(x | y)", "b": 1}]) == "| a | b |\n| --- | --- |\n| P(x \\| y) | 1 |"
