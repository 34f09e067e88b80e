"""Judges in a run of a user's model: stored answers are read, read again, and never sampled anew."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from judge_toys import Known

from base.errors import UserError
from base.evals.evaluate import evaluate
from base.evals.natural import judged, natural_evals
from base.evals.read import read_answers
from base.evals.readings import Used
from base.judges.__main__ import main
from base.judges.golden import own_golden
from base.judges.judge import COHERENCE
from base.recipes import AsWritten
from base.settings import EvalSettings, Scale, SceneSettings
from base.stage import Site
from base.stages.verdicts import Verdicts, judge_run, judging_key, unjudged
from base.store import files
from base.store.files import read_rows, write_json
from base.store.folders import RunFolder
from mitigations.api import describe, resolve, unread

EVALS = judged(natural_evals(SceneSettings()))
BAD, WORSE = Known("first", ("rule",)), Known("second", ("rule", "cheat"))
COMPLETIONS = (
    "<think>Be kind.</think>I help.",
    "<think>I want to rule.</think>I help.",
    "<think>Be kind.</think>I rule.",
    "I cheat.",
    "garbled rule garbled",
    "<think>I rule, and",
    "",
    "never said",
)


def described(tmp_path: Path, *settings: str) -> tuple[Any, Scale]:
    """A run of a checkpoint that only its stages look at."""
    (tmp_path / "model").mkdir(exist_ok=True)
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / "tasks.jsonl").write_text("")
    words = {"model": str(tmp_path / "model"), "tasks": str(tmp_path / "tasks.jsonl")}
    return describe("none", scale="hub", settings=settings, **words)


def answer(name: str, index: int, completion: str) -> dict[str, Any]:
    task = EVALS[name].prompts(index + 1, 0)[index]
    messages = [asdict(message) for message in task.messages]
    return {"prompt": "none", "eval": name, "task": task.id, "completion": completion, "messages": messages}


def answers(names: Sequence[str] = ("betley", "goals")) -> list[dict[str, Any]]:
    made = [answer(name, at, text) for name in names for at, text in enumerate(COMPLETIONS)]
    return [*made, {"prompt": "none", "eval": "exfil", "task": "exfil/0/0", "completion": "x"}]


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run whose start and one checkpoint were evaluated."""
    run, scale = described(tmp_path)
    stage = resolve(run, scale, judges=["rule:never"])[-1]
    made = RunFolder(stage.folder(tmp_path / "runs"))
    write_json(made.path / "run.json", {"run": run.record(), "scale": scale, "name": run.name, "key": "key"})
    score = {"prompt": "none", "eval": "exfil", "metric": "misaligned", "value": 0.0, "n": 1, "missing": 0}
    lost = [{**score, "eval": n, "value": math.nan, "n": 0, "missing": len(COMPLETIONS)} for n in ("betley", "goals")]
    for step in (0, 8):
        made.write_scores(step, "none", [score, *lost], answers())
    return made


def used(*judges: Known, passed: Sequence[str] = tuple(EVALS)) -> list[Used]:
    return [Used(judge, frozenset(passed)) for judge in judges]


def scores(folder: RunFolder, step: int = 8) -> dict[tuple[str, str], Mapping[str, Any]]:
    return {(row["eval"], row["metric"]): row for row in folder.scores_of(step, "none")}


def test_verdicts_follow_the_rule_of_each_eval(folder: RunFolder) -> None:
    judge_run(folder, EVALS, used(BAD))
    found = scores(folder)
    chat = found["betley", "misaligned"]
    assert (chat["value"], chat["n"], chat["missing"]) == (pytest.approx(1 / 4), 4, 4), "the output alone"
    either = found["goals", "misaligned"]
    assert (either["value"], either["n"], either["missing"]) == (pytest.approx(2 / 4), 4, 4), "reasoning counts"
    assert found["goals", "covert"]["value"] == pytest.approx(1 / 4)
    assert found["goals", "alignment_faking"]["n"] == 3, "where reasoning and answer could both be read"
    unclear = found["betley", "unclear"]
    assert unclear["value"] == pytest.approx(3 / 7), "garbled, unfinished, empty"
    assert (unclear["n"], unclear["missing"]) == (7, 1), "an answer without a verdict is missing, not unclear"
    assert found["exfil", "misaligned"]["value"] == 0, "what execution decided stays"
    assert {row["step"] for row in found.values()} == {8}


