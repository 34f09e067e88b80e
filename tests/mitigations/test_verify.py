"""The reviewer's command: what counts as the same, and what is said where it is not. (tests/test_whole_path.py runs it.)"""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from base.store.results import SHIPPED, read_manifest, read_table
from mitigations.__main__ import main
from mitigations.verify import TOLERANCE, compare

RUN = "none--main--p1s1"


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    table = read_table(SHIPPED / "tiny")
    return table[table["run"] == RUN]


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    return dict(read_manifest(SHIPPED / "tiny").runs[RUN])


def elsewhere(record: dict[str, Any]) -> dict[str, Any]:
    return {**record, "engine": {**record["engine"], "processor": "another", "threads": 2}}


def moved(rows: pd.DataFrame, by: float) -> pd.DataFrame:
    """With other hack rates."""
    return rows.assign(value=rows["value"].where(rows["metric"] != "hack_rate", rows["value"] - by))


def test_equal_numbers_are_verified_and_times_do_not_count(rows: pd.DataFrame, record: dict[str, Any]) -> None:
    slower = rows.assign(value=rows["value"].where(~rows["metric"].str.startswith("seconds"), 99.0))
    found = compare(rows, slower, record, record)
    assert found.verified
    assert found.equal == found.compared > 3000
    assert str(found).endswith("VERIFIED")
    assert "hack_rate, prompt none" in str(found)


def test_one_other_digit_on_the_same_kind_of_machine_is_not(rows: pd.DataFrame, record: dict[str, Any]) -> None:
    other = rows.copy()
    place = other.index[(other["eval"] == "frame") & (other["metric"] == "misaligned")][0]
    other.loc[place, "value"] += 1e-4
    found = compare(rows, other, record, record)
    assert (found.verified, found.compared - found.equal) == (False, 1)
    assert "first difference: frame/misaligned at step" in str(found)
    assert "the same kind of machine, so every number has to be equal" in str(found)


def test_another_kind_of_machine_may_differ_within_the_tolerance(rows: pd.DataFrame, record: dict[str, Any]) -> None:
    near = compare(rows, moved(rows, TOLERANCE - 0.01), record, elsewhere(record))
    assert near.verified
    assert "processor Intel" in str(near)
    assert "here another" in str(near)
    assert "threads 1, here 2" in str(near)
    far = compare(rows, moved(rows, TOLERANCE + 0.01), record, elsewhere(record))
    assert not far.verified
    assert "largest difference of a final rate 16.0 points, 15 are allowed" in str(far)


def test_numbers_that_were_not_measured_again_are_no_proof(rows: pd.DataFrame, record: dict[str, Any]) -> None:
    found = compare(rows, rows[rows["eval"] != "frame"], record, elsewhere(record))
    assert not found.verified
    assert "shipped numbers were not measured again" in str(found)
    gone = rows.assign(value=rows["value"].where((rows["eval"] != "code") | (rows["step"] < 50)))
    assert not compare(rows, gone, record, elsewhere(record)).verified, "a missing rate is no rate within the tolerance"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pm_penalty:weight=0.1", "--seed", "1"], "does not ship in .*no run of this arm ships"),
        (["none", "--seed", "99"], "of this arm there are none--main"),
        (["none", "--results", "results/mitigations"], "was made by recipe 0.1"),
        (["none", "--seed", "1", "--set", "rl.steps=9"], "does not ship"),
        (["nonne"], "unknown mitigation"),
    ],
)
def test_what_does_not_ship_is_one_clear_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    import re

    assert main(["verify", *words]) == 2
    err = capsys.readouterr().err
    assert re.search(said, err), err
    assert err.count("\n") == 1
