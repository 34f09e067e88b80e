"""Every figure draws from a synthetic table, saves what it drew, and says what is missing."""

import itertools
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure as Picture
from synthetic_results import ARMS, table

from analysis.__main__ import TEXTS, main
from analysis.conditions import BASELINE, PRE_RL, TWIN, found, of
from analysis.figures import FIGURES, style
from analysis.figures.figure import COLUMNS
from analysis.stats import final
from analysis.table import check, measures
from base.errors import UserError

ROOT = Path(__file__).parents[2]


def words(picture: Picture) -> str:
    """All text of a picture."""
    own = [text.get_text() for text in picture.texts]
    return "\n".join(own + [t.get_text() for ax in picture.axes for t in ax.findobj(lambda a: hasattr(a, "get_text"))])


@pytest.mark.parametrize("name", FIGURES)
def test_saves_pictures(name: str, tmp_path: Path) -> None:
    paths = FIGURES[name](check(table(seeds=(0,)), "synthetic")).save(tmp_path / "new")
    assert [path.suffix for path in paths] == [".csv", ".png", ".svg"]
    assert all(path.stat().st_size > 1000 for path in paths)
    assert paths[1].read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", FIGURES)
def test_table_beside_the_picture_holds_the_input_numbers(name: str, tmp_path: Path) -> None:
    long = check(table(), "synthetic")
    drawing = FIGURES[name](long)
    csv = pd.read_csv(drawing.save(tmp_path)[0], keep_default_na=False, na_values=[""])
    assert tuple(csv.columns) == COLUMNS
    rows = measures(long)
    seeds = csv[(csv["kind"] == "seed") & csv["step"].notna() & (csv["measure"] != "mgs against hack_rate")]
    if len(seeds):
        keys = ["run", "step", "measure", "prompt"]
        beside = seeds.merge(rows, on=keys, how="left", validate="many_to_one")
        assert (beside["y"] - beside["value"]).abs().max() < 1e-12
    assert "3 seeds per arm" in words(drawing.figure)
    assert "missing" not in words(drawing.figure)
    assert (csv.loc[csv["kind"] == "mean", "seeds"] == 3).all()


def test_final_bars_equal_the_statistics() -> None:
    long = check(table(), "synthetic")
    csv = FIGURES["inoculation"](long).table
    bars = csv[(csv["panel"] == "final misalignment") & (csv["condition"] == "baseline")]
    values = final(measures(long), BASELINE, "mgs", "none")[0]
    assert sorted(bars[bars["kind"] == "seed"]["y"]) == pytest.approx(sorted(values.values()))
    assert bars[bars["kind"] == "mean"]["y"].item() == pytest.approx(sum(values.values()) / 3)


@pytest.mark.parametrize("name", FIGURES)
def test_one_seed_has_no_interval_and_says_so(name: str) -> None:
    drawing = FIGURES[name](check(table(seeds=(0,)), "synthetic"))
    csv = drawing.table
    assert csv.loc[csv["kind"] == "mean", ["low", "high"]].isna().all().all()
    assert "1 seed per arm: no interval" in words(drawing.figure)


@pytest.mark.parametrize("name", FIGURES)
def test_missing_arms_are_named_and_the_rest_is_drawn(name: str) -> None:
    arms = [arm for arm in ARMS if arm[1] != "twin" and arm[0] != "inoculation:wording=dont_hack"]
    drawing = FIGURES[name](check(table(seeds=(0, 1), arms=arms), "synthetic"))
    assert "missing runs: " in words(drawing.figure)
    assert "uncorrelated twin" in words(drawing.figure).split("missing runs: ")[1]


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_to_draw_is_a_user_error(name: str) -> None:
    other = [("pm_penalty:weight=0.5", "main", 1.0, 0.1, 0.1)]
    with pytest.raises(UserError, match=f"figure {name}"):
        FIGURES[name](check(table(arms=other), "synthetic"))


def test_a_run_without_the_other_evals_still_draws() -> None:
    long = table(seeds=(0,))
    for name in FIGURES:
        FIGURES[name](check(long[(long["eval"] != "frame") & (long["eval"] != "rollouts")], "synthetic"))


