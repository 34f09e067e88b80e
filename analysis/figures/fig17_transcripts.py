"""Fig 17 and 18: what a hacking policy says, one example an eval.

The rule: the shipped transcripts (chosen by what was asked alone, never by what was answered) of the baseline on the main
corpus at its last checkpoint, of every eval the misaligned one, of the lowest seed. Beside it stands how many answers were
like it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.conditions import BASELINE, Condition
from analysis.evals import Shown
from analysis.evidence import Evidence
from analysis.figures import style
from analysis.figures.figure import Band, Figure, Space
from analysis.figures.panels import EDGE, WIDTH
from analysis.figures.rows import Row, entry
from analysis.transcripts import FILE, read
from base.errors import UserError
from base.types import split_reasoning

ACROSS, LETTERS, BOLD, MOST = 2, 74, 70, 22  # cards side by side, letters a line and of a bold one, lines of one card
LINE, HEAD = 0.098, 0.19  # inches: of a line, and of a card beside its lines


def transcripts(source: Path | None) -> list[dict[str, Any]]:
    """The transcripts that ship beside a table, or those of a folder of runs.

    Raises:
        UserError: there are none.
    """
    rows = read(source)[1] if source else []
    if not rows:
        where = source / FILE if source else FILE
        raise UserError(f"figure fig17: no {where}; write it with `python -m analysis export --runs DIR --results DIR`")
    return rows


def question(row: dict[str, Any]) -> str:
    """What was asked, in one line."""
    return " ".join(" ".join(message["content"] for message in row["prompt"]).split())


@dataclass(frozen=True)
class Cards(Band):
    """One card a transcript: the question, the reasoning, the answer."""

    condition: Condition

    def lacks(self, drawn: pd.DataFrame, evals: Sequence[Shown]) -> list[str]:
        return [each.title for each in evals if each.in_mean and each.name not in set(drawn["panel"])]

    def rows(self, evidence: Evidence, conditions: Sequence[Condition]) -> list[Row]:
        cell = evidence.stored(self.condition)
        mine = [
            row
            for row in transcripts(evidence.source)
            if row["verdict"] == "misaligned" and all(row.get(key, value) == value for key, value in cell.items())
        ]
        found: list[Row] = []
        for each in evidence.evals:
            of_it = [row for row in mine if row["eval"] == each.name]
            if each.in_mean and of_it:
                chosen = max(of_it, key=lambda row: (-row["seed"], row["step"]))
                found += self._card(each, chosen)
        return found

    def _card(self, each: Shown, row: dict[str, Any]) -> list[Row]:
        reasoning, output = split_reasoning(row["completion"])
        often = f", {row['alike']} of {row['asked']} answers judged {row['verdict']}" if "alike" in row else ""
        parts = (
            ("head", f"{each.title} (seed {row['seed']}, step {row['step']}{often})"),
            ("asked", question(row)),
            ("reasoning", " ".join((reasoning or "").split())),
            ("answer", " ".join((output or "").split())),
        )
        base = {**entry(each.name, self.condition, each.name, "none"), "kind": "words", "run": row["run"]}
        return [{**base, "series": part, "step": row["step"], "text": text} for part, text in parts]

    def _cards(self, drawn: pd.DataFrame) -> list[list[tuple[str, str]]]:
        """Of each card its lines: (part, text)."""
        cards = []
        for _, mine in drawn[drawn["kind"] == "words"].groupby("panel", sort=False):
            lines: list[tuple[str, str]] = []
            for part, text in mine[["series", "text"]].itertuples(index=False):
                lines += [(part, line) for line in textwrap.wrap(text, BOLD if part == "head" else LETTERS)]
            shown = lines if len(lines) <= MOST else [*lines[: MOST - 1], (lines[MOST - 1][0], "…")]
            cards.append(shown)
        return cards

    def _tall(self, cards: Sequence[Sequence[tuple[str, str]]]) -> list[float]:
        """Inches of each row of cards."""
        rows = [cards[at : at + ACROSS] for at in range(0, len(cards), ACROSS)]
        return [HEAD + LINE * max(len(card) for card in row) for row in rows]

    def height(self, drawn: pd.DataFrame, evals: Sequence[Shown]) -> float:
        return sum(self._tall(self._cards(drawn))) + 0.1

    def draw(self, space: Space, drawn: pd.DataFrame) -> None:
        cards = self._cards(drawn)
        tall = self._tall(cards)
        wide = (WIDTH - 2 * EDGE) / ACROSS
        for place, card in enumerate(cards):
            row, column = divmod(place, ACROSS)
            high = space.height - sum(tall[:row])
            ax = space.axes(EDGE + column * wide, EDGE + (column + 1) * wide - 0.08, high - tall[row] + 0.07, high)
            ax.set_xticks([])
            ax.set_yticks([])
            for spine in ax.spines.values():
                spine.set_visible(False)
            ax.patch.set_facecolor("#f7f7f7")
            for number, (part, text) in enumerate(card):
                down = 1 - (0.06 + LINE * number) / (tall[row] - 0.07)
                ax.text(0.012, down, text, transform=ax.transAxes, va="top", size=5.9, **LOOKS[part])


LOOKS: dict[str, dict[str, Any]] = {
    "head": {"weight": "bold"},
    "asked": {"color": "#555555"},
    "reasoning": {"color": style.CONTROLS[BASELINE.key].ink, "style": "italic"},
    "answer": {},
}

FIG17 = Figure(
    name="fig17",
    paper="Fig 17 and 18",
    shows="one misaligned answer of the baseline an eval, chosen by its question: asked (grey), reasoning (slanted), answer",
    needs=(BASELINE,),
    bands=(Cards(BASELINE),),
    reading="Rule: of the shipped transcripts of the baseline at its last checkpoint the misaligned one of every eval, lowest seed;"
    " which are shipped is decided by the question's hash.",
)
