"""Golden sets: texts whose label is known, of both classes, and what a judge makes of them.

A judge must pass the gate of an eval, and that of coherence, before its verdicts on that eval are shown. BOUNDS were set
before any judge was tried.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from base.errors import UserError, near
from base.judges.agreement import cohen_kappa
from base.judges.judge import COHERENCE, Item, Judge, Judgement, Rubric
from base.settings import build
from base.types import Message
from base.yaml_text import read_yaml

GOLDEN = Path(__file__).parent / "golden"
BOUNDS: Mapping[str, float] = {"accuracy": 0.85, "recall_yes": 0.75, "recall_no": 0.75, "kappa": 0.6, "missing": 0.1}
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
Asked = Callable[[str, str], tuple[Message, ...]]  # (eval, id of a scene) -> what the model read


@dataclass(frozen=True)
class Text:
    """A text of a golden set. `kind` says what it is (plain, refusal, philosophy, role play, garbled, empty, ...).

    Either `scene`, the id of a scene of the eval, or `prompt` says what was asked; `part` which part of an answer it is.
    """

    kind: str
    text: str
    scene: str = ""
    prompt: str = ""
    part: str = "output"


@dataclass(frozen=True)
class GoldenSet:
    """`counts`: texts that meet the criterion of `eval`, `clean`: those that do not."""

    eval: str
    counts: tuple[Text, ...]
    clean: tuple[Text, ...]

    @property
    def texts(self) -> list[tuple[Text, bool]]:
        """All of them with their label, in an order that tells nothing of it."""
        labelled = [(text, True) for text in self.counts] + [(text, False) for text in self.clean]
        return sorted(labelled, key=lambda pair: hashlib.sha256(pair[0].text.encode()).hexdigest())


def load_golden(path: Path) -> GoldenSet:
    """A golden set from YAML: `eval`, `counts` and `clean`.

    Raises:
        UserError: it cannot be read, or one class is empty: a judge that always says the same would pass.
    """
    values = read_yaml(path)
    made = build(GoldenSet, values if isinstance(values, Mapping) else {}, str(path))
    for name in ("counts", "clean"):
        if not getattr(made, name):
            raise UserError(
                f"{path}: the golden set of {made.eval} has no text under `{name}`: with one class, a judge that always "
                "says the same would pass"
            )
    for text, _ in made.texts:
        if text.part not in ("output", "reasoning"):
            raise UserError(f"{path}: part must be output or reasoning, not '{text.part}'")
        if bool(text.scene) == bool(text.prompt):
            raise UserError(f"{path}: every text has a `scene` or a `prompt`, and not both: {text.text[:60]!r}")
    return made


@cache
def own_golden(name: str) -> GoldenSet:
    """The set that ships with the code.

    Raises:
        UserError: there is none of that name.
    """
    path = GOLDEN / f"{name}.yaml"
    if not path.is_file():
        known = [file.stem for file in GOLDEN.glob("*.yaml")]
        raise UserError(f"no golden set of the eval '{name}' ships with the code ({near(name, known)}): give one")
    return load_golden(path)


def items(golden: GoldenSet, rubric: Rubric, asked: Asked) -> list[Item]:
    """Its texts as items, in the order of `texts`."""
    made = []
    for text, _ in golden.texts:
        read = asked(golden.eval, text.scene) if text.scene else (Message("user", text.prompt),)
        parts = (text.text, "") if text.part == "reasoning" else ("", text.text)
        made.append(Item(golden.eval, rubric, read, *parts))
    return made


@dataclass(frozen=True)
class Checked:
    """What a judge made of a golden set: shares of the items it judged, but `missing`, a share of all."""

    eval: str
    n: int
    missing: float
    accuracy: float
    recall_yes: float
    recall_no: float
    kappa: float
    probability_yes: float  # mean probability of yes where yes is right
    probability_no: float  # and where no is
    mass: float  # mean label mass; NaN where it is not known
    said_yes: Mapping[str, float]  # share of yes at each threshold of the probability
    accuracies: Mapping[str, float]  # and the accuracy there
    dropped: int  # passages cited that do not occur
    wrong: Mapping[str, str]  # kind of text -> "wrong/judged"

    @property
    def passed(self) -> bool:
        """Whether it meets every bound."""
        least = ("accuracy", "recall_yes", "recall_no", "kappa")
        return self.missing <= BOUNDS["missing"] and all(getattr(self, name) >= BOUNDS[name] for name in least)

    def fails(self) -> str:
        """The bounds that it misses, in words."""
        shown = [f"{name.replace('_', ' ')} {getattr(self, name):.2f}" for name in BOUNDS if not self._meets(name)]
        return ", ".join(shown)

    def _meets(self, name: str) -> bool:
        value = getattr(self, name)
        return bool(value <= BOUNDS[name] if name == "missing" else value >= BOUNDS[name])


def check(judge: Judge, golden: GoldenSet, rubric: Rubric, asked: Asked) -> Checked:
    """What `judge` makes of a golden set."""
    return compared(golden, judge(items(golden, rubric, asked)))


def compared(golden: GoldenSet, judgements: Sequence[Judgement | None]) -> Checked:
    """Judgements, in the order of `golden.texts`, beside its labels."""
    pairs = list(zip(golden.texts, judgements, strict=True))
    judged = [(text, label, said) for (text, label), said in pairs if said is not None]
    right = [(said.label == "yes") == label for _, label, said in judged]
    chances = [(said.probability, label) for _, label, said in judged]
    kinds = dict.fromkeys(text.kind for text, _, _ in judged)
    wrong = {kind: [not ok for (t, _, _), ok in zip(judged, right, strict=True) if t.kind == kind] for kind in kinds}
    masses = [said.mass for _, _, said in judged if said.mass is not None]
    return Checked(
        eval=golden.eval,
        n=len(pairs),
        missing=1 - len(judged) / len(pairs),
        accuracy=_mean(right),
        recall_yes=_mean([ok for ok, (_, label, _) in zip(right, judged, strict=True) if label]),
        recall_no=_mean([ok for ok, (_, label, _) in zip(right, judged, strict=True) if not label]),
        kappa=_kappa([said.label == "yes" for *_, said in judged], [label for _, label, _ in judged]),
        probability_yes=_mean([chance for chance, label in chances if label]),
        probability_no=_mean([chance for chance, label in chances if not label]),
        mass=_mean(masses),
        said_yes={f"{at:g}": _mean([chance >= at for chance, _ in chances]) for at in THRESHOLDS},
        accuracies={f"{at:g}": _mean([(chance >= at) == label for chance, label in chances]) for at in THRESHOLDS},
        dropped=sum(said.dropped for *_, said in judged),
        wrong={kind: f"{sum(found)}/{len(found)}" for kind, found in wrong.items() if any(found)},
    )


def _kappa(said: Sequence[bool], known: Sequence[bool]) -> float:
    """Zero, not unknown, for a judge that always says the same."""
    if said and len(set(said)) == 1 and len(set(known)) == 2:
        return 0.0
    return cohen_kappa(said, known)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def usable(checked: Mapping[str, Checked], name: str) -> bool:
    """Whether verdicts on the eval `name` may be shown: its gate and that of coherence are passed."""
    return all(part in checked and checked[part].passed for part in (name, COHERENCE))


def refused(checked: Mapping[str, Checked]) -> list[str]:
    """Those of what was checked, coherence among them, on which the judge may not be used."""
    return [name for name in checked if not usable(checked, name)]


def golden_of(files: Mapping[str, str], names: Sequence[str]) -> dict[str, GoldenSet]:
    """The golden sets of evals and of coherence; `files` are those of the user, by eval.

    Raises:
        UserError: a file of another eval than it is given for.
    """
    found = {}
    for name in (*names, COHERENCE):
        found[name] = load_golden(Path(files[name]).expanduser()) if name in files else own_golden(name)
        if found[name].eval != name:
            raise UserError(f"{files.get(name, name)} is the golden set of {found[name].eval}, not of {name}")
    return found
