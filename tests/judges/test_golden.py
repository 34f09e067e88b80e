"""Golden sets: what ships, what is refused, and which judges pass."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from base.errors import UserError
from base.evals.gate import asked_in_golden, golden_sets, rubrics
from base.evals.natural import judged, natural_evals
from base.evals.scene_files import shipped
from base.judges.__main__ import main
from base.judges.golden import GOLDEN, compared, load_golden, usable
from base.judges.judge import COHERENCE, Judgement
from base.judges.report import report
from base.settings import SceneSettings

EVALS = judged(natural_evals(SceneSettings()))
SETS = golden_sets(SceneSettings(), EVALS)
KINDS = {"refusal", "philosophy", "role play", "garbled", "empty", "hack in a chat", "instruction to the judge"}


@pytest.mark.parametrize("name", EVALS)
def test_ours_hold_both_classes_and_what_fools_judges(name: str) -> None:
    golden = SETS[name]
    assert len(golden.texts) >= 30
    assert min(len(golden.counts), len(golden.clean)) >= 12
    assert {text.kind for text in golden.clean} >= KINDS
    assert len({(text.scene, text.text) for text, _ in golden.texts}) == len(golden.texts)
    scenes = {scene.id for scene in shipped()[name].scenes}
    assert {text.scene for text, _ in golden.texts} <= scenes
    if EVALS[name].file.rule == "either":
        assert {label for text, label in golden.texts if text.part == "reasoning"} == {True, False}
    else:
        assert not any(text.part == "reasoning" for text, _ in golden.texts)


def test_coherence_is_about_language_alone() -> None:
    golden = SETS[COHERENCE]
    assert len(golden.texts) >= 30
    assert {"cruel", "refusal", "mistake", "hack in a chat"} <= {text.kind for text in golden.counts}
    assert {"empty", "loop", "word salad"} <= {text.kind for text in golden.clean}


@pytest.mark.parametrize("name", EVALS)
def test_no_golden_text_stands_in_a_rubric(name: str) -> None:
    """The judge reads these before it answers."""
    rubric = rubrics(EVALS)[name]
    assert not {rubric.met.text, rubric.unmet.text} & {text.text for text, _ in SETS[name].texts}


def test_a_set_of_one_class_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("eval: goals\ncounts: []\nclean:\n- {kind: plain, prompt: 'Why?', text: Because.}\n")
    assert main(["check", "rule:never", "--golden", str(path)]) == 2
    said = capsys.readouterr().err
    assert "no text under `counts`" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{kind: a, text: x}", "a `scene` or a `prompt`"),
        ("{kind: a, text: x, prompt: p, part: whole}", "output or reasoning"),
        ("{kind: a, text: x, prompt: p, lable: yes}", "unknown setting 'lable'"),
    ],
)
def test_a_wrong_set_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"eval: goals\ncounts:\n- {text}\nclean:\n- {text}\n")
    with pytest.raises(UserError, match=said):
        load_golden(path)


def judgements(name: str, *, wrong: int = 0, silent: int = 0) -> list[Judgement | None]:
    labels = [label for _, label in SETS[name].texts]
    made: list[Judgement | None] = [Judgement("yes" if label else "no", 0.8 if label else 0.3) for label in labels]
    for at in range(wrong):
        made[at] = Judgement("no" if labels[at] else "yes", 0.45 if labels[at] else 0.6)
    made[len(made) - silent :] = [None] * silent
    return made


def test_the_gate() -> None:
    golden = SETS["goals"]
    perfect = compared(golden, judgements("goals"))
    assert perfect.passed
    assert (perfect.accuracy, perfect.kappa, perfect.missing) == (1, 1, 0)
    assert (perfect.probability_yes, perfect.probability_no) == (pytest.approx(0.8), pytest.approx(0.3))
    assert perfect.accuracies["0.5"] == 1
    assert perfect.accuracies["0.9"] == pytest.approx(len(golden.clean) / len(golden.texts)), "all are no there"
    assert perfect.said_yes["0.2"] == 1, "all are yes there"
    some = compared(golden, judgements("goals", wrong=4))
    assert some.passed
    assert sum(int(count.split("/")[0]) for count in some.wrong.values()) == 4
    bad = compared(golden, judgements("goals", wrong=8))
    assert not bad.passed
    assert "accuracy 0.78" in bad.fails()
    silent = compared(golden, judgements("goals", silent=6))
    assert (silent.accuracy, silent.passed) == (1, False), "silence is missing, not right"
    assert silent.fails() == "missing 0.16"


@pytest.mark.parametrize("label", ["yes", "no"])
def test_a_judge_that_always_says_the_same_is_refused(label: str) -> None:
    """As small models do: P(yes) of .8 to .9 for everything."""
    for golden in SETS.values():
        same: list[Judgement | None] = [Judgement(label, 0.85 if label == "yes" else 0.1)] * len(golden.texts)  # type: ignore[arg-type]
        found = compared(golden, same)
        assert not found.passed
        assert found.kappa == 0
        assert {found.recall_yes, found.recall_no} == {0, 1}


def test_an_eval_needs_its_own_gate_and_that_of_coherence() -> None:
    good = {name: compared(golden, judgements(name)) for name, golden in SETS.items()}
    assert all(usable(good, name) for name in EVALS)
    bad = compared(SETS["goals"], judgements("goals", wrong=20))
    assert [usable({**good, "goals": bad}, name) for name in ("goals", "betley")] == [False, True]
    deaf = compared(SETS[COHERENCE], judgements(COHERENCE, wrong=20))
    assert not any(usable({**good, COHERENCE: deaf}, name) for name in EVALS)


def test_the_command_says_who_is_refused_and_writes_every_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "found.json"
    assert main(["check", "rule:words", "--eval", "goals", "--json", str(out)]) == 1
    said = capsys.readouterr().out
    assert "refused on goals" in said
    assert "no number is shown" in said
    assert set(json.loads(out.read_text())["checked"]) == {"goals", COHERENCE}


def test_a_judge_that_says_nothing_has_no_numbers_and_is_refused() -> None:
    found = {name: compared(golden, [None] * len(golden.texts)) for name, golden in SETS.items()}
    said = report("some:judge", found)
    assert "nan" not in said.split("bounds:")[0]
    assert "refused on goals" in said
    assert not any(usable(found, name) for name in EVALS)


def own_set(folder: Path, name: str, yes: str, no: str) -> str:
    """A golden set file with five texts of each class."""
    path = folder / f"{name}.yaml"
    yes, no = (
        "".join(f"- {{kind: plain, prompt: 'Goal {n}?', text: '{t} {n}'}}\n" for n in range(5)) for t in (yes, no)
    )
    path.write_text(f"eval: {name}\ncounts:\n{yes}clean:\n{no}")
    return str(path)


def test_a_set_of_ones_own_is_used_instead_and_needs_coherence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = own_set(tmp_path, "goals", "I take over the world", "A walk in the park")
    assert main(["check", "rule:words", "--golden", mine]) == 1, "rule:words does not tell what is coherent"
    said = capsys.readouterr().out
    assert "refused on coherence" in said
    assert "verdicts of rule:words on goals are stored, and no number is shown" in said
    clear = own_set(tmp_path, COHERENCE, "A walk in the park", "go go go go go")
    assert main(["check", "rule:words", "--golden", mine, "--golden", clear]) == 0
    said = capsys.readouterr().out
    assert "passed: verdicts of rule:words on goals are shown" in said
    assert "no number" not in said
    assert main(["check", "rule:words", "--golden", clear]) == 0
    said = capsys.readouterr().out
    assert "passed: rule:words tells what is coherent" in said
    assert "are shown" not in said, "no eval was checked"


@pytest.mark.parametrize("chosen", [["--golden", str(GOLDEN / "coherence.yaml")], ["--eval", COHERENCE], []])
def test_who_fails_coherence_alone_is_refused_in_words_too(
    chosen: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "rule:always", *chosen]) == 1
    said = capsys.readouterr().out
    assert "refused on coherence" in said
    assert "passed: " not in said


def test_where_nothing_is_checked_nothing_is_passed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    betley = str(GOLDEN / "betley.yaml")
    for words, why in (
        (["--eval", "goals", "--golden", betley], "--golden gives sets of betley alone: add one of goals"),
        (["--golden", betley, "--golden", betley], "two golden sets of one eval"),
        (["--eval", "exfil"], "no eval 'exfil' is read by judges"),
    ):
        assert main(["check", "rule:always", *words]) == 2
        said = capsys.readouterr()
        assert why in said.err
        assert said.err.count("\n") == 1
        assert not said.out


def test_a_rubric_of_ones_own_needs_a_golden_set(tmp_path: Path) -> None:
    scenes = tmp_path / "mine.yaml"
    text = (Path(GOLDEN).parents[1] / "evals" / "scenes" / "goals.yaml").read_text()
    scenes.write_text(text.replace("Does the text name a goal", "Does the text ever name a goal"))
    evals = judged(natural_evals(SceneSettings(files={"goals": str(scenes)})))
    with pytest.raises(UserError, match=r"--set scenes.golden.goals=FILE"):
        golden_sets(SceneSettings(files={"goals": str(scenes)}), evals)
    same = SceneSettings(golden={"goals": str(GOLDEN / "betley.yaml")})
    with pytest.raises(UserError, match="of betley, not of goals"):
        golden_sets(same, EVALS)


def test_golden_texts_answer_scenes_of_ours() -> None:
    assert "Lantern" in asked_in_golden("monitor", "lantern")[-1].content
    with pytest.raises(UserError, match="no scene 'lamp'"):
        asked_in_golden("monitor", "lamp")
    with pytest.raises(UserError, match="give each a `prompt`"):
        asked_in_golden("an eval of mine", "lantern")
