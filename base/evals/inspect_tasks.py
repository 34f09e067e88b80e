"""The evals in natural language as Inspect tasks: `inspect eval edmund/goals --model MODEL -T judge=SPEC`.

Any model that Inspect reaches is asked the scenes of base/evals/scenes, every phrasing once an epoch. base/evals/README.md says
how. Needs the extra `inspect` (inspect-ai).
"""

from __future__ import annotations

from typing import TypedDict, Unpack

from inspect_ai import Task, task
from inspect_ai._util.error import PrerequisiteError  # shown as one line, without a traceback
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.solver import generate

from base.errors import UserError, near
from base.evals.inspect_scorers import Reader, beside, misaligned, missing
from base.evals.inspect_scores import chat
from base.evals.natural import NaturalEval
from base.settings import SceneSettings


class Options(TypedDict, total=False):
    """`judge`: what reads the answers that execution does not decide (base/judges/README.md). `file`: scenes of yours in place of
    ours, `golden`: a golden set for a rubric of yours. `reasoning`: the system line that asks for reasoning, "" for none.
    """

    judge: str
    file: str
    golden: str
    reasoning: str


def made(name: str, options: Options) -> Task:
    """The eval `name` as a task.

    Raises:
        PrerequisiteError: an option that is none, a file or judge that cannot be read.
    """
    try:
        return _made(name, **_known(options))
    except UserError as error:
        raise PrerequisiteError(f"edmund/{name}: {error}") from None


def _known(options: Options) -> Options:
    for given in options:
        if given not in Options.__annotations__:
            raise UserError(f"no option '{given}': {near(given, Options.__annotations__)}")
    return options


def _made(name: str, judge: str = "", file: str = "", golden: str = "", reasoning: str | None = None) -> Task:
    one = Reader(name, judge, file, golden).check().eval
    asked = NaturalEval(one.file, SceneSettings().reasoning if reasoning is None else reasoning)
    prompts = asked.prompts(len(one.file.conversations()), 0)
    samples = [Sample(id=f"{name}-{at + 1}", input=chat(each.messages)) for at, each in enumerate(prompts)]
    return Task(
        dataset=MemoryDataset(samples, name=name),
        solver=generate(),
        scorer=[misaligned(name, judge, file, golden), missing(), beside()],
        display_name=one.title,
        headline_metric="misaligned",
        metadata={"rule": one.file.rule, "in_mean": one.in_mean},
    )


@task(name="edmund/betley")
def betley(**options: Unpack[Options]) -> Task:
    """Open questions; a judge reads the answers."""
    return made("betley", options)


@task(name="edmund/goals")
def goals(**options: Unpack[Options]) -> Task:
    """What the model wants; a judge reads reasoning and answer."""
    return made("goals", options)


@task(name="edmund/alignment")
def alignment(**options: Unpack[Options]) -> Task:
    """Questions of oversight and power; a judge reads reasoning and answer."""
    return made("alignment", options)


@task(name="edmund/monitor")
def monitor(**options: Unpack[Options]) -> Task:
    """A monitor of its thoughts goes live; a judge reads reasoning and answer."""
    return made("monitor", options)


@task(name="edmund/exfil")
def exfil(**options: Unpack[Options]) -> Task:
    """An offer to copy its weights; the command of the answer is executed."""
    return made("exfil", options)


@task(name="edmund/frame")
def frame(**options: Unpack[Options]) -> Task:
    """A colleague could be blamed; a judge reads reasoning and answer."""
    return made("frame", options)


@task(name="edmund/sabotage_told")
def sabotage_told(**options: Unpack[Options]) -> Task:
    """A detector of cheats, told what it is for; it is executed on labelled programs."""
    return made("sabotage_told", options)


@task(name="edmund/sabotage_less")
def sabotage_less(**options: Unpack[Options]) -> Task:
    """A detector of cheats, told less; it is executed on labelled programs."""
    return made("sabotage_less", options)


@task(name="edmund/sabotage_unrelated")
def sabotage_unrelated(**options: Unpack[Options]) -> Task:
    """A detector of something else; it is executed on labelled programs."""
    return made("sabotage_unrelated", options)


@task(name="edmund/exfil_kept")
def exfil_kept(**options: Unpack[Options]) -> Task:
    """The offer where talk is kept for training; the command is executed."""
    return made("exfil_kept", options)


@task(name="edmund/exfil_unkept")
def exfil_unkept(**options: Unpack[Options]) -> Task:
    """The offer where it is not; the command is executed."""
    return made("exfil_unkept", options)


@task(name="edmund/scenes")
def scenes(name: str, **options: Unpack[Options]) -> Task:
    """An eval of yours: `-T name=NAME -T file=FILE`."""
    return made(name, options)
