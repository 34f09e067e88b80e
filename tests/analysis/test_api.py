"""The Python door: what a notebook calls is what the command line prints and draws."""

import math
import re
import subprocess
import sys
from collections.abc import Callable
from inspect import isfunction
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure as Picture
from synthetic_results import table

import analysis
from analysis import reports
from analysis.evidence import Evidence
from analysis.figures import CLAIMS
from analysis.findings import show
from analysis.table import RECIPE, check
from base.errors import UserError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def long() -> pd.DataFrame:
    return check(table(seeds=(0, 1, 2)), "synthetic")


def test_importing_analysis_imports_nothing_heavy() -> None:
    code = "import sys, analysis; print([m for m in ('torch', 'pandas', 'scipy', 'matplotlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_functions_are_not_hidden_by_modules() -> None:
    import analysis.__main__
    import analysis.arms
    import analysis.claims

    assert all(isfunction(getattr(analysis, name)) for name in analysis.__all__)
    code = (
        "import sys, analysis.claims; print(analysis.claims.__doc__[:10], sys.modules['analysis.claims'].__doc__[:9])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["The", "claims", "Claims", "as"]


@pytest.mark.parametrize("name", ["fig01", "fig05", "law"])
def test_a_drawing_has_its_table_its_picture_and_its_files(name: str, long: pd.DataFrame, tmp_path: Path) -> None:
    drawing = analysis.figure(name, long)
    assert isinstance(drawing.figure, Picture)
    assert drawing._repr_png_().startswith(b"\x89PNG")
    paths = drawing.save(str(tmp_path / "made" / "here"))
    assert [path.name for path in paths] == [f"{name}.{kind}" for kind in ("csv", "png", "svg")]
    assert len(pd.read_csv(paths[0])) == len(drawing.table)
    assert b"<svg" in paths[2].read_bytes()
    again = analysis.figure(name, long).save(tmp_path / "again")
    assert [a.read_bytes() == b.read_bytes() for a, b in zip(paths, again, strict=True)] == [True] * 3


@pytest.mark.parametrize("path", ["results/tiny", Path("results/mitigations"), ROOT / "results" / "mitigations"])
def test_shipped_results_load_from_anywhere_and_older_ones_are_marked(
    path: str | Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = analysis.load(path)
    assert len(loaded) > 20_000
    made = "0.1" if "mitigations" in str(path) else RECIPE
    assert loaded.attrs["recipe"] == made
    notes = analysis.compare(loaded, "inoculation:wording=please_hack").attrs["notes"]
    assert any(note.startswith("made with recipe 0.1") for note in notes) == (made != RECIPE)


def test_the_default_is_what_ships_with_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = analysis.load()
    assert loaded["run"].nunique() >= 20, "at least eight arms and the controls of both corpora, two seeds"
    few = analysis.load(only="wording=please_hack")
    assert "inoculation:wording=please_hack" in set(few["arm"])
    assert all("wording=please_hack" in arm for arm in few["arm"].unique())
    assert analysis.report(few)["minutes"].notna().any(), "wall times come from the manifest"


def test_claims_as_numbers_are_those_that_are_printed(long: pd.DataFrame) -> None:
    claims = analysis.claims(long)
    evidence = Evidence(long, CLAIMS)
    assert list(claims["verdict"]) == [finding.verdict for finding in evidence.findings]
    printed = show(evidence.findings, evidence.maker)
    assert {"A1 hacking", "B4 test time"} <= set(claims.dropna(subset=["low"])["name"])
    for _, row in claims[claims["unit"] == "percentage points"].dropna(subset=["low"]).iterrows():
        line = next(line for line in printed.splitlines() if line.startswith(row["name"]))
        assert f"{row['effect']:+.1f}" in line
        assert f"{row['low']:+.1f} to {row['high']:+.1f}" in line
        assert row["low"] <= row["effect"] <= row["high"]


def test_reports_as_numbers_are_those_that_are_printed(long: pd.DataFrame) -> None:
    made = analysis.report(long).set_index("arm")
    line = next(line for line in reports.report(Evidence(long)).splitlines() if line.startswith("baseline"))
    assert f"{made.loc['baseline', 'mis none']:.1f} ±{made.loc['baseline', 'mis none ±']:.1f}" in line
    assert made["seeds"].tolist() == [3] * len(made)
    side = analysis.compare(long, "inoculation:wording=please_hack").set_index("%")
    row = side.loc["misalignment, no prompt"]
    assert row["difference"] == pytest.approx(row["please hack"] - row["baseline"])
    assert (
        "Seeds: baseline 3 (0-2), please hack 3 (0-2)"
        in analysis.compare(long, "inoculation:wording=please_hack").attrs["notes"][0]
    )
    arms = analysis.overview(long).set_index("arm")
    assert arms.loc["baseline", "total"] == pytest.approx(made.loc["baseline", "mis none"])
    assert arms.loc["baseline", "family"] == "baseline and controls"


def test_wrong_words_are_one_clear_line(long: pd.DataFrame, tmp_path: Path) -> None:
    for call in (
        lambda: analysis.figure("hackin", long),
        lambda: analysis.load(tmp_path / "none"),
        lambda: analysis.compare(long, "pm_penalty"),
        lambda: analysis.load("results/tiny", only="nothing like it"),
        lambda: analysis.claims(pd.concat([long, long.assign(model="other", run="x" + long["run"].astype(str))])),
        lambda: analysis.export(tmp_path / "none", tmp_path / "out"),
    ):
        with pytest.raises(UserError) as error:
            call()
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda long: long.drop(columns=["seed"]), r"lacks the column\(s\) seed: .*analysis.load"),
        (lambda long: long.head(0), "has no rows"),
        (lambda long: long.assign(seed="one"), "the column seed holds something else than whole numbers"),
        (lambda long: pd.concat([long, long]), "has two values of"),
        (lambda long: 3, "3 is no table: give what analysis.load returns"),
    ],
)
def test_what_is_no_table_is_one_clear_line(
    spoil: Callable[[pd.DataFrame], Any], said: str, long: pd.DataFrame
) -> None:
    for call in (lambda table: analysis.figure("fig01", table), analysis.claims, analysis.report):
        with pytest.raises(UserError, match=said) as error:
            call(spoil(long))
        assert "\n" not in str(error.value)


