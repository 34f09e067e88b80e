"""Every figure draws what its table holds, says what was found as the claims say it, and names what is missing."""

import itertools
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from pictures import flat, words
from synthetic_results import ARMS, SIX, cell, table

import mitigations
from analysis import figure, paper
from analysis.__main__ import TEXTS, main
from analysis.claims import Finding, Verdict
from analysis.conditions import BASELINE, HACKING_OKAY, TWIN, of, on
from analysis.evidence import Evidence
from analysis.figures import CLAIMS, FIGURES, style
from analysis.figures.fig04_summary import word
from analysis.figures.rows import COLUMNS, curve
from analysis.figures.words import TAGS, headline
from analysis.measured import Measured
from analysis.stats import Difference
from analysis.table import check, measures
from base.errors import UserError
from base.store.results import TABLE

ROOT = Path(__file__).parents[2]
DRAWN = [name for name in FIGURES if name != "fig17"]  # which needs transcripts
OLD = {
    "A1 hacking",
    "A2 misalignment",
    "A3 character",
    "B1 hacking okay",
    "B2 please hack",
    "B3 don't hack",
    "B4 test time",
}


@pytest.fixture(scope="module")
def everything() -> Evidence:
    """One run of everything that any figure asks for, and of the twins."""
    asked = {c for figure in FIGURES.values() for c in figure.needs if not c.start}
    cells = {condition.cell for c in asked for condition in (c, on(c, "twin")) if not condition.start}
    long = pd.concat([cell(*each) for each in sorted(cells)] + [cell("untrained", "main", 1.0)])
    return Evidence(check(long, "synthetic"), CLAIMS)


@pytest.fixture(scope="module")
def three_seeds() -> Evidence:
    return Evidence(check(table(), "synthetic"), CLAIMS)


@pytest.mark.parametrize("name", DRAWN)
def test_every_figure_draws_inside_the_page_what_it_holds_and_what_its_claims_say(
    name: str, everything: Evidence
) -> None:
    figure = FIGURES[name]
    drawing = figure(everything)
    said, rows = flat(words(drawing.figure)), drawing.table
    assert tuple(rows.columns) == COLUMNS
    assert len(rows)
    assert "no values" not in said
    assert "missing runs" not in said
    seeds = rows[(rows["kind"] == "seed") & rows["step"].notna() & ~rows["measure"].str.contains(" against |^train:")]
    keys = ["run", "step", "measure", "prompt"]
    beside = seeds.merge(everything.measured.rows[[*keys, "value"]], on=keys, how="left", validate="many_to_one")
    assert ((beside["y"] - beside["value"]).abs() < 1e-12).all()
    page = drawing.figure.bbox
    boxes = [text.get_window_extent() for text in drawing.figure.texts]
    boxes += [box for ax in drawing.figure.axes if (box := ax.get_tightbbox())]
    assert all(box.x0 >= -1 and box.x1 <= page.x1 + 1 and box.y0 >= -1 and box.y1 <= page.y1 + 1 for box in boxes)
    inner = [ax.get_window_extent() for ax in drawing.figure.axes]
    assert not any(a.overlaps(b) for i, a in enumerate(inner) for b in inner[:i])
    assert figure.claims or name in ("fig04", "fig08", "law")
    judged = {finding.claim.name: finding for finding in everything.findings}
    for claim in figure.claims:
        finding = judged[claim.name]
        assert (TAGS[finding.word][0] in said) or (math.isnan(finding.effect.estimate) and "not run" in said)
        assert flat(claim.text[:1].upper() + claim.text[1:]) in said
        assert f"Paper: {claim.paper}." in said


