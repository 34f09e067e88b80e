"""Score rows to the tracker that the stage reports to: each once, and again where they have changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from base.engine.trackers import tracked
from base.spec import content_key
from base.store.files import read_json, write_json
from base.store.folders import RunFolder

SENT = "sent.json"  # (step, prompt) -> hash of the rows that were sent


def report_scores(folder: RunFolder) -> None:
    """Sends what a run's folder holds and the tracker has not got, as `eval/PROMPT/EVAL/METRIC` at the checkpoint's step."""
    if (at := tracked()) is None:
        return
    file = at.folder / SENT
    sent = read_json(file)
    for step, prompt in sorted(folder.scored()):
        rows = folder.scores_of(step, prompt)
        if sent.get(place := f"{step}/{prompt}") != (new := content_key(rows)[:16]):
            at.log(step, numbers(rows))
            sent[place] = new
            write_json(file, sent)


def numbers(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Score rows by the names that they have in a tracker."""
    return {f"eval/{row['prompt']}/{row['eval']}/{row['metric']}": row["value"] for row in rows}
