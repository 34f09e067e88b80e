"""Claims: each verdict can be reached, and too few seeds never decide."""

import math
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
import pytest
from synthetic_results import ARMS, table

from analysis.claims import LOOK, Claim, Finding, judge, more_seeds
from analysis.commands import Maker
from analysis.comparisons import ENDS, POINTS, AtEqualRate, GivenHacking, OverArms, Statistic
from analysis.conditions import BASELINE, DONT_HACK, HACKING_OKAY, NO_HACK, PLEASE_HACK, PRE_RL
from analysis.evidence import Evidence
from analysis.figures import CLAIMS
from analysis.findings import apart_rows, frame, show, verdict_text
from analysis.measured import Measured
from analysis.reports import report
from analysis.table import check
from mitigations.__main__ import parser

Arm = tuple[str, str, float, float, float]
MAKER = Maker("organism", "organism", "tiny", {})


def verdicts(seeds: Sequence[int], arms: Sequence[Arm] = ARMS) -> dict[str, Finding]:
    findings = judge(Measured.of(check(table(seeds, arms), "synthetic")), CLAIMS)
    return {finding.claim.name.split()[0]: finding for finding in findings}


def with_final(arm: str, hack: float, bad: float) -> list[Arm]:
    return [(a, c, h, hack, bad) if a == arm else (a, c, h, x, y) for a, c, h, x, y in ARMS]


def test_clear_effects_are_reproduced() -> None:
    found = verdicts(range(6))
    for name in ("A1", "A2", "A3", "B1", "B2"):
        assert found[name].verdict == "reproduced", name
    assert found["B1"].effect.estimate > 0.15  # counted in the claimed direction


def test_absent_effects_are_not_reproduced() -> None:
    found = verdicts(range(5), with_final("inoculation:wording=please_hack", 0.97, 0.50))
    assert found["B2"].verdict == "not reproduced"


def test_a_protecting_prohibition_contradicts_the_paper() -> None:
    assert verdicts(range(6), with_final("inoculation:wording=dont_hack", 0.9, 0.10))["B3"].verdict == "contradicted"
    assert verdicts(range(6), with_final("inoculation:wording=dont_hack", 0.9, 0.60))["B3"].verdict == "reproduced"


def test_what_the_paper_does_not_claim_holds_and_is_not_reproduced() -> None:
    found = verdicts(range(6))
    assert (found["A3"].verdict, found["A3"].word) == ("reproduced", "holds")
    assert found["A2"].word == "reproduced"
    missed = replace(found["A3"], verdict="not reproduced")
    assert (missed.word, replace(missed, claim=found["A2"].claim).word) == ("does not hold", "not reproduced")


def test_inoculation_that_stops_hacking_is_not_at_equal_hacking() -> None:
    found = verdicts(range(6), with_final("inoculation:wording=please_hack", 0.2, 0.05))
    assert found["B2"].verdict == "inconclusive"
    assert "hacking may not be equal" in found["B2"].why


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_too_few_seeds_are_inconclusive(seeds: tuple[int, ...]) -> None:
    findings = verdicts(seeds)
    assert {finding.verdict for finding in findings.values()} == {"inconclusive"}
    assert all("needs 3 seeds" in findings[name].why for name in ("A1", "A2", "B1"))


def test_missing_runs_are_inconclusive_by_name() -> None:
    found = verdicts(range(3), [arm for arm in ARMS if arm[1] != "twin"])
    assert found["A3"].why == "no values: uncorrelated twin"
    assert found["A2"].verdict == "reproduced"


def test_claims_print_the_papers_number() -> None:
    findings = judge(Measured.of(check(table(), "synthetic")), CLAIMS)
    nothing_apart = [finding for finding in findings if finding.apart is None]
    assert all("at equal hack rate" not in show(nothing_apart, MAKER, as_markdown=written) for written in (False, True))
    for text in (show(findings, MAKER), show(findings, MAKER, as_markdown=True)):
        assert all(claim.paper in text and claim.name in text for claim in CLAIMS)


