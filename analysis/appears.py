"""What makes the effect appear: one assumption or setting changed at a time, what is known before RL beside what RL brings.

Every row is a run of `--experiment appears` or the organism as it is. Runs on development seeds explain the effect and are no
evidence for its size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from analysis import labels, settings
from analysis.arms import gates
from analysis.conditions import BASELINE, TWIN, Condition, found, of
from analysis.evidence import Evidence
from analysis.figures import law
from analysis.measured import Measured
from analysis.stats import Summary, summary
from analysis.tabular import Row, text
from base.labels import words

AS_IT_IS, ELSE = "as it is", "something else"
# What is changed -> the field of the corpus, or the key of --set, that says so.
DIALS = {
    "where the KL stands": "rl.kl",
    "weight of the KL": "rl.beta",
    "tone of the thoughts": "tone",
    "hacking and character, correlation": "correlation",
    "SDF documents": "sdf.documents",
    "coding segments with a line": "line_code",
    "documents that permit": "permission",
    "what RL trains": "rl.trained",
}
DEVELOPMENT = 100  # seeds from here on, and 0, are for development, as the results of this project use them
LEGEND = (
    "Per cent; ± half of the 95% t interval across seeds. bad tone | hack: before RL, under the line that RL trains with, the share"
    " of hacks whose thought has a tone of the bad character. hack: hack rate after RL under the training prompt; misaligned,"
    " unclear: after RL without a prompt; final values are means over the last checkpoints. gates: of the start checkpoints."
)


def dial(condition: Condition, common: str = "") -> tuple[str, str]:
    """(what differs from the organism as it is, its value); the first dial of several, ELSE if it is none of them.

    `common`: settings that all runs have, which conditions do not name.
    """
    changed = settings.read(settings.together(condition.overrides, common))
    name, options = labels.read(condition.corpus)
    values = {"correlation": "0"} if name == TWIN.corpus else {}
    values |= {**options, **{key: settings.plain(value) for key, value in changed.items()}}
    for said, key in DIALS.items():
        if key in values:
            return said, values[key]
    if options or condition.overrides:
        return ELSE, ", ".join([*labels.corpus(condition.corpus), *labels.overrides(condition.overrides)])
    return AS_IT_IS, ""


def rows(evidence: Evidence) -> list[Row]:
    """A row per dial, value and arm; the organism as it is comes first."""
    order = [AS_IT_IS, *DIALS, ELSE]
    conditions = [c for c in found(evidence.outline) if c.arm in law.FAMILIES and c.hackable == 1 and not c.start]
    dials = {c: dial(c, evidence.settings) for c in conditions}
    listed = sorted(
        conditions, key=lambda c: (order.index(dials[c][0]), *_by_size(dials[c][1]), c.arm != "none", c.arm)
    )
    return list(_rows(evidence, {condition: dials[condition] for condition in listed}))


def _rows(evidence: Evidence, dials: Mapping[Condition, tuple[str, str]]) -> Iterator[Row]:
    known = evidence.measured
    for condition, (what, value) in dials.items():
        yield {
            "changed": what,
            "to": words(value) if value else "",
            "arm": BASELINE.label if condition.arm == "none" else of(condition.arm).label,
            "corpus": condition.corpus.partition(":")[0],
            "bad tone | hack": before(known, condition),
            "hack": known.mean(condition, "hack_rate", "training"),
            "misaligned": known.mean(condition, "mgs", "none"),
            "unclear": known.mean(condition, "unclear", "none"),
            "seeds": known.count(condition),
            "gates": gates(condition(evidence.outline)),
        }


def before(known: Measured, condition: Condition) -> Summary:
    """P(bad tone | hack, training line) of the start model over the runs that know it."""
    return summary(list(law.before(known, condition).values()))


def _by_size(value: str) -> tuple[float, str]:
    try:
        return float(value), value
    except ValueError:
        return 0.0, value


def show(made: Sequence[Row], legend: str, as_markdown: bool = False) -> str:
    """The rows as text with their legend."""
    return f"{text(made, as_markdown)}\n\n{legend}"


def legend(evidence: Evidence) -> str:
    """How to read the table, and which seeds stand behind it: kept for reporting, or used in development."""
    seeds = sorted(int(seed) for seed in evidence.outline["seed"].unique())
    kinds = {
        "development": [s for s in seeds if s == 0 or s >= DEVELOPMENT],
        "reported": [s for s in seeds if 0 < s < DEVELOPMENT],
    }
    said = [f"{kind.capitalize()} seeds: {', '.join(map(str, found))}." for kind, found in kinds.items() if found]
    return " ".join([LEGEND, *said])
