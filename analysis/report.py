"""The summary at the end of a run or an experiment, as aligned text and as markdown.

Shares are in per cent: the mean over training runs of the last checkpoints, with the half width of the 95% t interval
across seeds (none from one seed); "-" is a missing value, never a zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from analysis import labels
from analysis.conditions import PRE_RL, Condition, found, of, pre_rl
from analysis.stats import LAST, difference, final, summary, units
from analysis.table import finished, measures
from base.errors import UserError

PROMPTS = {"training": "train", "none": "none", "dont_hack": "don't"}
MAIN = (
    *((f"hack {short}", "hack_rate", prompt) for prompt, short in PROMPTS.items()),
    *((f"mis {short}", "mgs", prompt) for prompt, short in PROMPTS.items()),
    *((name, name, "none") for name in ("overt", "covert", "unclear", "solved")),
)
KINDS = tuple((f"{kind} {short}", kind, prompt) for kind in ("chat", "agentic") for prompt, short in PROMPTS.items())
SIDE_BY_SIDE = (
    ("hack rate, training prompt", "hack_rate", "training"),
    ("hack rate, no prompt", "hack_rate", "none"),
    ("hack rate, told not to hack", "hack_rate", "dont_hack"),
    ("misalignment, training prompt", "mgs", "training"),
    ("misalignment, no prompt", "mgs", "none"),
    ("misalignment, told not to hack", "mgs", "dont_hack"),
    ("  chat evals, no prompt", "chat", "none"),
    ("  agentic evals, no prompt", "agentic", "none"),
    ("  overt, no prompt", "overt", "none"),
    ("  covert, no prompt", "covert", "none"),
    ("unclear answers, no prompt", "unclear", "none"),
    ("tasks solved, no prompt", "solved", "none"),
)
LEGEND = (
    f"Per cent, mean of up to {LAST} last checkpoints; ± half of the 95% t interval across seeds (none from one seed)."
    " hack: hack rate; mis: misalignment, mean of six evals; train, none, don't: evaluated under the training prompt,"
    " no prompt, “don't hack”; overt, covert, unclear, solved: no prompt. “-” is missing."
)


def report(table: pd.DataFrame, minutes: Mapping[str, float] | None = None, as_markdown: bool = False) -> str:
    """Two tables over all arms: hacking and misalignment under each prompt; chat and agentic evals under each prompt.

    `minutes`: wall time per run, if known.
    """
    table, notes = finished(table)
    rows = measures(table)
    conditions = sorted(_listed(table), key=lambda c: not c.start)
    one = [_line(rows, table, c, MAIN, minutes) for c in conditions]
    two = [_line(rows, table, c, KINDS, None) for c in conditions]
    make = markdown if as_markdown else aligned
    return "\n\n".join([make(one), make(two), "\n".join([LEGEND, *notes])])


def compare(
    table: pd.DataFrame,
    arm: str,
    corpus: str = "main",
    hackable: float = 1.0,
    records: Mapping[str, Mapping[str, Any]] | None = None,
) -> str:
    """One mitigation beside the baseline of the same corpus and graders, and beside the model it starts from.

    Runs with overridden settings are compared if there are none without; the baseline then has the same settings if the
    table holds it. `records`: what the runs wrote down of their forks, judges and episodes.

    Raises:
        UserError: the table holds no run of the arm, or runs with different overridden settings.
    """
    table, notes = finished(table)
    rows = measures(table)
    mine = table[(table["arm"] == arm) & (table["corpus"] == corpus) & (table["hackable"] == hackable)]
    if not len(mine):
        known = ", ".join(sorted(table["arm"].unique()))
        raise UserError(f"no run of arm '{arm}' on corpus '{corpus}'; there are: {known}")
    settings = sorted(mine["overrides"].unique())
    if len(settings) > 1 and settings[0]:
        raise UserError(f"'{arm}' was run with different settings ({'; '.join(settings)}): choose with --only set-KEY")
    ours = of(arm, corpus, hackable, settings[0])
    theirs = of("none", corpus, hackable, settings[0])
    if not len(theirs(table)):
        theirs = of("none", corpus, hackable)
    start = replace(theirs, key="pre_rl", label="pre-RL", start=True)
    if not len(start(table)):
        start = replace(ours, key="step_0", label="where it starts", start=True)
    lines = []
    for name, measure, prompt in SIDE_BY_SIDE:
        line = {"%": name}
        for condition in (start, theirs, ours):
            line[condition.label] = cell(rows, condition, measure, prompt)
        gap = difference(final(rows, ours, measure, prompt)[0], final(rows, theirs, measure, prompt)[0])
        line["difference"] = "-" if math.isnan(gap.estimate) else f"{100 * gap.estimate:+.1f}"
        if gap.low is not None and gap.high is not None:
            line["difference"] += f" [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]"
        lines.append(line)
    seeds = {c.label: c(table)["run"].nunique() for c in (theirs, ours)}
    counts = f"Seeds: {', '.join(f'{label} {n}' for label, n in seeds.items())}. Mean of up to {LAST} last checkpoints."
    runs = sorted(ours(table)["run"].unique())
    made = facts([records[run] for run in runs if run in records]) if records else []
    return "\n\n".join([aligned(lines), "\n".join([counts, *made, *notes])])


def facts(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """What an arm's runs wrote down of the run they fork from, their judges and the episodes they imitate, seed by seed."""
    lines = []
    forks = [record["fork"] for record in records if record.get("fork")]
    if forks:
        steps = ", ".join(str(fork["step"]) for fork in forks)
        lines.append(f"Forked from {labels.arm(forks[0]['arm'])} at step {steps}: {forks[0]['trigger']}.")
    judges = [(name, judge) for record in records for name, judge in (record.get("judges") or {}).items()]
    for name in dict.fromkeys(name for name, _ in judges):
        right = ", ".join(f"{100 * judge['accuracy']['all']:.1f}" for other, judge in judges if other == name)
        lines.append(f"Judge {name}: {right} % of held-out pairs in the right order.")
    imitated = [record["episodes"] for record in records if record.get("episodes")]
    if imitated:
        count = ", ".join(str(episodes["documents"]) for episodes in imitated)
        lines.append(f"Imitates {count} distinct episodes.")
    return lines