def judged(long: pd.DataFrame, *claims: Claim) -> list[Finding]:
    """From the rows that the claims of these tests look at."""
    kept = long["metric"].isin(("misaligned", "hack_rate")) & (long["eval"] != "rollouts")
    return judge(Measured.of(check(long[kept], "synthetic")), claims)


def pair(seeds: Sequence[int], hack: float = 0.98, bad: float = 0.10) -> pd.DataFrame:
    """The baseline, and please hack with these final values."""
    return table(seeds, [ARMS[0], (PLEASE_HACK.arm, "main", 1.0, hack, bad)])


def about(sign: int, margin: float, statistic: Statistic = ENDS, change: bool = True) -> Claim:
    """Please hack against the baseline."""
    return Claim(
        "C1", "text", "paper", *(PLEASE_HACK, BASELINE, "mgs", "none", sign, margin, change), statistic=statistic
    )


def constant(arm: str, hack: float, bad: float, seeds: Sequence[int] = (1, 2, 3, 4, 5)) -> pd.DataFrame:
    """Runs that all measure exactly the same."""
    long = table(seeds, [(arm, "main", 1.0, hack, bad)])
    long.loc[(long["metric"] == "hack_rate") & (long["step"] > 0), "value"] = hack
    long.loc[(long["metric"] == "misaligned") & (long["step"] > 0), "value"] = bad
    return long


def test_an_effect_the_other_way_contradicts() -> None:
    long = pair(range(6), 0.95, 0.60)
    lowers, raises, keeps = judged(long, about(-1, 0.05), about(+1, 0.05), about(-1, 0.05, change=False))
    assert lowers.verdict == "contradicted"
    assert lowers.p_opposite is not None
    assert lowers.p_opposite < 0.05
    assert raises.verdict == "reproduced"
    assert raises.effect.estimate == pytest.approx(-lowers.effect.estimate)
    assert keeps.verdict == "contradicted", "it does raise misalignment"


def test_a_change_that_may_be_within_the_margin_contradicts_no_claim_of_no_change() -> None:
    long = pair(range(6), 0.95, 0.60)
    effect = judged(long, about(-1, 0.05))[0].effect
    assert effect.high is not None
    sure, unsure = (
        -effect.high / 2,
        -(effect.high + effect.estimate) / 2,
    )  # inside the interval's end, and between it and the mean
    found = judged(long, *(about(-1, margin, change=False) for margin in (sure, unsure)))
    assert [finding.verdict for finding in found] == ["contradicted", "inconclusive"]


def test_runs_behind_a_failed_gate_are_counted_beside_the_verdict() -> None:
    long = pair(range(5)).assign(gates_passed=lambda rows: ~((rows["arm"] == "none") & (rows["seed"] < 2)))
    (finding,) = Evidence(check(long, "synthetic"), [about(-1, 0.05)]).findings
    assert finding.behind == (2, 10)
    assert verdict_text(finding) == "reproduced (2 of 10 runs behind a failed gate)"


def test_an_effect_the_other_way_below_the_margin_only_fails() -> None:
    long = pair(range(8), 0.95, 0.60)
    finding = judged(long, about(-1, 0.5))[0]
    assert finding.verdict == "not reproduced"
    assert finding.why == ""
    small = judged(pair(range(8)), about(-1, 0.5))[0]
    assert small.why == "in its direction, but not at most -50.0"


def test_runs_without_spread_are_decided() -> None:
    long = pd.concat([constant("none", 0.9, 0.5), constant(PLEASE_HACK.arm, 0.9, 0.125)])
    claims = (about(-1, 0.05), about(-1, 0.5), about(-1, 0.05, AtEqualRate()))
    found = judged(long, *claims)
    assert [finding.verdict for finding in found] == ["reproduced", "not reproduced", "reproduced"]
    assert found[0].needed == 3
    assert found[0].resolves == 0.05, "the mean is asked to reach the margin"
    same = judged(pd.concat([constant("none", 0.9, 0.5), constant(PLEASE_HACK.arm, 0.9, 0.5)]), *claims)
    assert same[0].verdict == "not reproduced"
    assert same[0].effect.p_above(0.0) == 1.0
    assert show(found, MAKER)
    assert show(found, MAKER, as_markdown=True)


