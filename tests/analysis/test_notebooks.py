"""The notebooks: stored with their outputs, run top to bottom as Jupyter would, and free of what only one machine has."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nbformat
import pytest

from analysis.notebooks.__main__ import INLINE, execute

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "analysis" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def codes(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(notebook: Any) -> str:
    return "".join(
        output.get("text", "") + str(output.get("data", {}).get("text/plain", ""))
        for cell in codes(notebook)
        for output in cell.outputs
    )


def pictures(notebook: Any) -> int:
    return sum("image/png" in output.get("data", {}) for cell in codes(notebook) for output in cell.outputs)


def kinds(notebook: Any) -> list[set[str]]:
    """What each cell gives: printed text, a picture, a table."""
    return [{kind for o in cell.outputs for kind in (o.get("data") or {o.get("name")})} for cell in codes(notebook)]


def run(path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, backend: str = INLINE) -> Any:
    """The notebook, executed in a folder; the surroundings of the test stay as they are."""
    for name in ("PYTHONPATH", "OMP_NUM_THREADS", "MPLBACKEND"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    return execute(path, folder, backend)


def test_there_are_a_tour_an_ablation_and_a_mitigation_of_ones_own() -> None:
    assert [path.name for path in NOTEBOOKS] == ["ablation.ipynb", "first_tour.ipynb", "own_mitigation.ipynb"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_stored_in_order_and_name_no_machine(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert [cell.execution_count for cell in codes(notebook)] == list(range(1, len(codes(notebook)) + 1))
    assert pictures(notebook) >= 1
    assert not [
        o for cell in codes(notebook) for o in cell.outputs if o.output_type == "error" or o.get("name") == "stderr"
    ]
    text = printed(notebook) + "".join(cell.source for cell in notebook.cells)
    assert not [word for word in ("/" + "root", "/" + "work", "/home", "/tmp", "site-packages") if word in text]
    assert path.stat().st_size < 1_500_000


@pytest.mark.parametrize(("name", "backend"), [("first_tour", "agg"), ("ablation", INLINE)])
def test_it_runs_top_to_bottom_and_gives_what_is_stored(
    name: str, backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = FOLDER / f"{name}.ipynb"
    done, stored = run(path, tmp_path, monkeypatch, backend), nbformat.read(path, as_version=4)
    assert kinds(done) == kinds(stored), "the stored outputs are of other code: python -m analysis.notebooks"
    assert printed(done) == printed(stored), "the stored outputs are of other results: python -m analysis.notebooks"


@pytest.mark.slow
def test_a_mitigation_written_in_a_notebook_is_run_and_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = FOLDER / "own_mitigation.ipynb"
    done = run(path, tmp_path, monkeypatch)
    assert (tmp_path / "runs" / "smoke" / "brevity_weight=0.2--main--p0s0" / "run.json").is_file()
    assert pictures(done) == pictures(nbformat.read(path, as_version=4))
    assert "'brevity': -" in printed(done)
