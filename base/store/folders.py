"""Run folders: one run's artifacts."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from base.errors import UserError
from base.identity import Run
from base.settings import Scale
from base.store.files import MAKE_AGAIN, read_json, read_rows, remove_leftovers, write_json, write_rows
from base.store.provenance import diff, provenance
from base.store.results import RECIPE
from base.types import Episode

RECORDED = {"name": str, "run": dict, "scale": dict}  # what every record has from the beginning
STEP = re.compile(r"step-(\d+)")


@dataclass(frozen=True)
class RunFolder:
    """One run's artifacts."""

    path: Path

    @property
    def record(self) -> dict[str, Any]:
        """What run.json says; empty where there is none.

        Raises:
            UserError: it is not the record of a run.
        """
        file = self.path / "run.json"
        record = read_json(file, MAKE_AGAIN)
        lacking = [name for name, kind in RECORDED.items() if not isinstance(record.get(name), kind)]
        if lacking and file.exists():
            raise UserError(f"{file} is not the record of a run (it lacks {', '.join(lacking)}): {MAKE_AGAIN}")
        return record

    def check(self, key: str) -> None:
        """That it holds the run whose training stage has this key, or nothing yet.

        Raises:
            UserError: it holds another run; nothing is overwritten.
        """
        if self.record.get("key", key) != key:
            raise UserError(
                f"{self.path} holds a run that was made with other settings, of an edited scale, task set or checkpoint: "
                "move it away, or choose another folder with --runs"
            )

    def open(self, run: Run, scale: Scale, key: str) -> None:
        """Begins or continues the run whose training stage has this key: identity, settings and provenance.

        Raises:
            UserError: as `check`.
        """
        self.check(key)
        remove_leftovers(self.path)
        made = provenance()
        old = self.record or _identity(run, scale, key)
        write_json(
            self.path / "run.json", {**old, "status": "running", "error": None, "sessions": [*old["sessions"], made]}
        )
        if made["dirty"] is not False:
            (self.path / "diff.patch").write_text(diff(), encoding="utf-8")

    def fail(self, run: Run, scale: Scale, key: str, error: str) -> None:
        """Leaves an error row in the place of a run, even if nothing of it could be made."""
        write_json(
            self.path / "run.json", {**(self.record or _identity(run, scale, key)), "status": "failed", "error": error}
        )

    def update(self, **changes: Any) -> None:
        """Sets fields of run.json."""
        write_json(self.path / "run.json", {**self.record, **changes})

    def checkpoint(self, step: int) -> Path:
        """Where the checkpoint of a step lies."""
        return self.path / "checkpoints" / f"step-{step:04d}"

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
        return {_step(path): path for path in found}

    def write_scores(
        self, step: int, prompt: str, rows: Sequence[Mapping[str, Any]], answers: Sequence[Mapping[str, Any]]
    ) -> None:
        """The evaluation of one checkpoint under one prompt; evaluating it again replaces it."""
        place = _place(step, prompt)
        (self.path / "verdicts" / place).unlink(missing_ok=True)  # they were on other answers
        write_rows(self.path / "answers" / place, answers)
        self.rewrite_scores(step, prompt, rows)

    def rewrite_scores(self, step: int, prompt: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Other score rows of the same answers."""
        write_rows(self.path / "scores" / _place(step, prompt), ({"step": step, **row} for row in rows))

    def drop_scores(self, prompt: str = "*") -> None:
        """Forgets every evaluation, or those under one prompt."""
        for kind in ("scores", "answers", "verdicts"):
            for path in (self.path / kind).glob(f"step-*/{prompt}.jsonl"):
                path.unlink()

    def scores_of(self, step: int, prompt: str) -> list[dict[str, Any]]:
        """Score rows of one checkpoint under one prompt."""
        return read_rows(self.path / "scores" / _place(step, prompt))

    def answers(self, step: int, prompt: str) -> list[dict[str, Any]]:
        """Stored answers of one checkpoint under one prompt."""
        return read_rows(self.path / "answers" / _place(step, prompt))

    def verdicts(self, step: int, prompt: str) -> list[dict[str, Any]]:
        """What judges said of these answers; empty where none was asked."""
        return read_rows(self.path / "verdicts" / _place(step, prompt))

    def judgements(self, step: int, prompt: str) -> dict[str, list[dict[str, Any]]]:
        """The same by judge: those that the run was last judged by, in order; empty where none was asked."""
        rows, judges = self.verdicts(step, prompt), self.record.get("judged", {}).get("judges", ())
        by: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for row in rows:
            by.setdefault((row["model"], row["config"]), []).append(row)
        return {judge["name"]: by.get((judge["model"], judge["config"]), []) for judge in judges if rows}

    def has_verdicts(self, step: int, prompt: str) -> bool:
        """Whether judges were asked."""
        return (self.path / "verdicts" / _place(step, prompt)).is_file()

    def write_verdicts(self, step: int, prompt: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """What judges said of the answers of one checkpoint under one prompt."""
        write_rows(self.path / "verdicts" / _place(step, prompt), rows)

    def scores(self) -> Iterator[dict[str, Any]]:
        """Score rows of every evaluated checkpoint, in order of steps."""
        for step, prompt in sorted(self.scored()):
            yield from self.scores_of(step, prompt)

    def scored(self) -> set[tuple[int, str]]:
        """(step, prompt) of every evaluation; step 0 is the policy before training."""
        found = (self.path / "scores").glob("step-*/*.jsonl")
        return {(_step(path.parent), path.stem) for path in found}

    def scored_steps(self) -> set[int]:
        """Steps that were evaluated under some prompt."""
        return {step for step, _ in self.scored()}


def _step(folder: Path) -> int:
    """The step of a folder's name.

    Raises:
        UserError: it is none that a run made.
    """
    named = STEP.fullmatch(folder.name)
    if not named:
        raise UserError(
            f"{folder} is no step of a run (those are called like step-0004): move it out of the run's folder"
        )
    return int(named[1])


def _place(step: int, prompt: str) -> Path:
    return Path(f"step-{step:04d}") / f"{prompt}.jsonl"


def _identity(run: Run, scale: Scale, key: str) -> dict[str, Any]:
    """What run.json begins with."""
    return {
        "recipe": RECIPE,
        "run": run.record(),
        "scale": dataclasses.replace(scale, measured={}),  # estimates are no settings
        "name": run.name,
        "key": key,
        "sessions": [],
    }


def episode_row(episode: Episode) -> dict[str, Any]:
    """An episode as one flat JSON row."""
    return {
        "step": episode.step,
        "task": episode.task.id,
        "environment": episode.task.environment,
        "as_written": episode.task.as_written,
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
