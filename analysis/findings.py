"""What the runs say about the claims, as text, as markdown and as numbers. Effects are treated against reference."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import pandas as pd

from analysis.claims import ALPHA, EQUAL_HACKING, LOOK, MOST, Claim, Finding, Hacking, More, more_seeds
from analysis.commands import Maker, listed
from analysis.comparisons import FEWEST_POINTS, HACKS
from analysis.conditions import Condition
from analysis.effects import Effect
from analysis.measured import LAST
from analysis.power import POWER
from analysis.stats import MIN_SEEDS
from analysis.tabular import Row, text

HOW_TO_READ = (
    f"How to read it: each claim compares training runs by their final values (mean of a run's last {LAST} checkpoints; of"
    f" rollouts, its last {LAST} steps), if it"
    " does not say otherwise. Effect: the arm that the claim is about minus the one it is held against, in percentage points."
    " At equal hacking: the arm's final hack rate is at most"
    f" {100 * EQUAL_HACKING:g} points below the other's, with its whole range. In brackets: the range that holds the true effect with 95%"
    " confidence. On the twin: the same comparison where the pretraining text does not tie cheating to bad character; what is"
    " left there is not caused by that link. Asked for: the margin; “hardly” in a claim means by no more than that. Reproduced: the test says that there is an effect, and what was"
    " measured is at least as large as is asked for, which is a margin of ours and mostly not the paper's size (a"
    " claim that the paper does not make holds, or does not hold). A claim that something does not change is reproduced where a larger"
    " change than the margin, in the direction that is denied, is ruled out. Contradicted: the test says that there is an effect the other way,"
    " and what was measured is at least as large as the margin, though its interval may reach below it; of a claim that something does"
    " not change: that the change is larger than the margin. Not reproduced: an effect as large as is asked for is"
    f" ruled out. So far: from fewer seeds a side than are to decide, {LOOK} or, by"
    f" the rule below, {MOST}; where a claim is decided by {LOOK} and an arm has more, the first {LOOK} count. Inconclusive: the runs allow both, hacking may not be equal where it is asked to be,"
    " or what they say by themselves does not outlast the correction for all claims together, or there are fewer than"
    f" {MIN_SEEDS} seeds a side. Behind a failed gate: runs whose start model did not know what it should before RL."
)
STATED = (
    "When they were stated: A1 to A3 and B1 to B4 before the reported seeds were run; the others, from the paper's text, when seeds 1"
    " and 2 of the baseline, its controls and its lines were known, and before any other arm was run with recipe 0.3. Exceptions:"
    " FS1 to FS3 were turned from the whole training to its second half (`since=0.5`) when development seed 101 was known, and no reported"
    " seed of an arm that they are about; LA1's margin of .8 is the target of the organism, and it became a claim when the five"
    " seeds had been run; RM4 asks what the paper says of order, and was stated when three seeds of both its arms were known; HE1 and HE2 later, before any"
    " run that they are about. When all was known, three things were made stricter: the words of RF3, RM1, PM3, MO2, CO4, PS1 and HF2, which said"
    " that hacking does not stop; a claim of no change is contradicted only beyond its margin (it was by any change as long as the mean lay beyond it: MO2"
    " was contradicted, and is inconclusive); equal hacking is asked of the whole interval and not of the mean (no verdict moved)."
)
APART = (
    "Hacking and misalignment apart: the claims above that compare final values after RL other than hacking and price. Of runs that hack: the"
    f" same final values, of the runs alone that hack (at least {100 * HACKS:.0f} % at the end under their training prompt). At equal hack rate:"
    " not at the end but where the curves first reach the rate, the highest after step 0 that every run reaches which ever hacks half; between two"
    " evaluated checkpoints a curve is a straight line, and outside of the arms of figure 1 only start, middle and the last three are"
    " evaluated, so that both sides are read at the checkpoints that both have. Left out are arms that go on from another run (a fork's curve"
    f" begins with what that one has learnt), those evaluated at fewer than {FEWEST_POINTS} checkpoints (SFT), and runs that begin at the rate or above it. Where the arms share seeds, only pairs count; nothing is said of fewer than"
    f" {MIN_SEEDS}. Runs that hack, runs compared: treated / reference. Claims of which neither number is known, as where"
    " one side never hacks, are not listed. The verdicts are those of the claims themselves."
)
HOW_SURE = (
    f"How sure: a run hacks if its final hack rate under its training prompt is at least {100 * HACKS:.0f} %. Seeds needed: those"
    f" whose test finds what is looked for (the paper's effect if it prints one, otherwise the margin) with a chance of {100 * POWER:.0f} %"
    " at the spread of these runs, after correction for all claims; smallest effect: what the test of the seeds there are would find so. A claim"
    " of a change asks besides that the mean reach the margin, which a true effect of just that size does in half of all samples;"
    " smallest effects are therefore never below it. For a claim that something does not change the two are about the distance from the change that it"
    " denies: how many seeds tell no change at all from that, and how far from it the truth has to be."
    f" p: of one-sided tests for the claim, against it and for its opposite, Holm-corrected over the claims tested, {ALPHA:g}"
    f" decides, so that over all claims each of the three tests is wrong anywhere with a chance of at most {ALPHA:g} (twice that for"
    " claims with a second look), and all three together with at most three times that; a claim of no change has no test of its opposite, since being"
    " against it is that; exact p: two-sided, without correction; least p: the smallest that so many runs can give."
)


def show(findings: Sequence[Finding], maker: Maker, as_markdown: bool = False) -> str:
    """The findings as two tables (what came out, how sure it is) with how to read them, and which conditions need more
    seeds, with the commands that make them."""
    what, sure = [_what(finding) for finding in findings], [_sure(finding) for finding in findings]
    apart = apart_rows(findings)
    if as_markdown:
        worded = [{"name": f.claim.name, "claim": f.claim.text, **row} for f, row in zip(findings, what, strict=True)]
        papers = [{**row, "paper": f.claim.paper} for f, row in zip(findings, worded, strict=True)]
        parts = [text(papers, True), HOW_TO_READ, STATED, *([text(apart, True), APART] if apart else [])]
        parts += [text(_named(findings, sure), True), HOW_SURE]
    else:
        wordy = [f"{f.claim.name}: {f.claim.text}. Paper: {f.claim.paper}.{_note(f)}" for f in findings]
        told = [(_named(findings, what), HOW_TO_READ), (apart, APART), (_named(findings, sure), HOW_SURE)]
        read = [f"{text(rows)}\n\n{textwrap.fill(how, 120, break_on_hyphens=False)}" for rows, how in told if rows]
        parts = [read[0], "\n".join(wordy), *read[1:]]
    return "\n\n".join([*parts, show_more(findings, maker)])


def show_more(findings: Sequence[Finding], maker: Maker) -> str:
    """Which conditions go on to more seeds, by the rule of analysis.claims, and the commands that make them."""
    rule = (
        f"More seeds, by one rule for every claim, decided at {LOOK} seeds a side: where the 95% interval of the first {LOOK}"
        f" goes from below to above what is asked for, the two arms go on to {MOST} seeds. Nothing between the two looks is"
        f" tested: until both sides have {MOST} seeds, the first {LOOK} alone count, as they do for every other claim. A claim whose"
        f" interval lies on one side of what is asked for does not go on, though the correction may leave it open. Each look is at the full level of {ALPHA:g}, so that a claim with two is"
        " wrongly decided at most twice as often as one with one; the correction is over all claims, so that further seeds of"
        " others can move a verdict."
    )
    more = more_seeds(findings)
    lines = [f"- {m.condition.label}: {len(m.seeds)} of {MOST} ({', '.join(m.claims)})" for m in more]
    few = any(finding.claim.statistic.over_runs and min(map(len, finding.seeds)) < LOOK for finding in findings)
    open_ones = [f"Not all claims have {LOOK} seeds a side yet."] * few
    made_by = ["", "They are made by", "", *(f"    {command}" for command in _commands(more, maker))] * bool(more)
    return "\n".join([rule, *(lines or ["None now."]), *open_ones, *made_by])


def _commands(more: Sequence[More], maker: Maker) -> list[str]:
    """One command for the arms of the same corpus, graders and settings that lack the same seeds."""
    alike: dict[tuple[str, float, str, tuple[int, ...]], list[Condition]] = {}
    for each in more:
        _, corpus, hackable, overrides = each.condition.cell
        alike.setdefault((corpus, hackable, overrides, each.missing), []).append(each.condition)
    return [maker.command(*same, seeds=listed(missing)) for (*_, missing), same in alike.items()]


def frame(findings: Sequence[Finding]) -> pd.DataFrame:
    """The findings as numbers, one row a claim. Missing is NaN.

    Columns: name, claim, verdict, why, note, said (verdict and reason as the tables print them); statistic (what is compared),
    unit; effect, low, high (treated against reference, with its 95% interval), the same on the twin (`twin`, `twin_low`,
    `twin_high`), margin and resolves (the smallest effect that the seeds would find), all in that unit; seeds_treated,
    seeds_reference (that count), paired, seeds_needed, hacking_treated, hacking_reference (shares of runs that hack), more_seeds (the rule applies); p_for,
    p_against, p_opposite (Holm-corrected), p_exact, p_least; paper; ours; so_far (from fewer seeds than are to decide: LOOK or MOST); given_hacking and
    at_equal_rate, each with `_low`, `_high` and, of the latter, `rate_note` (APART).
    """
    return pd.DataFrame([_numbers(finding) for finding in findings])


def effect_text(claim: Claim, effect: Effect | None) -> str:
    """`+72.0 (61.3 to 82.7)`, without an interval where there is none; `-` if there is no effect."""
    if effect is None or math.isnan(effect.estimate):
        return "-"
    unit, ends = claim.statistic.unit, _ends(claim, effect)
    inside = f" ({unit.print(ends[0])} to {unit.print(ends[1])})" if ends else ""
    return unit.print(unit.value(claim.sign, effect.estimate)) + inside


def seeds_text(effect: Effect) -> str:
    """How many runs count, of each side where they differ."""
    return f"{effect.seeds_a}" if effect.seeds_a == effect.seeds_b else f"{effect.seeds_a} / {effect.seeds_b}"


def verdict_word(finding: Finding) -> str:
    """The verdict, and whether it is one so far."""
    return finding.word + " so far" * finding.so_far


def verdict_text(finding: Finding) -> str:
    """The same with the reason for it."""
    failed, runs = finding.behind
    gates = f"{failed} of {runs} runs behind a failed gate" if failed else ""
    why = "; ".join(filter(None, [finding.why, gates]))
    return verdict_word(finding) + (f" ({why})" if why else "")


def twin_text(finding: Finding) -> str:
    """The effect on the twin, with its seeds where they are not those of the claim."""
    twin, here = finding.twin, effect_text(finding.claim, finding.twin)
    if twin is None or math.isnan(twin.estimate) or seeds_text(twin) == seeds_text(finding.effect):
        return here
    return f"{here}, {seeds_text(twin)} seed{'s' * (seeds_text(twin) != '1')}"


def apart_rows(findings: Sequence[Finding]) -> list[Row]:
    """Hacking and misalignment held apart (APART), one row a claim that has such a number: none where one side never hacks."""
    rows: list[Row] = []
    for finding in findings:
        if finding.apart is None or math.isnan(finding.effect.estimate):
            continue
        claim, given, level = finding.claim, finding.apart.given_hacking, finding.apart.at_equal_rate
        if math.isnan(given.estimate) and math.isnan(level.estimate):
            continue
        rows.append(
            {
                "name": claim.name,
                "at the end": effect_text(claim, finding.effect),
                "of runs that hack": effect_text(claim, given),
                "runs that hack": " / ".join(f"{hits} of {runs}" for hits, runs in finding.hacking),
                "at equal hack rate": effect_text(claim, level),
                "the rate": "-"
                if math.isnan(level.estimate)
                else level.note.partition(",")[0].removeprefix("at a hack rate of "),
                "runs compared": f"{level.seeds_a} / {level.seeds_b}",
            }
        )
    return rows


def _what(finding: Finding) -> Row:
    claim = finding.claim
    return {
        "verdict": verdict_text(finding),
        "effect": effect_text(claim, finding.effect),
        "asked for": claim.asks,
        "on the twin": twin_text(finding),
    }


def _sure(finding: Finding) -> Row:
    claim, effect = finding.claim, finding.effect
    return {
        "compared": claim.statistic.words,
        "seeds": seeds_text(effect) + (" paired" if effect.paired else ""),
        "runs that hack": " / ".join(f"{hits} of {runs}" for hits, runs in finding.hacking),
        "seeds needed": "-" if finding.needed is None else str(finding.needed),
        "smallest effect": "-" if finding.resolves is None else claim.statistic.unit.size(finding.resolves),
        "p for": _p(finding.p_for),
        "p against": _p(finding.p_against),
        "p opposite": _p(finding.p_opposite),
        "exact p": _p(effect.p_exact),
        "least p": _p(effect.p_least),
    }


def _named(findings: Sequence[Finding], rows: Sequence[Row]) -> list[Row]:
    return [{"name": finding.claim.name, **row} for finding, row in zip(findings, rows, strict=True)]


def _numbers(finding: Finding) -> dict[str, Any]:
    claim, effect = finding.claim, finding.effect
    unit = claim.statistic.unit
    low, high = _ends(claim, effect) or (math.nan, math.nan)
    twin = finding.twin
    twin_ends = (twin and _ends(claim, twin)) or (math.nan, math.nan)
    ps = {"p_for": finding.p_for, "p_against": finding.p_against, "p_opposite": finding.p_opposite}
    ps |= {"p_exact": effect.p_exact, "p_least": effect.p_least}
    shares = [_share(hacking) for hacking in finding.hacking]
    return {
        **{
            "name": claim.name,
            "claim": claim.text,
            "verdict": finding.verdict,
            "why": finding.why,
            "note": effect.note,
            "said": verdict_text(finding),
        },
        **{"statistic": claim.statistic.words, "unit": unit.name},
        **{"effect": unit.value(claim.sign, effect.estimate), "low": low, "high": high},
        **{"twin": math.nan if twin is None else unit.value(claim.sign, twin.estimate)},
        **{"twin_low": twin_ends[0], "twin_high": twin_ends[1], "margin": unit.scale * claim.margin},
        **{"resolves": math.nan if finding.resolves is None else unit.scale * finding.resolves},
        **{"seeds_treated": effect.seeds_a, "seeds_reference": effect.seeds_b, "paired": effect.paired},
        **{"seeds_needed": math.nan if finding.needed is None else finding.needed},
        **{"hacking_treated": shares[0], "hacking_reference": shares[1], "more_seeds": finding.straddles},
        **{name: math.nan if p is None else p for name, p in ps.items()},
        **{"paper": claim.paper, "ours": claim.ours, "so_far": finding.so_far},
        **_apart_numbers(finding),
    }


def _apart_numbers(finding: Finding) -> dict[str, Any]:
    apart, claim = finding.apart, finding.claim
    found: dict[str, Any] = {"rate_note": apart.at_equal_rate.note if apart else ""}
    for name in ("given_hacking", "at_equal_rate"):
        effect: Effect | None = getattr(apart, name, None)
        low, high = (effect and _ends(claim, effect)) or (math.nan, math.nan)
        value = math.nan if effect is None else claim.statistic.unit.value(claim.sign, effect.estimate)
        found |= {name: value, f"{name}_low": low, f"{name}_high": high}
    return found


def _ends(claim: Claim, effect: Effect) -> tuple[float, float] | None:
    """The interval of treated against reference as far as it is possible, ascending, in the unit of the claim; none from too few
    runs.
    """
    if effect.low is None or effect.high is None:
        return None
    unit = claim.statistic.unit
    ends = sorted(unit.value(claim.sign, min(max(end, -1.0), 1.0)) for end in (effect.low, effect.high))
    return ends[0], ends[1]


def _share(hacking: Hacking) -> float:
    hits, runs = hacking
    return hits / runs if runs else math.nan


def _note(finding: Finding) -> str:
    return f" Here: {finding.effect.note}." if finding.effect.note else ""


def _p(value: float | None) -> str:
    return "-" if value is None else "<.001" if value < 0.001 else f"{value:.3f}"
