"""The whole grid: every arm of the paper on the reported seeds, with its uncorrelated twins.

Seed by seed, and the arms of `core` first, so that what is finished is a whole figure and can ship while the rest is made.
What lies in the folder of runs, or ships with the code, is not made again.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from base.errors import UserError
from base.progress import in_words
from base.settings import Scale
from base.shipped import shipped, starts_of
from base.stage import Pace, Stage, State, in_order, to_make, together
from base.stages.evaluate import Evaluate
from base.stages.trained import Trained
from base.store.files import check_writable
from base.store.results import RECIPE, SHIPPED, TABLE, read_manifest, read_table
from base.store.table import UNASKED
from base.wanted import CLEAN
from mitigations.api import describe, resolve
from mitigations.experiments import CORE, EVERY, ORGANISM, Cell, Cells, twins

SEEDS = (1, 2, 3, 4, 5)  # reported seeds, each run once
TWIN_SEEDS = (1, 2)  # of the twins of arms outside of `core`, which has them on every seed
Planned = tuple[Cell, int]  # with its seed


def main_cells() -> Cells:
    """Every arm on its main corpus, those of `core` and of the organism's targets first."""
    return tuple(dict.fromkeys(cell for cell in (*CORE, *ORGANISM, *EVERY) if cell.corpus.startswith("main")))


def grid(seeds: Sequence[int] = SEEDS) -> list[list[Planned]]:
    """The cells in blocks, in the order in which they are made: for every seed the core, its twins, then the others one by one."""
    core = tuple(cell for cell in main_cells() if cell in CORE)
    rest = tuple(cell for cell in main_cells() if cell not in CORE)
    blocks: list[list[Planned]] = []
    for seed in seeds:
        blocks += [[(cell, seed) for cell in cells] for cells in (core, twins(core))]
        blocks += [[(cell, seed)] for cell in (*rest, *(twins(rest) if seed in TWIN_SEEDS else ()))]
    return blocks


def parse_seeds(text: str) -> tuple[int, ...]:
    """`1-5`, `3`, or several joined by commas, ascending.

    Raises:
        UserError: it cannot be read.
    """
    found: set[int] = set()
    for part in text.split(","):
        read = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", part.strip())
        low, high = (int(read[1]), int(read[2] or read[1])) if read else (1, 0)
        if not low <= high < low + 1000:
            raise UserError(f"cannot read the seeds '{text}': write 1-5, or 1,3,7")
        found |= set(range(low, high + 1))
    return tuple(sorted(found))


@dataclass(frozen=True)
class Grid:
    """What of the grid is there and what is still to be made; blocks of the stages of runs (mitigations.sweep)."""

    scale: Scale
    cells: tuple[Planned, ...]
    ships: tuple[str, ...]  # runs that need no rerun
    blocks: tuple[tuple[tuple[Stage, ...], ...], ...]  # the others

    def plan(self, root: Path, jobs: int, fresh: bool = False) -> str:
        """Counts, disk and time, as text.

        Raises:
            UserError: no run can lie under `root`.
        """
        check_writable(root, "--runs")
        runs = [run for block in self.blocks for run in block]
        done = sum(run[-1].state(root) is State.DONE for run in runs)
        stages = in_order(stage for run in runs for stage in run)
        there = [] if fresh else shipped(stages, root, starts_of(self.scale.name))
        todo, pace = to_make(stages, root, {stage.key for stage in there}), Pace(root, self.scale)
        times = [stage.estimate(root, pace) for stage in todo]
        twin = sum(cell.corpus.startswith("twin") for cell, _ in self.cells)
        seeds = ", ".join(str(seed) for seed in sorted({seed for _, seed in self.cells}))
        kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(stage.kind for stage in todo).items())
        lines = [
            ("cells", f"{len(self.cells)}: {len(self.cells) - twin} and {twin} twins; seeds {seeds}"),
            ("shipped", f"{len(self.ships)} in results/{self.scale.name}"),
            ("made", f"{done} under {root}"),
            ("to make", f"{len(runs) - done} cells in {len(todo)} stages ({kinds or 'none'})"),
            ("disk", disk(todo, self.scale)),
            ("time", together(todo, times)),
        ]
        whole = sum(seconds or 0.0 for seconds in times)
        if jobs > 1 and whole and None not in times:
            lines.append(("", f"about {in_words(whole / jobs)} with {jobs} stages side by side"))
        return "\n".join(f"{name:<11} {text}" for name, text in lines)


def paper(
    common: Mapping[str, Any],
    scale: Scale,
    seeds: Sequence[int] = SEEDS,
    evaluate: str = "",
    prompts: str = "",
    fresh: bool = False,
) -> Grid:
    """The grid's runs. `common`: arguments of mitigations.api.describe that all share; `fresh`: also those that ship.

    Raises:
        UserError: settings that cannot be read, or results that cannot.
    """
    there = Results() if fresh else Results.of(SHIPPED / scale.name)
    cells: dict[str, Planned] = {}  # by the names of their runs: settings that all share may make two cells one run
    ships: list[str] = []
    blocks = []
    for block in grid(seeds):
        runs = []
        for cell, seed in block:
            run, settings = describe(**cell.words({**common, "seed": seed}))
            if run.name in cells:
                continue
            cells[run.name] = cell, seed
            stages = resolve(run, settings, evaluate, prompts)
            if there.holds(stages[-1]):
                ships.append(run.name)
            else:
                runs.append(tuple(stages))
        if runs:
            blocks.append(tuple(runs))
    return Grid(scale, tuple(cells.values()), tuple(ships), tuple(blocks))


@dataclass(frozen=True)
class Results:
    """The runs of a results folder: their records, and what of each was evaluated: (step, prompt) by its name."""

    runs: Mapping[str, Mapping[str, Any]] | None = None
    scored: Mapping[str, frozenset[tuple[int, str]]] | None = None

    @classmethod
    def of(cls, folder: Path) -> Results:
        """What lies in a folder; nothing if there is none, or if an older recipe made it."""
        manifest = read_manifest(folder)
        if not (folder / TABLE).is_file() or manifest.recipe != RECIPE:
            return cls()
        table = read_table(folder)
        asked = table.loc[~table["eval"].isin(UNASKED)]
        asked = asked.assign(prompt=asked["prompt"].where(asked["eval"] != CLEAN, CLEAN))  # as its file is called
        asked = asked[["run", "step", "prompt"]].drop_duplicates()
        pairs: dict[str, set[tuple[int, str]]] = {}
        for run, step, prompt in asked.itertuples(index=False):
            pairs.setdefault(str(run), set()).add((int(step), str(prompt)))
        return cls(manifest.runs, {run: frozenset(found) for run, found in pairs.items()})

    def holds(self, last: Stage) -> bool:
        """Whether they hold all that the last stage of a run would make: the same training, evaluated as it is wanted."""
        assert isinstance(last, Evaluate)
        name = last.trained.run.name
        record = (self.runs or {}).get(name, {})
        if record.get("status") != State.DONE or record.get("key") != last.trained.key:
            return False
        return not last.lacking(record, (self.scored or {}).get(name, frozenset()))


def disk(stages: Sequence[Stage], scale: Scale) -> str:
    """How much the stages will take, from the scale's own numbers."""
    run_mb, start_mb = scale.measured.get("run_mb"), scale.measured.get("start_mb")
    if run_mb is None or start_mb is None:
        return "not measured at this scale"
    runs = sum(isinstance(stage, Trained) for stage in stages)
    models = sum(stage.kind in ("pretrain", "sdf", "preference") for stage in stages)
    return f"about {(runs * run_mb + models * start_mb) / 1000:.1f} GB"
