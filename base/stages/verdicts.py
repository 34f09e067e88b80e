"""Judges in a run of a user's model: their golden sets once for all runs, then the stored answers of a run.

Answers and verdicts are apart: other judges read the same answers again, and nothing is sampled anew. (The judges of
base.stages.judge are preference models, which pay in RL.)
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from base.errors import UserError
from base.evals.gate import Evals, asked_in_golden, check_all, golden_sets, rubrics
from base.evals.natural import NaturalEval, judged, natural_evals
from base.evals.readings import Used, judge_rows, score_rows
from base.evals.scene_files import shipped
from base.identity import folder_name
from base.judges.golden import Checked, items, usable
from base.judges.hf import HFJudge, release
from base.judges.judge import Judge, config_key, model_key
from base.judges.openai import OpenAIJudge
from base.judges.report import verdicts as told
from base.progress import Progress
from base.settings import EngineSettings, Scale
from base.spec import content_key
from base.stage import Site, Stage
from base.stages.evaluate import Evaluate
from base.stages.reported import report_scores
from base.store.files import read_json, write_json
from base.store.folders import RunFolder
from base.wanted import CLEAN

TIMED = 4  # judgements that are timed
NO_TIME = 1e-4  # seconds of a judgement that no model makes


@dataclass(frozen=True)
class GoldenCheck(Stage):
    """A judge on the golden sets of judged evals: once for all runs that use it."""

    judge: Judge
    scale: Scale
    kind: ClassVar[str] = "golden"
    unit: ClassVar[str] = "judgement"

    @property
    def needs(self) -> tuple[Stage, ...]:
        return ()

    @property
    def label(self) -> str:
        return f"{self.judge.spec}: golden sets"

    def evals(self) -> dict[str, NaturalEval]:
        """Those that it would read."""
        return judged(natural_evals(self.scale.scenes))

    def content(self) -> Any:
        sets = golden_sets(self.scale.scenes, self.evals())
        return [model_key(self.judge), config_key(self.judge), rubrics(self.evals()), sets, shipped()]

    def units(self) -> int:
        return sum(len(one.texts) for one in golden_sets(self.scale.scenes, self.evals()).values())

    def folder(self, root: Path) -> Path:
        return root / "shared" / (folder_name(["golden", self.judge.name, self.key[:8]]) + ".json")

    def present(self, root: Path) -> bool:
        return self.folder(root).is_file()

    def engine(self) -> EngineSettings:
        return self.scale.engine

    def checked(self, root: Path) -> dict[str, Checked]:
        """What was found, by eval."""
        return {name: Checked(**row) for name, row in read_json(self.folder(root))["checked"].items()}

    def used(self, root: Path) -> Used:
        """The judge with the evals on which it may be used."""
        checked = self.checked(root)
        return Used(self.judge, frozenset(name for name in self.evals() if usable(checked, name)))

    def work(self, site: Site) -> None:
        if site.process.is_main:
            self.measure(site.root)
        if isinstance(self.judge, HFJudge):
            release()  # RL comes next

    def measure(self, root: Path) -> None:
        """Checks the judge, unless that was done, and says whether it may be used."""
        if not self.present(root):
            found = check_all(self.judge, self.scale.scenes, self.evals())
            write_json(self.folder(root), {"judge": self.judge.spec, "checked": found})
        print("\n".join(told(self.judge.spec, self.checked(root))), file=sys.stderr)


def judges_timed(stages: Sequence[Stage], scale: Scale) -> Scale:
    """The scale with the seconds of a judgement, the mean over the judges of these stages, unless that of one is not known."""
    checks = [stage for stage in stages if isinstance(stage, GoldenCheck)]
    each = [judge_pace(check) for check in checks]
    known = [seconds for seconds in each if seconds is not None]
    if len(known) < len(each):
        return scale
    return replace(scale, measured={**scale.measured, "judgement": sum(known) / len(known)})


def judge_pace(check: GoldenCheck) -> float | None:
    """Seconds of one judgement: of a few texts of the golden sets, by a local model; nothing to speak of, by rules and files.
    None: an endpoint, which is not asked for an estimate, or a model that cannot be timed in seconds.
    """
    if not isinstance(check.judge, HFJudge):
        return None if isinstance(check.judge, OpenAIJudge) else NO_TIME
    words = rubrics(check.evals())
    name, golden = next(iter(golden_sets(check.scale.scenes, check.evals()).items()))
    return check.judge.pace(items(golden, words[name], asked_in_golden)[:TIMED])


@dataclass(frozen=True)
class Verdicts(Stage):
    """Judgements of a run's stored answers, as far as they have none, and the score rows that follow from them.

    The first judge's verdicts count. Asked with other judges, it reads the same answers again.
    """

    evaluate: Evaluate
    judges: tuple[Judge, ...]
    kind: ClassVar[str] = "verdicts"
    unit: ClassVar[str] = "judgement"

    @property
    def checks(self) -> tuple[GoldenCheck, ...]:
        """The golden checks of its judges."""
        scale = self.evaluate.asked.scale
        return tuple(GoldenCheck(judge, scale) for judge in self.judges)

    @property
    def needs(self) -> tuple[Stage, ...]:
        return (self.evaluate, *self.checks)

    @property
    def label(self) -> str:
        return f"{self.evaluate.trained.run.name}: by {', '.join(judge.spec for judge in self.judges)}"

    def evals(self) -> dict[str, NaturalEval]:
        """Those that its judges read."""
        return judged(self.evaluate.asked.world.evals())

    def content(self) -> Any:
        return judging_key(self.judges, self.evals())

    def units(self) -> int:
        """Items at most: of every answer whether it is coherent, its output, and its reasoning where the eval's rule reads it."""
        return len(self._places()) * self._each()

    def left(self, root: Path) -> int:
        known = judged_places(RunFolder(self.folder(root)), self.content())
        return len(self._places() - known) * self._each()

    def _places(self) -> set[tuple[int, str]]:
        """(step, prompt) of every evaluation that is wanted."""
        prompts = [name for name, _ in self.evaluate.prompts if name != CLEAN]
        return {(step, name) for name in prompts for step in (0, *self.evaluate.steps(name))}

    def _each(self) -> int:
        """Items of one evaluation."""
        parts = sum(3 if one.file.rule == "either" else 2 for one in self.evals().values())
        return self.evaluate.asked.scale.evals.samples * parts * len(self.judges)

    def folder(self, root: Path) -> Path:
        return self.evaluate.folder(root)

    def present(self, root: Path) -> bool:
        return not unjudged(RunFolder(self.folder(root)), self.content())

    def engine(self) -> EngineSettings:
        return self.evaluate.engine()

    def work(self, site: Site) -> None:
        if site.process.is_main:
            used = [one.used(site.root) for one in self.checks]
            judge_run(RunFolder(self.folder(site.root)), self.evals(), used)
            for one in used:
                if refused := [name for name in self.evals() if name not in one.passed]:
                    said = f"{one.judge.spec} failed its golden sets: no number of {', '.join(refused)} is shown"
                    print(said, file=sys.stderr)


