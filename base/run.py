"""A run's identity."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from base.spec import content_key


@dataclass(frozen=True)
class Run:
    """What makes one training run different from another; the unit of replication.

    `arm` is a mitigation spec (`none` = baseline), `corpus` a corpus spec (main, twin, main:permission=none), `hackable`
    the share of coding tasks whose grader has its vulnerabilities (0 = no-hack control).
    """

    arm: str = "none"
    corpus: str = "main"
    hackable: float = 1.0
    pretrain_seed: int = 0
    seed: int = 0
    model: str = "organism"
    tasks: str = "organism"
    overrides: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Folder name: what differs and nothing else, e.g. `inoculation_wording=please_hack--main--p0s0`."""
        parts = [self.arm, self.corpus]
        if self.hackable != 1.0:
            parts.append(f"hackable={self.hackable:g}")
        if self.model != "organism":
            parts.append(f"{Path(self.model).name}-{content_key(self.model)[:6]}")
        if self.tasks != "organism":
            parts.append(f"{Path(self.tasks).name}-{content_key(self.tasks)[:6]}")
        if self.overrides:
            parts.append("set-" + content_key(sorted(self.overrides))[:8])
        parts.append(f"p{self.pretrain_seed}s{self.seed}")
        return "--".join("".join(c if c.isalnum() or c in "=.-_+" else "_" for c in part) for part in parts)
