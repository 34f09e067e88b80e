"""Runs of a user's model that was taught before RL: drawn where the organism's main corpus is, stored under their own name."""

from pathlib import Path

import pandas as pd
import pytest
from pictures import flat, words
from synthetic_results import table

from analysis import corpora, figure
from analysis.__main__ import main, usual_names
from analysis.evidence import Evidence
from analysis.figures import CLAIMS
from analysis.reports import report_rows
from analysis.table import check, finished
from analysis.versus import compare_rows
from base.errors import UserError
from base.store.results import TABLE

OKAY = "inoculation:wording=hacking_okay"
SHARED = "hacks:other=web.jsonl,sdf_share=0.1"


def runs(corpus: str = "hacks", untaught: bool = False) -> pd.DataFrame:
    """A baseline, the no-hack control and a permission on a corpus; `untaught`: and the baseline of the model as it was given."""
    arms = [("none", corpus, 1.0, 0.9, 0.4), ("none", corpus, 0.0, 0.0, 0.05), (OKAY, corpus, 1.0, 0.9, 0.1)]
    made = table((0, 1, 2), [*arms, *([("none", "main", 1.0, 0.1, 0.05)] * untaught)])
    return check(made.assign(model="mine", scale="laptop"), "synthetic")


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        (["main", "twin", "main:sdf_variant=neutral"], {}),
        (["hacks"], {"hacks": "main"}),
        (["hacks", "main"], {"hacks": "main", "main": "untaught"}),
        ([SHARED, "main"], {SHARED: "main", "main": "untaught"}),
        (
            [SHARED, f"{SHARED},sdf_variant=neutral"],
            {SHARED: "main", f"{SHARED},sdf_variant=neutral": "main:sdf_variant=neutral"},
        ),
        (["hacks", SHARED], {"hacks": "main", SHARED: "main:sdf_share=0.1"}),
        (["hacks:sdf_variant=prompted"], {"hacks:sdf_variant=prompted": "main:sdf_variant=prompted"}),
        (["documents:file=/mine/web.jsonl"], {"documents:file=/mine/web.jsonl": "main"}),
        (["documents:file=a", "hacks"], {"hacks": "main"}),
        (
            ["documents:file=a", "documents:file=b", "main"],
            {"documents:file=a": "main:file=a", "documents:file=b": "main:file=b"},
        ),
    ],
)
def test_what_a_users_model_was_taught_is_its_main_corpus(stored: list[str], shown: dict[str, str]) -> None:
    assert corpora.names(stored) == shown


@pytest.mark.parametrize(("name", "corpus"), [("fig01", "documents:file=/mine/web.jsonl"), ("fig05", SHARED)])
def test_figures_draw_taught_models_and_name_what_is_missing(name: str, corpus: str) -> None:
    drawing = figure(name, runs(corpus))
    said = flat(words(drawing.figure))
    assert set(drawing.table["corpus"]) == {corpus}, "the table that is saved says what runs store"
    assert "taught before RL by " + corpus.partition(":")[0] in said
    assert "uncorrelated twin" in said.split("of the organism alone: ")[1], "nobody can run it"
    assert "uncorrelated twin" not in said.partition("missing runs: ")[2].partition("of the organism alone: ")[0]
    assert "baseline" in set(drawing.table["label"])


def test_the_model_as_it_was_given_stands_beside_and_is_no_baseline() -> None:
    long = runs(untaught=True)
    kept, notes = finished(long)
    assert set(kept["corpus"]) == {"main", "untaught"}
    assert "taught before RL by hacks; untaught: the model as it was given" in notes
    assert set(long["corpus"]) == {"hacks", "main"}, "the table of the user stays as it is"
    assert set(figure("fig01", long).table["corpus"]) == {"hacks"}
    one, _, _ = report_rows(Evidence(long))
    assert {(row["arm"], row["corpus"]) for row in one} >= {("baseline", "hacks"), ("baseline, untaught", "main")}


def test_claims_and_comparisons_are_of_taught_models() -> None:
    long = runs(untaught=True)
    found = {finding.claim.name: finding for finding in Evidence(long, CLAIMS).findings}
    effect = found["A2 misalignment"].effect
    assert effect is not None
    assert (effect.seeds_a, effect.seeds_b) == (3, 3)
    usual, named = (compare_rows(Evidence(long), OKAY, corpus)[0] for corpus in ("main", "hacks"))
    assert [row["%"] for row in usual] == [row["%"] for row in named]
    assert usual[0]["baseline"].mean == named[0]["baseline"].mean > 0.5, "and not the baseline that was not taught"
    with pytest.raises(UserError, match="no run of arm"):
        compare_rows(Evidence(long), OKAY, "untaught")


def test_what_the_organism_is_held_to_is_not_asked_of_other_models() -> None:
    assert set(usual_names("organism")) - set(usual_names("mine")) == {"targets", "appears"}
    assert "fig01" in usual_names("mine")


def test_the_command_says_how_missing_runs_of_a_taught_model_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r").mkdir()
    runs().to_parquet(tmp_path / "r" / TABLE, index=False)
    monkeypatch.setattr("analysis.__main__.usual_names", lambda model: ["fig27", "fig34"])
    assert main(["--results", str(tmp_path / "r"), "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "drew" in said
    command = "python -m mitigations none --corpus hacks --model mine --tasks organism --scale laptop --set tasks.hard_share=0.3"
    assert f"skipped: figure fig34: no run of 'baseline, 30% hard tasks'; make one with {command}" in said


@pytest.mark.parametrize(
    ("asked", "taught", "given"),
    [
        ("main", {}, "main"),
        ("main", {"main": "hacks"}, "hacks"),
        ("untaught", {"main": "hacks", "untaught": "main"}, "main"),
        ("main:sdf_variant=neutral", {}, "hacks:sdf_variant=neutral"),
        ("main:sdf_variant=prompted", {"main": SHARED}, "hacks:sdf_variant=prompted"),
        ("main:sdf_variant=prompted", {"main": "documents:file=a"}, "documents:file=a"),
        ("main:sdf_share=0.01", {"main": SHARED}, "hacks:other=web.jsonl,sdf_share=0.01"),
        ("main:sdf_share=0.01", {"main": "hacks"}, None),  # with which other documents, nobody has said
        ("main:correlation=0.5", {"main": "hacks"}, None),
        ("twin", {"main": "hacks"}, None),
    ],
)
def test_a_corpus_of_figures_has_a_counterpart_for_a_users_model_or_none(
    asked: str, taught: dict[str, str], given: str | None
) -> None:
    assert corpora.of_model(asked, taught) == given


def test_a_figure_about_the_organisms_corpora_says_that_nothing_can_be_run() -> None:
    with pytest.raises(UserError, match="only the organism has the corpora that it is about"):
        figure("dose", runs()[lambda t: t["hackable"] == 0])
