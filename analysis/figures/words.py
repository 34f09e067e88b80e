"""The words of a figure: its title, which is what was found, what was compared, and the small print below it.

The title says what was found: the verdict of each claim, its effect and the paper's, taken from the claims as they were
judged. Nothing of it is written by hand.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from matplotlib.figure import Figure as Picture

from analysis.claims import LOOK, MOST, Finding
from analysis.conditions import Condition
from analysis.findings import effect_text, seeds_text
from analysis.measured import LAST
from analysis.stats import MIN_SEEDS, summary
from analysis.table import CELL

MANY = 12  # so many missing arms are named one by one
LISTED = 8  # the small print counts the seeds of up to so many conditions one by one
NOT_RUN = "not run"
MINUS = "\N{MINUS SIGN}"
TAGS = {
    "reproduced": ("reproduced", "#00754f"),
    "holds": ("holds", "#00754f"),
    "not reproduced": ("not reproduced", "#B45309"),
    "does not hold": ("does not hold", "#B45309"),
    "contradicted": ("contradicted", "#B2182B"),
    "inconclusive": ("open", "#666666"),
    NOT_RUN: (NOT_RUN, "#8a8a8a"),
    "measured": ("measured", "#0A5A8C"),
}


@dataclass(frozen=True)
class Line:
    """One sentence of a title: `tag` (TAGS), what is said, and its numbers."""

    tag: str
    text: str
    detail: str = ""


def headline(finding: Finding) -> Line:
    """A finding as a sentence: its verdict, the claim, and its effect as measured beside the paper's."""
    claim, effect = finding.claim, finding.effect
    text = claim.text[:1].upper() + claim.text[1:]
    if not claim.change:
        unit = claim.statistic.unit
        text += f" (up to {unit.scale * claim.margin:g} {unit.name.removeprefix('percentage ')} count as none)"
    paper = f"Paper: {claim.paper}."
    if math.isnan(effect.estimate):
        tag = finding.word if all(finding.seeds) else NOT_RUN
        return Line(tag, text, f"{finding.why}. {paper}" if finding.why else paper)
    counts = (effect.seeds_a, effect.seeds_b)
    seeds = f"{seeds_text(effect)} seed{'s' * (counts != (1, 1))}"
    why = f"; {finding.why}" if finding.why else ""
    size = f"{effect_text(claim, effect).replace('-', MINUS)} {claim.statistic.unit.name}"
    asked = f"asked for: {claim.asks.replace('-', MINUS)}"
    return Line(finding.word, text, f"{size}, {seeds}{' so far' * finding.so_far}; {asked}{why}. {paper}")


def enumerated(names: Sequence[str]) -> str:
    """The names, or how many there are where they are too many to read."""
    more = len(names) - MANY
    return "; ".join(names) if more <= 0 else f"{'; '.join(names[:MANY])} and {more} more"


def subtitle(shows: str, drawn: pd.DataFrame, common: Sequence[str] = ()) -> str:
    """What was compared, under which settings (those that all runs have in common), and how often."""
    means = drawn[(drawn["kind"] == "mean") & drawn["seeds"].notna()]
    shows = shows[:1].upper() + shows[1:] + (f"; all with {', '.join(common)}" if common else "")
    if means.empty:
        return f"{shows}."
    counts = means.groupby("condition")["seeds"].agg(["min", "max"]).astype(int)
    few, many = int(counts["min"].min()), int(counts["max"].max())
    each = f"{many} training run{'s' * (many > 1)} each" if few == many else f"{few} to {many} training runs each"
    return f"{shows}; {len(counts)} conditions, {each}." if len(counts) > 1 else f"{shows}; {each}."


