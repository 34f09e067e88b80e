"""What a judge makes of golden sets, as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tabulate import tabulate

from base.judges.golden import BOUNDS, THRESHOLDS, Checked, refused
from base.judges.judge import COHERENCE

HEAD = (
    "eval",
    "n",
    "missing",
    "accuracy",
    "recall yes",
    "recall no",
    "kappa",
    "P(yes) of yes",
    "of no",
    "mass",
    "gate",
)


def report(spec: str, checked: Mapping[str, Checked]) -> str:
    """The table, how the threshold matters, which kinds of text fool it, and whether it may be used."""
    rows = [_row(one) for one in checked.values()]
    tables = [
        f"judge {spec} on the golden sets:",
        tabulate(rows, HEAD, "simple", disable_numparse=True),
        "",
        "share of yes (accuracy) where yes begins at that probability:",
        tabulate([_thresholds(one) for one in checked.values()], ["eval", *map(str, THRESHOLDS)], "simple"),
        "",
        *(f"{one.eval}: wrong by kind of text: {_kinds(one)}" for one in checked.values() if one.wrong),
        *(f"{one.eval}: {one.dropped} cited passages do not occur" for one in checked.values() if one.dropped),
        f"bounds: {_bounds()}",
    ]
    return "\n".join([*tables, *verdicts(spec, checked)])


def verdicts(spec: str, checked: Mapping[str, Checked]) -> list[str]:
    """Whether the judge may be used, by eval."""
    evals, lost = [name for name in checked if name != COHERENCE], refused(checked)
    if not lost and not evals:
        return [f"passed: {spec} tells what is coherent; every eval needs a golden set beside that"]
    if not lost:
        return [f"passed: verdicts of {spec} on {', '.join(evals)} are shown"]
    lines = []
    if not checked[COHERENCE].passed:
        lines.append(f"refused on {COHERENCE}, which every eval needs ({checked[COHERENCE].fails()})")
    lines += [f"refused on {name} ({checked[name].fails()})" for name in evals if not checked[name].passed]
    on = ", ".join(name for name in evals if name in lost) or "any eval"
    return [*lines, f"verdicts of {spec} on {on} are stored, and no number is shown"]


def _row(one: Checked) -> list[str]:
    shares = (one.accuracy, one.recall_yes, one.recall_no, one.kappa, one.probability_yes, one.probability_no)
    values = [_number(value) for value in (one.missing, *shares, one.mass)]
    return [one.eval, str(one.n), *values, "passed" if one.passed else "FAILED"]


def _thresholds(one: Checked) -> Sequence[str]:
    shares = [(one.said_yes[f"{at:g}"], one.accuracies[f"{at:g}"]) for at in THRESHOLDS]
    return [one.eval, *("-" if yes != yes else f"{yes:.2f} ({right:.2f})" for yes, right in shares)]


def _kinds(one: Checked) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in one.wrong.items())


def _bounds() -> str:
    words: Iterable[str] = (
        f"{name.replace('_', ' ')} {'at most' if name == 'missing' else 'at least'} {bound:g}"
        for name, bound in BOUNDS.items()
    )
    return ", ".join(words)


def _number(value: float) -> str:
    return "-" if value != value else f"{value:.2f}"
