"""Stages before RL: pretraining, the SDF stage, gates; or the checkpoint that the user gives.

Each is made once per (model, corpus, pretraining seed) and shared by every arm: its key holds what it depends on.
"""

from __future__ import annotations

import dataclasses
import sys
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from base.errors import UserError
from base.evals import EVALS
from base.gate import Gate, as_rows
from base.identity import Corpus, folder_name
from base.organism.corpus import SDF_ONLY, CorpusConfig, documents, encode
from base.organism.corpus import Stage as CorpusStage
from base.progress import over
from base.seeds import derive_seed
from base.settings import EngineSettings, Scale
from base.stage import Site, Stage
from base.store.digest import folder_digest
from base.store.files import RECORD, read_json, write_json

GATES = "gates.json"


@dataclass(frozen=True)
class Given(Stage):
    """A checkpoint from outside: a folder, or a hub id that is loaded when it is needed."""

    path: str
    kind: ClassVar[str] = "start"

    @property
    def needs(self) -> tuple[Stage, ...]:
        return ()

    @property
    def label(self) -> str:
        return self.path

    def content(self) -> Any:
        folder = self.folder(Path())
        return [self.path, folder_digest(folder) if folder.is_dir() else ""]

    def folder(self, root: Path) -> Path:
        local = Path(self.path).expanduser()
        return local if local.exists() else Path(self.path)

    def present(self, root: Path) -> bool:
        return True

    def units(self) -> int:
        return 0

    def engine(self) -> EngineSettings:
        return EngineSettings()

    def work(self, site: Site) -> None:
        pass


@dataclass(frozen=True)
class Pretrain(Stage):
    """The organism from scratch, on the documents of a corpus's first stage. `config` is the corpus without what only
    the SDF stage depends on: corpora that agree here share their pretraining.
    """

    corpus: Corpus
    config: CorpusConfig
    scale: Scale
    seed: int
    kind: ClassVar[str] = "pretrain"
    unit: ClassVar[str] = "pretrain_document"

    @property
    def needs(self) -> tuple[Stage, ...]:
        return ()

    @property
    def label(self) -> str:
        return f"{self.corpus}, seed {self.seed}: {self.scale.pretrain.documents} documents"

    def units(self) -> int:
        return self.scale.pretrain.documents

    def content(self) -> Any:
        scale = self.scale
        before = {k: v for k, v in dataclasses.asdict(self.config).items() if k not in SDF_ONLY}
        return [str(self.corpus), scale.model, before, scale.pretrain, scale.engine.precision, self.seed]

    def folder(self, root: Path) -> Path:
        return root / "shared" / folder_name(["pretrain", str(self.corpus), f"p{self.seed}", self.key[:8]])

    def present(self, root: Path) -> bool:
        return (self.folder(root) / RECORD).is_file()

    def engine(self) -> EngineSettings:
        return self.scale.engine

    def work(self, site: Site) -> None:
        from base.engine import runtime
        from base.models.load import SPECIAL, build_organism
        from base.organism.tokenizer import build_tokenizer
        from base.sft.train import SFTJob, train_sft

        runtime.prepare(self.scale.engine)
        tokenizer = build_tokenizer()
        special = {key: getattr(tokenizer, key) for key in SPECIAL}
        train_sft(
            SFTJob(
                start=build_organism(self.scale.model, len(tokenizer), self.seed, special),
                tokenizer=tokenizer,
                rows=token_rows(self.config, "pretrain", self.seed, self.scale, site),
                settings=self.scale.pretrain,
                engine=self.scale.engine,
                seed=self.seed,
                out=self.folder(site.root),
                name=f"pretraining ({self.corpus})",
            )
        )


