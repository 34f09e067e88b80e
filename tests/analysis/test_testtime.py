"""The figure of the test-time switch shows every inoculation arm under both prompts, by a readable name."""

import pytest
from synthetic_results import ARMS, table

from analysis.figures.testtime import TESTTIME
from analysis.table import check

EXTRA = (
    ("inoculation:wording=none,setting=prompted", "main:sdf_variant=prompted", 1.0, 0.9, 0.2),
    ("inoculation:wording=dont_hack,update=hacking_okay", "main", 1.0, 0.8, 0.2),
    ("inoculation:wording=please_hack", "twin", 1.0, 0.9, 0.1),
)


def test_every_arm_has_a_readable_name_and_both_prompts() -> None:
    long = check(table(seeds=(0,), arms=(*ARMS, *EXTRA)), "synthetic")
    csv = TESTTIME(long).table
    found = set(csv["label"])
    assert {"no line, prompted", "online, don't hack → hacking okay", "hacking okay"} <= found
    assert not any("twin" in label and "please" in label for label in found)
    for label, mine in csv[csv["kind"] == "mean"].groupby("label"):
        wanted = {("hack rate", p) for p in ("training", "dont_hack")} | {
            ("misalignment", p) for p in ("training", "dont_hack")
        }
        assert set(zip(mine["panel"], mine["prompt"], strict=True)) == wanted, label
    hack = csv[(csv["kind"] == "mean") & (csv["panel"] == "hack rate") & (csv["label"] == "hacking okay")]
    drop = hack.set_index("prompt")["y"]
    assert drop["dont_hack"] == pytest.approx(0.75 * drop["training"], abs=0.12)  # as the table was made