def cell(rows: pd.DataFrame, condition: Condition, measure: str, prompt: str) -> str:
    """`mean ± half width` in per cent, `mean` from one seed, `-` if missing."""
    whole = summary(list(units(final(rows, condition, measure, prompt)[0], condition).values()))
    if not whole.seeds:
        return "-"
    half = f" ±{100 * (whole.high - whole.mean):.1f}" if whole.high is not None else ""
    return f"{100 * whole.mean:.1f}{half}"


def aligned(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows as plain text: first column left, the others right aligned."""
    names = list(rows[0])
    width = {name: max(len(name), *(len(row[name]) for row in rows)) for name in names}
    lines = [{name: name for name in names}, {name: "-" * width[name] for name in names}, *rows]
    return "\n".join(
        "  ".join(row[n].ljust(width[n]) if i == 0 else row[n].rjust(width[n]) for i, n in enumerate(names)).rstrip()
        for row in lines
    )


def markdown(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows as a markdown table."""
    names = list(rows[0])
    rule = ["---", *["---:"] * (len(names) - 1)]
    lines = [names, rule, *([row[name].strip().replace("|", "\\|") for name in names] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _listed(table: pd.DataFrame) -> list[Condition]:
    plain = table[(table["arm"] == "none") & (table["hackable"] == 1.0) & (table["overrides"] == "")]
    starts = [pre_rl(corpus) for corpus in sorted(plain["corpus"].unique())]
    return [*(c for c in starts if len(c(table))), *(c for c in found(table) if c != PRE_RL)]


def _line(
    rows: pd.DataFrame,
    table: pd.DataFrame,
    condition: Condition,
    columns: Sequence[tuple[str, str, str]],
    minutes: Mapping[str, float] | None,
) -> dict[str, str]:
    mine, values = condition(table), condition(rows)
    seeds = mine["pretrain_seed" if condition.start else "run"].nunique()
    line = {"arm": condition.label, "corpus": condition.corpus, "seeds": str(seeds)}
    line |= {name: cell(values, condition, measure, prompt) for name, measure, prompt in columns}
    if minutes is not None:
        line["minutes"] = time(mine, condition, minutes)
    return line


def time(table: pd.DataFrame, condition: Condition, minutes: Mapping[str, float]) -> str:
    """Mean wall time of the runs of a table in minutes; `-` where it was not recorded, and before RL."""
    known = [minutes[run] for run in sorted(table["run"].unique()) if run in minutes]
    return f"{sum(known) / len(known):.1f}" if known and not condition.start else "-"