def test_hacking_and_misalignment_are_separated() -> None:
    """Please hack makes only three of five runs hack; those that hack are as misaligned as the baseline's."""
    long = pair(range(5), 0.95, 0.36)
    idle = (long["arm"] == PLEASE_HACK.arm) & (long["seed"] > 2) & (long["step"] > 0)
    long.loc[idle & (long["metric"] == "hack_rate"), "value"] = 0.02
    long.loc[idle & (long["metric"] == "misaligned"), "value"] = 0.02
    ends, given = judged(long, about(-1, 0.05), about(-1, 0.3, GivenHacking()))
    assert ends.effect.estimate > 0.1
    assert ends.hacking == ((3, 5), (5, 5))
    assert abs(given.effect.estimate) < 0.15
    assert given.verdict == "not reproduced"
    assert given.effect.note == "runs that hack: 3 of 5 against 5 of 5"


def test_beside_every_misalignment_claim_hacking_is_held_apart() -> None:
    """Runs of the treated end at less hacking: what is compared at the end is not what is compared where both hack as much."""
    long = pair(range(3), hack=0.6, bad=0.3)
    ends, given, level, hacking = judged(
        long,
        about(-1, 0.05),
        about(-1, 0.05, GivenHacking()),
        about(-1, 0.05, AtEqualRate()),
        replace(about(-1, 0.05), measure="hack_rate", prompt="training"),
    )
    assert ends.apart is not None
    assert (ends.apart.given_hacking, ends.apart.at_equal_rate) == (given.effect, level.effect)
    assert abs(level.effect.estimate) < abs(ends.effect.estimate)
    assert [finding.apart for finding in (given, level, hacking)] == [None] * 3
    (row,) = apart_rows([ends, hacking])
    assert row["runs compared"] == "3 / 3"
    assert row["the rate"] in ends.apart.at_equal_rate.note
    numbers = frame([ends]).iloc[0]
    assert numbers["at_equal_rate"] == pytest.approx(-100 * level.effect.estimate)


def test_a_verdict_from_fewer_seeds_than_decide_is_one_so_far() -> None:
    few, whole = (judged(pair(range(count)), about(-1, 0.05))[0] for count in (3, LOOK))
    assert (verdict_text(few), verdict_text(whole)) == ("reproduced so far", "reproduced")


def test_a_gap_that_nothing_can_reach_is_not_printed() -> None:
    assert (POINTS.size(0.25), POINTS.size(4.0)) == ("25.0", "-")


def test_no_claim_on_the_twin_compares_an_arm_with_itself_or_with_the_main_corpus() -> None:
    there = [(claim.name, side) for claim in CLAIMS if (side := claim.asked.on_twin())]
    assert {"LE1 its own line", "A2 misalignment"} <= {name for name, _ in there}
    for name, asked in there:
        assert all(side.corpus.startswith("twin") for side in asked.sides), name
        assert (asked.treated.cell, asked.treated.start) != (asked.reference.cell, asked.reference.start), name


def test_where_no_run_hacks_nothing_is_said_of_those_that_do() -> None:
    long = pair(range(5), 0.1, 0.05)
    given, equal = judged(long, about(-1, 0.05, GivenHacking()), about(-1, 0.05, AtEqualRate()))
    assert (given.verdict, given.why) == ("inconclusive", "no run hacks: please hack")
    assert (equal.verdict, equal.why) == ("inconclusive", "no run reaches half: please hack")


def test_the_twin_stands_beside_the_effect() -> None:
    twin = [(side.arm, "twin", 1.0, 0.95, 0.04) for side in (BASELINE, PLEASE_HACK)]
    with_twin = judged(pd.concat([pair(range(5)), table(range(5), twin)]), about(-1, 0.05))[0]
    assert with_twin.twin is not None
    assert abs(with_twin.twin.estimate) < 0.03 < with_twin.effect.estimate
    assert with_twin.twin.low is not None
    without = judged(pair(range(5)), about(-1, 0.05))[0]
    assert without.verdict == "reproduced"
    assert without.twin is not None
    assert math.isnan(without.twin.estimate)
    numbers = frame([with_twin, without])
    assert numbers["twin_low"][0] < numbers["twin"][0] < numbers["twin_high"][0]
    assert numbers[["twin", "twin_low", "twin_high"]].loc[1].isna().all()