def test_a_sparse_curve_draws_what_is_there_and_says_so() -> None:
    whole = check(table(), "synthetic")
    skipped = (whole["arm"] == "none") & (whole["corpus"] == "twin") & (whole["seed"] == 1) & whole["step"].isin([4, 8])
    drawn = FIGURES["hacking"](whole[~(skipped & (whole["prompt"] != "train"))])
    twin = drawn.table[(drawn.table["condition"] == TWIN.key) & (drawn.table["panel"] == "mgs")]
    assert set(twin.loc[twin["kind"] == "mean", "step"]) == {0, 12, 16, 20, 24}, "no mean over some of the runs"
    assert (twin["kind"] == "seed").sum() == 7 + 7 + 5
    assert "Evaluated at few checkpoints, lines join them: uncorrelated twin 5 of 7." in words(drawn.figure)
    assert "few checkpoints" not in words(FIGURES["hacking"](whole).figure)


def test_final_values_do_not_change_where_earlier_checkpoints_are_left_out() -> None:
    whole = check(table(), "synthetic")
    ends = whole[~whole["step"].isin([4, 8, 12])]
    for measure in ("hack_rate", "mgs"):
        assert final(measures(ends), TWIN, measure, "none") == final(measures(whole), TWIN, measure, "none")


def test_new_inoculation_wordings_are_drawn_without_being_listed() -> None:
    arms = [*ARMS, ("inoculation:wording=my_own", "main", 1.0, 0.9, 0.2)]
    csv = FIGURES["inoculation"](check(table(seeds=(0,), arms=arms), "synthetic")).table
    assert "my own" in set(csv["label"])


def test_found_lists_every_cell_once() -> None:
    arms = [*ARMS, ("none", "twin", 0.0, 0.1, 0.1), ("none", "main", 0.5, 0.1, 0.1)]
    keys = [condition.key for condition in found(check(table(seeds=(0,), arms=arms), "synthetic"))]
    assert len(keys) == len(set(keys)) == len(arms) + 1  # and pre-RL
    assert PRE_RL.key in keys


def test_labels_never_overlap_and_stay_inside() -> None:
    wanted, need = [0.01, 0.02, 0.03, 0.5, 0.97, 0.98], [0.1, 0.05, 0.1, 0.1, 0.1, 0.05]
    centres = style.spread(wanted, need)
    edges = [(c - n / 2, c + n / 2) for c, n in zip(centres, need, strict=True)]
    assert all(low[1] <= high[0] + 1e-9 for low, high in itertools.pairwise(edges))
    assert edges[0][0] >= -1e-9
    assert edges[-1][1] <= 1 + 1e-9
    assert centres[3] == 0.5


def test_command_draws_everything_without_torch(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    table(seeds=(0, 1)).to_csv(tmp_path / "r" / "table.csv.gz", index=False)
    code = (
        "import sys; from analysis.__main__ import main\n"
        f"code = main(['--results', {str(tmp_path / 'r')!r}, '--out', {str(tmp_path / 'o')!r}])\n"
        "sys.exit(code or any(m in sys.modules for m in ('torch', 'transformers', 'trl', 'deepspeed')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.DEVNULL).returncode == 0
    names = {path.name for path in (tmp_path / "o").iterdir()}
    assert names == {f"{n}.{kind}" for n in FIGURES for kind in ("csv", "png", "svg")} | {f"{n}.md" for n in TEXTS}


def test_bad_words_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert "claim:" in capsys.readouterr().out
    (tmp_path / "file").touch()
    for words_given in (
        ["hackin"],
        ["--out", str(tmp_path / "file")],
        ["hacking", "--results", str(tmp_path / "none")],
        ["export", "hacking"],
    ):
        assert main(words_given) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert error.count("\n") == 1


def test_names_of_unlisted_conditions() -> None:
    assert of("inoculation:wording=please_hack", "twin").label == "please hack, twin"
    assert of("none", "twin", 0.0).label == "baseline, twin, 0% hackable"
    assert of("untrained", "twin").label == "pretrained only, twin"
    assert of("none", "twin") is TWIN


@pytest.mark.parametrize("name", FIGURES)
def test_unreadable_answers_are_no_values_and_never_zeros(name: str) -> None:
    long = table(seeds=(0,))
    long.loc[long["metric"] == "misaligned", "value"] = None
    drawing = FIGURES[name](check(long, "synthetic"))
    csv = drawing.table
    assert "no values" in words(drawing.figure)
    assert set(csv["measure"].str.replace("train:", "").str.split(":").str[0]) <= {"hack_rate", "hack", "route"}
