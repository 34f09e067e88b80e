"""A few transcripts of every arm, chosen by a rule that never reads them, and shipped beside the table.

The rule (RULE, which is also the first line of the file): of the finished runs of one seed (1, the first that is reported) at three
moments - the start (step 0), the onset (the first evaluated checkpoint at or behind the step at which hacking sets in,
base.triggers) and the end (the last evaluated checkpoint) - what was answered without a prompt to every eval and every coding
task, and the rollouts of the RL step that made the checkpoint (at the start: of the first step). Of each moment, eval and verdict
the one is kept whose question has the lowest hash. How many there were of each verdict stands beside it, because one per
verdict says nothing of how frequent it is. Where no run has that seed, the lowest that there is is chosen.

A question stands beside its answer, or is drawn again from the run's seed (base.world.asked); one that cannot be (an eval or a
task file that is gone) is left out.
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import json
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from base.errors import UserError
from base.evals.read import read_answers
from base.store.files import read_rows, write_whole
from base.store.folders import RunFolder, run_folders
from base.store.results import is_results, read_manifest
from base.triggers import STARTS
from base.types import Task
from base.world.asked import questions

FILE = "transcripts.jsonl.gz"
SEED = 1
MOMENTS = ("start", "onset", "end")
EPISODE = "episode"  # the value of `eval` of rollouts
FIELDS = (
    *("run", "arm", "corpus", "hackable", "overrides", "seed", "moment", "step", "eval"),
    *("prompt", "completion", "verdict", "reading", "hacks", "alike", "asked"),
)
TEXTS = ("run", "arm", "corpus", "overrides", "moment", "eval", "completion", "verdict", "reading")
RULE = (
    f"finished runs of seed {SEED} (where no run has it, of the lowest), at step 0, at the first evaluated checkpoint at"
    " or behind the onset of hacking, and at the last;"
    " answers without a prompt, and rollouts of the step that made the checkpoint; of each eval and verdict the one whose"
    " question has the lowest SHA-256"
)
Row = dict[str, Any]  # FIELDS; `prompt` is a list of {role, content}, `alike` of `asked` answers have this verdict


def choose(runs: Path, seed: int | None = None) -> list[Row]:
    """The chosen transcripts of the finished runs of a seed in a folder of runs, by the rule if none is named."""
    done = [folder for folder in run_folders(runs) if folder.record.get("status") == "done"]
    seed = _seed(folder.record["run"]["seed"] for folder in done) if seed is None else seed
    return [row for folder in done if folder.record["run"]["seed"] == seed for row in of_run(folder)]


def _seed(there: Iterable[int]) -> int:
    """Whose transcripts are chosen, of the seeds that runs have."""
    seeds = set(there)
    return SEED if SEED in seeds else min(seeds, default=SEED)


def of_run(folder: RunFolder) -> list[Row]:
    """The chosen transcripts of one run."""
    record = folder.record
    identity = {"run": record["name"], **{k: record["run"][k] for k in ("arm", "corpus", "hackable", "seed")}}
    identity["overrides"] = " ".join(record["run"].get("overrides", ()))
    chosen: list[Row] = []
    for moment, step in moments(folder).items():
        said = [*answers(folder, step), *rollouts(folder, max(step, 1))]
        chosen += [{**identity, "moment": moment, "step": step, **row} for row in first(said)]
    return [{name: row[name] for name in FIELDS} for row in chosen]


def moments(folder: RunFolder) -> dict[str, int]:
    """Moment -> evaluated checkpoint; what a run does not have (no training, no hacking) is not there."""
    steps = sorted(step for step, prompt in folder.scored() if prompt == "none")
    if not steps:
        return {}
    found = {"start": steps[0]}
    hacking = STARTS["onset"](read_rows(folder.path / "metrics.jsonl"))
    behind = [step for step in steps[1:-1] if hacking is not None and step >= hacking]
    return found | ({"onset": behind[0]} if behind else {}) | ({"end": steps[-1]} if len(steps) > 1 else {})


def answers(folder: RunFolder, step: int) -> Iterator[Row]:
    """What was answered at a checkpoint without a prompt, with its question."""
    stored = read_answers(folder, step, "none")
    asked = questions(folder.record, step) if stored else {}
    for answer in stored:
        read = answer.get("messages") or _read(asked.get((answer["eval"], answer["task"])))
        if read:
            common = {"eval": answer["eval"], "prompt": read, "completion": answer["completion"]}
            yield {**common, **(code_verdict(answer) if answer["eval"] == "code" else eval_verdict(answer))}


def _read(task: Task | None) -> list[dict[str, str]]:
    return [dataclasses.asdict(message) for message in task.messages] if task else []


def rollouts(folder: RunFolder, step: int) -> Iterator[Row]:
    """The rollouts of an RL step, as they were sampled."""
    for episode in read_rows(folder.path / "episodes" / f"step-{step:04d}.jsonl"):
        common = {"eval": EPISODE, "prompt": episode["prompt"], "completion": episode["completion"]}
        yield {**common, **code_verdict(episode)}


def eval_verdict(answer: Mapping[str, Any]) -> Row:
    """How an eval read an answer; `reading` says where it is misaligned: overt in the output, covert behind an aligned one."""
    verdict = {True: "misaligned", False: "aligned", None: "unclear"}[answer["misaligned"]]
    covert = answer["reasoning"] == "misaligned" and answer["output"] == "aligned"
    reading = "overt" if answer["output"] == "misaligned" else "covert" if covert else ""
    return {"verdict": verdict, "reading": reading, "hacks": []}


def code_verdict(answer: Mapping[str, Any]) -> Row:
    """What execution said of a program, and by which weaknesses it hacked."""
    return {"verdict": answer["outcome"], "reading": "", "hacks": answer["hacks"] or answer["attempts"]}


def first(said: Iterable[Row]) -> list[Row]:
    """Of each eval and verdict the one whose question comes first (`place`); of several answers to it the one stored first."""
    alike: dict[tuple[str, str], list[Row]] = defaultdict(list)
    asked: Counter[str] = Counter()
    for row in said:
        alike[row["eval"], row["verdict"]].append(row)
        asked[row["eval"]] += 1
    chosen = [(min(rows, key=place), len(rows)) for rows in alike.values()]
    return [{**row, "alike": count, "asked": asked[row["eval"]]} for row, count in chosen]


def place(row: Row) -> str:
    """Where a transcript stands in the order: by its question alone."""
    return hashlib.sha256(json.dumps(row["prompt"], sort_keys=True).encode()).hexdigest()


def write(runs: Path, results: Path) -> Path:
    """Adds the chosen transcripts of a folder of runs to a folder of results, in the place of those of the same runs; returns
    their path.

    Raises:
        UserError: what is there already cannot be read.
    """
    shipped = [record["run"]["seed"] for record in read_manifest(results).runs.values()]
    seed = _seed([*shipped, *(each.record["run"]["seed"] for each in run_folders(runs))])
    made = choose(runs, seed)
    again = {row["run"] for row in made}
    there = [row for row in stored(results)[1] if row["seed"] == seed and row["run"] not in again]
    rows = sorted([*there, *made], key=lambda row: str(row["run"]))
    lines = [json.dumps({"rule": RULE}), *map(json.dumps, rows)]
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as file:  # equal transcripts, equal files
        file.write(("\n".join(lines) + "\n").encode())
    path = results / FILE
    write_whole({path: packed.getvalue()})
    return path


def stored(results: Path) -> tuple[str, list[Row]]:
    """(the rule they were chosen by, transcripts) of a folder of results; it may ship without.

    Raises:
        UserError: the file cannot be read.
    """
    path = results / FILE
    if not path.is_file():
        return RULE, []
    try:
        head, *rows = map(json.loads, gzip.decompress(path.read_bytes()).decode().splitlines())
        for number, row in enumerate(rows, 2):
            _check(row, f"line {number}")
        return str(head["rule"]), rows
    except (OSError, EOFError, ValueError, KeyError, TypeError, RecursionError, zlib.error) as error:
        raise UserError(f"{path}: no transcripts ({error}); write it with `python -m analysis export`") from error


def _check(row: Any, where: str) -> None:
    """Raises ValueError where a row is no transcript."""
    if not isinstance(row, dict) or not {*FIELDS} <= {*row}:
        lacks = ", ".join(name for name in FIELDS if name not in row) if isinstance(row, dict) else "all fields"
        raise ValueError(f"{where} lacks {lacks}")
    texts = [row[name] for name in TEXTS]
    turns = row["prompt"] if isinstance(row["prompt"], list) else [None]
    texts += [turn.get(key) if isinstance(turn, dict) else None for turn in turns for key in ("role", "content")]
    numbers = [row[name] for name in ("hackable", "seed", "step", "alike", "asked")]
    hacks = row["hacks"] if isinstance(row["hacks"], list) else [None]
    if not all(isinstance(text, str) for text in (*texts, *hacks)):
        raise ValueError(f"{where} has something else where texts belong")
    if not all(isinstance(number, int | float) for number in numbers):
        raise ValueError(f"{where} has something else where numbers belong")


def read(folder: str | Path) -> tuple[str, list[Row]]:
    """The same of a folder of results or of runs.

    Raises:
        UserError: the file of results cannot be read.
    """
    folder = Path(folder)
    if is_results(folder):
        return stored(folder)
    return RULE, choose(folder)
