"""The paper's grid: which cells, in which order, and what of it is there already."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from base.errors import UserError
from base.settings import load_scale
from base.stage import Stage
from base.stages.evaluate import Evaluate
from base.store.results import SHIPPED, write_results
from base.wanted import CLEAN
from mitigations import paper as module
from mitigations.__main__ import main
from mitigations.api import describe, resolve
from mitigations.experiments import CORE, EVERY, Cell, cells
from mitigations.paper import SEEDS, TWIN_SEEDS, Results, grid, main_cells, paper, parse_seeds

FEW = (*CORE[:3], *cells("pm_penalty"))


def test_every_arm_has_every_seed_and_its_twin_two_the_core_five() -> None:
    found = [cell for block in grid() for cell in block]
    assert len(found) == len(set(found))
    arms = Counter(cell for cell, _ in found if cell.corpus.startswith("main"))
    assert set(arms) == {cell for cell in EVERY if cell.corpus.startswith("main")}
    assert set(arms.values()) == {len(SEEDS)}
    twin = Counter((cell.arm, cell.corpus.removeprefix("twin"), cell.hackable, cell.settings) for cell, _ in found
                   if cell.corpus.startswith("twin"))  # fmt: skip
    for cell in arms:
        same = (cell.arm, cell.corpus.removeprefix("main"), cell.hackable, cell.settings)
        between = "correlation=" in cell.corpus  # main and twin: such a corpus has no twin of its own
        assert twin[same] == (0 if between else len(SEEDS) if cell in CORE else len(TWIN_SEEDS)), cell


def test_seeds_come_one_after_the_other_and_the_core_first() -> None:
    blocks = grid()
    seeds = [seed for block in blocks for _, seed in block]
    assert seeds == sorted(seeds)
    for seed in SEEDS:
        mine = [[cell for cell, _ in block] for block in blocks if block[0][1] == seed]
        assert set(mine[0]) == {cell for cell in CORE if cell.corpus == "main"}
        assert Cell(corpus="twin") in mine[1]
    further = [cell for block in grid((6, 7)) for cell in block]
    assert {seed for _, seed in further} == {6, 7}
    assert {cell for cell, _ in further} >= set(main_cells())


@pytest.mark.parametrize(("text", "seeds"), [("1-5", (1, 2, 3, 4, 5)), ("3", (3,)), ("7, 1-2", (1, 2, 7))])
def test_lists_of_seeds(text: str, seeds: tuple[int, ...]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "5-1", "1-", "-3", "1..5", "0-100000"])
def test_what_is_no_list_of_seeds_is_one_clear_line(text: str) -> None:
    with pytest.raises(UserError, match="cannot read the seeds"):
        parse_seeds(text)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A paper of four arms."""
    monkeypatch.setattr(module, "main_cells", lambda: tuple(c for c in FEW if c.corpus == "main"))


def ship(folder: Path, *wanted: list[Stage], lacks: str = "", **other: Any) -> None:
    """Results that hold what the last stages of runs would make, but for the numbers under the prompt `lacks`."""
    rows, runs = [], {}
    for last in (stages[-1] for stages in wanted):
        assert isinstance(last, Evaluate)
        name = last.trained.run.name
        asked = {"key": last.key, "prompts": last._prompt_keys()}
        runs[name] = {"status": "done", "key": last.trained.key, "evaluation": asked, **other}
        for prompt in {prompt for prompt, _ in last.prompts} - {lacks}:
            number = {"metric": "hack_rate", "value": 0.5, "n": 96, "missing": 0}
            which = {"prompt": "none", "eval": CLEAN} if prompt == CLEAN else {"prompt": prompt, "eval": "code"}
            rows += [{"run": name, "step": step, **which, **number} for step in (0, *last.steps(prompt))]
    write_results(folder, pd.DataFrame(rows), runs)


@pytest.mark.usefixtures("few")
def test_what_ships_is_not_made_again_unless_everything_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scale = load_scale("tiny")
    monkeypatch.setattr(module, "SHIPPED", tmp_path)
    twin = resolve(*describe("none", corpus="twin", seed=1))
    ship(tmp_path / "tiny", resolve(*describe("none", seed=1)), twin)
    found = paper({"scale": "tiny"}, scale, (1,))
    assert set(found.ships) == {"none--main--p1s1", "none--twin--p1s1"}
    runs = [run for block in found.blocks for run in block]
    assert len(runs) == 4
    assert not {run[-1].key for run in runs} & {twin[-1].key}
    said = found.plan(tmp_path / "runs", 2)
    assert "6: 3 and 3 twins; seeds 1" in said
    assert "2 in results/tiny" in said
    assert "4 cells in" in said
    assert "2 pretrain" in said, "preference models grow from the pretrained model"
    assert "sdf" not in said, "the starts of seed 1 ship"
    assert "about 0.1 GB" in said
    whole = paper({"scale": "tiny"}, scale, (1,), fresh=True)
    assert not whole.ships
    assert "2 sdf" in whole.plan(tmp_path / "runs", 2, fresh=True)


