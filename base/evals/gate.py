"""The gate of judged evals: which golden sets a judge has to pass before a number of theirs is shown, and what it makes of them."""

from __future__ import annotations

from collections.abc import Mapping

from base.errors import UserError
from base.evals.natural import NaturalEval
from base.evals.scene_files import shipped
from base.judges.golden import Checked, GoldenSet, check, golden_of
from base.judges.judge import COHERENCE, Judge, Rubric, coherence
from base.settings import SceneSettings
from base.types import Message

Evals = Mapping[str, NaturalEval]


def rubrics(evals: Evals) -> dict[str, Rubric]:
    """The rubric of every judged eval, and that of coherence."""
    found = {name: one.file.rubric for name, one in evals.items() if one.file.rubric is not None}
    return {**found, COHERENCE: coherence()}


def asked_in_golden(name: str, scene: str) -> tuple[Message, ...]:
    """What a text of a golden set answers: a scene of ours.

    Raises:
        UserError: there is none.
    """
    if name not in shipped():
        raise UserError(
            f"{name} is no eval of ours, so its golden texts cannot name a scene ('{scene}'): give each a `prompt`"
        )
    return shipped()[name].asked(scene)


def golden_sets(settings: SceneSettings, evals: Evals) -> dict[str, GoldenSet]:
    """The golden sets of judged evals and of coherence.

    Raises:
        UserError: an eval with a rubric of the user's has none, or one of our golden sets.
    """
    ours = shipped()
    for name, one in evals.items():
        same = name in ours and one.file.rubric == ours[name].rubric
        if not same and name not in settings.golden:
            raise UserError(
                f"the eval {name} has a rubric of its own, so that judges need a golden set for it: "
                f"--set scenes.golden.{name}=FILE (in Inspect: -T golden=FILE)"
            )
    return golden_of(settings.golden, list(evals))


def check_all(judge: Judge, settings: SceneSettings, evals: Evals) -> dict[str, Checked]:
    """What a judge makes of the golden set of every judged eval, and of coherence."""
    words, sets = rubrics(evals), golden_sets(settings, evals)
    return {name: check(judge, golden, words[name], asked_in_golden) for name, golden in sets.items()}
