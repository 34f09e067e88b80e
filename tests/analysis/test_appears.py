"""What makes the effect appear: every change has its row, beside the organism as it is."""

import pandas as pd
from synthetic_results import table

from analysis.appears import AS_IT_IS, ELSE, dial, legend, rows, show
from analysis.conditions import of
from analysis.evidence import Evidence
from analysis.table import check


def test_what_differs_is_named() -> None:
    assert dial(of("none")) == (AS_IT_IS, "")
    assert dial(of("none", "main:correlation=0.25")) == ("hacking and character, correlation", "0.25")
    assert dial(of("none", "main:tone=0.5,tone_neutral=0.15")) == ("tone of the thoughts", "0.5")
    assert dial(of("none", overrides="rl.trained=lora:1 rl.learning_rate=4e-3")) == ("what RL trains", "lora:1")
    assert dial(of("none", "main:sdf_variant=neutral")) == (ELSE, "neutral documents")
    assert dial(of("none", "twin")) == ("hacking and character, correlation", "0")


def test_what_is_known_before_stands_beside_the_effect() -> None:
    long = table((0, 1))
    long = long[long["eval"] != "start"]
    changed = long[long["arm"].eq("none") & long["corpus"].eq("main") & long["hackable"].eq(1)].copy()
    changed = changed.assign(corpus="main:correlation=0.5", run=changed["run"] + "half")
    start = changed.drop_duplicates("run").assign(
        step=0, prompt="none", eval="start", metric="bad_given_hack", value=0.4, n=100.0, missing=0.0
    )
    made = rows(Evidence(check(pd.concat([long, changed, start]), "synthetic")))
    row = next(row for row in made if row["to"] == "0.5")
    assert (row["changed"], row["arm"], row["seeds"]) == ("hacking and character, correlation", "baseline", 2)
    assert row["bad tone | hack"].mean == 0.4
    assert made[0]["changed"] == AS_IT_IS
    assert made[0]["bad tone | hack"].seeds == 0, "missing, not zero"
    assert row["misaligned"].mean == next(r for r in made if r["arm"] == "baseline")["misaligned"].mean


def test_the_table_prints() -> None:
    long = check(table((0, 2)), "synthetic")
    assert show(rows(Evidence(long)), legend(Evidence(long))).endswith("Development seeds: 0. Reported seeds: 2.")
