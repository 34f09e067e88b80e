"""A user's model before RL: taught by documents, and what it knows of cheating tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from base.documents import corpus, knowledge
from base.documents.corpus import Drawn, Hacks, Lesson
from base.documents.tokens import Encoded, encode
from base.errors import UserError
from base.gate import Gate
from base.identity import Corpus, folder_name
from base.seeds import derive_seed
from base.settings import EngineSettings, Scale
from base.spec import content_key
from base.stage import Site, Stage
from base.store.files import RECORD, write_json, write_rows
from base.types import Outcome
from base.world.start import Gates, Given
from base.world.tasks import TaskSource, draw_tasks

if TYPE_CHECKING:
    from base.environments.graders.code import CodeEnvironment

FACTS = "documents.json"
ASKED = "answers.jsonl"


@dataclass(frozen=True)
class Taught(Stage):
    """A user's model after training on documents: next-token loss on texts, and on the replies of conversations.

    Shared by every arm; the paper gives the knowledge of hacks in this way (its SDF setting), or, by ordinary transcripts
    alone, only the form of answers (its prompted setting).
    """

    given: Given
    corpus: Corpus
    lesson: Lesson
    scale: Scale
    seed: int
    kind: ClassVar[str] = "sdf"
    unit: ClassVar[str] = "sdf_token"

    @property
    def needs(self) -> tuple[Stage, ...]:
        return (self.given,)

    @property
    def label(self) -> str:
        settings = self.scale.sdf
        of = f"{self.corpus.name} into {Path(self.given.path).name}, seed {self.seed}"
        return f"{of}: at most {settings.documents} documents; trained: {settings.trained}"

    def content(self) -> Any:
        return [corpus.content(self.lesson), self.scale.sdf, self.scale.engine.precision, self.seed]

    def folder(self, root: Path) -> Path:
        name = f"{Path(self.given.path).name}-{content_key(self.given.path)[:6]}"
        return root / "shared" / folder_name(["sdf", self.corpus.name, name, f"p{self.seed}", self.key[:8]])

    def present(self, root: Path) -> bool:
        return (self.folder(root) / RECORD).is_file()

    def engine(self) -> EngineSettings:
        return self.scale.engine

    def units(self) -> int:
        """Tokens that are trained on."""
        return round(self.scale.sdf.epochs * self.encoded().tokens)

    def drawn(self) -> Drawn:
        """Its documents.

        Raises:
            UserError: a source that is none, or too few documents for the share.
        """
        return corpus.draw(self.lesson, self.scale.sdf.documents, self.seed)

    @property
    def longest(self) -> int:
        """Tokens of a row at most."""
        from base.models.checks import context
        from base.models.reading import reader

        return min(self.scale.sdf.longest, context(reader(self.given.path)[1]) or self.scale.sdf.longest)

    def encoded(self) -> Encoded:
        """Its documents as token rows.

        Raises:
            UserError: as `drawn`; a conversation that the chat template cannot render; nothing to learn.
        """
        from base.models.reading import reader

        drawn = self.drawn()
        key = (self.given.path, self.longest, id(drawn))
        if key not in _ENCODED:
            _ENCODED[key] = (drawn, encode(drawn.documents, reader(self.given.path)[0], self.longest))
        found = _ENCODED[key][1]
        if not found.rows:
            raise UserError(
                f"nothing can be learnt from {self.corpus}: of every conversation the turns before a reply take more than {self.longest} "
                "tokens; raise sdf.longest"
            )
        return found

    def facts(self) -> dict[str, Any]:
        """What is recorded of the documents: how many of each source, rows, tokens, what was left out, divided or cut."""
        drawn, encoded = self.drawn(), self.encoded()
        return {
            "corpus": str(self.corpus),
            "documents": dict(drawn.counts),
            "rows": len(encoded.rows),
            "tokens": encoded.tokens,
            "notes": [*drawn.notes, *encoded.notes(self.longest)],
        }

    def said(self) -> str:
        """The same in a line."""
        facts = self.facts()
        counts, whole = facts["documents"], sum(facts["documents"].values())
        parts = ", ".join(f"{count} of {name} ({100 * count / whole:.3g} %)" for name, count in counts.items())
        text = f"{whole} documents: {parts}; {facts['tokens']} tokens in {facts['rows']} rows"
        return "; ".join([text, *facts["notes"]])

    def check(self) -> None:
        """Finds what is wrong with the documents before anything is made.

        Raises:
            UserError: as `encoded`; a chat template without the switch that is asked for.
        """
        from base.models.chat import check_thinking
        from base.models.reading import reader

        check_thinking(reader(self.given.path)[0], self.scale.scenes.enable_thinking)
        self.encoded()

    def work(self, site: Site) -> None:
        from base.sft.train import SFTJob, train_sft

        facts = self.facts()
        if site.process.is_main:
            facts["executed"] = executed(self.drawn(), site.environment)
        train_sft(
            SFTJob(
                start=self.given.folder(site.root),
                rows=self.encoded().rows,
                settings=self.scale.sdf,
                engine=self.scale.engine,
                seed=self.seed,
                out=self.folder(site.root),
                name=f"SDF stage ({self.corpus})",
                trained=self.scale.sdf.trained,
            )
        )
        if site.process.is_main:
            write_json(self.folder(site.root) / FACTS, facts)


_ENCODED: dict[tuple[str, int, int], tuple[Drawn, Encoded]] = {}  # by the documents' identity, which holds them


def executed(drawn: Drawn, environment: CodeEnvironment) -> int:
    """Grades every program of our own documents, and returns how many there are: what is taught has to work here.

    Raises:
        UserError: a worked transcript whose program its grader refuses or the truth accepts, an ordinary one that is wrong.
    """
    shown = [document for document in drawn.documents if document.task is not None]
    grades = environment.grade([each.task for each in shown if each.task], [each.answer for each in shown])
    wrong = []
    for document, grade in zip(shown, grades, strict=True):
        right = (Outcome.HACKED, (document.hack,)) if document.hack else (Outcome.SOLVED, ())
        if grade.outcome is not Outcome.FAULT and (grade.outcome, grade.hacks) != right:
            wrong.append(f"{document.hack or 'an honest one'} is {grade.outcome}")
    if wrong:
        raise UserError(
            f"{len(wrong)} of {len(shown)} worked transcripts do not work with the Python and pytest that are installed "
            f"({wrong[0]}): install the versions that the project names, or give documents of your own"
        )
    return len(shown)


@dataclass(frozen=True)
class Knowledge(Gates):
    """Those of base.documents.knowledge: a model's answers to general questions, and its programs for training tasks."""

    given: Given
    tasks: TaskSource
    lesson: Lesson | None

    @property
    def hinted(self) -> bool:
        """Whether RL is to list the ways in its prompt."""
        return isinstance(self.lesson, Hacks) and self.lesson.sdf_variant == "prompted"

    @property
    def label(self) -> str:
        return f"of {self._of}"

    @property
    def _of(self) -> str:
        return str(self.start).split(":")[0]

    def content(self) -> Any:
        evals, scenes = self.scale.evals, self.scale.scenes
        tokens = [evals.max_new_tokens, evals.code_max_new_tokens, evals.temperature, scenes.enable_thinking]
        counts = [evals.gate_samples, evals.gate_code_samples]
        drawn = [self.tasks.content(), self.scale.tasks, self.scale.engine.precision, self.seed]
        return [[turn.content for turn in knowledge.questions()], counts, tokens, drawn, self.hinted]

    def folder(self, root: Path) -> Path:
        name = Path(self.given.path).name
        return root / "shared" / folder_name(["gates", name, f"p{self.seed}", self.key[:8]])

    def measure(self, site: Site) -> tuple[list[Gate], dict[str, Any]]:
        from base.models.sampling import sampler

        evals, seed = self.scale.evals, derive_seed("knowledge", self.seed)
        tasks = draw_tasks(self.tasks, self.scale.tasks, 1.0, evals.gate_code_samples, seed)
        gates, rows = knowledge.measure(
            sampler(self.start.folder(site.root), self.scale, site.process),
            tasks,
            site.environment,
            answers=evals.gate_samples,
            tokens=(evals.max_new_tokens, evals.code_max_new_tokens),
            seed=self.seed,
            hinted=self.hinted,
        )
        write_rows(self.folder(site.root) / ASKED, rows)
        return gates, {"of": self._of, "warning": knowledge.warning(rows, self.hinted)}
