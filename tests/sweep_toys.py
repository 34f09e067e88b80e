"""A toy stage that any process can make, and runs of it, for tests of sweeps, clusters and what ships."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from base.engine.runtime import barrier
from base.settings import EngineSettings
from base.stage import Site, Stage
from base.store.files import read_json, write_json


@dataclass(frozen=True)
class Toy(Stage):
    """Counts how often it was made; `fails` with an error instead."""

    name: str
    before: tuple[Stage, ...] = ()
    fails: bool = False
    kind: ClassVar[str] = "toy"

    @property
    def needs(self) -> tuple[Stage, ...]:
        return self.before

    @property
    def label(self) -> str:
        return self.name

    def content(self) -> Any:
        return self.name

    def folder(self, root: Path) -> Path:
        return root / "shared" / self.name

    def present(self, root: Path) -> bool:
        return (self.folder(root) / "result.json").is_file()

    def engine(self) -> EngineSettings:
        return EngineSettings()

    def work(self, site: Site) -> None:
        if self.fails:
            raise ValueError(f"{self.name} cannot be")
        write_json(self.folder(site.root) / "result.json", {"made": self.made(site.root) + 1})

    def made(self, root: Path) -> int:
        """How often."""
        return int(read_json(self.folder(root) / "result.json").get("made", 0))


@dataclass(frozen=True)
class Ranked(Toy):
    """Every rank says which of how many it is."""

    kind: ClassVar[str] = "ranked"

    def work(self, site: Site) -> None:
        process = site.process
        write_json(self.folder(site.root) / f"rank-{process.rank}.json", {"of": process.world_size})
        barrier(process)
        if process.is_main:
            super().work(site)
