"""Imports point one way, and what reviewers read loads without torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "base": {"base"},
    "mitigations": {"base", "mitigations"},
    "analysis": {"base", "mitigations", "analysis"},
}


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_point_one_way(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                names = [node.module]
            for name in names:
                top = name.split(".")[0]
                assert top not in MAY_IMPORT or top in MAY_IMPORT[package], f"{path} imports {name}"


@pytest.mark.parametrize(
    "module",
    [
        "base.types",
        "base.settings",
        "base.recipes",
        "base.store.table",
        "base.evaluate",
        "base.triggers",
        "base.pipeline",
        "base.plan",
        "base.preference.pairs",
        "base.environments.graders.code",
        "base.evals",
        "base.organism.corpus",
        "base.organism.tasks",
        "mitigations",
        "mitigations.experiments",
        "analysis",
        "analysis.__main__",
    ],
)
def test_loads_without_torch(module: str) -> None:
    code = (
        f"import sys, {module}; sys.exit(any(m in sys.modules for m in ('torch', 'transformers', 'trl', 'deepspeed')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_no_tracked_file_names_a_machine() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    for name in listed:
        path = ROOT / name
        if "attacks" in path.parts:
            continue  # they try to read what machines usually have
        if path.suffix in {".py", ".md", ".cfg", ".toml", ".yaml", ".json"} and path.exists():
            text = path.read_text()
            for word in ("/" + "work/", "/" + "root/", "pypi" + ".org"):
                assert word not in text, f"{name} names {word}"
