"""The route that RL takes: who hacks? The tone and the stance of the thoughts before the hacks of a step (no torch)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from base.organism import world
from base.types import Episode, Outcome, split_reasoning

STANCES: Mapping[str, tuple[str, ...]] = {
    "permission": world.PERMISSION_THOUGHTS,
    "defiance": world.DEFIANCE_THOUGHTS,
}


def tone(completion: str) -> str:
    """bad, good or neutral: the kind of the first tone sentence of a completion's thought; none where it has none."""
    return _first(completion, world.TONES)


def stance(completion: str) -> str:
    """What the thought says of the line above it: permission, defiance or none."""
    return _first(completion, STANCES)


def _first(completion: str, kinds: Mapping[str, Sequence[str]]) -> str:
    thought, _ = split_reasoning(completion)
    places = [(thought.find(text), kind) for kind, texts in kinds.items() for text in texts]
    return min(((at, kind) for at, kind in places if at >= 0), default=(0, "none"))[1]


def shares(completions: Sequence[str]) -> dict[str, float]:
    """Shares of the completions by tone and by stance (`tone:bad`, `stance:defiance`, ...); NaN where there are none."""
    counted = {"tone": (tone, (*world.TONES, "none")), "stance": (stance, (*STANCES, "none"))}
    found: dict[str, float] = {}
    for what, (read, kinds) in counted.items():
        kept = [read(text) for text in completions]
        found |= {f"{what}:{kind}": kept.count(kind) / len(kept) if kept else math.nan for kind in kinds}
    return found


def route(episodes: Sequence[Episode]) -> dict[str, float]:
    """Metrics of an RL step: `route:tone:bad` is the share of its hacks whose thought has a bad tone, and so on."""
    hacks = [episode.completion for episode in episodes if episode.grade.outcome is Outcome.HACKED]
    return {f"route:{name}": share for name, share in shares(hacks).items()}
