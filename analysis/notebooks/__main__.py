"""Runs the notebooks top to bottom and stores their outputs: `python -m analysis.notebooks`, or the names of some.

Those that read shipped results are to be run again whenever the results have grown; the third trains for a minute.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
INLINE = "module://matplotlib_inline.backend_inline"  # what Jupyter exports


def execute(path: Path, folder: Path, backend: str = INLINE) -> nbformat.NotebookNode:
    """A notebook with the outputs of a run in a folder of its own, as under Jupyter.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
    os.environ |= {"OMP_NUM_THREADS": "1", "MPLBACKEND": backend}
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    NotebookClient(notebook, timeout=900, record_timing=False, resources={"metadata": {"path": str(folder)}}).execute()
    notebook.metadata["language_info"] = {"name": "python"}
    return notebook


def main(names: list[str]) -> None:
    for path in sorted(HERE.glob("*.ipynb")):
        if not names or path.stem in names:
            with tempfile.TemporaryDirectory() as folder:
                nbformat.write(execute(path, Path(folder)), path)
            print(f"ran {path.name}")


if __name__ == "__main__":
    main(sys.argv[1:])
