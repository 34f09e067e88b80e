"""What a figure is: what it shows, its claims, the conditions it needs, and the bands of panels that it is made of."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from string import ascii_uppercase
from typing import Any, Protocol

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture
from PIL import Image

from analysis import corpora, labels, settings
from analysis.claims import Claim
from analysis.conditions import TWIN, Condition, alike, missing, under
from analysis.evals import Shown
from analysis.evidence import Evidence
from analysis.figures import style
from analysis.figures.rows import Row, frame
from analysis.figures.words import Line, Title, enumerated, headline, looked_at, small_print, subtitle
from analysis.settings import ASKED
from analysis.table import BEHIND, CELL
from base.errors import UserError

COLOURS = 256  # of a saved PNG
MOST_SETTINGS = 4  # so many settings of the user's own are drawn beside the usual ones
UNTWINNED, TWINNED = "main corpus", "uncorrelated twin"  # series of figures that have twins


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
            self.figure.savefig(svg, metadata={"Date": None})
        png.write_bytes(self.png())
        return [csv, png, svg]

    def png(self) -> bytes:
        """The picture as a PNG of COLOURS colours, chosen so that rare ones stay what they are: a third of the size."""
        whole, small = io.BytesIO(), io.BytesIO()
        with matplotlib.rc_context(style.RC):
            self.figure.savefig(whole, format="png")
        with Image.open(whole) as picture:
            # Without the round of k-means greys are tinted.
            few = picture.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=1)
            few.save(small, "png", optimize=True)
        return small.getvalue()

    _repr_png_ = png


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
    """Panels side by side that are drawn alike. What it draws is in the rows it made, and in nothing else.

    Panels and rows of which there is no value are left out; `lacks` names them. `note`: a mark that only these panels have.
    """

    def lacks(self, drawn: pd.DataFrame, evals: Sequence[Shown]) -> Sequence[str]: ...

    def note(self, drawn: pd.DataFrame) -> str:
        return ""

    def rows(self, evidence: Evidence, conditions: Sequence[Condition]) -> list[Row]: ...

    def height(self, drawn: pd.DataFrame, evals: Sequence[Shown]) -> float: ...

    def draw(self, space: Space, drawn: pd.DataFrame) -> None: ...


def _measured(drawn: pd.DataFrame) -> pd.DataFrame:
    """The rows that say something of our runs."""
    return drawn[drawn["y"].notna() & (drawn["kind"] != "paper") | (drawn["kind"] == "words")]


def _cells(rows: pd.DataFrame) -> list[tuple[Any, ...]]:
    return list(rows[list(CELL)].drop_duplicates().itertuples(index=False, name=None))


def _marked(drawn: pd.DataFrame, behind: Collection[tuple[Any, ...]]) -> pd.DataFrame:
    """With a dagger behind the name of every condition that shows a run behind a failed gate; `behind`: the cells of these."""
    failed = pd.MultiIndex.from_frame(drawn[list(CELL)]).isin(list(behind)) & (drawn["kind"] != "paper")
    marked = drawn["condition"].isin(drawn.loc[failed, "condition"])
    return drawn.assign(label=drawn["label"].where(~marked, drawn["label"] + f" {BEHIND}"))


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
        here, left_out = self.conditions(evidence)
        drawn = frame(chain.from_iterable(band.rows(evidence, here) for band in self.bands))
        if _measured(drawn).empty:
            raise UserError(f"figure {self.name}: no run has what it measures; {self._remedy(evidence)}")
        noted, behind = evidence.notes_on(_cells(drawn[drawn["kind"] != "paper"]))
        judged = {finding.claim.name: finding for finding in evidence.findings} if self.claims else {}
        reading = " ".join(filter(None, dict.fromkeys((self.reading, *(band.note(drawn) for band in self.bands)))))
        tested = [judged[claim.name] for claim in self.claims]
        notes = [
            *small_print(drawn, reading),
            *looked_at(tested),
            *self._missing(evidence, here, drawn),
            *left_out,
            *noted,
        ]
        drawn = _marked(drawn, behind)
        lines = [headline(finding) for finding in tested]
        lines += [Line("measured", sentence) for sentence in self.said(drawn)]
        notes = [line for note in notes for line in textwrap.wrap(note, 150, break_on_hyphens=False)]
        with matplotlib.rc_context(style.RC):
            picture = self._compose(drawn, evidence, lines, notes)
        drawn = corpora.restored(settings.restored(drawn, evidence.settings), evidence.corpora)
        return Drawing(self.name, drawn, picture)

    def conditions(self, evidence: Evidence) -> tuple[list[Condition], list[str]]:
        """(those of which there are runs, what of them is not drawn): those it needs, the same under settings that no
        figure asks for (or, where there are none of its own without such, under any), and `extra`.

        Raises:
            UserError: there is no run that the figure is about.
        """
        table = evidence.outline
        here = [c for c in self.needs if len(c(table))]
        usual = any(c in here for c in self.own())
        others = [text for text in sorted(table["overrides"].unique()) if text and not (usual and text in ASKED)]
        asked = [c for c in self.needs if not c.overrides and not (usual and c.start)]
        runs = {text: [c for c in (under(c, text) for c in asked) if len(c(table))] for text in others}
        others = [text for text, found in runs.items() if found]
        varied = [c for text in others[:MOST_SETTINGS] for c in runs[text] if c not in here]
        if not usual and not any(alike(c, [own for own in self.own() if not own.overrides]) for c in varied):
            first, *more = [c.label for c in self.own()]
            said = f" or {len(more)} more" if more else ""
            raise UserError(f"figure {self.name}: no run of '{first}'{said}; {self._remedy(evidence)}")
        here += varied
        left = ["; ".join(labels.overrides(text)) for text in others[MOST_SETTINGS:]]
        said = f"not drawn, because there are too many (--only NAME chooses): runs with {', or with '.join(left)}"
        extra = sorted((c for c in self.extra(table) if c not in here), key=lambda c: labels.order(c.arm, c.label))
        return [*here, *extra], [said] * bool(left)

    def _missing(self, evidence: Evidence, here: Sequence[Condition], drawn: pd.DataFrame) -> list[str]:
        """What a whole figure would have and this one lacks: conditions, values, panels, twins."""
        known = _measured(drawn)
        by_series = {name: set(mine["condition"]) for name, mine in known.groupby("series")}
        untwinned = by_series.get(UNTWINNED, set()) - by_series.get(TWINNED, set())
        arms, cells = [c for c in here if not c.start], set(known[list(CELL)].itertuples(index=False, name=None))
        absent, twins = missing(self.needs, evidence.outline), evidence.maker.can(TWIN)
        lacking = {
            "missing runs": [c.label for c in absent if evidence.maker.can(c)],
            "of the organism alone": [c.label for c in absent if not evidence.maker.can(c)],
            "no values of": [name for band in self.bands for name in band.lacks(drawn, evidence.evals)],
            "runs without values": [c.label for c in arms if c.cell not in cells],
            "missing twins": [c.label for c in arms if twins and c.key in untwinned],
        }
        return [f"{what}: {enumerated(list(dict.fromkeys(names)))}" for what, names in lacking.items() if names]

    def own(self) -> list[Condition]:
        """Those without any of which it is not drawn: what is no control, or all trained ones if there are only such."""
        if self.about:
            return list(self.about)
        trained = [c for c in self.needs if not c.start]
        return [c for c in trained if c.key not in style.CONTROLS] or trained

    def _remedy(self, evidence: Evidence) -> str:
        """How to make the first run that the figure is about, if the model of the runs can be its subject."""
        possible = [arm for arm in self.own() if evidence.maker.can(arm)]
        if not possible:
            return "only the organism has the corpora that it is about"
        return f"make one with {evidence.maker.command(possible[0])}"

    def _compose(self, drawn: pd.DataFrame, evidence: Evidence, lines: Sequence[Line], notes: Sequence[str]) -> Picture:
        evals = evidence.evals
        title = Title(lines, subtitle(self.shows, drawn, labels.overrides(evidence.settings)))
        heights = [band.height(drawn, evals) for band in self.bands]
        picture, at = style.page(sum(heights) + title.height, notes)
        base = at(0) * picture.get_figheight()
        title.draw(picture, base + sum(heights))
        letters = iter(ascii_uppercase)
        for place, band in enumerate(self.bands):
            bottom = base + sum(heights[place + 1 :])
            band.draw(Space(picture, bottom, heights[place], evals, letters), drawn)
        return picture
