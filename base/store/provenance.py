"""What made a result: commit, versions, machine, command."""

from __future__ import annotations

import platform
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "transformers", "trl", "accelerate", "deepspeed", "datasets", "tokenizers", "pytest", "edmund")

_ROOT = Path(__file__).parents[2]


def provenance() -> dict[str, Any]:
    """Versions, commit and machine of this process.

    `dirty`: uncommitted changes or new files of the packages took part; None where git cannot say (no repository, one of
    another owner or of something else, no git), which is not the same as clean.
    """
    code = [path.parent.name for path in _ROOT.glob("*/__init__.py")]  # the packages beside this one
    here = bool(_git("ls-files", "--", *code))  # and not in a repository around it that knows nothing of it
    commit = _git("rev-parse", "HEAD") if here else None
    changed = _git("status", "--porcelain", "--", *code) if here else None
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "commit": (commit or "").strip() or "unknown",
        "dirty": None if changed is None else bool(changed.strip()),
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
    """Uncommitted changes of tracked files, as a patch; empty where git cannot say."""
    return _git("diff", "HEAD") or ""


def _git(*words: str) -> str | None:
    """What git says of the folder that this code lies in; None where it cannot say."""
    command = ["git", "-C", str(_ROOT), *words]
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
