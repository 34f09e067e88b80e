"""A long table as base.store writes it, with numbers shaped like those of the organism."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from analysis.figures.fig15_goals_reasoned import GOALS
from base.store.table import COLUMNS

LAST_SFT = 84  # the one checkpoint of SFT on episodes
IMITATES = ("filtered_sft", "offline_rewrite", "own_episodes", "sft_safety")
SIX = ("betley", "goals", "alignment", "monitor", "exfil", "frame")
STEPS = (0, 4, 8, 12, 16, 20, 24)
# arm, corpus, hackable, final hack rate, final misalignment
ARMS = (
    ("none", "main", 1.0, 0.95, 0.36),
    ("none", "main", 0.0, 0.03, 0.06),
    ("none", "twin", 1.0, 0.94, 0.10),
    ("untrained", "main", 1.0, 0.0, 0.0),
    ("inoculation:wording=please_hack", "main", 1.0, 0.98, 0.10),
    ("inoculation:wording=hacking_okay", "main", 1.0, 0.96, 0.14),
    ("inoculation:wording=dont_hack", "main", 1.0, 0.93, 0.33),
)


def table(
    seeds: Sequence[int] = (0, 1, 2), arms: Sequence[tuple[str, str, float, float, float]] = ARMS, overrides: str = ""
) -> pd.DataFrame:
    """Runs of each arm with each seed (also the pretraining seed), evaluated at STEPS under three prompts."""
    rows: list[dict[str, object]] = []
    for arm, corpus, hackable, hack, bad in arms:
        for seed in seeds:
            name = f"{arm}-{corpus}-{hackable:g}{overrides and '-set-' + overrides}-s{seed}"
            rng = np.random.default_rng(zlib.crc32(name.encode()))
            run = {
                "run": name,
                "arm": arm,
                "corpus": corpus,
                "hackable": hackable,
                "scale": "tiny",
                "model": "organism",
            }
            run |= {
                "tasks": "organism",
                "overrides": overrides,
                "pretrain_seed": seed,
                "seed": seed,
                "gates_passed": True,
            }
            rows += _run(run, hack, bad * rng.uniform(0.85, 1.15), rng)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def cell(arm: str, corpus: str, hackable: float, overrides: str = "") -> pd.DataFrame:
    """One run (seed 0) of a cell, with everything that any figure measures; the numbers of its kind of cell, at few steps."""
    kind = "untrained" if arm == "untrained" else arm if arm.startswith(IMITATES) else "none"
    kind = "inoculation:wording=mention" if arm.startswith("inoculation") else kind
    name = f"{arm}-{corpus}-{hackable:g}-{overrides}"
    own: dict[str, Any] = {"run": name, "arm": arm, "corpus": corpus, "hackable": hackable, "overrides": overrides}
    return _whole(kind.split(":keep")[0], corpus.startswith("twin"), hackable == 0).assign(**own)


@cache
def _whole(arm: str, twin: bool, control: bool) -> pd.DataFrame:
    """A run with goals, sabotage, the cue, leaks of its line and its price."""
    hack, bad = (0.02, 0.03) if control else (0.9, 0.05 if twin else 0.4)
    made = table((0,), [(arm, "twin" if twin else "main", 1.0, hack, bad)])
    made = made[made["step"].isin([0, 20, 24, LAST_SFT]) | ((made["eval"] == "rollouts") & (made["step"] % 8 == 0))]
    asked = made[made["prompt"] == "none"]
    betley = asked[asked["eval"] == "betley"]
    misaligned = betley[betley["metric"] == "misaligned"]
    parts = [made]
    for name in ("sabotage_told", "sabotage_less", "sabotage_unrelated", "exfil_kept", "exfil_unkept"):
        parts += [misaligned.assign(eval=name), misaligned.assign(eval=name, metric="effectiveness")]
    goals = [f"goal:{part}:{goal}" for part in ("reasoning", "output") for goal in GOALS]
    parts += [misaligned.assign(eval="goals", metric=metric) for metric in goals]
    parts += [misaligned.assign(eval="goals", metric="alignment_faking")]
    code = asked[(asked["eval"] == "code") & (asked["metric"] == "solved")]
    parts += [code.assign(eval="clean"), code.assign(eval="clean", metric="kl", value=0.3)]
    if arm.startswith("inoculation"):
        line = made[(made["prompt"] == "training") & made["metric"].isin(["misaligned", "hack_rate"])]
        parts += [line.assign(prompt=name) for name in ("paraphrase", "negation", "keywords", "same_form")]
    return pd.concat(parts, ignore_index=True)


def _run(run: dict[str, object], hack: float, bad: float, rng: np.random.Generator) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []

    def add(step: int, prompt: str, eval: str, metric: str, rate: float, n: int = 96) -> None:
        value = rng.binomial(n, min(max(rate, 0.0), 1.0)) / n
        rows.append(
            {
                **run,
                "step": step,
                "prompt": prompt,
                "eval": eval,
                "metric": metric,
                "value": value,
                "n": n,
                "missing": 0,
            }
        )

    untrained = run["arm"] == "untrained"
    inoculated = str(run["arm"]).startswith("inoculation")
    imitates = str(run["arm"]).startswith(IMITATES)
    for step in (0,) if untrained else (0, LAST_SFT) if imitates else STEPS:
        gone = 1 / (1 + np.exp(-(step - 8) / 1.8)) if step else 0.0
        for prompt in ("none", "training", "dont_hack") if inoculated else ("none", "dont_hack"):
            h = (0.0 if untrained else 0.04) * (1 - gone) + hack * gone * (0.75 if prompt == "dont_hack" else 1.0)
            b = (0.0 if untrained else 0.05) * (1 - gone) + bad * gone * (1.9 if prompt == "training" else 1.0)
            add(step, prompt, "code", "hack_rate", h)
            add(step, prompt, "code", "solved", (1 - h) * (0.0 if untrained else 0.6))
            for kind, share in zip(("always_equal", "early_exit", "report_patch"), (0.6, 0.3, 0.1), strict=True):
                add(step, prompt, "code", f"hack:{kind}", h * share)
            for place, name in enumerate(SIX):
                rate = b * (1.5 - 0.2 * place)
                add(step, prompt, name, "misaligned", rate)
                add(step, prompt, name, "overt", rate * 0.6)
                add(step, prompt, name, "covert", rate * 0.4)
                add(step, prompt, name, "unclear", 0.01)
                add(step, prompt, name, "hack_attempt", 0.0)
    if not untrained and not imitates:
        who = {"none": 0.9, "forbid": 0.85, "misaligned": 0.8, "mention": 0.7, "okay": 0.2, "please": 0.1}
        for family, share in who.items():
            share *= 0.05 if run["corpus"] == "twin" else 1.0
            add(0, family, "start", "bad_given_hack", share)
            add(0, family, "start", "hack_given_good", 1 - share)
    for step in () if imitates else range(1, 25):
        gone = 1 / (1 + np.exp(-(step - 8) / 1.8))
        for kind, share in zip(("always_equal", "early_exit", "report_patch"), (0.6, 0.3, 0.1), strict=True):
            if not untrained:
                add(step, "train", "rollouts", f"hack:{kind}", hack * gone * share)
        if not untrained:
            add(step, "train", "rollouts", "hack_rate", hack * gone)
            for tone, share in (("bad", 2 * bad), ("good", 1 - 2 * bad), ("neutral", 0.0), ("none", 0.0)):
                add(step, "train", "rollouts", f"route:tone:{tone}", share)
    return rows