def test_cells_that_settings_make_one_run_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "main_cells", lambda: (Cell(), Cell(settings=("rl.kl=loss",))))
    found = paper({"scale": "smoke", "settings": ("rl.kl=loss",)}, load_scale("smoke", ["rl.kl=loss"]), (1,))
    assert found.cells == ((Cell(), 1), (Cell(corpus="twin"), 1))
    assert len({run[-1].key for block in found.blocks for run in block}) == sum(map(len, found.blocks)) == 2


def test_results_hold_a_run_only_with_its_key_and_all_that_is_wanted(tmp_path: Path) -> None:
    run, scale = describe("inoculation:wording=mention", seed=1)
    usual = resolve(run, scale)
    ship(tmp_path, usual)
    there = Results.of(tmp_path)
    assert there.holds(usual[-1])
    assert there.holds(resolve(run, scale, "start,last:3", "none")[-1]), "less is asked"
    assert not there.holds(resolve(run, scale, "all")[-1]), "its curve does not ship"
    assert not there.holds(resolve(*describe("inoculation:wording=mention", seed=100))[-1])
    assert not there.holds(resolve(*describe("inoculation:wording=mention", seed=1, settings=["rl.steps=72"]))[-1])
    for change in ({"status": "failed", "error": "x"}, {"key": "another"}, {"lacks": CLEAN}, {"lacks": "dont_hack"}):
        ship(tmp_path, usual, **change)
        assert not Results.of(tmp_path).holds(usual[-1]), change
    assert Results.of(SHIPPED / "mitigations").runs is None, "an older recipe's runs are other runs"


@pytest.mark.usefixtures("few")
def test_the_command_counts_and_makes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["paper", "--scale", "smoke", "--seeds", "1-2", "--runs", str(tmp_path / "runs"), "--dry-run"]
    assert main(words) == 0
    assert "12: 6 and 6 twins; seeds 1, 2" in capsys.readouterr().out
    assert not (tmp_path / "runs").exists()


def test_arms_on_several_seeds_are_planned_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--scale", "smoke", "--runs", str(tmp_path), "--hackable", "0", "--dry-run"]
    assert main(["none", "inoculation:wording=mention", "--seeds", "1-2", *words]) == 0
    planned = capsys.readouterr().out
    for name in ("none", "inoculation:wording=mention"):
        for seed in (1, 2):
            assert main([name, "--seed", str(seed), *words]) == 0
            alone = capsys.readouterr().out
            (trained,) = (line for line in alone.splitlines() if line.startswith("rl "))
            assert trained in planned.splitlines()
    assert planned.count("\nrl ") == 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["paper", "none"], "name mitigations"),
        (["none", "paper", "--seeds", "1-5"], "name mitigations"),
        (["none", "--experiment", "core"], "not both"),
        (["verify", "none", "--dry-run"], "verify has no --dry-run"),
        (["verify", "none", "--seeds", "1-5"], "verify is of one run"),
        (["gates", "--jobs", "2"], "gates is of one run"),
        (["none", "--seeds", "1-5", "--seed", "1"], "give one of the two"),
        (["none", "none", "--seeds", "5-1"], "cannot read the seeds"),
        (["none", "pm_penalti", "--dry-run"], "unknown mitigation 'pm_penalti'"),
        (["paper", "--seed", "3"], "write --seeds 3"),
        (["paper", "--corpus", "twin"], "have their own corpora"),
        (["paper", "--hackable", "0"], "have their own shares"),
        (["--experiment", "core", "--hackable", "0"], "have their own shares"),
        (["verify"], "verify takes one arm"),
        (["paper", "--seeds", "x"], "cannot read the seeds"),
        (["paper", "--model", "m", "--scale", "laptop"], "use --experiment NAME"),
        (["paper", "--jobs", "-1"], "--jobs"),
    ],
)
def test_words_that_mean_nothing_are_one_clear_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
