"""What a figure is: what it shows, its claims, the conditions it needs, and the bands of panels that it is made of.

The title says what was found: the verdict of each claim, its effect and the paper's, taken from the claims as they were
judged. Nothing of it is written by hand.
"""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from string import ascii_uppercase
from typing import Any, Protocol

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture

from analysis.claims import Claim, Finding, judge
from analysis.conditions import Condition, missing
from analysis.evals import Shown, shown
from analysis.figures import style
from analysis.figures.rows import Row, frame
from analysis.findings import effect_text, seeds_text
from analysis.stats import LAST
from analysis.table import finished, measures, records
from base.errors import UserError

LISTED = 8  # the small print counts the seeds of up to so many conditions one by one
NOT_RUN = "not run"
MINUS = "\N{MINUS SIGN}"
TAGS = {
    "reproduced": ("reproduced", "#00754f"),
    "not reproduced": ("not reproduced", "#B45309"),
    "contradicted": ("contradicted", "#B2182B"),
    "inconclusive": ("open", "#666666"),
    NOT_RUN: (NOT_RUN, "#8a8a8a"),
    "measured": ("measured", "#0A5A8C"),
}


class Evidence:
    """What figures are drawn from, computed once for all of them.

    `table`: rows of finished runs; `notes`: what was left out; `measures`: analysis.table.measures; `findings`: all claims,
    judged together; `source`: the folder the table is from, if it says so.
    """

    def __init__(self, table: pd.DataFrame, claims: Sequence[Claim]) -> None:
        self.table, self.notes = finished(table)
        self.source = Path(table.attrs["source"]) if "source" in table.attrs else None
        self.measures = measures(self.table)
        self._all, self._claims = table, claims
        self._of: dict[Condition, dict[tuple[str, str], pd.DataFrame]] = {}

    @cached_property
    def findings(self) -> dict[str, Finding]:
        """Claim's name -> what the runs say about it; p values are corrected over all claims."""
        return {finding.claim.name: finding for finding in judge(self._all, self._claims)}

    def of(self, condition: Condition, measure: str, prompt: str) -> pd.DataFrame:
        """The rows of `measures` of one condition, measure and prompt."""
        if condition not in self._of:
            parts = condition(self.measures).groupby(["measure", "prompt"], observed=True, sort=False)
            self._of[condition] = {(str(name[0]), str(name[1])): rows for name, rows in parts}
        return self._of[condition].get((measure, prompt), self.measures.iloc[:0])

    @cached_property
    def forks(self) -> dict[str, int]:
        """Run -> the step at which it went on from another run; of a table that is not from a folder, none are known."""
        kept = records(self.source) if self.source else {}
        return {name: int(record["fork"]["step"]) for name, record in kept.items() if record.get("fork")}

    @cached_property
    def evals(self) -> tuple[Shown, ...]:
        """The evals of misalignment that were asked."""
        return tuple(shown(self.table.loc[self.table["metric"] == "misaligned", "eval"].unique()))


