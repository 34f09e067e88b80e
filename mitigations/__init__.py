"""Mitigations by name, and the door for scripts and notebooks: `mitigations.run("pm_penalty:weight=0.25", scale="smoke")`.

A plug-in is a frozen dataclass: its fields are its options, calling it gives a recipe for RL or for SFT
(base.recipes). One file and one line in MITIGATIONS make it known to the command line, the tables, figures and tests.
"""

from __future__ import annotations

from mitigations.api import Result, arm, dry_run, resolve, run
from mitigations.registry import MITIGATIONS

__all__ = ["MITIGATIONS", "Result", "arm", "dry_run", "resolve", "run"]