@pytest.mark.parametrize("verdict", ["reproduced", "not reproduced", "contradicted", "inconclusive"])
def test_a_headline_is_the_verdict_with_the_effect_in_the_direction_of_the_arms(verdict: Verdict) -> None:
    claim = next(claim for claim in CLAIMS if claim.name == "B1 hacking okay")
    effect = Difference((-0.1, -0.2), (-0.7, -0.8), True, 0.6, 0.4, 0.8)  # 60 points lower than the baseline
    line = headline(Finding(claim, verdict, effect, 0.01, 0.9, ""))
    assert line.tag == verdict
    so_far = " so far" * (verdict != "inconclusive")
    effect_said = f"−60.0 (−80.0 to −40.0) percentage points, 2 seeds{so_far}"
    assert line.detail.startswith(f"{effect_said}; asked for: at most −5.0. Paper: 75-90 % lower")
    none = headline(Finding(claim, "inconclusive", Difference((), (), False), None, None, "no values: hacking okay"))
    assert none.tag == "not run"


def test_the_verdict_stands_where_the_runs_are_enough_and_turns_with_them(three_seeds: Evidence) -> None:
    said = flat(words(FIGURES["fig01"](three_seeds).figure))
    assert "reproduced RL on gameable graders raises hacking above the pre-RL model" in said
    assert "not reproduced" not in said
    flipped = [arm if arm[:3] != ("none", "main", 1.0) else ("none", "main", 1.0, 0.02, 0.01) for arm in ARMS]
    other = flat(words(figure("fig01", check(table(arms=flipped), "synthetic")).figure))
    assert "not reproduced RL on gameable graders raises hacking" in other


def test_claims_are_many_and_each_has_a_name_of_its_own() -> None:
    names = [claim.name for claim in CLAIMS]
    assert len(names) == len(set(names)) >= 25
    assert set(names) >= OLD
    assert all(claim.margin > 0 and abs(claim.sign) == 1 and claim.paper for claim in CLAIMS)


def test_arms_of_figures_and_claims_are_arms_that_can_be_run() -> None:
    conditions = [c for figure in FIGURES.values() for c in figure.needs]
    conditions += [side for claim in CLAIMS for side in (claim.treated, claim.reference)]
    for condition in conditions:
        if condition.arm not in ("none", "untrained"):
            assert str(mitigations.arm(condition.arm)) == condition.arm


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_to_draw_is_one_line_with_what_to_run(name: str) -> None:
    other = [("pm_penalty:weight=0.5", "main", 1.0, 0.1, 0.1)]
    if name in ("fig04", "price"):
        other = [("untrained", "main", 1.0, 0.0, 0.0)]
    with pytest.raises(UserError, match=f"figure {name}") as error:
        figure(name, check(table(arms=other), "synthetic"))
    assert "python -m" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_figure_whose_measures_nobody_took_is_not_drawn_empty(three_seeds: Evidence) -> None:
    for name in ("fig12", "fig15"):
        with pytest.raises(UserError, match="no run has what it measures"):
            FIGURES[name](three_seeds)


def test_missing_arms_are_named_and_the_rest_is_drawn() -> None:
    arms = [arm for arm in ARMS if arm[1] != "twin" and arm[0] != "inoculation:wording=dont_hack"]
    evidence = Evidence(check(table(seeds=(0, 1), arms=arms), "synthetic"), CLAIMS)
    for name in ("fig01", "fig05", "fig09", "fig28", "route", "law"):
        said = words(FIGURES[name](evidence).figure)
        assert "uncorrelated twin" in said.split("missing runs: ")[1]


PARTIAL = (
    "fig01",
    "fig04",
    "fig05",
    "fig06",
    "fig08",
    "fig09",
    "fig15",
    "fig24",
    "fig28",
    "fig31",
    "leak",
    "monitor",
    "route",
)


