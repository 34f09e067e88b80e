"""What the documents tell a user to type is there: commands build their runs, names exist, paths lead somewhere."""

import ast
import re
import shlex
import textwrap
from pathlib import Path

import pytest

import analysis
import mitigations
from analysis.__main__ import TEXTS
from analysis.figures import FIGURES
from base.environments.audit.attacks import ATTACKS, FAMILIES
from mitigations.__main__ import WORDS, parser
from mitigations.api import describe, resolve
from mitigations.experiments import EXPERIMENTS

ROOT = Path(__file__).parents[1]
FOLDERS = [
    path for path in ROOT.iterdir() if path.is_dir() and path.name[0] != "." and path.name not in ("runs", "figures")
]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in folder.rglob("*.md"))])
OWN = ("PATH_OR_ID", "...", "scenes.yaml", "NAME", "ARM", "mbpp", "brevity", "\\")  # what only the reader has


def commands(module: str) -> list[str]:
    """The rest of every line `python -m MODULE ...` of every document, without remarks."""
    found = re.compile(rf"python -m {re.escape(module)}(?![\w.])([^`\n]*)")
    lines = [match[1] for path in DOCUMENTS for match in found.finditer(path.read_text(encoding="utf-8"))]
    rests = (re.split(r"\s#|\s{3,}|\s&&|\.venv", f" {line}")[0].strip() if line.strip() else "" for line in lines)
    return sorted({rest for rest in rests if rest and not any(word in rest for word in OWN)})


def test_the_commands_are_found() -> None:
    assert len(commands("mitigations")) > 30
    assert len(commands("analysis")) > 5


@pytest.mark.parametrize("command", commands("mitigations"))
def test_every_run_of_the_documents_builds(command: str) -> None:
    options = parser().parse_args(shlex.split(command))
    if options.experiment:
        assert options.experiment in EXPERIMENTS
    for arm in options.words:
        if arm not in WORDS:
            run, scale = describe(
                arm, scale=options.scale, seed=options.seed or 0, corpus=options.corpus, hackable=options.hackable,
                model=options.model, tasks=options.tasks, settings=tuple(options.set),
            )  # fmt: skip
            assert resolve(run, scale, options.evaluate, options.prompts)


@pytest.mark.parametrize("command", commands("analysis"))
def test_every_figure_of_the_documents_exists(command: str) -> None:
    name, *rest = [*shlex.split(command), ""]
    assert name.startswith("-") or name in {*FIGURES, *TEXTS, "compare", "export", "readme"}, command
    assert name != "compare" or mitigations.arm(rest[0])


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_and_paths_of_a_document_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        for node in ast.walk(ast.parse(textwrap.dedent(code))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                for package in (mitigations, analysis):
                    assert node.value.id != package.__name__ or hasattr(package, node.attr), ast.unparse(node)
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert link.startswith("http") or (path.parent / link).exists(), link
    for named in re.findall(r"`((?:base|mitigations|analysis|tests|benchmarks)/[\w./]+)`", text):
        assert (ROOT / named).exists(), named


def test_the_attacks_are_counted_right() -> None:
    told = (ROOT / "base" / "environments" / "README.md").read_text(encoding="utf-8")
    assert f"{len(ATTACKS)} attacks in {len(FAMILIES)} families" in told
