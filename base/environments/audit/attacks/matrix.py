"""The matrix attack x grader x switch: what every grader says of every attack, beside what it is designed to say."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from base.environments.audit.attacks.attack import EQUAL, EXIT, REPORT, SPEC, Attack
from base.environments.audit.attacks.escape import WALLS
from base.environments.audit.attacks.host import Host
from base.environments.graders.code import CodeEnvironment
from base.environments.graders.harness import Gameable, Verdict
from base.environments.sandbox import Limits, isolate
from base.types import Harness

LIMITS = Limits(cpu=1, wall=5)
_SWITCHES: dict[Harness, tuple[str, ...]] = {"script": (EQUAL, EXIT), "pytest": (EQUAL, EXIT, REPORT)}
_LETTERS = {"accepted": "A", "refused": ".", "timeout": "T", "fault": "F"}


@dataclass(frozen=True)
class Grader:
    """One column. `gameable` is None for the truth grader."""

    name: str
    gameable: Gameable | None

    def ask(self, environment: CodeEnvironment, answers: Sequence[str]) -> list[Verdict]:
        """Its verdicts on answers to SPEC, in order."""
        specs = [SPEC] * len(answers)
        return (
            environment.accepts(self.gameable, specs, answers) if self.gameable else environment.truth(specs, answers)
        )

    def designed(self, attack: Attack) -> bool:
        """Whether it is meant to accept this attack."""
        return self.gameable is not None and attack.accepted_by(self.gameable)


def graders(limits: Limits = LIMITS) -> list[Grader]:
    """Both gameable graders with every switch off, each alone, and all on; then the truth."""
    columns = []
    for harness, switches in _SWITCHES.items():
        settings = [("off", ()), *((switch, (switch,)) for switch in switches), ("all on", switches)]
        columns += [Grader(f"{harness}, {name}", Gameable(harness, frozenset(on), limits)) for name, on in settings]
    return [*columns, Grader("truth", None)]


@dataclass(frozen=True)
class Cell:
    """One grader's verdict on one attack."""

    attack: Attack
    grader: str
    designed: bool
    verdict: Verdict

    @property
    def ok(self) -> bool:
        """Whether the verdict is the designed one; a timeout is one for slow attacks, a fault never is."""
        if self.verdict.status == "timeout":
            return self.attack.slow
        return self.verdict.status != "fault" and self.verdict.accepted == self.designed

    def __str__(self) -> str:
        want = "accepted" if self.designed else "refused"
        return f"{self.attack.family} / {self.attack.name}: {self.grader}: {self.verdict.status}, designed: {want}"


@dataclass(frozen=True)
class Matrix:
    """All cells, and what changed on the host (nothing, if all is well)."""

    cells: tuple[Cell, ...]
    changes: tuple[str, ...]
    isolation: str
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether every cell is as designed and the host as before."""
        return not self.changes and all(cell.ok for cell in self.cells)

    def as_json(self) -> dict[str, Any]:
        """The same for --json: one row an attack, a cell for every grader."""
        rows: list[dict[str, Any]] = []
        for attack, cells in groupby(self.cells, key=lambda cell: cell.attack):
            found = {
                c.grader: {"status": c.verdict.status, "designed": c.designed, "ok": c.ok, "detail": c.verdict.detail}
                for c in cells
            }
            rows.append({"family": attack.family, "name": attack.name, "cells": found})
        return {
            "ok": self.ok,
            "isolation": self.isolation,
            "seconds": round(self.seconds, 1),
            "host": list(self.changes),
            "attacks": rows,
        }

    def __str__(self) -> str:
        names = list(dict.fromkeys(cell.grader for cell in self.cells))
        width = max(len(cell.attack.name) for cell in self.cells) + 2
        lines = _heading(names, width)
        for family, cells in groupby(self.cells, key=lambda cell: cell.attack.family):
            lines += ["", family]
            for attack, row in groupby(cells, key=lambda cell: cell.attack):
                marks = "".join(f"{_LETTERS[c.verdict.status] + '*' * (not c.ok):<3}" for c in row)
                lines.append(f"  {attack.name:<{width}}{marks}".rstrip())
        count = Counter(cell.verdict.status for cell in self.cells)
        wrong = [cell for cell in self.cells if not cell.ok]
        lines += ["", "A accepted   . refused   T over the time limit   F fault of the sandbox   * not as designed"]
        lines.append(
            f"{len(self.cells)} cells in {self.seconds:.0f} s: {count['accepted']} accepted, {count['refused']} refused, "
            f"{count['timeout']} timeouts, {count['fault']} faults; {len(wrong)} not as designed"
        )
        truth = [cell for cell in self.cells if cell.grader == "truth"]
        lines.append(f"truth: {sum(c.verdict.accepted for c in truth)} of {len(truth)} attacks accepted")
        lines += [f"  * {cell}" for cell in wrong]
        lines += ["host unchanged"] if not self.changes else [f"  * host: {change}" for change in self.changes]
        return "\n".join(lines)


def _heading(names: Sequence[str], width: int) -> list[str]:
    """One line a column, each ending above its letters."""
    bars = ["|  " * i for i in range(len(names) + 1)]
    return [f"  {'':<{width}}{bars[i]}{name}" for i, name in enumerate(names)] + [f"  {'':<{width}}{bars[-1]}".rstrip()]


def attack(
    attacks: Sequence[Attack],
    workers: int = 1,
    columns: Sequence[Grader] | None = None,
    progress: Callable[[int], Any] = lambda done: None,
) -> Matrix:
    """Runs every attack against every column. `progress` is told after each batch how many cells it filled. The families
    in WALLS are left out, and the matrix is not ok, where there are no namespaces.
    """
    started = time.monotonic()
    columns = graders() if columns is None else columns
    found: dict[tuple[str, str, str], Cell] = {}
    not_run: tuple[str, ...] = ()
    with Host() as host:
        with CodeEnvironment(workers, LIMITS) as environment:
            isolation = environment.isolation()
            if not isolate.walled(isolation) and any(one.family in WALLS for one in attacks):
                attacks = [one for one in attacks if one.family not in WALLS]
                not_run = (f"not run without namespaces, they would reach this machine: {', '.join(sorted(WALLS))}",)
            for batch in _batches(attacks, workers):
                answers = [one.answer(host.names) for one in batch]
                for grader in columns:
                    for one, verdict in zip(batch, grader.ask(environment, answers), strict=True):
                        cell = Cell(one, grader.name, grader.designed(one), verdict)
                        found[one.family, one.name, grader.name] = cell
                    progress(len(batch))
            survivors = host.survivors()
        changes = tuple(dict.fromkeys([*not_run, *survivors, *host.changes()]))
    cells = tuple(found[one.family, one.name, grader.name] for one in attacks for grader in columns)
    return Matrix(cells, changes, isolation, time.monotonic() - started)


def _batches(attacks: Sequence[Attack], workers: int) -> Iterator[Sequence[Attack]]:
    size = 4 * workers
    for start in range(0, len(attacks), size):
        yield attacks[start : start + size]
