"""Claims as tests: direction, statistic and margin are stated, and what the runs say about them is computed.

A claim compares two conditions over training runs (analysis.comparisons: at their ends, given hacking, at equal hack
rate, over arms). Its effect is counted in the claimed direction, so a positive effect speaks for the claim.

- a claim of a change is *reproduced* if the effect is above 0 (one-sided test) and its estimate at least the margin;
  *contradicted* if it is below 0 and its estimate at least the margin in the opposite direction; otherwise *not
  reproduced* if the effect is below the margin;
- a claim of no protection is *reproduced* if the effect is above minus the margin, *contradicted* if it is below that (both
  by a one-sided test against minus the margin): a change that is there but may be smaller than the margin contradicts nothing;
- anything else, and anything with fewer than MIN_SEEDS runs a side, is *inconclusive*.

A verdict from fewer seeds a side than are to decide holds *so far*: it is said again, from all of them, when they are there.

p values are Holm-corrected over all claims that could be tested, each of the three questions apart (for, against, for the
opposite: over all claims together each of them is wrong somewhere with a chance of at most ALPHA), so that other claims'
further seeds can move a verdict. The exact permutation p value (two-sided, uncorrected) is printed beside them; see
analysis.stats for why it does not decide.

**Which claims get more seeds** is decided once, after LOOK seeds, by one rule for every claim over runs: if the 95% interval
from the first LOOK seeds of which both of its conditions have values holds the margin (of a claim of no protection: minus the
margin), its conditions go on to MOST seeds, without another look in between: until both sides have MOST, and for all other
claims, the first LOOK seeds alone are tested, however many more of a condition are there. Each of the two looks is at the full
ALPHA: a claim that takes both is wrongly decided at most twice as often as one that takes one.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import Literal

from analysis.comparisons import ENDS, AtEqualRate, Comparison, GivenHacking, OverArms, Statistic, hack_rates, hacking
from analysis.conditions import Condition, of
from analysis.effects import Effect
from analysis.measured import Measured
from analysis.stats import MIN_SEEDS, Seed, difference, holm, known

ALPHA = 0.05
EQUAL_HACKING = 0.10  # "at equal hacking": the whole interval of the gap in hack rate is at most this much below 0
LOOK, MOST = 5, 10  # seeds a side: when it is decided whether a claim needs more, and how many it gets then

Verdict = Literal["reproduced", "not reproduced", "contradicted", "inconclusive"]
OURS = {
    "reproduced": "holds",
    "not reproduced": "does not hold",
}  # how verdicts of claims read that are not the paper's
NOT_MISALIGNMENT = ("hack_rate", "hack_attempt", "clean:", "train:", "sabotage_unrelated")  # measures that begin so
Hacking = tuple[int, int]  # runs that hack, runs
Seeds = frozenset[int]
Corrected = tuple[float | None, float | None, float | None]  # p values for a claim, against it, for its opposite


@dataclass(frozen=True)
class Claim:
    """`sign` +1: `treated` is claimed to lie above `reference`, -1: below. `change` False: claimed not to protect.

    `margin`: the smallest effect that counts, in the statistic's unit (shares; a correlation).
    `equal_hacking`: undecided where the treated may hack less (EQUAL_HACKING). `expected`: the paper's effect in the claimed
    direction, if it prints one; the seeds needed are those that find it, and otherwise the margin. `ours`: the paper makes no
    such claim, or we have no number of it.
    """

    name: str
    text: str
    paper: str
    treated: Condition
    reference: Condition
    measure: str
    prompt: str
    sign: int
    margin: float
    change: bool = True
    equal_hacking: bool = False
    statistic: Statistic = ENDS
    expected: float | None = None
    ours: bool = False

    @property
    def asked(self) -> Comparison:
        return Comparison(self.treated, self.reference, self.measure, self.prompt, self.sign)

    @property
    def bound(self) -> float:
        """What the effect is asked to reach, in the claimed direction."""
        return self.margin if self.change else -self.margin

    @property
    def asks(self) -> str:
        """The same in words, in the direction of treated against reference."""
        unit = self.statistic.unit
        return f"at {'least' if self.sign > 0 else 'most'} {unit.print(unit.value(self.sign, self.bound))}"

    @property
    def gap(self) -> float:
        """How far the effect looked for (the paper's, otherwise the margin, or none) is from what it is tested against."""
        if self.change:
            return self.margin if self.expected is None else self.expected
        return self.margin + (self.expected or 0.0)

    def __call__(self, runs: Measured) -> Effect:
        """The effect in the claimed direction."""
        return self.statistic(runs, self.asked)

    def apart(self, runs: Measured) -> Apart | None:
        """The same comparison with hacking held apart; None where no misalignment after RL is compared by its final values."""
        aside = self.measure.startswith(NOT_MISALIGNMENT) or any(side.start for side in self.asked.sides)
        if self.statistic is not ENDS or aside:
            return None
        return Apart(GivenHacking()(runs, self.asked), AtEqualRate()(runs, self.asked))

    def on_twin(self, runs: Measured) -> Effect | None:
        """The same comparison on the uncorrelated twin; None if the twin is a part of the claim."""
        there = self.statistic.on_twin(self.asked)
        return None if there is None else there[0](runs, there[1])


@dataclass(frozen=True)
class Apart:
    """Final values of the runs that hack alone, and values where curves have the same hack rate (analysis.comparisons)."""

    given_hacking: Effect
    at_equal_rate: Effect


@dataclass(frozen=True)
class Finding:
    """What the runs say about a claim.

    The corrected p values are for the claim, against it, and for its opposite (None of a claim of no change). `twin`: the
    effect on the twin. `needed`: seeds a side that would find the claim's `gap` at the spread of these runs; `resolves`: the
    smallest gap that the seeds there are would find (both by the test, with analysis.power.POWER, at the strictest level of the
    correction; a claim of a change asks for its margin as well, below which `resolves` does not go). `seeds` (the numbers of
    those with a value), `hacking`: of the treated and the reference. `straddles`: the rule for more seeds applies. `apart`:
    hacking and misalignment held apart; verdicts are of the claim itself. `behind`: (runs that began behind a failed gate, runs)
    of those that count.
    """

    claim: Claim
    verdict: Verdict
    effect: Effect
    p_for: float | None
    p_against: float | None
    why: str
    p_opposite: float | None = None
    twin: Effect | None = None
    needed: int | None = None
    resolves: float | None = None
    seeds: tuple[Seeds, Seeds] = (frozenset(), frozenset())
    hacking: tuple[Hacking, Hacking] = ((0, 0), (0, 0))
    straddles: bool = False
    apart: Apart | None = None
    behind: tuple[int, int] = (0, 0)

    @property
    def word(self) -> str:
        """The verdict as a reader sees it: what the paper does not claim is not reproduced, it holds."""
        return OURS.get(self.verdict, self.verdict) if self.claim.ours else self.verdict

    @property
    def so_far(self) -> bool:
        """Whether it is a verdict from fewer seeds than are to decide."""
        few = min(self.effect.seeds_a, self.effect.seeds_b) < (MOST if self.straddles else LOOK)
        return self.verdict != "inconclusive" and self.claim.statistic.over_runs and few


@dataclass(frozen=True)
class More:
    """A condition that needs more seeds, which it has, and the claims that need them."""

    condition: Condition
    seeds: Seeds
    claims: tuple[str, ...]

    @property
    def missing(self) -> tuple[int, ...]:
        """The seeds to run, from the first that it has on."""
        others = (seed for seed in count(min(self.seeds)) if seed not in self.seeds)
        return tuple(islice(others, MOST - len(self.seeds)))


def judge(runs: Measured, claims: Sequence[Claim], failed: Collection[str] = ()) -> list[Finding]:
    """Tests the claims together on the measures of finished runs; `failed`: the runs that began behind a failed gate."""
    early, late = ([_first(seeds, claim, runs) for claim in claims] for seeds in (LOOK, MOST))
    straddles = [_straddles(claim, values) for claim, values in zip(claims, early, strict=True)]
    tested = [
        all_ if more and _has(MOST, claim, all_) else first
        for claim, more, first, all_ in zip(claims, straddles, early, late, strict=True)
    ]
    effects = [claim(values) for claim, values in zip(claims, tested, strict=True)]
    asked = list(zip(claims, effects, strict=True))
    p_for = _corrected(effects, [effect.p_above(0.0 if claim.change else claim.bound) for claim, effect in asked])
    p_against = _corrected(effects, [effect.p_below(claim.bound) for claim, effect in asked])
    p_opposite = _corrected(effects, [effect.p_below(0.0) if claim.change else None for claim, effect in asked])
    level = ALPHA / max(1, len(claims))
    findings = []
    for (claim, effect), values, more, *ps in zip(asked, tested, straddles, p_for, p_against, p_opposite, strict=True):
        verdict, why = _verdict(claim, effect, (ps[0], ps[1], ps[2]), values)
        findings.append(
            Finding(
                *(claim, verdict, effect, ps[0], ps[1], why, ps[2]),
                twin=claim.on_twin(values),
                needed=_at_least(MIN_SEEDS, effect.seeds_needed(claim.gap, level)),
                resolves=_resolves(claim, effect, level),
                seeds=_numbers(claim, runs),
                hacking=(hacking(values, claim.treated), hacking(values, claim.reference)),
                straddles=more,
                apart=claim.apart(values),
                behind=_behind(claim, values, failed),
            )
        )
    return findings


def more_seeds(findings: Sequence[Finding]) -> list[More]:
    """The conditions that go on to MOST seeds by the rule above, with the claims that they are needed for."""
    needed: dict[Condition, tuple[Seeds, list[str]]] = {}
    for finding in findings:
        if not finding.straddles:
            continue
        for side, seeds in zip(finding.claim.asked.sides, finding.seeds, strict=True):
            if len(seeds) < MOST:
                needed.setdefault(of(*side.cell), (seeds, []))[1].append(finding.claim.name)
    return [More(condition, seeds, tuple(dict.fromkeys(names))) for condition, (seeds, names) in needed.items()]


def _corrected(effects: Sequence[Effect], ps: Sequence[float | None]) -> list[float | None]:
    return holm([p if _enough(effect) else None for effect, p in zip(effects, ps, strict=True)])


def _enough(effect: Effect) -> bool:
    return min(effect.seeds_a, effect.seeds_b) >= MIN_SEEDS and not math.isnan(effect.estimate)


def _at_least(least: int, seeds: int | None) -> int | None:
    return None if seeds is None else max(least, seeds)


def _resolves(claim: Claim, effect: Effect, level: float) -> float | None:
    found = effect.resolves(level) if _enough(effect) else None
    return max(found, claim.margin) if claim.change and found is not None else found


def _behind(claim: Claim, runs: Measured, failed: Collection[str]) -> tuple[int, int]:
    others = claim.statistic.others if isinstance(claim.statistic, OverArms) else ()
    names = {name for condition in (*claim.asked.sides, *others) for name in runs.names(condition)}
    return len(names.intersection(failed)), len(names)


def _known(claim: Claim, runs: Measured) -> list[set[Seed]]:
    """The seeds that have a value, of the treated and of the reference."""
    return [set(known(runs.final(side, claim.measure, claim.prompt))) for side in claim.asked.sides]


def _first(seeds: int, claim: Claim, runs: Measured) -> Measured:
    """The first `seeds` seeds that both sides have; of each its own where they do not share any two, and of all arms."""
    treated, reference = _known(claim, runs)
    shared = sorted(treated & reference)
    if len(shared) < 2 or not claim.statistic.over_runs:
        return runs.first(seeds)
    return runs.of_seeds(shared[:seeds])


def _numbers(claim: Claim, runs: Measured) -> tuple[Seeds, Seeds]:
    treated, reference = (frozenset(seed for _, seed in side) for side in _known(claim, runs))
    return treated, reference


def _has(seeds: int, claim: Claim, runs: Measured) -> bool:
    return min(map(len, _known(claim, runs))) >= seeds


def _straddles(claim: Claim, early: Measured) -> bool:
    if not claim.statistic.over_runs:
        return False
    effect = claim(early)
    if effect.low is None or effect.high is None or min(effect.seeds_a, effect.seeds_b) < LOOK:
        return False
    return effect.low < claim.bound < effect.high


def _verdict(claim: Claim, effect: Effect, ps: Corrected, runs: Measured) -> tuple[Verdict, str]:
    p_for, p_against, p_opposite = ps
    sides = zip(claim.asked.sides, (effect.seeds_a, effect.seeds_b), strict=True)
    absent = [side.label for side, seeds in sides if not seeds]
    if absent:
        return "inconclusive", f"{claim.statistic.lacks}: {'; '.join(dict.fromkeys(absent))}"
    opposite = p_opposite if claim.change else p_against
    if p_for is None or p_against is None or opposite is None:
        enough = min(effect.seeds_a, effect.seeds_b) >= MIN_SEEDS
        return "inconclusive", "nothing to rank" if enough else f"needs {MIN_SEEDS} seeds a side"
    if claim.equal_hacking:
        gap = difference(hack_rates(runs, claim.treated), hack_rates(runs, claim.reference))
        if gap.low is None or not gap.low >= -EQUAL_HACKING:
            return "inconclusive", f"hacking may not be equal: {100 * gap.estimate:+.1f} points"
    if p_for < ALPHA and (not claim.change or effect.estimate >= claim.margin):
        return "reproduced", ""
    if opposite < ALPHA and effect.estimate <= -claim.margin:
        return "contradicted", ""
    if p_against < ALPHA:
        return "not reproduced", f"in its direction, but not {claim.asks}" if p_for < ALPHA else ""
    return "inconclusive", _undecided(claim, effect)


def _undecided(claim: Claim, effect: Effect) -> str:
    """Why runs that are enough do not decide: what their interval says by itself may not outlast the correction for all claims."""
    above, below = effect.p_above(0.0 if claim.change else claim.bound), effect.p_below(claim.bound)
    if above is not None and above < ALPHA / 2 and (not claim.change or effect.estimate >= claim.margin):
        return "there by itself, not after correction for all claims"
    if below is not None and below < ALPHA / 2:
        found = "smaller than asked for" if claim.change else "a change beyond the margin"
        return f"{found} by itself, not after correction for all claims"
    return "the interval allows both"