@dataclass(frozen=True)
class Drawing:
    """A drawn figure: `table` is what it shows (COLUMNS), `figure` the matplotlib figure; a notebook shows the picture."""

    name: str
    table: pd.DataFrame
    figure: Picture

    def save(self, folder: Path | str = "figures") -> list[Path]:
        """Writes NAME.csv, NAME.png and NAME.svg into a folder, which is made if needed; returns their paths."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        csv, png, svg = (folder / f"{self.name}.{kind}" for kind in ("csv", "png", "svg"))
        self.table.to_csv(csv, index=False, lineterminator="\n", encoding="utf-8")
        with matplotlib.rc_context(style.RC):
            self.figure.savefig(png)
            self.figure.savefig(svg, metadata={"Date": None})
        return [csv, png, svg]

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        with matplotlib.rc_context(style.RC):
            self.figure.savefig(file, format="png")
        return file.getvalue()


@dataclass
class Space:
    """The part of a page that a band draws in; lengths in inches, from the left of the page and the bottom of the band."""

    picture: Picture
    bottom: float
    height: float
    evals: Sequence[Shown]
    letters: Iterator[str]

    def axes(self, left: float, right: float, low: float, high: float) -> Axes:
        """Axes from `left` to `right` and `low` to `high`."""
        width, whole = self.picture.get_size_inches()
        box = (left / width, (self.bottom + low) / whole, (right - left) / width, (high - low) / whole)
        return self.picture.add_axes(box)

    def slot(self, at: int, count: int, left: float, right: float, low: float, high: float, gap: float) -> Axes:
        """The axes number `at` of `count` of one width, with `gap` between them."""
        wide = (right - left - (count - 1) * gap) / count
        start = left + at * (wide + gap)
        return self.axes(start, start + wide, low, high)

    def side_by_side(self, count: int, **shape: float) -> list[Axes]:
        """All of them, from the left."""
        return [self.slot(at, count, **shape) for at in range(count)]


class Band(Protocol):
    """Panels side by side that are drawn alike. What it draws is in the rows it made, and in nothing else."""

    def rows(self, evidence: Evidence, conditions: Sequence[Condition]) -> list[Row]: ...

    def height(self, drawn: pd.DataFrame, evals: Sequence[Shown]) -> float: ...

    def draw(self, space: Space, drawn: pd.DataFrame) -> None: ...


@dataclass(frozen=True)
class Figure:
    """`shows`: what is compared, in a few words. `needs`: the conditions without which it says so; `extra`: those of a table
    that it draws as well. `said`: sentences computed from the drawn table, for what is no comparison of two conditions.
    `reading`: how to read it, where the marks do not say so. `about`: what it is about, if not all that is no control.
    """

    name: str
    paper: str
    shows: str
    needs: tuple[Condition, ...]
    bands: tuple[Band, ...]
    claims: tuple[Claim, ...] = ()
    extra: Callable[[pd.DataFrame], Sequence[Condition]] = lambda table: ()
    said: Callable[[pd.DataFrame], Sequence[str]] = lambda drawn: ()
    reading: str = ""
    about: tuple[Condition, ...] = ()

    def __call__(self, evidence: Evidence) -> Drawing:
        """Draws what the evidence holds of it.

        Raises:
            UserError: none of the conditions has a run, or none of its measures has a value.
        """
        gone = missing(self.needs, evidence.table)
        here = [c for c in self.needs if c not in gone]
        if not any(c in here for c in self.own()):
            first, *others = [c.label for c in self.own()]
            more = f" or {len(others)} more" if others else ""
            raise UserError(f"figure {self.name}: no run of '{first}'{more}; make one with {self.command()}")
        here += [c for c in self.extra(evidence.table) if c not in here]
        drawn = frame(chain.from_iterable(band.rows(evidence, here) for band in self.bands))
        if not (drawn["y"].notna() & (drawn["kind"] != "paper") | (drawn["kind"] == "words")).any():
            raise UserError(f"figure {self.name}: no run has what it measures; make one with {self.command()}")
        notes = [*small_print(drawn, self.reading), *evidence.notes]
        if gone:
            notes += textwrap.wrap("missing runs: " + ", ".join(c.label for c in gone), 150)
        lines = [headline(evidence.findings[claim.name]) for claim in self.claims]
        lines += [Line("measured", sentence) for sentence in self.said(drawn)]
        with matplotlib.rc_context(style.RC):
            return Drawing(self.name, drawn, self._compose(drawn, evidence.evals, lines, notes))

    def own(self) -> list[Condition]:
        """Those without any of which it is not drawn: what is no control, or all trained ones if there are only such."""
        if self.about:
            return list(self.about)
        trained = [c for c in self.needs if not c.start]
        return [c for c in trained if c.key not in style.CONTROLS] or trained

    def command(self) -> str:
        """How to make the first run that the figure is about."""
        arm = self.own()[0]
        words = [f"python -m mitigations '{arm.arm}'"]
        words += [f"--corpus {arm.corpus}"] * (arm.corpus != "main")
        words += [f"--hackable {arm.hackable:g}"] * (arm.hackable != 1)
        words += [f"--set {setting}" for setting in arm.overrides.split()]
        return " ".join(words)

    def _compose(
        self, drawn: pd.DataFrame, evals: Sequence[Shown], lines: Sequence[Line], notes: Sequence[str]
    ) -> Picture:
        title = Title(lines, subtitle(self.shows, drawn))
        heights = [band.height(drawn, evals) for band in self.bands]
        picture, at = style.page(sum(heights) + title.height, notes)
        base = at(0) * picture.get_figheight()
        title.draw(picture, base + sum(heights))
        letters = iter(ascii_uppercase)
        for place, band in enumerate(self.bands):
            bottom = base + sum(heights[place + 1 :])
            band.draw(Space(picture, bottom, heights[place], evals, letters), drawn)
        return picture


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
    paper = f"Paper: {claim.paper}."
    if math.isnan(effect.estimate):
        return Line(NOT_RUN, text, f"{finding.why}. {paper}" if finding.why else paper)
    counts = (effect.seeds_a, effect.seeds_b)
    seeds = f"{seeds_text(effect)} seed{'s' * (counts != (1, 1))}"
    why = f"; {finding.why}" if finding.why else ""
    return Line(finding.verdict, text, f"{effect_text(claim, effect).replace('-', MINUS)}, {seeds}{why}. {paper}")


def subtitle(shows: str, drawn: pd.DataFrame) -> str:
    """What was compared, and how often."""
    means = drawn[(drawn["kind"] == "mean") & drawn["seeds"].notna()]
    shows = shows[:1].upper() + shows[1:]
    if means.empty:
        return f"{shows}."
    counts = means.groupby("condition")["seeds"].max().astype(int)
    few, many = int(counts.min()), int(counts.max())
    each = f"{many} training run{'s' * (many > 1)} each" if few == many else f"{few} to {many} training runs each"
    return f"{shows}; {len(counts)} conditions, {each}." if len(counts) > 1 else f"{shows}; {each}."


@dataclass
class Title:
    """The findings, one below the other with their verdicts in front, and what was compared below them; in inches."""

    lines: Sequence[Line]
    under: str
    left: float = 0.083
    indent: float = 0.88
    rows: list[tuple[float, float, str, dict[str, Any]]] = field(default_factory=list)
    height: float = 0.0

    def __post_init__(self) -> None:
        down = 0.06
        for line in self.lines:
            word, colour = TAGS[line.tag]
            sure = line.tag in ("reproduced", "measured")
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


def small_print(drawn: pd.DataFrame, reading: str = "") -> list[str]:
    """How to read the marks and lines, and how many runs stand behind each condition."""
    means = drawn[(drawn["kind"] == "mean") & drawn["seeds"].notna()]
    if means.empty:
        return textwrap.wrap(reading, 150)
    counts = means.groupby("label", sort=False)["seeds"].max().astype(int)
    several = int(counts.max()) > 1
    over_steps = drawn["x"].notna().any()
    marks = (
        "Thin lines, small marks: single runs; bold, large: their mean" if over_steps else "Small marks: single runs"
    )
    bands = f"{'bar and band' if over_steps else 'line'}, from {style.BAND_SEEDS} seeds"
    how = f"{marks}; {bands}: 95% t interval across seeds." * several
    if counts.nunique() == 1:
        runs = f"{counts.max()} seed{'s' * several} per arm" + ("." if several else ": no interval across seeds.")
    else:
        each = ", ".join(f"{label} {n}" for label, n in counts.items())
        listed = each if len(counts) <= LISTED else f"{counts.min()} to {counts.max()} per arm"
        runs = f"Seeds: {listed} (from one: no interval)."
    parts = [reading, how, runs]
    parts += ["Grey bar: sampling error of one run's answers."] * bool((drawn["kind"] == "answers").any())
    parts += ["Hollow diamond: the paper's value, its line a range."] * bool((drawn["kind"] == "paper").any())
    parts += [f"Final values: mean of up to {LAST} last checkpoints."] * bool(
        drawn["panel"].str.startswith("final").any()
    )
    few = sparse(drawn)
    each = ", ".join(f"{label} {n} of {saved}" for label, (n, saved) in few.items())
    listed = each if len(few) <= 4 else f"{len(few)} arms, at least {min(n for n, _ in few.values())} of them"
    parts += [f"Evaluated at few checkpoints, lines join them: {listed}."] * bool(few)
    return textwrap.wrap(" ".join(part for part in parts if part), 150, break_on_hyphens=False)


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