@dataclass
class Title:
    """The findings, one below the other with their verdicts in front, and what was compared below them; in inches."""

    lines: Sequence[Line]
    under: str
    left: float = 0.083
    indent: float = 0.96
    rows: list[tuple[float, float, str, dict[str, Any]]] = field(default_factory=list)
    height: float = 0.0

    def __post_init__(self) -> None:
        down = 0.06
        for line in self.lines:
            word, colour = TAGS[line.tag]
            sure = line.tag in ("reproduced", "holds", "measured")
            self.rows.append((self.left, down, word, {"size": 6.8, "weight": "bold", "color": colour}))
            for part in textwrap.wrap(line.text, 92):
                self.rows.append((self.indent, down, part, {"size": 7.2, "weight": "bold" if sure else "normal"}))
                down += 0.128
            for part in textwrap.wrap(line.detail, 112):
                self.rows.append((self.indent, down, part, {"size": 6.2, "color": "#444444"}))
                down += 0.108
            down += 0.035
        for part in textwrap.wrap(self.under, 134):
            self.rows.append((self.left, down + 0.01, part, {"size": 6.6, "color": "#444444"}))
            down += 0.115
        self.height = down + 0.06

    def draw(self, picture: Picture, bottom: float) -> None:
        """Writes it above `bottom`."""
        width, whole = picture.get_size_inches()
        for left, down, text, look in self.rows:
            picture.text(left / width, (bottom + self.height - down) / whole, text, va="top", ha="left", **look)


def looked_at(findings: Sequence[Finding]) -> list[str]:
    """That claims are tested on fewer seeds than are drawn, where they are."""
    few = any(len(known) > finding.effect.seeds_a for finding in findings for known in finding.seeds)
    first = all(finding.claim.statistic.over_runs for finding in findings)
    return [
        f"Claims: the first {LOOK} seeds of both sides, or {MOST} where those leave them open and both have so many."
    ] * (few and first)


Side = tuple[Condition, str, str]  # of a drawn table: a condition, a measure, a prompt


def gap_text(drawn: pd.DataFrame, of: Side, than: Side) -> str:
    """How much larger the one is, run by run, with its interval: `+3.1 points (-2.0 to +8.2), 5 seeds`; empty where no run has
    both.
    """
    one, other = _both(drawn, of, than)
    return in_words(one - other) if len(one) else ""


def beside_text(drawn: pd.DataFrame, of: Side, than: Side, says: str) -> str:
    """Both as shares in the places of `says`, and the gap: `leaves 12 % where chat alone leaves 15 %: -3.1 points ...`; empty where
    no run has both.
    """
    one, other = _both(drawn, of, than)
    if not len(one):
        return ""
    said = says.format(*(f"{100 * side.mean():.0f} %" for side in (one, other)))
    return f"{said}: {in_words(one - other)}"


def _both(drawn: pd.DataFrame, *sides: Side) -> list[pd.Series[float]]:
    """The final values of two sides by run, of the runs that have both."""
    values: list[pd.Series[float]] = []
    for condition, measure, prompt in sides:
        mine = (
            (drawn["kind"] == "seed")
            & drawn["step"].isna()
            & (drawn["measure"] == measure)
            & (drawn["prompt"] == prompt)
        )
        for name, value in zip(CELL, condition.cell, strict=True):
            mine &= drawn[name] == value
        values.append(drawn[mine].drop_duplicates("run").set_index("run")["y"].astype(float))
    known = pd.concat(values, axis=1, join="inner").dropna().index
    return [side[known] for side in values]


def in_words(gaps: pd.Series[float], unit: str = "points", scale: float = 100.0) -> str:
    """The mean of a gap a run with its interval and how many runs there are: `+3.1 points (-2.0 to +8.2), 5 seeds`."""
    found = summary((scale * gaps).tolist())
    ends = "" if found.low is None or found.high is None else f" ({found.low:+.1f} to {found.high:+.1f})"
    return f"{found.mean:+.1f} {unit}{ends}, {found.seeds} seed{'s' * (found.seeds > 1)}".replace("-", MINUS)