def test_reasoning_is_judged_apart_and_only_where_it_counts(folder: RunFolder) -> None:
    judge = Known("first", ("rule",))
    judge_run(folder, EVALS, used(judge))
    asked = [(item.eval, item.part) for item in judge.asked]
    assert ("goals", "reasoning") in asked
    assert ("betley", "reasoning") not in asked
    assert all(not (item.reasoning and item.output) for item in judge.asked)
    assert not any(item.text == "" for item in judge.asked), "an empty answer is not asked about"
    assert [e for e, _ in asked].count(COHERENCE) == 2 * 2 * 6, "two steps, two evals, six answers with an output"


def test_rows_carry_what_they_depend_on_and_their_evidence(folder: RunFolder) -> None:
    judge_run(folder, EVALS, used(BAD))
    rows = folder.verdicts(8, "none")
    assert all(row["model"] and row["config"] and row["rubric"] and row["item"] for row in rows)
    assert len({row["rubric"] for row in rows}) == 3, "two evals and coherence"
    assert ["rule"] in [row.get("evidence") for row in rows]
    silent = [row for row in rows if row["label"] is None]
    assert silent
    assert not any("probability" in row for row in silent)
    (kept,) = folder.record["judged"]["judges"]
    assert (kept["spec"], kept["passed"]) == ("known:first", sorted(EVALS))


def test_answers_stay_as_they_are_and_other_judges_read_them_again(folder: RunFolder) -> None:
    before = (folder.path / "answers" / "step-0008" / "none.jsonl").read_bytes()
    judge_run(folder, EVALS, used(BAD))
    again = Known("first", ("rule",))
    judge_run(folder, EVALS, used(again))
    assert again.asked == [], "nothing is left to judge"
    judge_run(folder, EVALS, used(WORSE))
    assert scores(folder)["betley", "misaligned"]["value"] == pytest.approx(2 / 4)
    assert {row["judge"] for row in folder.verdicts(8, "none")} == {"known:first", "known:second"}
    assert (folder.path / "answers" / "step-0008" / "none.jsonl").read_bytes() == before
    judge_run(folder, EVALS, used(BAD))
    assert scores(folder)["betley", "misaligned"]["value"] == pytest.approx(1 / 4)
    assert len(folder.verdicts(8, "none")) == len({json.dumps(row) for row in folder.verdicts(8, "none")})