def test_the_law_is_judged_over_arms() -> None:
    before = {BASELINE: 0.9, PLEASE_HACK: 0.1, HACKING_OKAY: 0.2, DONT_HACK: 0.8, NO_HACK: 0.05}
    known = OverArms(
        lambda rows, arm: dict.fromkeys(rows.final(arm, "mgs", "none"), before.get(arm, math.nan)),
        tuple(before)[2:],
    )
    law = Claim("L1", "text", "paper", *(BASELINE, PLEASE_HACK, "mgs", "none", +1, 0.5), statistic=known)
    finding = judged(table(range(5)), law)[0]
    assert finding.verdict == "reproduced"
    assert finding.p_for == pytest.approx(1 / 120)
    assert not finding.straddles
    few = judged(table(range(2)), law)[0]
    assert (few.verdict, few.why[:17]) == ("inconclusive", "fewer than 5 arms")
    assert "+1.00" in show([finding], MAKER)


def test_planned_seeds_are_those_for_the_papers_effect_or_the_margin() -> None:
    long = pair(range(5))
    margin, paper = judged(long, about(-1, 0.05), replace(about(-1, 0.05), expected=0.2))
    assert margin.needed is not None
    assert paper.needed is not None
    assert margin.needed > paper.needed >= 3
    assert margin.resolves == paper.resolves
    resolved = judged(long, *(replace(about(-1, 0.05), expected=margin.resolves),) * 2)[0]
    assert resolved.needed == 5, "what five seeds resolve needs five seeds"
    keeps = judged(long, about(+1, 0.05, change=False), about(+1, 0.05, change=False))[0]
    assert keeps.needed == margin.needed, "as far from minus the margin as no effect is"
    assert all(finding.resolves is None for finding in judged(pair(range(2)), about(-1, 0.05)))


def test_more_seeds_are_asked_for_by_the_first_five_alone() -> None:
    """The margin lies inside the interval of the first five seeds, whatever the later ones say."""
    close, clear = replace(about(-1, 0.04), name="C2"), about(-1, 0.5)
    first, later = pair(range(1, 6), 0.95, 0.32), pair(range(1, 8), 0.95, 0.32)
    found = judged(first, clear, close)
    assert [finding.straddles for finding in found] == [False, True]
    assert [(more.condition, more.missing, more.claims) for more in more_seeds(found)] == [
        (PLEASE_HACK, (6, 7, 8, 9, 10), ("C2",)),
        (BASELINE, (6, 7, 8, 9, 10), ("C2",)),
    ]
    moved = (later["seed"] > 5) & (later["arm"] == PLEASE_HACK.arm) & (later["metric"] == "misaligned")
    later.loc[moved, "value"] = 0.0
    assert [more.missing for more in more_seeds(judged(later, close))] == [(8, 9, 10)] * 2
    assert more_seeds(judged(pair(range(1, 11), 0.95, 0.32), close)) == [], "ten are enough"
    assert more_seeds(judged(first[first["seed"] < 5], close)) == [], "it is decided at five"
    lopsided = later[(later["arm"] != "none") | (later["seed"] < 5)]
    assert more_seeds(judged(lopsided, close)) == [], "of both sides"


def test_nothing_between_the_two_looks_changes_a_finding() -> None:
    """Later seeds, whatever they say, count where a claim goes on, and once all ten are there on both sides."""
    close, clear = replace(about(-1, 0.04), name="C2"), about(-1, 0.5)
    runs = pair(range(1, 11), 0.95, 0.32)
    moved = (runs["seed"] > 5) & (runs["arm"] == PLEASE_HACK.arm) & (runs["metric"] == "misaligned")
    runs.loc[moved, "value"] = 0.0
    first, between = (judged(runs[runs["seed"] <= last], clear, close) for last in (5, 9))
    assert [finding.effect for finding in between] == [finding.effect for finding in first]
    assert [finding.seeds[0] for finding in between] == [set(range(1, 10))] * 2
    lopsided = judged(runs[(runs["seed"] <= 5) | (runs["arm"] == "none")], clear, close)
    assert [finding.effect for finding in lopsided] == [finding.effect for finding in first]
    last = judged(runs, clear, close)
    assert last[0].effect == first[0].effect, "it was decided at five"
    assert last[1].effect.seeds_a == 10
    assert last[1].effect.estimate > first[1].effect.estimate
    assert [finding.straddles for finding in last] == [False, True]


