"""What the arms that imitate episodes imitated: how many rollouts were read, and what each filter dropped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis import labels
from analysis.conditions import found
from analysis.evidence import Evidence
from analysis.tabular import Row

# Heading -> the filter whose share it is, in their order: each share is of what reached the filter.
DROPPED = {"repetitions": "repetitions", "hacks": "NoHacks", "words": "NoWords", "not paid in full": "Rewarded"}


def rows(evidence: Evidence) -> list[Row]:
    """A row for every arm on the main corpus, its numbers seed by seed; shares in per cent."""
    made: list[Row] = []
    arms = sorted((c for c in found(evidence.table) if c.corpus == "main"), key=lambda c: labels.order(c.arm, c.label))
    for arm in arms:
        runs = sorted(set(arm(evidence.outline)["run"].astype(str)), key=lambda run: (len(run), run))
        known = [episodes for run in runs if (episodes := evidence.records.get(run, {}).get("episodes"))]
        if known:
            made.append({"arm": arm.label, **_row(known)})
    return made


def _row(known: list[Mapping[str, Any]]) -> Row:
    shares = {name: [each["dropped"].get(kind) for each in known] for name, kind in DROPPED.items()}
    return {
        "rollouts read": _joined(f"{each['rollouts']:,}" for each in known),
        **{
            name: _joined("-" if not one else f"{100 * one['share']:.1f}" for one in each)
            for name, each in shares.items()
        },
        "mean step": _joined(f"{each['mean_step']:.0f}" for each in known),
    }


def _joined(texts: Any) -> str:
    """Once where they are all equal, otherwise `a / b / c`."""
    each = list(texts)
    return each[0] if len(set(each)) == 1 else " / ".join(each)
