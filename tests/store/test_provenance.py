"""Provenance: what git cannot say is unknown, never clean."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from base.store import provenance

ROOT = Path(__file__).parents[2]


ME = ["-c", "user.name=tester", "-c", "user.email=tester@example.org"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository of its own with the code as it is in the working tree."""
    folder = tmp_path / "checkout"
    for package in ("base", "mitigations", "analysis"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "setup.cfg", folder)
    shutil.copy(ROOT / ".gitignore", folder)
    for words in (["init", "-q"], ["add", "-A"], [*ME, "commit", "-qm", "all"]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return folder


def said(checkout: Path) -> tuple[str, str]:
    """(commit, dirty) as the code in a checkout reports them."""
    code = "from base.store.provenance import provenance; p = provenance(); print(p['commit'], p['dirty'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=checkout, capture_output=True, text=True, check=True)
    commit, dirty = done.stdout.split()
    return commit, dirty


def test_a_clean_clone_is_clean_and_an_edit_or_a_new_plug_in_is_not(checkout: Path) -> None:
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=checkout, capture_output=True, text=True).stdout.strip()
    assert said(checkout) == (head, "False")
    new = checkout / "mitigations" / "mine.py"
    new.write_text("")
    assert said(checkout) == (head, "True")
    new.unlink()
    (checkout / "base" / "types.py").open("a").write("# edited\n")
    assert said(checkout) == (head, "True")


@pytest.mark.parametrize("breakage", ["no repository", "another owner", "another's repository"])
def test_what_git_cannot_say_is_unknown(checkout: Path, breakage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if breakage == "no repository":
        (checkout / ".git").rename(checkout / "not-git")
        monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(checkout.parent))
    elif breakage == "another's repository":
        shutil.rmtree(checkout / ".git")
        (checkout.parent / ".gitignore").write_text("*\n")
        for words in (["init", "-q"], [*ME, "commit", "-q", "--allow-empty", "-m", "theirs"]):
            subprocess.run(["git", *words], cwd=checkout.parent, check=True)
    else:
        monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    (checkout / "base" / "types.py").open("a").write("# edited\n")
    assert said(checkout) == ("unknown", "None")


def test_no_git_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    made = provenance.provenance()
    assert made["commit"] == "unknown"
    assert made["dirty"] is None