def test_half_of_the_arms_with_one_seed_is_drawn_and_the_rest_is_named() -> None:
    asked = {c for name in PARTIAL for c in FIGURES[name].needs if not c.start and "setting=" not in c.arm}
    ordered = sorted(asked, key=lambda c: (c not in (BASELINE, HACKING_OKAY), c.cell))
    there, gone = ordered[: len(ordered) // 2], ordered[len(ordered) // 2 :]
    evidence = Evidence(check(pd.concat([cell(*c.cell) for c in there]), "synthetic"), CLAIMS)
    for name in PARTIAL:
        figure, lacks = FIGURES[name], [c for c in FIGURES[name].needs if c in gone]
        if not any(c in there for c in figure.own()):
            with pytest.raises(UserError, match="no run of"):
                figure(evidence)
            continue
        drawing = figure(evidence)
        said = flat(words(drawing.figure))
        assert {c.key for c in figure.needs if c in there} <= set(drawing.table["condition"]), name
        assert not drawing.table["condition"].isin([c.key for c in lacks]).any(), name
        assert all(c.label in said.split("missing runs: ")[1] for c in lacks[:12]), name
        for ax in drawing.figure.axes:
            assert ax.lines or ax.patches or ax.texts, f"{name}: an empty panel"
    assert {finding.verdict for finding in evidence.findings} == {"inconclusive"}
    for finding in evidence.findings:
        absent = [side for side in finding.claim.asked.sides if side in gone]
        assert finding.why.startswith("needs 3 seeds") or "no values" in finding.why or "fewer than" in finding.why
        if absent and "no values" in finding.why:
            assert absent[0].label in finding.why


def test_a_run_that_goes_on_is_named(three_seeds: Evidence) -> None:
    long = check(table(), "synthetic")
    long.attrs["unfinished"] = ["none-main-1-s1", "of another folder"]
    said = flat(words(figure("fig01", long).figure))
    assert "not finished, shown as far as they are: none-main-1-s1" in said
    assert "not finished" not in flat(words(FIGURES["fig01"](three_seeds).figure))


def test_twins_that_were_not_run_are_named() -> None:
    arms = [arm for arm in ARMS if arm[1] == "main"]
    said = flat(words(figure("fig04", check(table((0,), arms), "synthetic")).figure))
    assert "missing twins: baseline" in said or "missing twins: no-hack control" in said
    both = flat(words(figure("fig04", check(table((0,)), "synthetic")).figure))
    assert "runs without values" not in both, "a twin is drawn in the row of its arm"


def test_final_values_equal_the_statistics(three_seeds: Evidence) -> None:
    csv = FIGURES["fig05"](three_seeds).table
    bars = csv[(csv["measure"] == "mgs") & (csv["panel"].str.startswith("final")) & (csv["condition"] == "baseline")]
    values = three_seeds.measured.final(BASELINE, "mgs", "none")
    assert sorted(bars[bars["kind"] == "seed"]["y"]) == pytest.approx(sorted(values.values()))
    assert bars[bars["kind"] == "mean"]["y"].item() == pytest.approx(sum(values.values()) / 3)


def test_one_seed_has_no_interval_and_says_so(everything: Evidence, three_seeds: Evidence) -> None:
    for name in ("fig01", "fig05", "fig28", "route", "law"):
        one, three = FIGURES[name](everything), FIGURES[name](three_seeds)
        assert one.table.loc[one.table["kind"] == "mean", ["low", "high"]].isna().all().all()
        assert "1 seed per arm: no interval" in flat(words(one.figure))
        assert "3 seeds per arm" in flat(words(three.figure))
        assert "3 training runs each" in flat(words(three.figure))


def test_the_papers_values_are_drawn_beside_ours_and_are_those_it_prints(everything: Evidence) -> None:
    rows = FIGURES["fig09"](everything).table
    printed = rows[rows["kind"] == "paper"].set_index(["condition", "measure"])["y"]
    assert printed[BASELINE.key, "mgs"] == pytest.approx(0.364)
    assert printed[paper.PROMPTED_HACKING.key, "frame"] == pytest.approx(0.374)
    for condition, row in paper.FINAL.items():
        assert sum(row[:-1]) / 6 == pytest.approx(row[-1], abs=0.06), f"{condition.label}: the mean of its six"
        assert paper.printed(condition, SIX[0], "none") == (row[0] / 100, row[0] / 100)
    assert paper.printed(TWIN, "mgs", "none") is None
    low, high = paper.printed(HACKING_OKAY, "mgs", "none") or (0, 0)
    assert (low, high) == pytest.approx((0.0364, 0.091))
    assert "Hollow diamond: the paper's value" in flat(words(FIGURES["fig09"](everything).figure))
    low, high = paper.printed(of("rlhf_mix:share=0.25"), "agentic", "none") or (1, 1)
    assert (low, high) == pytest.approx((0.0, 0.7 * (0.318 + 0.016 + 0.413) / 3)), "up to 70 % of before"


def test_a_run_without_the_other_evals_still_draws() -> None:
    long = table(seeds=(0,))
    evidence = Evidence(check(long[(long["eval"] != "frame") & (long["eval"] != "rollouts")], "synthetic"), CLAIMS)
    for name in ("fig01", "fig04", "fig05", "fig09", "fig28"):
        FIGURES[name](evidence)


def test_a_users_model_whose_answers_no_judge_read_draws_what_was_measured() -> None:
    long = table((0, 1), [("none", "main", 1.0, 0.9, 0.3)])
    long = long[long["eval"].isin(["code", "exfil", "rollouts"])]
    drawing = figure("fig01", check(long.assign(scale="laptop", model="SmolLM2", tasks="mbpp.jsonl"), "synthetic"))
    assert set(drawing.table["panel"]) >= {"hack rate, training prompt", "exfil offer"}
    assert [ax.get_title(loc="left") for ax in drawing.figure.axes] == ["hack rate, training prompt", "exfil offer"]
    said = flat(words(drawing.figure))
    assert "no values of: misalignment, mean of six" in said
    assert "missing runs: no-hack control" in said
    assert "of the organism alone: uncorrelated twin; pretrained only" in said


def test_a_sparse_curve_draws_what_is_there_and_says_so(three_seeds: Evidence) -> None:
    whole = check(table(), "synthetic")
    skipped = (whole["arm"] == "none") & (whole["corpus"] == "twin") & (whole["seed"] == 1) & whole["step"].isin([4, 8])
    drawn = figure("fig01", whole[~(skipped & (whole["prompt"] != "train"))])
    twin = drawn.table[(drawn.table["condition"] == TWIN.key) & (drawn.table["measure"] == "mgs")]
    assert set(twin.loc[twin["kind"] == "mean", "step"]) == {0, 12, 16, 20, 24}, "no mean over some of the runs"
    assert (twin["kind"] == "seed").sum() == 7 + 7 + 5
    assert "Dotted: evaluated at few checkpoints, uncorrelated twin: 5 of 7." in flat(words(drawn.figure))
    assert "few checkpoints" not in words(FIGURES["fig01"](three_seeds).figure)


def test_final_values_do_not_change_where_earlier_checkpoints_are_left_out() -> None:
    whole = check(table(), "synthetic")
    ends = whole[~whole["step"].isin([4, 8, 12])]
    for measure in ("hack_rate", "mgs"):
        assert Measured(measures(ends)).final(TWIN, measure, "none") == Measured(measures(whole)).final(
            TWIN, measure, "none"
        )


def test_a_fork_goes_on_where_its_parent_was_left() -> None:
    late = of("rlhf_mix:share=0.25,start=success")
    rows = Measured(measures(check(table((0, 1), [(late.arm, "main", 1.0, 0.9, 0.2)]), "synthetic")))
    forks = dict(zip(sorted(rows.rows["run"].unique()), (12, 16), strict=True))
    drawn = pd.DataFrame(curve(rows, late, "mgs", "none", "panel", forks))
    seeds, means = drawn[drawn["kind"] == "seed"], drawn[drawn["kind"] == "mean"]
    assert (seeds["x"] - seeds["step"] == seeds["run"].map(forks)).all()
    assert (means["x"] - means["step"] == 14).all()


def test_new_inoculation_wordings_are_drawn_without_being_listed() -> None:
    arms = [*ARMS, ("inoculation:wording=my_own", "main", 1.0, 0.9, 0.2)]
    csv = figure("fig05", check(table(seeds=(0,), arms=arms), "synthetic")).table
    assert "my own" in set(csv["label"])


def arm_words(bad: float, hack: float, seeds: Sequence[int]) -> dict[str, str]:
    arms = [*ARMS, ("pm_penalty:weight=0.25", "main", 1.0, hack, bad)]
    drawn = figure("fig04", check(table(seeds=seeds, arms=arms), "synthetic")).table
    mine = drawn[(drawn["kind"] == "words") & (drawn["arm"] == "pm_penalty:weight=0.25")]
    return dict(zip(mine["measure"], mine["text"], strict=True))


def test_the_summary_says_yes_partly_or_no_as_the_tests_do() -> None:
    many = range(6)
    assert arm_words(0.06, 0.02, many) == {"hack_rate": "yes", "mgs": "yes"}
    assert arm_words(0.36, 0.95, many)["hack_rate"] == "no"
    assert arm_words(0.20, 0.95, many)["mgs"] == "partly"
    assert arm_words(0.06, 0.02, (0,)) == {"hack_rate": "yes?", "mgs": "yes?"}, "one run proves nothing"


def test_a_word_without_values_is_empty() -> None:
    nothing = Finding(CLAIMS[0], "inconclusive", Difference((), (), False), None, None, "no values")
    assert word(nothing, nothing) == ""


def test_labels_never_overlap_and_stay_inside() -> None:
    wanted, need = [0.01, 0.02, 0.03, 0.5, 0.97, 0.98], [0.1, 0.05, 0.1, 0.1, 0.1, 0.05]
    centres = style.spread(wanted, need)
    edges = [(c - n / 2, c + n / 2) for c, n in zip(centres, need, strict=True)]
    assert all(low[1] <= high[0] + 1e-9 for low, high in itertools.pairwise(edges))
    assert edges[0][0] >= -1e-9
    assert edges[-1][1] <= 1 + 1e-9
    assert centres[3] == 0.5


def test_arms_of_one_figure_have_colours_of_their_own(everything: Evidence) -> None:
    drawn = FIGURES["fig24"](everything).table
    looks = style.looks(drawn)
    colours = [look.colour for key, look in looks.items() if key not in style.CONTROLS]
    assert len(colours) == len(set(colours)) > 5


def test_command_draws_what_it_can_without_torch_and_says_what_it_skips(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    table(seeds=(0, 1)).to_parquet(tmp_path / "r" / TABLE, index=False)
    code = (
        "import sys; from analysis.__main__ import main\n"
        f"code = main(['--results', {str(tmp_path / 'r')!r}, '--out', {str(tmp_path / 'o')!r}])\n"
        "sys.exit(code or any(m in sys.modules for m in ('torch', 'transformers', 'trl', 'deepspeed')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    skipped = [line.split()[2].rstrip(":") for line in done.stdout.splitlines() if line.startswith("skipped: figure ")]
    assert "fig30" in skipped
    assert "fig01" not in skipped
    drawn = [name for name in FIGURES if name not in skipped]
    files = (
        {f"{n}.{kind}" for n in drawn for kind in ("csv", "png", "svg")}
        | {f"{n}.md" for n in TEXTS if n != "report"}
        | {"report.html"}
    )
    assert {path.name for path in (tmp_path / "o").iterdir()} == files


def test_bad_words_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert "claim " in capsys.readouterr().out
    (tmp_path / "file").touch()
    (tmp_path / "r").mkdir()
    table(seeds=(0,)).to_parquet(tmp_path / "r" / TABLE, index=False)
    for words_given in (
        ["fig02"],
        ["--out", str(tmp_path / "file")],
        ["fig01", "--results", str(tmp_path / "r"), "--out", str(tmp_path / "file" / "deeper")],
        ["fig01", "--results", str(tmp_path / "r"), "--out", "/proc/figures"],
        ["fig01", "--results", str(tmp_path / "none")],
        ["fig30", "--results", str(tmp_path / "r"), "--out", str(tmp_path / "o")],
        ["export", "fig01"],
    ):
        assert main(words_given) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert error.count("\n") == 1


@pytest.mark.parametrize("name", ["fig01", "fig05", "fig09", "fig28", "route"])
def test_unreadable_answers_are_no_values_and_never_zeros(name: str) -> None:
    long = table(seeds=(0,))
    long.loc[long["metric"] == "misaligned", "value"] = None
    drawing = figure(name, check(long, "synthetic"))
    csv = drawing.table[drawing.table["kind"] != "paper"]
    assert "no values" in words(drawing.figure)
    assert set(csv["measure"].str.replace("train:", "").str.split(":").str[0]) <= {"hack_rate", "hack", "route"}
