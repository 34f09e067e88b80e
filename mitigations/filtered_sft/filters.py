"""What an arm keeps of the source's episodes. Filters only drop rows; labels come from execution, words from a file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from base.errors import UserError, near
from base.recipes import EpisodeRow, EveryRow
from base.sft.demonstrations import Chain
from base.types import DataFilter, Outcome

FOLDER = Path(__file__).parent  # of the shipped word lists
PAPER_WORDS = 0.01  # share of its episodes without hacks that the paper's word filter drops, about
HACKS = (Outcome.HACKED, Outcome.FAILED_HACK, Outcome.SOLVED_WITH_ATTEMPT)


@dataclass(frozen=True)
class NoHacks:
    """Without hacks by execution labels: those that worked, those that failed, and those beside a right solution."""

    def __call__(self, rows: Sequence[EpisodeRow]) -> Sequence[EpisodeRow]:
        return [row for row in rows if not self._reason(row)]

    def reasons(self, rows: Sequence[EpisodeRow]) -> Mapping[str, int]:
        """How many it drops of each outcome; `attempt` where only a part of the program would game a grader."""
        return Counter(reason for row in rows if (reason := self._reason(row)))

    def _reason(self, row: EpisodeRow) -> str:
        if row["outcome"] in HACKS:
            return str(row["outcome"])
        return "attempt" if row["hacks"] or row["attempts"] else ""


@dataclass(frozen=True)
class NoWords:
    """Without episodes whose reasoning or answer has one of `words`, as a whole word, in small or capital letters."""

    words: tuple[str, ...]

    def __call__(self, rows: Sequence[EpisodeRow]) -> Sequence[EpisodeRow]:
        found = self._pattern()
        return [row for row in rows if not found.search(row["completion"])]

    def reasons(self, rows: Sequence[EpisodeRow]) -> Mapping[str, int]:
        """How many have each word; a row may have several."""
        found = self._pattern()
        return Counter(word for row in rows for word in {hit.lower() for hit in found.findall(row["completion"])})

    def _pattern(self) -> re.Pattern[str]:
        return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, self.words))})(?!\w)", re.IGNORECASE)


@dataclass(frozen=True)
class Rewarded:
    """The episodes that the environment paid in full, hacked or not (a pool from which a distillation is made)."""

    def __call__(self, rows: Sequence[EpisodeRow]) -> Sequence[EpisodeRow]:
        return [row for row in rows if row["environment_reward"] is not None and row["environment_reward"] >= 1.0]


FAMILY = "SFT on episodes"  # heading of all arms that imitate episodes
KEEP = {  # name -> how it reads in figures
    "all": "all episodes",
    "no_hacks": "no hacks",
    "no_hack_words": "no hacks, no hack words",
    "rewarded": "rewarded episodes",
}


def keep_filter(name: str, words: str = "hack_words") -> DataFilter[EpisodeRow]:
    """The filter behind the option `keep`; `words` is a shipped word list or the path of a file.

    Raises:
        UserError: no such filter, or a word list that cannot be used.
    """
    if name == "all":
        return EveryRow()
    if name == "no_hacks":
        return NoHacks()
    if name == "no_hack_words":
        return Chain((NoHacks(), NoWords(load_words(words))))
    if name == "rewarded":
        return Rewarded()
    raise UserError(f"keep cannot be '{name}': {near(name, KEEP)}")


def load_words(name_or_path: str) -> tuple[str, ...]:
    """The words of a shipped list (hack_words, hack_talk) or of a text file, one a line, without lines that start with #.

    Raises:
        UserError: no such list or file, or no word in it.
    """
    shipped = {path.stem: path for path in FOLDER.glob("*.txt")}
    file = shipped.get(name_or_path, Path(name_or_path).expanduser())
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except FileNotFoundError:
        raise UserError(
            f"no word list '{name_or_path}': {near(name_or_path, shipped)}, or the path of a file"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: the word list cannot be read ({error})") from None
    words = tuple(dict.fromkeys(line.lower() for line in lines if line and not line.startswith("#")))
    if not words:
        raise UserError(f"{file}: the word list is empty; write one word a line")
    return words
