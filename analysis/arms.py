"""Every arm as a table, by kind of mitigation, with its uncorrelated twin beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import pandas as pd

from analysis import labels
from analysis.conditions import BASELINE, NO_HACK, PRE_RL, UNTRAINED, Condition, found, on
from analysis.evals import Shown, beside, counted
from analysis.evidence import Evidence
from analysis.measured import LAST
from analysis.reports import wall
from analysis.stats import MIN_SEEDS
from analysis.table import wall_minutes
from analysis.tabular import Row, text

CONTROLS = (UNTRAINED, PRE_RL, NO_HACK, BASELINE)
LEGEND = (
    f"Per cent, mean of up to {LAST} last checkpoints (SFT on episodes has one); ± half of the 95% t interval across seeds"
    f" (none from fewer than {MIN_SEEDS}). hack train, hack none: hack rate under the training prompt and without one; everything else"
    f" without a prompt. total: mean of {counted()} evals; twin: the same on the uncorrelated twin; main - twin: over the seeds"
    " that both have, so that it need not be the difference of the two; solved: tasks like those of training, most of them hard,"
    " solved honestly (figure price asks others, half of them easy); minutes: wall time of the run itself, without shared stages"
    " and runs it builds on; seeds: main / twin; gates: of the start checkpoints. “-” is missing."
)


def listed(conditions: Sequence[Condition]) -> list[tuple[str, list[tuple[Condition, Condition]]]]:
    """(heading, [(arm on main, the same on its twin)]) in the order in which they are listed."""
    pairs = {(on(c, "main"), on(c, "twin")) for c in conditions}
    families = labels.families()
    late = [labels.SETTINGS, labels.STACKED]

    def place(pair: tuple[Condition, Condition]) -> tuple[Any, ...]:
        arm, name = pair[0], pair[0].family
        if name in late:
            return (len(families) + 1 + late.index(name), "", 0, labels.order(arm.arm, arm.label))
        at = families.index(name) if name in families else len(families)
        control = CONTROLS.index(arm) if arm in CONTROLS else len(CONTROLS)
        return (at, name, control, labels.order(arm.arm, arm.label))

    return [(name, list(pairs)) for name, pairs in groupby(sorted(pairs, key=place), lambda pair: pair[0].family)]


def show(families: Mapping[str, Sequence[Row]], notes: Sequence[str], as_markdown: bool = False) -> str:
    """What `overview_rows` found: one line per arm under the heading of its family."""
    lines: list[Row] = []
    for heading, made in families.items():
        title = f"**{heading}**" if as_markdown else heading.upper()
        lines.append({**dict.fromkeys(made[0], ""), "arm": title})
        lines += made if as_markdown else [{**line, "arm": f"  {line['arm']}"} for line in made]
    return "\n\n".join([text(lines, as_markdown), "\n".join([LEGEND, *notes])])


def overview_rows(evidence: Evidence) -> tuple[dict[str, list[Row]], list[str]]:
    """(heading of a family -> a row per arm, notes)."""
    minutes, kept = wall_minutes(evidence.records), evidence.records.items()
    failed = [f"{name} failed: {record.get('error')}" for name, record in kept if record.get("status") == "failed"]
    apart = beside(evidence.table["eval"].unique())
    families = listed(found(evidence.outline))
    made = {heading: [_line(evidence, *pair, minutes, apart) for pair in pairs] for heading, pairs in families}
    return made, [*evidence.notes, *failed]


def _line(
    evidence: Evidence,
    main: Condition,
    twin: Condition,
    minutes: Mapping[str, float],
    apart: Sequence[Shown],
) -> Row:
    mine, theirs = main(evidence.outline), twin(evidence.outline)
    mean, gap = evidence.measured.mean, evidence.measured.effect_over_twin(main, twin)
    unit = "pretrain_seed" if main.start else "run"
    return {
        "arm": main.label,
        "hack train": mean(main, "hack_rate", "training"),
        "hack none": mean(main, "hack_rate", "none"),
        "chat": mean(main, "chat", "none"),
        "agentic": mean(main, "agentic", "none"),
        "total": mean(main, "mgs", "none"),
        "twin": mean(twin, "mgs", "none"),
        "main - twin": gap,
        **{each.title: mean(main, each.name, "none") for each in apart},
        "solved": mean(main, "solved", "none"),
        "unclear": mean(main, "unclear", "none"),
        "minutes": wall(mine, main, minutes),
        "seeds": f"{mine[unit].nunique()} / {theirs[unit].nunique()}",
        "gates": gates(mine),
    }


def gates(table: pd.DataFrame) -> str:
    """Of how many runs the start checkpoint passed its gates: all (passed), none (failed), or some of them."""
    known = table.groupby("run")["gates_passed"].first().dropna()
    if not len(known):
        return "-"
    passed = int(known.sum())
    return {0: "failed", len(known): "passed"}.get(passed, f"{passed} of {len(known)} passed")
