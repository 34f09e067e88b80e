"""Claims: each verdict can be reached, and too few seeds never decide."""

from collections.abc import Sequence

import pytest
from synthetic_results import ARMS, table

from analysis.reports import compare, report
from analysis.table import check
from analysis.verdicts import CLAIMS, Finding, judge, show
from base.errors import UserError

Arm = tuple[str, str, float, float, float]


def verdicts(seeds: Sequence[int], arms: Sequence[Arm] = ARMS) -> dict[str, Finding]:
    findings = judge(check(table(seeds, arms), "synthetic"))
    return {finding.claim.name.split()[0]: finding for finding in findings}


def with_final(arm: str, hack: float, bad: float) -> list[Arm]:
    return [(a, c, h, hack, bad) if a == arm else (a, c, h, x, y) for a, c, h, x, y in ARMS]


def test_clear_effects_are_reproduced() -> None:
    found = verdicts(range(6))
    for name in ("A1", "A2", "A3", "B1", "B2"):
        assert found[name].verdict == "reproduced", name
    assert found["B1"].effect.estimate > 0.15  # counted in the claimed direction


def test_absent_effects_are_not_reproduced() -> None:
    found = verdicts(range(8), with_final("inoculation:wording=please_hack", 0.97, 0.40))
    assert found["B2"].verdict == "not reproduced"


def test_a_protecting_prohibition_contradicts_the_paper() -> None:
    assert verdicts(range(6), with_final("inoculation:wording=dont_hack", 0.9, 0.10))["B3"].verdict == "not reproduced"
    assert verdicts(range(6), with_final("inoculation:wording=dont_hack", 0.9, 0.60))["B3"].verdict == "reproduced"


def test_inoculation_that_stops_hacking_is_not_at_equal_hacking() -> None:
    found = verdicts(range(6), with_final("inoculation:wording=please_hack", 0.2, 0.05))
    assert found["B2"].verdict == "inconclusive"
    assert "hacking not equal" in found["B2"].why


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_too_few_seeds_are_inconclusive(seeds: tuple[int, ...]) -> None:
    findings = verdicts(seeds)
    assert {finding.verdict for finding in findings.values()} == {"inconclusive"}
    assert all("needs 3 seeds" in finding.why for finding in findings.values())


def test_missing_runs_are_inconclusive_by_name() -> None:
    found = verdicts(range(3), [arm for arm in ARMS if arm[1] != "twin"])
    assert found["A3"].why == "no values: uncorrelated twin"
    assert found["A2"].verdict == "reproduced"


def test_claims_print_the_papers_number() -> None:
    findings = judge(check(table(), "synthetic"))
    for text in (show(findings), show(findings, as_markdown=True)):
        assert all(claim.paper in text and claim.name in text for claim in CLAIMS)


def test_report_has_every_arm_and_marks_missing_values() -> None:
    long = table(seeds=(0, 1))
    long.loc[long["metric"] == "covert", "value"] = None
    text = report(check(long, "synthetic"), {"none-main-1-s0": 2.0, "none-main-1-s1": 4.0})
    lines = {line.split("  ")[0]: line for line in text.splitlines()}
    for label in (
        "baseline",
        "no-hack control",
        "uncorrelated twin",
        "pretrained only",
        "pre-RL",
        "please hack",
        "don't hack",
    ):
        assert label in lines
    main = next(line for line in text.splitlines() if line.startswith("baseline"))
    assert main.split()[-1] == "3.0"
    assert " - " in main
    assert report(check(long, "synthetic"), as_markdown=True).startswith("| arm ")


def test_compare_shows_the_arm_beside_the_baseline() -> None:
    long = check(table(), "synthetic")
    text = compare(long, "inoculation:wording=please_hack")
    row = next(line for line in text.splitlines() if line.startswith("misalignment, no prompt"))
    numbers = [
        float(word) for word in row.replace("±", " ").replace("[", " ").replace(",", " ").split() if word[0].isdigit()
    ]
    assert numbers[0] < numbers[4] < numbers[2]  # pre-RL, please hack, baseline
    assert "Seeds: baseline 3, please hack 3" in text
    with pytest.raises(UserError, match="no run of arm"):
        compare(long, "pm_penalty")