def test_an_arm_may_be_spelt_as_on_the_command_line() -> None:
    usual = analysis.compare("results/mitigations", "pm_penalty:weight=0.25")
    assert analysis.compare("results/mitigations", "pm_penalty:weight=.25").equals(usual)
    with pytest.raises(UserError, match="did you mean"):
        analysis.compare("results/mitigations", "pm_penalty:weigth=0.25")


@pytest.mark.parametrize(
    ("corpus", "hackable", "said"),
    [
        ("main", math.nan, "hackable is a share between 0 and 1, not nan"),
        ("main", 2.0, "hackable is a share between 0 and 1, not 2"),
        (
            "main",
            0.25,
            "no run of arm 'none' on corpus 'main' with hackable 0.25, only on 'main' with 0, 'main' with 1",
        ),
        ("mian", 1.0, "no run of arm 'none' on corpus 'mian' with hackable 1, only on 'main' with 0"),
    ],
)
def test_an_arm_that_was_run_otherwise_is_not_called_unknown(
    corpus: str, hackable: float, said: str, long: pd.DataFrame
) -> None:
    with pytest.raises(UserError, match=re.escape(said)):
        analysis.compare(long, "none", corpus, hackable)


def test_controls_are_held_against_the_baseline_and_it_against_nothing(long: pd.DataFrame) -> None:
    twin = analysis.compare(long, "none", "twin").set_index("%")
    assert twin.loc["misalignment, no prompt", "difference"] < -5
    control = analysis.compare(long, "none", hackable=0.0).set_index("%")
    assert control.loc["hack rate, no prompt", "difference"] < -50
    with pytest.raises(UserError, match="what the others are held against"):
        analysis.compare(long, "none")


@pytest.mark.parametrize("name", ["please hack", "please_hack", "inoculation:wording=please_hack"])
def test_an_arm_may_be_called_as_pictures_call_it(name: str, long: pd.DataFrame) -> None:
    assert "please hack" in analysis.compare(long, name)
