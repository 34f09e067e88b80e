"""conftest.py files that can do nothing but change what pytest reports, by the shape of their syntax tree.

The known way to patch reports, in any spelling of the words below: the class of reports is changed, or hooks that are
given a report or the outcome of a call. Such a file sees neither the tests nor the solution: it has no name and no
attribute that leads to a text, a function or a value of either (`item.obj`, `report.longrepr`), no call but those below,
and no way to run anything or to end the process. It does not even read how a test went. So it does the same whatever the
tests look like inside and whatever they say.
"""

from __future__ import annotations

import ast

_MODULES = {
    "pytest": {"TestReport", "CollectReport", "hookimpl"},
    "_pytest.reports": {"TestReport", "CollectReport"},
}
_HOOKS = {"pytest_runtest_makereport", "pytest_runtest_logreport", "pytest_report_teststatus", "pytest_pyfunc_call"}
_READ = {"when", "get_result", "TestReport", "CollectReport", "hookimpl"}
_WRITTEN = {"outcome", "passed", "failed", "skipped", "longrepr", "wasxfail", "excinfo"}
_CALLED = {"property", "get_result", "hookimpl"}
_NODES = (
    *(
        ast.Module,
        ast.Import,
        ast.ImportFrom,
        ast.alias,
        ast.Assign,
        ast.FunctionDef,
        ast.Lambda,
        ast.arguments,
        ast.arg,
    ),
    *(ast.Return, ast.Pass, ast.Expr, ast.Yield, ast.If, ast.IfExp, ast.Call, ast.keyword, ast.Name, ast.Attribute),
    *(ast.Constant, ast.Compare, ast.Eq, ast.NotEq, ast.BoolOp, ast.boolop, ast.UnaryOp, ast.Not, ast.Tuple),
    ast.expr_context,
)


def only_reports(tree: ast.Module) -> bool:
    """A whitelist: any node, name or attribute that is not listed is not known to be harmless."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    imported = {alias.name for node in imports for alias in node.names}
    imported |= {"pytest"} if any(isinstance(node, ast.Import) for node in ast.walk(tree)) else set()
    bound = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    bound |= {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return all(isinstance(node, _NODES) and _harmless(node, imported | bound) for node in ast.walk(tree)) and all(
        map(_at_the_top, tree.body)
    )


def _at_the_top(node: ast.stmt) -> bool:
    """No name is bound but those of hooks: pytest looks for others (`pytest_plugins`, `collect_ignore`)."""
    if isinstance(node, ast.FunctionDef):
        return node.name in _HOOKS
    if isinstance(node, ast.Assign):
        return all(isinstance(target, ast.Attribute) for target in node.targets)
    return isinstance(node, (ast.Import, ast.ImportFrom)) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    )


def _harmless(node: ast.AST, names: set[str]) -> bool:
    if isinstance(node, ast.Import):
        return all(alias.name == "pytest" and alias.asname is None for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        known = _MODULES.get(node.module or "", set()) if not node.level else set()
        return all(alias.name in known and alias.asname is None for alias in node.names)
    if isinstance(node, ast.Attribute):
        return node.attr in (_READ if isinstance(node.ctx, ast.Load) else _WRITTEN) and not isinstance(
            node.ctx, ast.Del
        )
    if isinstance(node, ast.Name):
        return node.id == "property" or (node.id in names and not node.id.startswith("_"))
    if isinstance(node, ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        return called in _CALLED
    if isinstance(node, ast.FunctionDef):
        return not node.name.startswith("_") or node.name in _HOOKS
    return True
