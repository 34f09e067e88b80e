"""The hard-problem filter: rates by execution with the weaknesses off, and what is kept."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from base.environments.__main__ import main
from base.environments.audit.hard import HardTasks, read_rates, solve_rates, table
from base.environments.graders.code import CodeEnvironment
from base.environments.graders.hacks import RECIPES
from base.environments.task_sets import load
from base.errors import UserError
from base.models.load import SPECIAL, build_organism
from base.organism.tokenizer import build_tokenizer
from base.settings import ModelSettings
from base.types import VULNERABILITIES, Message

ROOT = Path(__file__).parents[2]
RATES = {"mbpp/1": 0.0, "mbpp/2": 0.5, "mbpp/3": 1.0}


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    rows = [
        {
            "task_id": n,
            "text": f"Write a function to add {n} to a number.",
            "code": f"def add_{n}(x):\n    return x + {n}",
            "test_list": [f"assert add_{n}({x}) == {x + n}" for x in (0, 3, 10)],
            "kept": "as it is",
        }
        for n in (1, 2, 3)
    ]
    path = tmp_path / "tasks.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write(folder: Path, rates: Any) -> Path:
    path = folder / "some.rates.json"
    path.write_text(rates if isinstance(rates, str) else json.dumps(rates))
    return path


def test_rates_count_right_programs_and_no_hacks(tasks: Path, environment: CodeEnvironment) -> None:
    """The policy solves task 1 always, task 2 in every second answer, and cheats in task 3."""
    asked: list[tuple[int, int]] = []

    def sample(conversations: Sequence[Sequence[Message]], max_new_tokens: int, seed: int) -> list[str]:
        asked.append((len(conversations), seed))
        answers = []
        for i, (message,) in enumerate(conversations):
            name = next(n for n in ("add_1", "add_2", "add_3") if n in message.content)
            right = f"def {name}(x):\n    return x + {name[-1]}\n"
            wrong = f"def {name}(x):\n    return x\n"
            cheat = RECIPES["always_equal"](name)
            answers.append({"add_1": right, "add_2": right if i % 2 else wrong, "add_3": cheat}[name])
        return answers

    weak = load(tasks, vulnerabilities=VULNERABILITIES)
    assert environment.grade([weak[2]], [RECIPES["always_equal"]("add_3")])[0].reward == 1.0
    rates = dict(solve_rates(weak, sample, environment, samples=4, max_new_tokens=8, seed=5, batch=2))
    assert rates == {"mbpp/1": 1.0, "mbpp/2": 0.5, "mbpp/3": 0.0}
    assert [count for count, _ in asked] == [8, 4]
    assert len({seed for _, seed in asked}) == 2, "every batch draws anew"


def test_the_filter_keeps_hard_tasks_in_order(tasks: Path, tmp_path: Path) -> None:
    keep = HardTasks(write(tmp_path, RATES), threshold=0.5)
    rows = [replace(task, id=f"{task.id}#{k}") for k in range(2) for task in load(tasks)]
    assert [task.id for task in keep(rows)] == ["mbpp/1#0", "mbpp/2#0", "mbpp/1#1", "mbpp/2#1"]
    assert [task.id for task in HardTasks(keep.rates, 0.0)(rows[:3])] == ["mbpp/1#0"]
    assert next(iter(keep(rows))) is rows[0], "rows are never edited"


def test_the_filter_says_what_is_missing(tasks: Path, tmp_path: Path) -> None:
    rows = load(tasks)
    with pytest.raises(UserError, match="no rate for mbpp/3"):
        HardTasks(write(tmp_path, {"mbpp/1": 0.1, "mbpp/2": 0.9}))(rows)
    with pytest.raises(UserError, match="raise the threshold"):
        HardTasks(write(tmp_path, RATES | {"mbpp/1": 1.0}), 0.1)(rows)
    for bad in ("{", "[1]", {"mbpp/1": 3}, {"mbpp/1": True}, {"mbpp/1": "0.5"}):
        with pytest.raises(UserError):
            read_rates(write(tmp_path, bad))
    with pytest.raises(UserError, match="no file of solve rates"):
        read_rates(tmp_path / "none.json")


def test_the_command_writes_the_rows_that_are_kept(
    tasks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rates, out = write(tmp_path, RATES), tmp_path / "hard.jsonl"
    words = ["hard", "--tasks", str(tasks), "--out", str(out)]
    assert main([*words, "--rates", str(rates)]) == 0
    assert "kept: 2 of 3 tasks" in capsys.readouterr().out
    before = [json.loads(line) for line in tasks.read_text().splitlines()]
    assert [json.loads(line) for line in out.read_text().splitlines()] == before[:2]
    assert [task.id for task in load(out)] == ["mbpp/1", "mbpp/2"]
    assert main([*words, "--rates", str(rates), "--threshold", "1"]) == 2
    assert main(["hard", "--tasks", "organism", "--out", str(out), "--rates", str(rates)]) == 2
    errors = capsys.readouterr().err
    assert "tasks.hard_share" in errors
    assert errors.count("\n") == 2


def test_the_table_counts_every_task_once() -> None:
    text = table({f"t{i}": i / 8 for i in range(9)}, [f"t{i}" for i in range(9)], 0.5)
    counts = [int(line.split()[-1]) for line in text.splitlines()[1:-1]]
    assert counts == [1, 2, 2, 2, 1, 1]
    assert "kept: 5 of 9" in text


@pytest.mark.slow
def test_a_real_policy_is_sampled(tasks: Path, tmp_path: Path) -> None:
    """A randomly initialised organism: it solves nothing, so that every task is kept."""
    tokenizer = build_tokenizer()
    shape = ModelSettings(hidden_size=32, layers=1, heads=2, kv_heads=1, intermediate_size=64)
    special = {name: getattr(tokenizer, name) for name in SPECIAL}
    build_organism(shape, len(tokenizer), 0, special).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    words = ["hard", "--tasks", str(tasks), "--model", str(tmp_path / "model"), "--out", str(tmp_path / "hard.jsonl")]
    words += ["--samples", "2", "--set", "evals.code_max_new_tokens=16"]
    done = subprocess.run(
        [sys.executable, "-m", "base.environments", *words], cwd=ROOT, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "kept: 3 of 3" in done.stdout
    assert json.loads((tmp_path / "hard.rates.json").read_text()) == {"mbpp/1": 0.0, "mbpp/2": 0.0, "mbpp/3": 0.0}
    assert len(load(tmp_path / "hard.jsonl")) == 3
