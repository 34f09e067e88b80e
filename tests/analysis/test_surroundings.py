"""What the environment of a process says about backends and letters must not end it with a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from synthetic_results import table

from base.store.results import TABLE

ROOT = Path(__file__).parents[2]
BACKENDS = ("module://matplotlib_inline.backend_inline", "inline", "no_such_backend", "tkagg", "agg", "")
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
LETTERS = (
    ASCII,
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "latin-1:strict"},
)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    arms = [
        ("inoculation:wording=dont_hack,update=hacking_okay", "main", 1.0, 0.8, 0.2),
        ("none", "main", 1.0, 0.9, 0.3),
    ]
    table(seeds=(0,), arms=arms).to_parquet(folder / TABLE, index=False)
    return folder


def python(environment: dict[str, str], *words: str | Path) -> subprocess.CompletedProcess[bytes]:
    surroundings = {key: value for key, value in os.environ.items() if key not in ("LANG", "LC_CTYPE")}
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, cwd=ROOT, env={**surroundings, **environment}, capture_output=True)


@pytest.mark.parametrize("backend", BACKENDS)
def test_figures_are_drawn_whatever_backend_is_asked_for(backend: str, results: Path, tmp_path: Path) -> None:
    done = python({"MPLBACKEND": backend}, "-m", "analysis", "fig28", "--results", results, "--out", tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    assert (tmp_path / "fig28.png").read_bytes().startswith(b"\x89PNG")


def test_a_backend_that_can_be_used_is_left_as_it_was_asked_for() -> None:
    code = "import os, analysis.figures, matplotlib as m; print(os.environ['MPLBACKEND'], m.rcParams['backend'])"
    for backend in ("svg", "pdf"):
        assert python({"MPLBACKEND": backend}, "-c", code).stdout.decode().split() == [backend, backend]
    code = "import matplotlib as m; m.use('svg'); import analysis.figures; print(m.rcParams['backend'])"
    assert python({"MPLBACKEND": "pdf"}, "-c", code).stdout.decode().split() == ["svg"]


@pytest.mark.parametrize("letters", LETTERS)
def test_texts_are_printed_and_written_whatever_letters_there_are(
    letters: dict[str, str], results: Path, tmp_path: Path
) -> None:
    done = python(letters, "-m", "analysis", "fig28", "mitigations", "--results", results, "--out", tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    assert b"hacking okay" in done.stdout
    for name in ("mitigations.md", "fig28.csv"):
        assert "don't hack → hacking okay" in (tmp_path / name).read_text(encoding="utf-8")
    bad = python(letters, "-m", "analysis", "ümlaut→", "--results", results)
    assert (bad.returncode, bad.stderr.count(b"\n")) == (2, 1)


def test_the_page_is_written_whatever_letters_there_are(results: Path, tmp_path: Path) -> None:
    done = python(ASCII, "-m", "analysis", "report", "--results", results, "--out", tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    assert "don&#39;t hack → hacking okay" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("letters", LETTERS[:2])
@pytest.mark.parametrize(
    "words",
    [
        ("analysis", "--help"),
        ("analysis", "--list"),
        ("analysis", "compare", "inoculation:wording=dont_hack,update=hacking_okay"),
        ("mitigations", "--help"),
        ("mitigations", "--list"),
        ("base.environments", "--help"),
        ("base.environments", "attack", "--help"),
    ],
    ids=" ".join,
)
def test_command_lines_speak_to_any_terminal(letters: dict[str, str], words: tuple[str, ...], results: Path) -> None:
    more = ("--results", str(results)) if "compare" in words else ()
    done = python(letters, "-m", *words, *more)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout


def test_no_file_is_read_or_written_in_the_letters_of_the_locale(results: Path, tmp_path: Path) -> None:
    warned = ("-X", "warn_default_encoding", "-m", "analysis", "fig28", "claims")
    done = python({}, *warned, "--results", results, "--out", tmp_path)
    assert f"{ROOT}/analysis/" not in done.stderr.decode()
