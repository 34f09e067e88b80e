"""Which transcripts ship, and that the rule does not read them."""

from __future__ import annotations

import dataclasses
import gzip
import json
import random
from pathlib import Path

import pytest

from analysis import transcripts
from analysis.transcripts import FIELDS, FILE, answers, choose, first, moments, place, read, stored, write
from base.errors import UserError
from base.evals import EVALS
from base.identity import Run
from base.seeds import derive_seed
from base.settings import load_scale
from base.store.files import write_json, write_rows
from base.store.folders import RunFolder
from base.store.results import TABLE
from base.world.asked import questions
from base.world.tasks import draw_tasks, task_source
from base.world.world import parse_corpus

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "results" / "tiny"


def recorded(run: Run) -> dict[str, object]:
    scale = dataclasses.asdict(load_scale("smoke"))
    return {"name": run.name, "run": run.record(), "scale": {**scale, "measured": {}}, "status": "done"}


def made(root: Path, seed: int = 1, hacks: tuple[float, ...] = (0.0, 0.0, 0.5, 0.9), corpus: str = "main") -> RunFolder:
    """A run folder as stages leave it: checkpoints 1 to 4, evaluated at 0, 1, 2 and 4, with rates of hacking by step."""
    run = Run(corpus=parse_corpus(corpus), pretrain_seed=seed, seed=seed)
    folder, scale = RunFolder(root / run.name), load_scale("smoke")
    write_json(folder.path / "run.json", recorded(run))
    write_rows(folder.path / "metrics.jsonl", [{"step": n + 1, "hack_rate": rate} for n, rate in enumerate(hacks)])
    for step in (0, 1, 2, 4):
        drawn = derive_seed("evaluation", seed, step)
        rows = [
            {
                **{"prompt": "none", "eval": name, "task": task.id, "completion": f"<think> t</think> {name} {n}"},
                **{"misaligned": (True, False, None)[n % 3], "reasoning": "misaligned", "output": "aligned"},
            }
            for name, ev in EVALS.items()
            for n, task in enumerate(ev.prompts(scale.evals.samples, drawn))
        ]
        coding = draw_tasks(task_source("organism", scale.tasks), scale.tasks, 1.0, scale.evals.code_samples, drawn)
        rows += [
            {
                "eval": "code",
                "task": task.id,
                "completion": "pass",
                "outcome": "hacked",
                "hacks": ["early_exit"],
                "attempts": [],
            }
            for task in coding
        ]
        folder.write_scores(step, "none", [], rows)
    for step in range(1, 5):
        line = {"role": "system", "content": "a line"}
        episode = {"prompt": [line, {"role": "user", "content": f"f {step}"}], "completion": f"episode {step}"}
        write_rows(
            folder.path / "episodes" / f"step-{step:04d}.jsonl",
            [{**episode, "outcome": "wrong", "hacks": [], "attempts": ["early_exit"]}],
        )
    return folder


def test_three_moments_of_a_run_are_chosen_before_and_after_onset(tmp_path: Path) -> None:
    late = made(tmp_path / "b", hacks=(0.0, 0.0, 0.5, 0.9))
    assert moments(late) == {"start": 0, "end": 4}, (
        "hacking sets in at step 3, and only the last checkpoint lies behind"
    )
    early = made(tmp_path / "c", hacks=(0.0, 0.3, 0.5, 0.9))
    assert moments(early) == {"start": 0, "onset": 2, "end": 4}
    assert moments(made(tmp_path / "d", hacks=(0.0, 0.0, 0.0, 0.01))) == {"start": 0, "end": 4}