def small_print(drawn: pd.DataFrame, reading: str = "") -> list[str]:
    """How to read the marks and lines, and how many runs stand behind each condition."""
    means = drawn[(drawn["kind"] == "mean") & drawn["seeds"].notna()]
    if means.empty:
        return [reading] if reading else []
    counts = means.groupby("label", sort=False)["seeds"].agg(["min", "max"]).astype(int)
    few, many = int(counts["min"].min()), int(counts["max"].max())
    several = many > 1
    how = f"{_marks(drawn, means)}." * several
    if few == many:
        runs = f"{many} seed{'s' * several} per arm" + ("." if several else ": no interval across seeds.")
    elif len(counts) <= LISTED and (counts["min"] == counts["max"]).all():
        runs = f"Seeds: {'; '.join(f'{label}: {n}' for label, n in counts['max'].items())} (from fewer than {MIN_SEEDS}: no interval)."
    else:
        runs = f"Seeds: {few} to {many} per value (from fewer than {MIN_SEEDS}: no interval)."
    parts = [reading, how, runs]
    parts += ["Grey bar: sampling error of one run's answers."] * bool((drawn["kind"] == "answers").any())
    parts += ["Hollow diamond: the paper's value; on a dotted line: the middle of a range that its words give."] * bool(
        (drawn["kind"] == "paper").any()
    )
    parts += [f"Final values: mean of up to {LAST} last checkpoints."] * bool(
        drawn["panel"].str.startswith("final").any()
    )
    sparsely = sparse(drawn)
    each = "; ".join(f"{label}: {n} of {saved}" for label, (n, saved) in sparsely.items())
    listed = (
        each
        if len(sparsely) <= 4
        else f"{len(sparsely)} arms, at least {min(n for n, _ in sparsely.values())} checkpoints each"
    )
    parts += [f"Dotted: evaluated at few checkpoints, {listed}."] * bool(sparsely)
    parts += forked(drawn)
    return [" ".join(part for part in parts if part)]


def _marks(drawn: pd.DataFrame, means: pd.DataFrame) -> str:
    """What lines and marks are; intervals only where some are drawn: over steps as a band, where checkpoints are few as bars, of
    final values as a line.
    """
    lines = drawn["step"].notna() | drawn["measure"].str.startswith("train:") & drawn["x"].notna()
    known = means["low"].notna()
    final = means["panel"].str.startswith("final") | means["measure"].str.contains(" against ")
    few = means["label"].isin(list(sparse(drawn))) & ~means["measure"].str.startswith("train:")
    along = known & lines[means.index]
    drawn_as = {"band": along & ~few, "bar": along & few, "line": known & final}
    said = " or ".join(name for name, there in drawn_as.items() if there.any())
    large = "; large: their mean" * bool(means["x"].notna().any())
    marks = (
        "Thin lines, small marks: single runs; bold, large: their mean"
        if lines.any()
        else f"Small marks: single runs{large}"
    )
    return f"{marks}; {said}, from {MIN_SEEDS} seeds: 95% t interval across seeds" if said else marks


def forked(drawn: pd.DataFrame) -> list[str]:
    """Where the forks among the lines begin, which are drawn from there."""
    lines = drawn[(drawn["kind"] == "seed") & drawn["step"].notna() & ~drawn["measure"].str.contains(" against ")]
    begun = lines.assign(begun=lines["x"] - lines["step"]).drop_duplicates(["condition", "run"])
    steps = sorted({int(step) for step in begun.loc[begun["begun"] > 0, "begun"]})
    if not steps:
        return []
    each = f" at step {' or '.join(map(str, steps))} of the baseline"
    return [f"Forks begin{each}; their means stand at the mean of these, step by step of their own."]


def sparse(drawn: pd.DataFrame) -> dict[str, tuple[int, int]]:
    """Label -> (checkpoints evaluated, checkpoints saved) of curves that lack some, step 0 included.

    The last three saved checkpoints of a run are always evaluated (base.wanted), so two of them tell how often it saved.
    """
    points = drawn[(drawn["kind"] == "seed") & drawn["step"].notna() & ~drawn["measure"].str.startswith("train:")]
    found: dict[str, tuple[int, int]] = {}
    for (label, _), mine in points.groupby(["label", "run"], sort=False):
        steps = sorted({0, *mine["step"].astype(int)})
        saved = 2 + steps[-2] // (steps[-2] - steps[-3]) if len(steps) > 3 else len(steps)
        if len(steps) < saved:
            found[str(label)] = min(found.get(str(label), (saved, saved)), (len(steps), saved))
    return found