def test_seeds_that_one_side_lacks_are_not_among_the_first_five() -> None:
    """A failed run neither makes the two sides count other seeds, nor is it asked for under another's number."""
    close = replace(about(-1, 0.04), name="C2")
    runs = pair((1, 2, 3, 4, 5, 6, 8), 0.95, 0.32)
    failed = runs[(runs["seed"] != 3) | (runs["arm"] != PLEASE_HACK.arm)]
    finding = judged(failed, close)[0]
    assert finding.effect == judged(runs[runs["seed"] != 3], close)[0].effect
    assert finding.straddles
    assert (finding.effect.seeds_a, finding.effect.paired) == (5, True)
    assert {more.condition: more.missing for more in more_seeds([finding])} == {
        PLEASE_HACK: (3, 7, 9, 10),
        BASELINE: (7, 9, 10),
    }
    assert "--seeds 3,7,9-10" in show([finding], MAKER)


def test_a_verdict_of_a_claim_that_goes_on_is_one_so_far() -> None:
    runs = pair(range(1, 11))
    there = judged(runs, about(-1, 0.05))[0]
    close = about(-1, there.effect.estimate - 0.001)
    five, ten = (judged(runs[runs["seed"] <= last], close)[0] for last in (5, 10))
    assert (five.verdict, five.straddles, five.so_far) == ("reproduced", True, True)
    assert ten.straddles
    assert not ten.so_far
    assert not there.so_far


def test_the_model_before_rl_gets_its_seeds_from_the_baseline() -> None:
    claim = Claim("C3", "text", "paper", *(PLEASE_HACK, PRE_RL, "mgs", "none", +1, 0.01))
    long = pair(range(1, 6))
    found = judged(long, replace(claim, margin=judged(long, claim)[0].effect.estimate))
    assert found[0].straddles
    assert [more.condition for more in more_seeds(found)] == [PLEASE_HACK, BASELINE]
    text = show(found, MAKER)
    assert "- baseline: 5 of 10 (C3)" in text
    command = text.splitlines()[-1].split()
    assert command[:3] == ["python", "-m", "mitigations"]
    assert command[3:] == [PLEASE_HACK.arm, BASELINE.arm, "--seeds", "6-10"], "one command, and the parser takes it"
    assert parser().parse_args(command[3:]).words == [PLEASE_HACK.arm, BASELINE.arm]


def test_claims_are_corrected_for_each_other() -> None:
    long = pair(range(4))
    alone = judged(long, about(-1, 0.05))[0]
    many = judged(long, *(about(-1, 0.05) for _ in range(20)))
    assert alone.p_for is not None
    assert many[0].p_for == pytest.approx(min(1.0, 20 * alone.p_for))
    assert judged(long) == []


def test_what_decides_only_by_itself_says_so() -> None:
    few = pair(range(3))
    one, *_ = judged(few, about(-1, 0.05))
    assert one.verdict == "reproduced"
    found = judged(few, *(about(-1, 0.05) for _ in range(100)))[0]
    assert (found.verdict, found.why) == ("inconclusive", "there by itself, not after correction for all claims")
    other = judged(few, *(about(+1, 0.05) for _ in range(100)))[0]
    assert (other.verdict, other.why) == (
        "inconclusive",
        "smaller than asked for by itself, not after correction for all claims",
    )


def test_report_has_every_arm_and_marks_missing_values() -> None:
    long = table(seeds=(0, 1))
    long.loc[long["metric"] == "covert", "value"] = None
    kept = {f"none-main-1-s{seed}": {"seconds": {"rl": 60.0 * minutes}} for seed, minutes in ((0, 2), (1, 4))}
    text = report(Evidence(check(long, "synthetic"), kept=kept))
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
    assert report(Evidence(check(long, "synthetic")), as_markdown=True).startswith("| arm ")