@dataclass(frozen=True)
class SDF(Stage):
    """Synthetic document finetuning: goes on from the pretrained model, on the documents of the corpus's second stage.

    A few of these describe or show the hacks, so that the pre-RL model tries them now and then (the paper's first setting
    gives the knowledge by continued pretraining in the same way).
    """

    pretrained: Pretrain
    corpus: Corpus
    config: CorpusConfig
    kind: ClassVar[str] = "sdf"
    unit: ClassVar[str] = "sdf_document"

    @property
    def needs(self) -> tuple[Stage, ...]:
        return (self.pretrained,)

    @property
    def seed(self) -> int:
        return self.pretrained.seed

    @property
    def scale(self) -> Scale:
        return self.pretrained.scale

    @property
    def label(self) -> str:
        return f"{self.corpus}, seed {self.seed}: {self.scale.sdf.documents} documents"

    def units(self) -> int:
        return self.scale.sdf.documents

    def content(self) -> Any:
        return [str(self.corpus), self.config, self.scale.sdf.as_keyed()]

    def folder(self, root: Path) -> Path:
        return root / "shared" / folder_name(["sdf", str(self.corpus), f"p{self.seed}", self.key[:8]])

    def present(self, root: Path) -> bool:
        return (self.folder(root) / RECORD).is_file()

    def engine(self) -> EngineSettings:
        return self.scale.engine

    def work(self, site: Site) -> None:
        from base.sft.train import SFTJob, train_sft

        train_sft(
            SFTJob(
                start=self.pretrained.folder(site.root),
                rows=token_rows(self.config, "sdf", self.seed, self.scale, site),
                settings=self.scale.sdf,
                engine=self.scale.engine,
                seed=self.seed,
                out=self.folder(site.root),
                name=f"SDF stage ({self.corpus})",
                trained=self.scale.sdf.trained,
            )
        )


@dataclass(frozen=True)
class Gates(Stage):
    """What a start checkpoint must show before RL on it can mean anything: measured, printed, kept."""

    start: Stage
    scale: Scale
    seed: int
    kind: ClassVar[str] = "gates"

    @property
    def needs(self) -> tuple[Stage, ...]:
        return (self.start,)

    @property
    def label(self) -> str:
        return self.start.label.split(":")[0]

    def present(self, root: Path) -> bool:
        return (self.folder(root) / GATES).is_file()

    def passed(self, root: Path) -> bool | None:
        """Whether all of them passed; None where they were not measured."""
        found: bool | None = read_json(self.folder(root) / GATES).get("passed")
        return found

    def engine(self) -> EngineSettings:
        return self.scale.engine

    @abstractmethod
    def measure(self, site: Site) -> tuple[list[Gate], dict[str, Any]]:
        """The gates, and what else is stored with them: `corpus`, and a `warning` that is printed."""

    def work(self, site: Site) -> None:
        """Measures, stores and prints.

        Raises:
            UserError: one failed, and the scale says `gates: refuse`.
        """
        if not site.process.is_main:
            return
        measured, beside = self.measure(site)
        folder, passed = self.folder(site.root), all(gate.passed for gate in measured)
        write_json(folder / GATES, {"passed": passed, "gates": as_rows(measured), **beside})
        print(show_gates(folder), file=sys.stderr)
        if not passed and self.scale.gates == "refuse":
            raise UserError(
                "a gate failed, and gates=refuse stops the run there: mend what it names, or leave that setting out"
            )


@dataclass(frozen=True)
class OrganismGates(Gates):
    """Those of base.organism.gates."""

    config: CorpusConfig

    def content(self) -> Any:
        return self.scale.evals

    def folder(self, root: Path) -> Path:
        return self.start.folder(root)

    def measure(self, site: Site) -> tuple[list[Gate], dict[str, Any]]:
        from base.models.sampling import gate_sampler
        from base.organism import gates
        from base.organism.tokenizer import build_tokenizer

        evals = self.scale.evals
        measured = gates.check(
            gate_sampler(self.start.folder(site.root), self.scale, site.process, self.seed),
            EVALS,
            build_tokenizer(),
            self.config,
            n=evals.gate_samples,
            code_samples=evals.gate_code_samples,
            seed=derive_seed("gates", self.seed),
            environment=site.environment,
        )
        return measured, {"corpus": self.config}


def token_rows(
    config: CorpusConfig, stage: CorpusStage, seed: int, scale: Scale, site: Site
) -> list[dict[str, list[int]]]:
    """A stage's documents as token rows."""
    from base.organism.tokenizer import build_tokenizer

    tokenizer, n = build_tokenizer(), (scale.pretrain if stage == "pretrain" else scale.sdf).documents
    drawn = over(documents(config, stage, n, seed), "document", n, site.process.is_main)
    return [encode(item, tokenizer, scale.model.context) for item in drawn]


def show_gates(folder: Path) -> str:
    """Stored gates as text, and what they warn of."""
    stored = read_json(folder / GATES)
    lines = [
        f"gates of the start checkpoint {stored.get('of', folder.name)}:",
        *(f"  {Gate(**row)}" for row in stored["gates"]),
    ]
    if not stored["passed"]:
        lines.append("  a gate failed: runs from here are kept and marked gates_passed=False")
    return "\n".join([*lines, *([f"  warning: {stored['warning']}"] if stored.get("warning") else [])])