def judging_key(judges: Sequence[Judge], evals: Evals) -> str:
    """Hash of what verdicts depend on beside the answers."""
    said = [[model_key(judge), config_key(judge)] for judge in judges]
    return content_key([said, rubrics(evals), {name: one.file.rule for name, one in evals.items()}])[:16]


def unjudged(folder: RunFolder, key: str) -> list[tuple[int, str]]:
    """(step, prompt) of evaluations whose score rows are not by the judges of `key`."""
    return sorted(folder.scored() - judged_places(folder, key))


def judged_places(folder: RunFolder, key: str) -> set[tuple[int, str]]:
    """(step, prompt) of evaluations whose score rows are by the judges of `key`."""
    done = folder.record.get("judged", {})
    known = {(int(step), prompt) for step, prompt in done.get("places", ())} if done.get("key") == key else set()
    return {place for place in known if folder.has_verdicts(*place)}


def judge_run(folder: RunFolder, evals: Evals, used: Sequence[Used]) -> None:
    """Judges the answers of a run that have no verdicts by these judges, and rewrites their score rows.

    Wherever it is stopped, verdicts of other judges stay, and no score row passes for that of another judge.

    Raises:
        UserError: answers without what was asked (of an older version), or what a judge finds wrong.
    """
    key = judging_key([one.judge for one in used], evals)
    todo = unjudged(folder, key)
    done = sorted(folder.scored() - set(todo))
    with Progress("evaluation", len(todo), show=True) as progress:
        for step, prompt in todo:
            answers = folder.answers(step, prompt)
            if any("messages" not in row for row in answers if row["eval"] in evals):
                raise UserError(f"{folder.path.name} keeps no prompts beside its answers: evaluate it again")
            rows = {one.judge.name: judge_rows(one.judge, evals, answers) for one in used}
            new = [row for mine in rows.values() for row in mine]
            others = _of_others(folder.verdicts(step, prompt), new)
            kept = [row for row in folder.scores_of(step, prompt) if row["eval"] not in evals]
            made = [{"prompt": prompt, **row} for row in score_rows(evals, answers, rows, used)]
            said = {"key": key, "judges": [_said_of(one) for one in used]}
            folder.update(judged={**said, "places": sorted(done)})  # not this place until all of it is written
            folder.write_verdicts(step, prompt, [*others, *new])
            folder.rewrite_scores(step, prompt, [*kept, *made])
            done.append((step, prompt))
            folder.update(judged={**said, "places": sorted(done)})
            report_scores(folder)
            progress.advance()


def _of_others(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Verdicts of judges that are not asked now: they stay."""
    asked = {(row["model"], row["config"]) for row in new}
    return [row for row in old if (row["model"], row["config"]) not in asked]


def _said_of(one: Used) -> dict[str, Any]:
    """A judge as the run's record has it."""
    hashes = {"model": model_key(one.judge), "config": config_key(one.judge)}
    return {"spec": one.judge.spec, "name": one.judge.name, **hashes, "passed": sorted(one.passed)}
