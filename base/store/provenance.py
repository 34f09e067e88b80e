"""What made a result: commit, versions, machine, command."""

from __future__ import annotations

import platform
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass


PACKAGES = ("torch", "transformers", "trl", "accelerate", "deepspeed", "datasets", "tokenizers", "pytest", "edmund")


def provenance() -> dict[str, Any]:
    """Versions, commit and machine of this process. `dirty` means that uncommitted changes took part."""
    root = Path(__file__).parents[2]

    def git(*words: str) -> str:
        try:
            return subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=20).stdout
        except (OSError, subprocess.TimeoutExpired):
            return ""

    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "commit": git("rev-parse", "HEAD").strip() or "unknown",
        "dirty": bool(git("status", "--porcelain", "--untracked-files=no").strip()),
        "python": platform.python_version(),
        "versions": versions,
        "platform": platform.platform(),
        "cpu": _cpu(),
        "command": shlex.join(["python", "-m", _module(), *sys.argv[1:]]),
    }


def _module() -> str:
    """What `python -m` was given, or the script's name."""
    path = Path(sys.argv[0] if sys.argv else "")
    return path.parent.name if path.name == "__main__.py" else path.stem


def diff() -> str:
    """Uncommitted changes of tracked files, as a patch."""
    root = Path(__file__).parents[2]
    try:
        return subprocess.run(
            ["git", "-C", str(root), "diff", "HEAD"], capture_output=True, text=True, timeout=20
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