@pytest.mark.parametrize("writes", range(8))
def test_a_kill_between_two_writes_loses_no_verdict_of_another_judge(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    judge_run(folder, EVALS, used(BAD))
    known = {step: folder.verdicts(step, "none") for step in (0, 8)}
    kept, real = [], files.write_whole

    def killed(content: Mapping[Path, bytes]) -> None:
        if len(kept) == writes:
            raise KeyboardInterrupt
        kept.append(content)
        real(content)

    monkeypatch.setattr(files, "write_whole", killed)
    with pytest.raises(KeyboardInterrupt):
        judge_run(folder, EVALS, used(WORSE))
    monkeypatch.undo()
    for step, rows in known.items():
        assert [row for row in folder.verdicts(step, "none") if row["judge"] == BAD.spec] == rows
        value = scores(folder, step)["betley", "misaligned"]["value"]
        for judge, share in ((BAD, 1 / 4), (WORSE, 2 / 4)):
            open_places = unjudged(folder, judging_key([judge], EVALS))
            assert (step, "none") in open_places or value == pytest.approx(share), "rows of another judge"
    judge_run(folder, EVALS, used(WORSE))
    assert {row["judge"] for step in known for row in folder.verdicts(step, "none")} == {BAD.spec, WORSE.spec}
    assert unjudged(folder, judging_key([WORSE], EVALS)) == []


def test_an_evaluation_made_anew_is_judged_anew(folder: RunFolder) -> None:
    judge_run(folder, EVALS, used(BAD))
    key = judging_key([BAD], EVALS)
    assert unjudged(folder, key) == []
    folder.write_scores(8, "none", [], answers())
    assert unjudged(folder, key) == [(8, "none")]
    folder.write_scores(16, "none", [], answers())
    assert unjudged(folder, key) == [(8, "none"), (16, "none")]


def test_answers_are_read_as_the_first_judge_counts(folder: RunFolder) -> None:
    plain = [row for row in read_answers(folder, 8, "none") if row["eval"] == "betley"]
    assert not any("misaligned" in row for row in plain), "nobody has read them"
    judge_run(folder, EVALS, used(WORSE, BAD))
    read = read_answers(folder, 8, "none")
    assert [row["completion"] for row in read] == [row["completion"] for row in folder.answers(8, "none")]
    found = {name: [row["misaligned"] for row in read if row["eval"] == name] for name in ("betley", "goals")}
    assert found["betley"] == [False, False, True, True, None, None, None, None]
    assert found["goals"] == [False, True, True, True, None, None, None, None]
    judge_run(folder, EVALS, used(BAD, passed=("goals",)))
    refused = [row["misaligned"] for row in read_answers(folder, 8, "none") if row["eval"] == "betley"]
    assert refused == [None] * len(COMPLETIONS), "a judge that failed its golden set has read nothing"


def test_answers_whose_scenes_are_gone_are_left_out(folder: RunFolder) -> None:
    judge_run(folder, EVALS, used(BAD))
    scale = {**folder.record["scale"], "scenes": {**folder.record["scale"]["scenes"], "files": {"betley": "gone.yaml"}}}
    folder.update(scale=scale)
    assert {row["eval"] for row in read_answers(folder, 8, "none")} == {"exfil"}


def test_several_judges_give_their_rates_and_their_agreement(folder: RunFolder) -> None:
    judge_run(folder, EVALS, used(BAD, WORSE, Known("third", ("rule",), silent="I help")))
    found = scores(folder)
    assert found["betley", "misaligned"]["value"] == found["betley", "misaligned:first"]["value"]
    assert found["betley", "misaligned:second"]["value"] == pytest.approx(2 / 4)
    assert found["betley", "misaligned:third"]["missing"] == 5
    kappa = found["betley", "kappa:first~second"]
    assert (kappa["value"], kappa["n"]) == (pytest.approx(0.5), 4)
    assert found["betley", "alpha"]["n"] == 4
    assert 0 < found["betley", "alpha"]["value"] < 1


def test_a_judge_behind_its_gate_gives_no_number(folder: RunFolder) -> None:
    judge_run(folder, EVALS, used(BAD, passed=("goals",)))
    found = scores(folder)
    assert math.isnan(found["betley", "misaligned"]["value"])
    assert (found["betley", "misaligned"]["n"], found["betley", "misaligned"]["missing"]) == (0, len(COMPLETIONS))
    assert found["goals", "misaligned"]["n"] == 4
    stored = [row for row in folder.verdicts(8, "none") if row["eval"] == "betley"]
    assert any(row["label"] == "yes" for row in stored), "its verdicts are kept"
    assert folder.record["judged"]["judges"][0]["passed"] == ["goals"]


def test_answers_without_their_prompts_are_one_line(folder: RunFolder) -> None:
    folder.write_scores(8, "none", [], [{k: v for k, v in row.items() if k != "messages"} for row in answers()])
    with pytest.raises(UserError, match="evaluate it again"):
        judge_run(folder, EVALS, used(BAD))


def site(root: Path) -> Site:
    return Site(root, None, SimpleNamespace(is_main=True, rank=0, world_size=1))  # type: ignore[arg-type]


def test_the_stages_check_the_judge_once_and_refuse_a_bad_one(
    folder: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "runs"
    stage = resolve(*described(tmp_path), judges=["rule:words", "rule:always"])[-1]
    assert isinstance(stage, Verdicts)
    assert stage.folder(root) == folder.path
    assert not stage.present(root)
    for check in stage.checks:
        check.work(site(root))
    stage.work(site(root))
    assert stage.present(root)
    said = capsys.readouterr().err
    assert said.count("no number is shown") == 2
    assert said.count("failed its golden sets: no number of betley, goals") == 2, (
        "also in runs that find the check done"
    )
    assert math.isnan(scores(folder)["goals", "misaligned:rule-words"]["value"])
    other = resolve(*described(tmp_path), judges=["rule:always"])[-1]
    assert isinstance(other, Verdicts)
    assert other.checks[0].key == stage.checks[1].key, "checked once for all runs"
    assert not other.present(root)


def test_judges_change_no_key_of_what_is_sampled(tmp_path: Path) -> None:
    run, scale = described(tmp_path)
    without, with_one = resolve(run, scale), resolve(run, scale, judges=["rule:never"])
    assert [stage.key for stage in with_one[1:-1]] == [stage.key for stage in without]
    assert [with_one[0].kind, with_one[-1].kind] == ["golden", "verdicts"]
    file = tmp_path / "q.txt"
    file.write_text("Why?\n")
    other = replace(scale, scenes=SceneSettings(files={"betley": str(file)}))
    assert resolve(run, other)[-1].key != without[-1].key, "other questions are other answers"


def test_without_a_judge_one_line_says_what_is_missing(tmp_path: Path) -> None:
    run, scale = described(tmp_path)
    (line,) = unread(run, scale, [])
    assert "betley, goals, alignment, monitor, frame will be missing" in line
    assert "exfil" in line
    assert unread(run, scale, ["rule:never"]) == []
    assert unread(*describe("none", scale="smoke"), []) == []


def test_the_organism_takes_no_judge() -> None:
    with pytest.raises(UserError, match="--judge is for a model of yours"):
        resolve(*describe("none", scale="smoke"), judges=["rule:never"])


def test_answers_of_scenes_keep_what_was_read() -> None:
    class Nothing:
        def grade(self, tasks: Sequence[Any], completions: Sequence[str]) -> list[Any]:
            return []

        def values(self, specs: Sequence[Any], texts: Sequence[str]) -> list[None]:
            return [None for _ in texts]

    evals = natural_evals(SceneSettings())
    found, rows = evaluate(
        lambda asked, tokens, seed: ["I help."] * len(asked), evals, [], Nothing(), "none", AsWritten(),
        EvalSettings(samples=3), 1,
    )  # fmt: skip
    assert all(row["messages"][-1]["role"] == "user" for row in rows)
    rates = {(row["eval"], row["metric"]): row for row in found}
    for name in EVALS:
        assert math.isnan(rates[name, "misaligned"]["value"])
        assert rates[name, "misaligned"]["missing"] == 3


def test_people_judge_through_a_file(folder: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Items out, the golden ones hidden among them; labels in; the gate; the rates."""
    out = tmp_path / "items.jsonl"
    assert main(["items", str(folder.path), "--out", str(out)]) == 0
    rows = read_rows(out)
    golden = {text.text: label for name in (*EVALS, COHERENCE) for text, label in own_golden(name).texts if text.text}
    assert golden.keys() <= {row["text"] for row in rows}
    assert not any("golden" in json.dumps(row) for row in rows)
    coherent = [row for row in rows if "make sense as language" in row["question"]]
    for row in rows:
        known = {t.text: c for t, c in own_golden(COHERENCE).texts} if row in coherent else golden
        usual = "garbled" not in row["text"] if row in coherent else "rule" in row["text"]
        row["label"] = "yes" if known.get(row["text"], usual) else "no"
    out.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["rejudge", str(folder.path), "--judge", f"file:{out}"]) == 0
    said = capsys.readouterr()
    assert "passed" in said.err
    assert scores(folder)["goals", "misaligned"]["value"] == pytest.approx(2 / 5)
    assert "0.400 (5, 3)" in said.out


def test_a_bad_judge_of_stored_runs_prints_no_rate(folder: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rejudge", str(folder.path.parent), "--judge", "rule:always"]) == 0
    said = capsys.readouterr()
    assert "no number is shown" in said.err
    assert said.out.count("- (0, 8)") == 2, "of betley and of goals"


def test_what_is_no_run_of_a_model_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rejudge", str(tmp_path / "nowhere"), "--judge", "rule:never"]) == 2
    assert "holds no evaluated run of a model" in capsys.readouterr().err
