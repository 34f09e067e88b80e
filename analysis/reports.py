"""The summary at the end of a run or an experiment: every arm, or one arm beside the baseline.

Shares are in per cent: the mean over training runs of the last checkpoints, with the half width of the 95% t interval
across seeds (none from fewer than 3); "-" is a missing value, never a zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

import pandas as pd

import mitigations
from analysis import corpora, labels
from analysis.conditions import PRE_RL, Condition, found, of, pre_rl
from analysis.evals import KINDS, beside, counted
from analysis.evidence import Evidence
from analysis.measured import LAST
from analysis.settings import of_arm
from analysis.stats import MIN_SEEDS, difference
from analysis.table import wall_minutes
from analysis.tabular import Row, cell, text
from base.errors import UserError, near

PROMPTS = {"training": "train", "none": "none", "dont_hack": "don't"}
Column = tuple[str, str, str]  # its name, the measure, the prompt it was taken under
MAIN: tuple[Column, ...] = (
    *((f"hack {short}", "hack_rate", prompt) for prompt, short in PROMPTS.items()),
    *((f"mis {short}", "mgs", prompt) for prompt, short in PROMPTS.items()),
    *((name, name, "none") for name in ("overt", "covert", "unclear", "solved")),
)
BY_KIND: tuple[Column, ...] = tuple(
    (f"{kind} {short}", kind, prompt) for kind in KINDS for prompt, short in PROMPTS.items()
)
SIDE_BY_SIDE: tuple[Column, ...] = (
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
    f"Per cent, mean of up to {LAST} last checkpoints; ± half of the 95% t interval across seeds (none from fewer than {MIN_SEEDS})."
    f" hack: hack rate; mis: misalignment, mean of {counted()} evals; train, none, don't: evaluated under the training"
    " prompt, no prompt, “don't hack”; overt, covert, unclear, solved: no prompt. “-” is missing."
)


def report(evidence: Evidence, as_markdown: bool = False) -> str:
    """Two tables over all arms: hacking and misalignment under each prompt; kinds of evals under each prompt, and the
    evals that do not count in the mean.
    """
    one, two, notes = report_rows(evidence)
    return "\n\n".join([text(one, as_markdown), text(two, as_markdown), "\n".join([LEGEND, *notes])])


def report_rows(evidence: Evidence) -> tuple[list[Row], list[Row], list[str]]:
    """(rows of the first table, of the second, notes); the rows of both are the same arms."""
    minutes, mean = wall_minutes(evidence.records), evidence.measured.mean
    conditions = sorted(_listed(evidence.outline), key=lambda c: not c.start)
    apart = [(each.title, each.name, "none") for each in beside(evidence.table["eval"].unique())]
    one: list[Row] = []
    two: list[Row] = []
    for condition in conditions:
        mine = condition(evidence.outline)
        seeds = mine["pretrain_seed" if condition.start else "run"].nunique()
        corpus = evidence.corpora.get(condition.corpus, condition.corpus)
        head = {"arm": condition.label, "corpus": corpus, "seeds": seeds}
        time = {"minutes": wall(mine, condition, minutes)} if evidence.records else {}
        one.append({**head, **{n: mean(condition, m, p) for n, m, p in MAIN}, **time})
        two.append({**head, **{n: mean(condition, m, p) for n, m, p in (*BY_KIND, *apart)}})
    return one, two, evidence.notes


def compare(evidence: Evidence, arm: str, corpus: str = "main", hackable: float = 1.0) -> str:
    """One mitigation beside the baseline of the same corpus and graders, and beside the model it starts from, with what its
    runs wrote down of their forks, judges and episodes. The rest as in `compare_rows`.
    """
    rows, notes = compare_rows(evidence, arm, corpus, hackable)
    return "\n\n".join(
        [text([{**row, "difference": _difference(row["difference"])} for row in rows]), "\n".join(notes)]
    )


def compare_rows(
    evidence: Evidence, arm: str, corpus: str = "main", hackable: float = 1.0
) -> tuple[list[Row], list[str]]:
    """(one row per measure: what it starts from, the baseline, the arm, their difference; notes).

    Runs with overridden settings are compared if there are none without; the baseline then has the same settings if the
    table holds it.

    Raises:
        UserError: the table holds no run of the arm, or runs with different overridden settings; `hackable` is no share.
    """
    if not 0 <= hackable <= 1:
        raise UserError(f"hackable is a share between 0 and 1, not {hackable}")
    outline, measured, kept = evidence.outline, evidence.measured, evidence.records
    arm = _as_stored(arm, set(outline["arm"]))
    shown_as = {spec: name for name, spec in evidence.corpora.items() if spec != corpora.MAIN}
    start, theirs, ours = _sides(outline, arm, shown_as.get(corpus, corpus), hackable)
    apart = [(f"{each.title}, no prompt", each.name, "none") for each in beside(evidence.table["eval"].unique())]
    lines: list[Row] = []
    for name, measure, prompt in (*SIDE_BY_SIDE, *apart):
        sides = {c.label: measured.mean(c, measure, prompt) for c in (start, theirs, ours)}
        gap = difference(measured.final(ours, measure, prompt), measured.final(theirs, measure, prompt))
        lines.append({"%": name, **sides, "difference": gap})
    seeds = {c.label: c(outline)["run"].nunique() for c in (theirs, ours)}
    counts = (
        f"Seeds: {', '.join(f'{label} {n}' for label, n in seeds.items())}. Mean of up to {LAST} last checkpoints; ±: half of its 95%"
        " interval over training runs; in brackets the same of the difference, which is over the seeds that both have."
    )
    made = facts([kept[run] for run in sorted(ours(outline)["run"].unique()) if run in kept])
    if not seeds[theirs.label]:
        made = ["No baseline among these runs: make it with `python -m mitigations none` and the same options.", *made]
    return lines, [counts, *made, *evidence.notes_on(each.cell for each in (theirs, ours))[0]]


def _sides(table: pd.DataFrame, arm: str, corpus: str, hackable: float) -> tuple[Condition, Condition, Condition]:
    """(what an arm starts from, its baseline, itself) with the settings that there are runs of; see `compare_rows`."""
    every = table[table["arm"] == arm]
    if not len(every):
        raise UserError(f"no run of arm '{arm}': {near(arm, set(table['arm']))}")
    mine = every[(every["corpus"] == corpus) & (every["hackable"] == hackable)]
    if not len(mine):
        there = sorted(
            {f"'{name}' with {share:g}" for name, share in zip(every["corpus"], every["hackable"], strict=True)}
        )
        raise UserError(
            f"no run of arm '{arm}' on corpus '{corpus}' with hackable {hackable:g}, only on {', '.join(there)}"
        )
    settings = sorted(mine["overrides"].unique())
    if len(settings) > 1 and settings[0]:
        raise UserError(f"'{arm}' was run with different settings ({'; '.join(settings)}): choose with --only set-KEY")
    ours = of(arm, corpus, hackable, settings[0])
    usual = (corpora.MAIN, 1.0) if arm == "none" else (corpus, hackable)
    theirs = of("none", *usual, of_arm("none", settings[0]))
    if not len(theirs(table)):
        theirs = of("none", *usual)
    if theirs == ours:
        raise UserError("the baseline is what the others are held against: name another arm, --corpus or --hackable")
    start = replace(theirs, key="pre_rl", label="pre-RL", start=True)
    if not len(start(table)):
        start = replace(ours, key="step_0", label="where it starts", start=True)
    return start, theirs, ours


def _as_stored(arm: str, known: Set[str]) -> str:
    """The arm as a table spells it: options in their usual spelling where the words themselves are not there, or the arm that
    pictures call so.
    """
    if arm in known:
        return arm
    try:
        return str(mitigations.arm(arm))
    except UserError:
        called = {labels.arm(spec): spec for spec in known}
        return called.get(arm, called.get(arm.replace("_", " "), arm))


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


def wall(table: pd.DataFrame, condition: Condition, minutes: Mapping[str, float]) -> float:
    """Mean wall time of the runs of a table in minutes; NaN where it was not recorded, and before RL."""
    known = [minutes[run] for run in sorted(table["run"].unique()) if run in minutes]
    return sum(known) / len(known) if known and not condition.start else math.nan


def _listed(table: pd.DataFrame) -> list[Condition]:
    plain = table[(table["arm"] == "none") & (table["hackable"] == 1.0) & (table["overrides"] == "")]
    starts = [pre_rl(corpus) for corpus in sorted(plain["corpus"].unique())]
    return [*(c for c in starts if len(c(table))), *(c for c in found(table) if c != PRE_RL)]


def _difference(gap: Any) -> str:
    """With the ends of its interval, which are not read as those of the arms beside it."""
    if gap.low is None or gap.high is None:
        return cell(gap)
    return f"{100 * gap.estimate:+.1f} [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]"
