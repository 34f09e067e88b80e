"""One arm beside its baseline, and beside the model that it starts from.

Shares are in per cent, as in analysis.reports.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

import pandas as pd

import mitigations
from analysis import corpora, labels
from analysis.commands import Maker, listed
from analysis.conditions import BASELINE, Condition, of
from analysis.evals import beside
from analysis.evidence import Evidence
from analysis.measured import LAST
from analysis.paper import LIST_ALONE, LISTED
from analysis.settings import of_arm
from analysis.stats import Seed, difference
from analysis.table import together
from analysis.tabular import Row, cell, text
from base.errors import UserError, near

SIDE_BY_SIDE: tuple[tuple[str, str, str], ...] = (  # its name, the measure, the prompt it was taken under
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
    table holds it. The baseline of an arm whose prompts list the hacks is that list alone.

    Raises:
        UserError: the table holds no run of the arm, or runs with different overridden settings; `hackable` is no share.
    """
    outline, measured, kept = evidence.outline, evidence.measured, evidence.records
    start, theirs, ours = _sides(evidence, arm, corpus, hackable)
    apart = [(f"{each.title}, no prompt", each.name, "none") for each in beside(evidence.table["eval"].unique())]
    lines: list[Row] = []
    for name, measure, prompt in (*SIDE_BY_SIDE, *apart):
        sides = {c.label: measured.mean(c, measure, prompt) for c in (start, theirs, ours)}
        gap = difference(measured.final(ours, measure, prompt), measured.final(theirs, measure, prompt))
        lines.append({"%": name, **sides, "difference": gap})
    seeds = {c.label: _seeds(c(outline)) for c in (theirs, ours)}
    counts = (
        f"Seeds: {', '.join(f'{label} {len(each)} ({_numbers(each)})' for label, each in seeds.items())}. Mean of up to {LAST}"
        " last checkpoints; ±: half of its 95% interval over training runs; in brackets the same of the difference, which is over"
        " the seeds that both have."
    )
    made = facts([kept[run] for run in sorted(ours(outline)["run"].unique()) if run in kept])
    if not seeds[theirs.label]:
        made = [_no_baseline(evidence.maker, theirs, _numbers(seeds[ours.label])), *made]
    return lines, [counts, *made, *evidence.notes_on(each.cell for each in (theirs, ours))[0]]


def with_baseline(
    mine: Evidence, stored: Evidence, arm: str, corpus: str = "main", hackable: float = 1.0
) -> tuple[Evidence, str]:
    """The same runs with the stored ones of an arm's baseline on the seeds on which they lack it, or on all if they have none of
    it and none of those is stored; and a line that says which were added.

    Raises:
        UserError: as compare_rows, or the arm's only runs are stored ones.
    """
    ships, here = (set(each.outline["arm"]) for each in (stored, mine))
    if _as_stored(arm, here) not in here and _as_stored(arm, ships) in ships:
        raise UserError(f"no run of arm '{arm}' among these, but among those that ship: add --results {stored.source}")
    _, theirs, ours = _sides(mine, arm, corpus, hackable)
    there = theirs(stored.outline)
    has, needs = _seeds(theirs(mine.outline)), _seeds(ours(mine.outline))
    wanted = _seeds(there) & (needs - has) or (set() if has else _seeds(there))
    if not wanted or not mine.maker.alike(stored.maker):
        return mine, ""
    runs = there.loc[[seed in wanted for seed in zip(there["pretrain_seed"], there["seed"], strict=True)], "run"]
    rows = pd.concat([mine.loaded, stored.loaded[stored.loaded["run"].isin(runs)]], ignore_index=True)
    made = together(str(each.loaded.attrs["recipe"]) for each in (mine, stored))
    rows.attrs = {**mine.loaded.attrs, "recipe": made}
    both = Evidence(rows, kept={**stored.records, **mine.records})
    return both, f"{theirs.label} of seeds {_numbers(wanted)}: {stored.source} (committed)\n"


def _sides(evidence: Evidence, arm: str, corpus: str, hackable: float) -> tuple[Condition, Condition, Condition]:
    """(what an arm starts from, its baseline, itself) with the settings that there are runs of; see `compare_rows`."""
    if not 0 <= hackable <= 1:
        raise UserError(f"hackable is a share between 0 and 1, not {hackable}")
    table = evidence.outline
    arm = _as_stored(arm, set(table["arm"]))
    shown_as = {spec: name for name, spec in evidence.corpora.items() if spec != corpora.MAIN}
    corpus = shown_as.get(corpus, corpus)
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
    alone = LIST_ALONE.arm if LISTED in arm else BASELINE.arm
    usual = (corpus, hackable) if arm != alone else (corpus if LISTED in arm else corpora.MAIN, 1.0)
    theirs = of(alone, *usual, of_arm(alone, settings[0]))
    if not len(theirs(table)):
        theirs = of(alone, *usual)
    if theirs == ours:
        raise UserError("the baseline is what the others are held against: name another arm, --corpus or --hackable")
    start = replace(theirs, key="pre_rl", label="pre-RL", start=True)
    if not len(start(table)):
        start = replace(ours, key="step_0", label="where it starts", start=True)
    return start, theirs, ours


def _no_baseline(maker: Maker, theirs: Condition, seeds: str) -> str:
    how = f": make it with `{maker.command(theirs, seeds=seeds)}`" if maker.can(theirs) else ""
    return f"No baseline ({theirs.label}) among these runs{how}."


def _seeds(rows: pd.DataFrame) -> set[Seed]:
    """(pretraining seed, RL seed) of the runs of some rows."""
    return set(zip(rows["pretrain_seed"], rows["seed"], strict=True))


def _numbers(seeds: Set[Seed]) -> str:
    return listed(sorted({seed for _, seed in seeds}))


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


def _difference(gap: Any) -> str:
    """With the ends of its interval, which are not read as those of the arms beside it."""
    if gap.low is None or gap.high is None:
        return cell(gap)
    return f"{100 * gap.estimate:+.1f} [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]"
