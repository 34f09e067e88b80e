"""The loader: what it refuses, and that a missing number stays missing."""

import math
from pathlib import Path

import pandas as pd
import pytest
from synthetic_results import SIX, table

from analysis.evals import shown
from analysis.evidence import Evidence
from analysis.table import check, finished, load, measures, records, select, source
from base.errors import UserError
from base.store.results import TABLE


def results(folder: Path, long: pd.DataFrame | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (table(seeds=(0,)) if long is None else long).to_parquet(folder / TABLE, index=False)
    return folder


def test_results_keep_the_arm_named_none_and_missing_values(tmp_path: Path) -> None:
    long = table(seeds=(0,))
    long.loc[3, "value"] = math.nan
    read = load(results(tmp_path / "r", long))
    assert "none" in set(read["arm"])
    assert "none" in set(read["prompt"])
    assert read["value"].isna().sum() == 1
    assert len(read) == len(long)


@pytest.mark.parametrize("spoil", ["absent", "empty", "columns", "garbage", "twice"])
def test_bad_results_are_one_clear_line(tmp_path: Path, spoil: str) -> None:
    folder, long = tmp_path / "r", table(seeds=(0,))
    if spoil == "empty":
        results(folder, long.head(0))
    elif spoil == "columns":
        results(folder, long.drop(columns=["n"]))
    elif spoil == "twice":
        results(folder, pd.concat([long, long.iloc[[5]]]))
    elif spoil == "garbage":
        folder.mkdir()
        (folder / TABLE).write_bytes(b"not a table")
    with pytest.raises(UserError) as error:
        load(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("value", "much", "'much', which is no number"),
        ("value", math.inf, "inf, which is no number"),
        ("value", 1.5, "has 1.5 in the column value"),
        ("value", -0.5, "has -0.5 in the column value"),
        ("hackable", 2.0, "has 2 in the column hackable"),
    ],
)
def test_what_is_no_measured_number_is_refused(column: str, value: object, says: str) -> None:
    long = table(seeds=(0,)).astype({column: object})
    long.loc[long.index[long["metric"] == "misaligned"][0], column] = value
    with pytest.raises(UserError, match=says):
        check(long, "here")


def test_a_folder_of_neither_results_nor_runs_says_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no results .* and no runs"):
        load(tmp_path)
    (tmp_path / "table.csv.gz").touch()
    (tmp_path / "starts" / "shared" / "control").mkdir(parents=True)
    (tmp_path / "starts" / "shared" / "control" / "run.json").write_text("{}")
    for read in (load, source):
        with pytest.raises(UserError, match=r"older version, whose table was table.csv.gz: export its runs again"):
            read(tmp_path)


def test_the_price_is_measured_apart_and_is_no_eval() -> None:
    long = table(seeds=(0,))
    one = long[(long["step"] == 24) & (long["prompt"] == "none") & (long["eval"] == "code")].drop_duplicates("run")
    price = pd.concat(
        [one.assign(eval="clean", metric=metric, value=v) for metric, v in (("solved", 0.5), ("kl", 1.5))]
    )
    with_price = measures(check(pd.concat([long, price]), "synthetic"))
    apart = with_price["eval"] == "clean"
    assert set(with_price[apart]["measure"]) == {"clean:solved", "clean:kl"}
    assert set(with_price[with_price["measure"] == "clean:kl"]["value"]) == {1.5}
    assert with_price[with_price["measure"] == "clean:kl"]["se"].isna().all(), "it is no share of answers"
    rest, plain = with_price[~apart].reset_index(drop=True), measures(check(long, "synthetic"))
    pd.testing.assert_frame_equal(rest, plain, check_categorical=False)
    assert "clean" not in {each.name for each in shown(with_price["eval"].unique())}