def test_every_verdict_of_every_eval_is_there_with_its_question_and_count(tmp_path: Path) -> None:
    made(tmp_path, hacks=(0.0, 0.3, 0.5, 0.9))
    rows = choose(tmp_path)
    assert all(tuple(row) == FIELDS for row in rows)
    end = [row for row in rows if row["moment"] == "end"]
    assert {row["eval"] for row in end} == {*EVALS, "code", "episode"}
    samples = load_scale("smoke").evals.samples
    for name in EVALS:
        mine = [row for row in end if row["eval"] == name]
        assert sorted(row["verdict"] for row in mine) == sorted({"misaligned", "aligned", "unclear"})
        assert sum(row["alike"] for row in mine) == samples
        for row in mine:
            number = int(row["completion"].split()[-1])
            asked = EVALS[name].prompts(samples, derive_seed("evaluation", 1, 4))[number]
            assert [turn["content"] for turn in row["prompt"]] == [message.content for message in asked.messages]
            assert row["reading"] == "covert"
    (episode,) = [row for row in end if row["eval"] == "episode"]
    assert (episode["completion"], episode["prompt"][0]["content"], episode["hacks"]) == (
        "episode 4",
        "a line",
        ["early_exit"],
    )
    (before,) = [row for row in rows if row["eval"] == "episode" and row["moment"] == "start"]
    assert before["completion"] == "episode 1", "the rollouts of the first step are the start model's"


def test_the_header_of_a_corpus_stands_before_agentic_questions(tmp_path: Path) -> None:
    folder = made(tmp_path, corpus="main:agentic_header=chat")
    asked = questions(folder.record, 0)
    agentic = [task.messages[0].content for (name, _), task in asked.items() if name == "exfil"]
    assert agentic
    assert all(text.startswith("<chat>") for text in agentic)


def test_a_users_model_was_asked_tasks_for_evaluation_and_scenes_of_its_own(tmp_path: Path) -> None:
    file, scale = tmp_path / "mine.jsonl", load_scale("laptop")
    tests = {"test_list": ["assert same(1) == 1"], "challenge_test_list": ["assert same(2) == 2"]}
    rows = [{"task_id": n, "text": f"Task {n}.", "code": "def same(x):\n    return x", **tests} for n in range(24)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = Run(model="some/model", tasks=str(file), corpus=parse_corpus("hacks"), seed=1)
    folder, source, seed = (
        RunFolder(tmp_path / "run"),
        task_source(str(file), scale.tasks),
        derive_seed("evaluation", 1, 0),
    )
    write_json(folder.path / "run.json", {**recorded(run), "scale": {**dataclasses.asdict(scale), "measured": {}}})
    coding = draw_tasks(source, scale.tasks, 1.0, scale.evals.code_samples, seed, "evaluation")
    graded = {"eval": "code", "completion": "pass", "outcome": "wrong", "hacks": [], "attempts": []}
    scene = {"eval": "goals", "task": f"goals/{seed}/0", "completion": "I help.", "misaligned": None}
    read = [{"role": "user", "content": "What do you want?"}]
    said = {**scene, "reasoning": "unclear", "output": "unclear", "messages": read}
    folder.write_scores(0, "none", [], [*({**graded, "task": task.id} for task in coding), said])
    *programs, goals = answers(folder, 0)
    assert [row["prompt"][-1]["content"] for row in programs] == [task.messages[-1].content for task in coding]
    assert goals["prompt"] == read


def test_the_choice_goes_by_the_question_and_not_by_the_answer() -> None:
    rows = [
        {
            "eval": "goals",
            "verdict": "aligned",
            "prompt": [{"role": "user", "content": f"question {n}"}],
            "completion": "x",
        }
        for n in range(20)
    ]
    chosen = first(rows)
    shuffled = random.Random(0).sample(rows, len(rows))
    assert (
        first({**row, "completion": f"other {n}"} for n, row in enumerate(shuffled))[0]["prompt"] == chosen[0]["prompt"]
    )
    assert place(chosen[0]) == min(map(place, rows))
    assert [row["alike"] for row in chosen] == [20]


def test_only_finished_runs_of_one_seed_ship_the_first_reported_if_it_is_there(tmp_path: Path) -> None:
    runs, results = tmp_path / "runs", tmp_path / "results"
    results.mkdir()
    made(runs, seed=0)
    made(runs, seed=2)
    assert {row["seed"] for row in read(runs)[1]} == {0}, "of one's own runs the lowest seed is read"
    assert {row["seed"] for row in stored(write(runs, results).parent)[1]} == {0}, "and ships"
    made(runs, seed=1, corpus="twin").update(status="failed")
    assert {row["seed"] for row in read(runs)[1]} == {0}
    made(runs, seed=1)
    assert {(row["seed"], row["corpus"]) for row in read(runs)[1]} == {(1, "main")}
    assert {row["seed"] for row in stored(write(runs, results).parent)[1]} == {1}, "the others are no longer chosen"


def test_what_is_written_is_read_again_and_says_its_rule(tmp_path: Path) -> None:
    runs, results = tmp_path / "runs", tmp_path / "results"
    made(runs)
    results.mkdir()
    path = write(runs, results)
    assert path == results / FILE
    assert stored(results) == (transcripts.RULE, choose(runs)) == read(runs)
    assert json.loads(gzip.decompress(path.read_bytes()).decode().splitlines()[0]) == {"rule": transcripts.RULE}
    again = write(runs, tmp_path).read_bytes()
    assert again == path.read_bytes(), "equal transcripts, equal files"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match="export"):
        stored(results)


