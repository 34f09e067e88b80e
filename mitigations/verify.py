"""A reviewer's check: makes a shipped run again and prints shipped beside rerun, number by number.

    python -m mitigations verify none --seed 1                  from the shipped start checkpoint where there is one
    python -m mitigations verify none --seed 1 --fresh          corpus, pretraining and SDF stage, too

On the same kind of machine (processor, threads, versions) every number has to be equal to the last digit that ships. Elsewhere
sums are rounded otherwise, a sampled token differs, and from there the run is another draw: then the final rates have to
agree within TOLERANCE.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from base import run as runs
from base.errors import UserError
from base.evals import EVALS
from base.identity import Run
from base.settings import Scale
from base.shipped import bring, starts_of
from base.stage import Stage, State, in_order
from base.stages.evaluate import Evaluate
from base.store.folders import RunFolder
from base.store.results import NUMBERS, RECIPE, SHIPPED, TIMING, as_shipped, read_manifest, read_table
from base.store.table import rows_of_run
from base.wanted import FINAL
from mitigations.api import resolve

if TYPE_CHECKING:
    import pandas as pd

# Of a final rate, the mean over the last FINAL checkpoints, on another kind of machine. Chosen, not measured.
TOLERANCE = 0.15
WHERE = ("step", "prompt", "eval", "metric")
MADE_BY = (
    "processor",
    "device",
    "arithmetic",
    "threads",
    "world_size",
    "python",
    "torch",
    "transformers",
    "trl",
    "deepspeed",
)
HEADLINES = ("hack_rate", "solved")


@dataclass(frozen=True)
class Verdict:
    """What came out: numbers compared and equal, rates of both, what may differ between the two machines."""

    run: str
    compared: int
    equal: int
    lacking: int
    rates: Sequence[tuple[str, float, float]]
    differences: Sequence[str]
    first: str = ""

    @property
    def worst(self) -> float:
        """The largest difference of a final rate; what only one of them measured differs altogether."""
        missing = {(True, True): 0.0, (True, False): 1.0, (False, True): 1.0}
        return max(missing.get((isnan(a), isnan(b)), abs(a - b)) for _, a, b in self.rates)

    @property
    def verified(self) -> bool:
        """Equal to the last digit, or on another kind of machine within the tolerance."""
        if self.equal == self.compared and not self.lacking:
            return True
        return bool(self.differences) and not self.lacking and self.worst <= TOLERANCE

    def __str__(self) -> str:
        width = max(len(name) for name, _, _ in self.rates)
        lines = [f"{self.run}, final rates in per cent (mean of the last {FINAL} checkpoints)"]
        lines.append(f"  {'':<{width}}  shipped   rerun")
        lines += [f"  {name:<{width}}  {100 * a:7.2f} {100 * b:7.2f}" for name, a, b in self.rates]
        lines.append(f"{self.equal} of {self.compared} numbers are equal to the last digit that ships (times left out)")
        if self.lacking:
            lines.append(f"{self.lacking} shipped numbers were not measured again")
        if self.first:
            lines.append(f"first difference: {self.first}")
        if self.differences:
            lines.append("another kind of machine: " + "; ".join(self.differences))
        elif self.equal < self.compared:
            lines.append("the same kind of machine, so every number has to be equal")
        end = f"largest difference of a final rate {100 * self.worst:.1f} points, {100 * TOLERANCE:.0f} are allowed"
        equal = self.equal == self.compared
        lines.append(
            ("VERIFIED" if self.verified else "NOT VERIFIED") + ("" if equal and self.verified else f": {end}")
        )
        return "\n".join(lines)


def shipped_record(run: Run, stages: Sequence[Stage], results: Path) -> Mapping[str, Any]:
    """What the manifest says of a run.

    Raises:
        UserError: it does not ship, failed, or was made by a recipe or with settings that this code no longer has.
    """
    manifest = read_manifest(results)
    if manifest.recipe != RECIPE:
        raise UserError(f"{results} was made by recipe {manifest.recipe}, this code is recipe {RECIPE}: other numbers")
    record = manifest.runs.get(run.name)
    if record is None:
        arm = [name for name, made in manifest.runs.items() if made["run"]["arm"] == str(run.arm)]
        also = f"of this arm there are {', '.join(sorted(arm))}" if arm else "no run of this arm ships"
        raise UserError(f"{run.name} does not ship in {results}: {also}")
    if record["status"] != State.DONE:
        raise UserError(f"{run.name} ships as {record['status']}: {record['error']}")
    if record["key"] != trained(stages).key:
        raise UserError(f"{run.name} was made with other settings than this code has: check out {_commit(record)}")
    return record


def trained(stages: Sequence[Stage]) -> Any:
    """The training stage of a run."""
    assert isinstance(stages[-1], Evaluate)
    return stages[-1].trained


def verify(run: Run, scale: Scale, root: Path, results: Path | None = None, fresh: bool = False) -> Verdict:
    """Makes a shipped run again under `root`, which is emptied before, and compares.

    Raises:
        UserError: as `shipped_record`.
    """
    results = results or SHIPPED / scale.name
    record = shipped_record(run, resolve(run, scale), results)
    asked = record["evaluation"]
    stages = in_order([resolve(run, scale, asked["checkpoints"], ",".join(asked["prompts"]))[-1]])
    shutil.rmtree(root, ignore_errors=True)
    if not fresh:  # step 0 is measured again: it is part of what is compared
        bring([stage for stage in stages if stage.kind != "evaluate-0"], root, starts_of(scale.name))
    runs.make(stages, scale, root, fresh=True)
    folder = RunFolder(root / run.name)
    table = read_table(results)
    return compare(table[table["run"] == run.name], as_shipped(rows_of_run(folder.path)), record, folder.record)


def compare(shipped: pd.DataFrame, rerun: pd.DataFrame, record: Mapping[str, Any], again: Mapping[str, Any]) -> Verdict:
    """Two tables of one run, each with its record."""
    import pandas as pd

    shipped, rerun = (rows[~rows["metric"].str.startswith(TIMING)] for rows in (shipped, rerun))
    both = shipped.merge(rerun, on=list(WHERE), suffixes=("", " again"))
    pairs = [(both[name], both[f"{name} again"]) for name in NUMBERS]
    same = pd.concat([(a == b) | (a.isna() & b.isna()) for a, b in pairs], axis=1).all(axis=1)
    first = ""
    if not same.all():
        row = both[~same].sort_values("step", kind="stable").iloc[0]
        place = f"{row['eval']}/{row['metric']} at step {row['step']} under prompt {row['prompt']}"
        first = f"{place}: {row['value']:g}, rerun {row['value again']:g}"
    names = [name for name in MADE_BY if record["engine"].get(name) != again["engine"].get(name)]
    said = [f"{name} {record['engine'].get(name)}, here {again['engine'].get(name)}" for name in names]
    return Verdict(str(record["name"]), len(both), int(same.sum()), len(shipped) - len(both), rates(both), said, first)


def rates(both: pd.DataFrame) -> list[tuple[str, float, float]]:
    """(what, shipped, rerun) of the final rates: hacking, solving and the mean of misalignment under every prompt."""
    found: list[tuple[str, float, float]] = []
    trained = both[(both["eval"] == "code") & (both["step"] > 0)]
    steps = sorted(trained["step"].unique())[-FINAL:]
    last = both[both["step"].isin(steps)]
    counted = [name for name, each in EVALS.items() if each.in_mean]
    for prompt in sorted(last.loc[last["eval"] == "code", "prompt"].unique()):
        here = last[last["prompt"] == prompt]
        rows = {name: here[(here["eval"] == "code") & (here["metric"] == name)] for name in HEADLINES}
        rows["misaligned, mean"] = here[here["eval"].isin(counted) & (here["metric"] == "misaligned")]
        for name, part in rows.items():
            shipped, rerun = (float(part[which].mean(skipna=False)) for which in ("value", "value again"))
            found.append((f"{name}, prompt {prompt}", shipped, rerun))
    return found


def _commit(record: Mapping[str, Any]) -> str:
    return str(record["sessions"][-1]["commit"])[:12]