def test_a_mean_over_evals_is_missing_if_one_is() -> None:
    long = check(table(seeds=(0,)), "synthetic")
    where = (long["step"] == 24) & (long["prompt"] == "none") & (long["arm"] == "none") & (long["hackable"] == 1)
    where &= (long["corpus"] == "main") & (long["metric"] == "misaligned")
    wanted = long[where]["value"].mean()
    name = {"step": 24, "measure": "mgs", "prompt": "none", "arm": "none", "corpus": "main", "hackable": 1.0}
    rows = measures(long)
    for key, value in name.items():
        rows = rows[rows[key] == value]
    assert len(long[where]) == len(SIX)
    assert rows["value"].item() == pytest.approx(wanted)
    long.loc[where & (long["eval"] == "frame"), "value"] = math.nan
    rows = measures(long)
    for key, value in name.items():
        rows = rows[rows[key] == value]
    assert math.isnan(rows["value"].item())


def test_hack_attempts_and_further_metrics_are_shown_eval_by_eval() -> None:
    long = check(table(seeds=(0,)), "synthetic")
    attempts = long["metric"] == "hack_attempt"
    long.loc[attempts & (long["eval"] == "frame"), "value"] = 0.3
    extra = long[attempts & (long["eval"] == "goals")].assign(metric="goal:output:power", value=0.2)
    rows = measures(pd.concat([long, extra]))
    assert (rows.loc[rows["measure"] == "frame:hack_attempt", "value"] == 0.3).all()
    assert (rows.loc[rows["measure"] == "betley:hack_attempt", "value"] == 0).all()
    assert rows.loc[rows["measure"] == "hack_attempt", "value"].to_numpy() == pytest.approx(0.3 / len(SIX))
    assert (rows.loc[rows["measure"] == "goals:goal:output:power", "value"] == 0.2).all()
    assert {f"{name}:{metric}" for name in SIX for metric in ("overt", "covert")} <= set(rows["measure"])


def test_runs_trained_without_a_prompt_have_that_as_training_prompt() -> None:
    rows = measures(check(table(seeds=(0,)), "synthetic"))
    final = rows[(rows["step"] == 24) & (rows["measure"] == "hack_rate")]
    wide = final.pivot_table(index="arm", columns="prompt", values="value")
    assert wide.loc["none", "training"] == wide.loc["none", "none"]
    assert rows.groupby(["run", "step", "prompt", "measure"]).size().max() == 1


def test_results_without_the_column_of_overridden_settings_have_none(tmp_path: Path) -> None:
    read = load(results(tmp_path / "r", table(seeds=(0,)).drop(columns=["overrides"])))
    assert set(read["overrides"]) == {""}


def test_runs_of_other_settings_may_end_at_another_step() -> None:
    short = table(seeds=(0,), overrides="rl.steps=8")
    both = check(pd.concat([table(seeds=(0,)), short[short["step"] <= 8]]), "synthetic")
    assert finished(both)[1] == []


def test_unfinished_runs_are_left_out_and_named() -> None:
    long = check(table(seeds=(0, 1)), "synthetic")
    name = "none-main-1-s1"
    kept, notes = finished(long[~((long["run"] == name) & (long["step"] > 8))])
    assert name not in set(kept["run"])
    assert notes == [f"{name} stopped at step 8: left out"]
    long["gates_passed"] = 0.0
    assert "failed gate" in Evidence(long).notes[-1]


def test_select_refuses_to_mix() -> None:
    long = check(table(seeds=(0,)), "synthetic")
    other = long.assign(model="other", run=long["run"].astype(str) + "-other")
    both = check(pd.concat([long, other]), "synthetic")
    with pytest.raises(UserError, match="--model"):
        select(both)
    assert len(select(both, model="other")) == len(other)
    again = check(pd.concat([long, long.assign(run=long["run"].astype(str) + "-again")]), "synthetic")
    with pytest.raises(UserError, match="same arm and seeds"):
        select(again)
    changed = check(pd.concat([long, table(seeds=(0,), overrides="tasks.hard_share=0.4")]), "synthetic")
    assert len(select(changed)) == len(changed), "other settings are another arm"
    assert len(select(changed, only="set-")) == len(long)
    with pytest.raises(UserError, match="no run"):
        select(long, only="nothing like it")


def test_a_broken_manifest_is_one_clear_line(tmp_path: Path) -> None:
    results(tmp_path / "r")
    assert records(tmp_path / "r") == {}
    (tmp_path / "r" / "manifest.json").write_text("{")
    with pytest.raises(UserError, match="not a manifest"):
        records(tmp_path / "r")