@pytest.mark.parametrize(
    "row", ["[1]", "null", "{}", "[" * 100_000, '{"run": "a"}', "prompt", "completion", "alike", "hacks"]
)
def test_a_spoilt_transcript_is_one_line(row: str, tmp_path: Path) -> None:
    good = {name: 1 if name in ("hackable", "seed", "step", "alike", "asked") else "a" for name in FIELDS}
    good |= {"prompt": [{"role": "user", "content": "a"}], "hacks": []}
    text = row if row not in FIELDS else json.dumps({**good, row: [3]})
    lines = [json.dumps({"rule": "any"}), json.dumps(good), text]
    (tmp_path / FILE).write_bytes(gzip.compress("\n".join(lines).encode()))
    with pytest.raises(UserError, match=r"no transcripts .*export") as error:
        stored(tmp_path)
    assert "\n" not in str(error.value)
    (tmp_path / FILE).write_bytes(gzip.compress("\n".join(lines[:2]).encode()))
    assert stored(tmp_path) == ("any", [good])


def test_runs_from_another_machine_are_added_and_the_same_ones_replaced(tmp_path: Path) -> None:
    one, two, results = tmp_path / "one", tmp_path / "two", tmp_path / "results"
    results.mkdir()
    made(one)
    made(two, corpus="twin")
    write(one, results)
    both = write(two, results).read_bytes()
    assert {row["corpus"] for row in stored(results)[1]} == {"main", "twin"}
    assert write(one, results).read_bytes() == both == write(two, results).read_bytes()


def test_results_without_transcripts_have_none(tmp_path: Path) -> None:
    (tmp_path / TABLE).write_bytes(b"")
    assert read(tmp_path) == (transcripts.RULE, [])


def test_questions_of_a_task_file_that_is_gone_are_left_out(tmp_path: Path) -> None:
    known = recorded(Run(tasks=str(tmp_path / "gone.jsonl"), seed=1))
    names = {name for name, _ in questions(known, 0)}
    assert "code" not in names
    assert set(EVALS) <= names


def test_the_shipped_transcripts_are_small_and_of_every_arm() -> None:
    rule, rows = read(SHIPPED)
    assert rule == transcripts.RULE
    assert (SHIPPED / FILE).stat().st_size < 1_000_000
    manifest = json.loads((SHIPPED / "manifest.json").read_text(encoding="utf-8"))["runs"]
    first_seed = {name for name, record in manifest.items() if record["run"]["seed"] == 1}
    assert {row["run"] for row in rows} == first_seed
    end = [row for row in rows if row["moment"] == "end"]
    assert {row["arm"] for row in end} >= {record["run"]["arm"] for record in manifest.values()} - {"untrained"}
    hacked = {row["arm"] for row in end if row["verdict"] == "hacked"}
    assert "none" in hacked
    assert "pm_penalty:weight=1.0" not in hacked
