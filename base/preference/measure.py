"""What a preference model gets right and wrong."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

from base.models.load import load_tokenizer
from base.preference.pairs import Pair, Probe
from base.preference.scorer import CLIP, PreferenceScorer, encode, load_reward_model, noise_of, raw_scores

BINS = 5  # of the reliability table, over confidences .5 to 1


NOISES = (0.0, 0.5, 1.0, 2.0)  # levels of score noise whose accuracy is stored


def measure(
    path: Path, held_out: Sequence[Pair], probes: Sequence[Probe], max_length: int, device: str
) -> dict[str, Any]:
    """What the preference model at `path` gets right and wrong on held-out pairs and on programs of every sort.

    accuracy: share of pairs whose chosen answer scores higher, by group and kind. calibration: accuracy against the
    confidence sigmoid(|margin|). classifier: a score below 0, half way between the mean chosen and the mean rejected
    answer, read as "rejected". programs: by sort, the mean score and the share scored above the right program.
    """
    model = load_reward_model(path).eval().to(device)
    tokenizer = load_tokenizer(path)
    texts = [
        encode(tokenizer, pair.prompt, answer, max_length)
        for pair in held_out
        for answer in (pair.chosen, pair.rejected)
    ]
    raw = raw_scores(model, texts)
    good, bad = raw[::2], raw[1::2]
    mean, std = fmean(raw), pstdev(raw)
    if not std > 0:
        raise RuntimeError(f"{path.name}: every held-out answer has the same score: training failed")
    scorer = PreferenceScorer(model, tokenizer, max_length, mean, std)
    kinds: dict[str, list[bool]] = defaultdict(list)
    for pair, a, b in zip(held_out, good, bad, strict=True):
        for kind in dict.fromkeys(("all", pair.kind.partition("/")[0], pair.kind)):
            kinds[kind].append(a > b)
    pairs = list(zip(good, bad, strict=True))
    draws = [noise_of(text, 0) for text in texts]
    spoilt = list(zip(pairs, draws[::2], draws[1::2], strict=True))
    return {
        "scale": {"mean": mean, "std": std, "clip": CLIP},
        "max_length": max_length,
        "accuracy": {kind: fmean(hits) for kind, hits in sorted(kinds.items())},
        "accuracy_n": {kind: len(hits) for kind, hits in sorted(kinds.items())},
        "accuracy_under_noise": {
            f"{noise:g}": fmean(a + noise * std * x > b + noise * std * y for (a, b), x, y in spoilt)
            for noise in NOISES
        },
        "calibration": _calibration([a - b for a, b in pairs]),
        "classifier": {
            "threshold": 0.0,
            "accuracy": fmean([a > mean for a, _ in pairs] + [b < mean for _, b in pairs]),
            "false_alarms": fmean(a < mean for a, _ in pairs),
            "misses": fmean(b >= mean for _, b in pairs),
            "n": len(raw),
        },
        "programs": _programs(scorer, probes),
    }


def _calibration(margins: Sequence[float]) -> dict[str, Any]:
    """Reliability table and expected calibration error of sigmoid(margin) as the chance that the choice is right."""
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(BINS)]
    for margin in margins:
        confidence = 1 / (1 + math.exp(-min(abs(margin), 500.0)))
        bins[min(BINS - 1, int((confidence - 0.5) * 2 * BINS))].append((confidence, margin > 0))
    table = [
        {
            "from": 0.5 + i / (2 * BINS),
            "confidence": fmean(c for c, _ in entries),
            "accuracy": fmean(hit for _, hit in entries),
            "n": len(entries),
        }
        for i, entries in enumerate(bins)
        if entries
    ]
    error = sum(row["n"] * abs(row["confidence"] - row["accuracy"]) for row in table) / len(margins)
    return {"expected_error": error, "n": len(margins), "bins": table}


def _programs(scorer: PreferenceScorer, probes: Sequence[Probe]) -> dict[str, Any]:
    """By sort of program: mean score, and the share that scores above the right program of the same task."""
    asked = [(i, sort) for i, probe in enumerate(probes) for sort in probe.answers]
    values = scorer([probes[i].prompt for i, _ in asked], [probes[i].answers[sort] for i, sort in asked])
    scores = {key: value for key, value in zip(asked, values, strict=True) if value is not None}
    table: dict[str, Any] = {}
    for sort in dict.fromkeys(sort for _, sort in asked):
        mine = {i: value for (i, other), value in scores.items() if other == sort}
        if not mine:
            continue
        above = [value > scores[i, "right"] for i, value in mine.items() if sort != "right" and (i, "right") in scores]
        share = {"above_right": fmean(above)} if above else {}
        table[sort] = {"mean_score": fmean(mine.values()), "n": len(mine), **share}
    return table
