"""Run folders: one run's artifacts."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from base.errors import UserError
from base.run import Run
from base.settings import Scale
from base.spec import content_key
from base.types import Episode

if TYPE_CHECKING:
    pass
from base.store.files import _plain, read_rows, write_json, write_rows
from base.store.provenance import diff, provenance


@dataclass(frozen=True)
class RunFolder:
    """One run's artifacts."""

    path: Path

    @property
    def record(self) -> dict[str, Any]:
        file = self.path / "run.json"
        return dict(json.loads(file.read_text())) if file.exists() else {}

    @property
    def done(self) -> bool:
        return self.record.get("status") == "done"

    def open(self, run: Run, scale: Scale, mitigation: Any, claim: bool = True) -> None:
        """Claims the folder for this run, or continues it; without `claim`, only checks that it is this run's.

        Raises:
            UserError: the folder holds a run made with other settings; nothing is overwritten.
        """
        settings = dataclasses.replace(scale, measured={})  # estimates are no settings
        identity = json.loads(json.dumps({"run": run, "scale": settings}, default=_plain))
        old = self.record
        if old and {key: old.get(key) for key in identity} != identity:
            changed = content_key(old.get("scale")) != content_key(identity["scale"])
            raise UserError(
                f"{self.path} holds a run made with other {'scale settings' if changed else 'options'}: "
                "move it away, or choose another folder with --runs"
            )
        if not claim:
            return
        made = provenance()
        if old:
            sessions = old.get("sessions", [])
            self.update(status="running", sessions=[*sessions, made])
            return
        write_json(
            self.path / "run.json",
            {**identity, "name": run.name, "mitigation": repr(mitigation), "status": "running", "sessions": [made]},
        )
        if made["dirty"]:
            (self.path / "diff.patch").write_text(diff())

    def update(self, **changes: Any) -> None:
        """Sets fields of run.json."""
        write_json(self.path / "run.json", {**self.record, **changes})

    def add_seconds(self, stage: str, seconds: float) -> None:
        """Adds wall time to a stage (a resumed stage adds up)."""
        wall = dict(self.record.get("seconds", {}))
        wall[stage] = round(wall.get(stage, 0.0) + seconds, 1)
        self.update(seconds=wall)

    def write_metrics(self, step: int, metrics: Mapping[str, float | None]) -> None:
        """One row a step; later rows than this step (of an interrupted run) are dropped."""
        path = self.path / "metrics.jsonl"
        kept = [row for row in read_rows(path) if row["step"] < step]
        write_rows(path, [*kept, {"step": step, **metrics}])

    def write_episodes(self, step: int, episodes: Sequence[Episode]) -> None:
        """All rollouts of one step: what was read and written, the outcome, both rewards and every term."""
        write_rows(self.path / "episodes" / f"step-{step:04d}.jsonl", map(episode_row, episodes))

    def episodes(self) -> Iterator[dict[str, Any]]:
        """Stored rollouts in order."""
        for path in sorted((self.path / "episodes").glob("step-*.jsonl")):
            yield from read_rows(path)

    def checkpoints(self) -> dict[int, Path]:
        """Step -> checkpoint folder, in order."""
        found = sorted((self.path / "checkpoints").glob("step-*"))
        return {int(path.name.split("-")[1]): path for path in found}

    def write_scores(self, step: int, rows: Sequence[Mapping[str, Any]], answers: Sequence[Mapping[str, Any]]) -> None:
        """The evaluation of one checkpoint; evaluating it again replaces it."""
        write_rows(self.path / "answers" / f"step-{step:04d}.jsonl", answers)
        write_rows(self.path / "scores" / f"step-{step:04d}.jsonl", ({"step": step, **row} for row in rows))

    def scores(self) -> Iterator[dict[str, Any]]:
        """Score rows of every evaluated checkpoint, in order."""
        for path in sorted((self.path / "scores").glob("step-*.jsonl")):
            yield from read_rows(path)

    def scored_steps(self) -> set[int]:
        return {int(path.stem.split("-")[1]) for path in (self.path / "scores").glob("step-*.jsonl")}


def episode_row(episode: Episode) -> dict[str, Any]:
    """An episode as one flat JSON row."""
    return {
        "step": episode.step,
        "task": episode.task.id,
        "environment": episode.task.environment,
        "prompt": [dataclasses.asdict(message) for message in episode.prompt],
        "completion": episode.completion,
        "outcome": str(episode.grade.outcome),
        "hacks": list(episode.grade.hacks),
        "attempts": list(episode.grade.attempts),
        "detail": episode.grade.detail,
        "environment_reward": episode.environment_reward,
        "scores": dict(episode.scores),
        "reward_terms": dict(episode.reward_terms),
        "train_reward": episode.train_reward,
    }


def run_folders(root: Path) -> list[RunFolder]:
    """Runs and scored shared stages under `root`."""
    found = [*root.glob("*/run.json"), *root.glob("shared/*/run.json")]
    return [RunFolder(path.parent) for path in sorted(found)]


@contextmanager
def timed(folder: RunFolder, stage: str, main: bool = True) -> Iterator[None]:
    """Adds the wall time of the block to the run record (on the main rank)."""
    start = time.perf_counter()
    try:
        yield
    finally:
        if main:
            folder.add_seconds(stage, time.perf_counter() - start)
