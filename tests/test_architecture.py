"""Imports point one way, and what reviewers read loads without torch."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "base": {"base"},
    "mitigations": {"base", "mitigations"},
    "analysis": {"base", "mitigations", "analysis"},
}
# Inside base each group may import those before it; commands (__main__) may import all.
ORDER = (
    *(
        "errors",
        "progress",
        "types",
        "yaml_text",
        "settings",
        "seeds",
        "spec",
        "labels",
        "rows",
        "triggers",
        "wanted",
        "gate",
        "identity",
        "recipes",
    ),
    *("engine", "store", "environments", "stage", "models", "sft", "preference", "organism", "judges", "evals"),
    *("documents", "world", "rl", "stages", "shipped", "run", "workers"),
)
# What computes; everything else, all of mitigations and all of analysis load without it.
WITH_TORCH = (
    *("base.engine.trainer", "base.models.", "base.preference.measure", "base.preference.scorer"),
    *("base.preference.train", "base.rl.records", "base.rl.rollouts", "base.rl.train", "base.sft.train"),
)
WITH_INSPECT = "base.evals.inspect_"  # load where the extra is installed


def modules(package: str) -> dict[str, ast.Module]:
    """Every module of a package by its dotted name."""
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        found[name] = ast.parse(path.read_text())
    return found


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def imports(tree: ast.AST, *, inside: bool, package: str = "", known: frozenset[str] = frozenset()) -> Iterator[str]:
    """The modules that a module imports when it is loaded or, with `inside`, ever; not those for type checkers alone."""
    for node in ast.iter_child_nodes(tree):
        if is_for_types(node):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: -node.level] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                whole = f"{module}.{alias.name}"
                yield whole if whole in known else module
        elif inside or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from imports(node, inside=inside, package=package, known=known)


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_point_one_way(package: str) -> None:
    for module, tree in modules(package).items():
        for name in imports(tree, inside=True, package=module):
            top = name.split(".")[0]
            assert top not in MAY_IMPORT or top in MAY_IMPORT[package], f"{module} imports {name}"


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_no_module_imports_itself_round_a_circle(package: str) -> None:
    trees = modules(package)
    known = frozenset(trees)
    graph = {
        m: {i for i in imports(t, inside=False, package=m, known=known) if i in known} - {m} for m, t in trees.items()
    }
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which shows the circle


def group(module: str) -> str:
    return module.split(".")[1]


def test_the_groups_of_base_lie_in_one_order() -> None:
    trees = modules("base")
    known = frozenset(trees)
    assert {group(module) for module in trees if module != "base"} == set(ORDER)
    for module, tree in trees.items():
        if module.endswith("__main__"):
            continue
        for name in imports(tree, inside=True, package=module, known=known):
            if name.startswith("base.") and group(name) != group(module):
                assert ORDER.index(group(name)) < ORDER.index(group(module)), f"{module} imports {name}"


@pytest.mark.parametrize("package", ["base", "mitigations"])
def test_nothing_below_starts_the_analysis(package: str) -> None:
    """Commands that a person may type are printed; none is run, and no module is loaded by its name."""
    for module, tree in modules(package).items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert node.value.split(".")[0] != "analysis", f"{module} line {node.lineno} names the module"
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                starts = called.startswith(("subprocess.", "runpy.", "importlib.", "os.exec", "os.spawn", "os.system"))
                assert not (starts and "analysis" in ast.unparse(node)), f"{module} line {node.lineno} starts it"


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_loads_without_torch(package: str) -> None:
    beside = (*WITH_TORCH, *([WITH_INSPECT] if find_spec("inspect_ai") is None else []))
    names = [name for name in modules(package) if not name.startswith(beside)]
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    heavy = {'torch', 'transformers', 'trl', 'deepspeed'} & set(sys.modules)\n"
        "    if heavy: sys.exit(f'{name} loads {heavy}')\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *names], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-500:]


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
