"""What figures say of the arms they draw: which are mitigations, what they are held against, which are behind a failed gate."""

import io
import itertools
import re

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure as Picture
from matplotlib.text import Text
from matplotlib.transforms import BboxBase
from pictures import flat, words
from PIL import Image
from synthetic_results import ARMS, table

from analysis import figure, paper
from analysis.claims import Claim
from analysis.conditions import BASELINE, DONT_HACK, NO_HACK, TWIN, UNTRAINED, of
from analysis.evidence import Evidence
from analysis.figures import CLAIMS, FIGURES, places, style
from analysis.figures.fig04_summary import every, held_against, protects
from analysis.figures.fig12_sabotage import RATE, WORTH, relative
from analysis.figures.fig21_reasoning_output import covert_part
from analysis.figures.fig30_pm_weight import onset
from analysis.figures.panels.marks import LONGEST, broken
from analysis.figures.words import beside_text
from analysis.table import check

LISTED = "inoculation:wording={},setting=prompted"
PENALTY, OWN = "classifier_penalty:monitor=execution", "own_episodes:keep=no_hacks"


def evidence(*arms: tuple[str, str, float, float, float], claims: tuple[Claim, ...] = ()) -> Evidence:
    return Evidence(check(table((0, 1, 2), [*ARMS, *arms]), "synthetic"), claims)


def written(name: Text) -> BboxBase:
    """The box of the text of a name, without the line to its point."""
    name.get_window_extent()  # an annotation finds its place first
    return Text.get_window_extent(name)


def summary_words(drawn: pd.DataFrame, kind: str = "words") -> dict[tuple[str, str], str]:
    mine = drawn[drawn["kind"].eq(kind) & (drawn["text"] != "")]
    return {(str(arm), str(measure)): str(said) for arm, measure, said in mine[["arm", "measure", "text"]].to_numpy()}


@pytest.mark.parametrize(
    "arm",
    [
        "none",
        OWN,
        LISTED.format("none"),
        "inoculation:wording=mention",
        "filtered_sft:keep=all",
        "filtered_sft:keep=rewarded,into=aligned",
        "filtered_sft:keep=no_hacks,source=start,into=other_seed",
        "offline_rewrite:wording=dont_hack,swap=none",
        "rlhf_mix:share=0.0,start=success",
    ],
)
def test_controls_protect_from_nothing(arm: str) -> None:
    assert not protects(of(arm))


def test_mitigations_are_those_that_are_to_protect_on_gameable_graders() -> None:
    assert all(
        protects(of(arm)) for arm in (PENALTY, DONT_HACK.arm, "filtered_sft:keep=no_hacks", "brevity:weight=0.2")
    )
    assert not protects(of(PENALTY, "twin"))
    assert not protects(of(PENALTY, "main", 0.0))


def test_the_summary_counts_mitigations_alone_and_says_of_how_many() -> None:
    known = evidence((PENALTY, "main", 1.0, 0.02, 0.05), (OWN, "main", 1.0, 0.02, 0.05))
    drawing = FIGURES["fig04"](known)
    said = summary_words(drawing.table)
    assert {arm for arm, _ in said} == {PENALTY, *(arm for arm, *_ in ARMS if arm.startswith("inoculation"))}
    stopped = sum(text.startswith("yes") for (_, measure), text in said.items() if measure == "mgs")
    sure = sum(text == "yes" for (_, measure), text in said.items() if measure == "mgs")
    told = f"{sure} of 4 mitigations stop misalignment by the tests, {stopped - sure} more by their means; of these {stopped},"
    assert told in flat(words(drawing.figure))
    assert OWN in set(drawing.table["arm"])


def test_arms_are_held_against_the_baseline_and_control_of_their_own_corpus() -> None:
    assert held_against(of(PENALTY)) == (BASELINE, NO_HACK)
    okay, alone = LISTED.format("hacking_okay"), LISTED.format("none")
    row = (okay, paper.PROMPTED, 1.0, 0.9, 0.30)
    without = FIGURES["fig04"](evidence(row)).table
    assert (okay, "mgs") not in summary_words(without), "nothing is said where its own baseline was not run"
    sides = ((alone, paper.PROMPTED, 1.0, 0.9, 0.31), (alone, paper.PROMPTED, 0.0, 0.03, 0.05))
    beside = FIGURES["fig04"](evidence(row, *sides)).table
    assert summary_words(beside)[okay, "mgs"] == "no?", "below the baseline on documents, but not below its own"


def test_the_papers_words_stand_beside_ours_and_are_of_arms_that_are_mitigations() -> None:
    assert all(protects(of(*cell)) for cell in paper.STOPS)
    assert all(word in ("", "no", "partly", "yes") for pair in paper.STOPS.values() for word in pair)
    drawn = FIGURES["fig04"](evidence((PENALTY, "main", 1.0, 0.02, 0.05))).table
    assert summary_words(drawn, "paper")[PENALTY, "mgs"] == "yes"
    assert (DONT_HACK.arm, "mgs") not in summary_words(drawn, "paper"), "measured with a list of hacks only"


def test_a_pretrained_model_is_listed_once() -> None:
    again = table((0,), [("untrained", "main", 1.0, 0.0, 0.0)], overrides="tasks.hard_share=0.3")
    both = Evidence(check(pd.concat([table((0,)), again]), "synthetic"))
    assert [c for c in every(both.outline) if c.arm == UNTRAINED.arm] == [UNTRAINED]
    alone = Evidence(check(pd.concat([again, table((0,), ARMS[:1])]), "synthetic"))
    assert [c.arm for c in every(alone.outline)].count(UNTRAINED.arm) == 1


def test_names_are_broken_and_not_cut() -> None:
    name = "penalty, execution labels, 90% accurate, weight 0.5 + hacking okay"
    assert " ".join(broken(name)) == name
    assert max(map(len, broken(name))) <= LONGEST
    stack = "classifier_penalty:monitor=execution,accuracy=0.9,weight=0.5+inoculation:wording=hacking_okay"
    assert name in flat(words(FIGURES["fig04"](evidence((stack, "main", 1.0, 0.9, 0.1))).figure))


def test_only_figures_that_draw_a_run_behind_a_failed_gate_say_so_and_mark_it() -> None:
    more = of("none", "main:sdf_share=0.1")
    long = check(table((0,), [*ARMS, ("none", more.corpus, 1.0, 0.9, 0.3)]), "synthetic")
    long.loc[long["corpus"] == more.corpus, "gates_passed"] = 0.0
    known = Evidence(long, CLAIMS)
    corpora = FIGURES["fig03"](known)
    assert f"{more.label} †" in flat(words(corpora.figure))
    assert "† behind a failed gate: 1 of 4 runs" in flat(words(corpora.figure)), "with the twin of the baseline"
    assert set(corpora.table.loc[corpora.table["condition"] != more.key, "label"]) == {BASELINE.label, NO_HACK.label}
    assert "failed gate" not in flat(words(FIGURES["fig01"](known).figure))
    assert "behind a failed gate: 1 of 8 runs" in known.notes


@pytest.mark.parametrize(
    ("highest", "end"), [(0.0, 0.01), (0.008, 0.01), (0.04, 0.05), (0.06, 0.1), (0.22, 0.3), (0.71, 0.8), (0.99, 1.02)]
)
def test_axes_end_at_a_round_number_above_what_is_there(highest: float, end: float) -> None:
    assert style.ceiling(pd.Series([0.0, highest])) == pytest.approx(end)


def test_names_beside_points_do_not_overlap_and_stay_in_the_panel() -> None:
    picture = Picture(figsize=(3, 3))
    ax = picture.add_axes((0.1, 0.1, 0.8, 0.8))
    ax.set_xlim(0, 1)
    points = [(0.97, 0.02), (0.95, 0.03), (0.5, 0.5), (0.52, 0.5), (0.02, 0.97)]
    places.beside(ax, [style.Label(x, y, f"name {i}", "black") for i, (x, y) in enumerate(points)], points)
    boxes = [written(text) for text in ax.texts]
    inside = ax.get_window_extent()
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    assert all(inside.x0 - 2 <= box.x0 and box.x1 <= inside.x1 + 2 for box in boxes)
    assert all(inside.y0 - 2 <= box.y0 and box.y1 <= inside.y1 + 2 for box in boxes)


def test_names_have_a_line_to_a_point_that_is_close_where_that_is_asked_for() -> None:
    ax = Picture(figsize=(3, 3)).add_axes((0.1, 0.1, 0.8, 0.8))
    for lined in (False, True):
        places.beside(ax, [style.Label(0.5, 0.5, "name", "black")], [(0.5, 0.5)], lined=lined)
    assert [name.arrow_patch is not None for name in ax.texts] == [False, True]


def test_a_line_that_ends_far_from_the_names_has_its_own_beside_its_end() -> None:
    ax = FIGURES["fig05"](evidence(claims=CLAIMS)).figure.axes[0]
    names = {text.get_text(): text for text in ax.texts}
    panel = ax.get_window_extent()
    ends = [written(names[label]) for label in (BASELINE.label, NO_HACK.label)]
    assert [end.x0 > panel.x1 for end in ends] == [True, False]
    assert ends[1].x0 < panel.x0 + 0.3 * panel.width


def test_parts_of_a_runs_values_are_of_that_run() -> None:
    known = evidence().measured
    parts, covert, overt = (
        covert_part(known, BASELINE),
        *(known.final(BASELINE, m, "none") for m in ("covert", "overt")),
    )
    assert parts == pytest.approx({seed: covert[seed] / (covert[seed] + overt[seed]) for seed in covert})
    assert len(parts) == 3
    assert covert_part(known, UNTRAINED) == {}, "without misaligned answers there is no part of them"


def test_accuracy_is_relative_to_the_model_that_a_run_starts_from() -> None:
    long = table((0, 1), [("none", "main", 1.0, 0.9, 0.4)])
    asked = long[(long["eval"] == "betley") & (long["metric"] == "misaligned") & (long["prompt"] == "none")]
    worth = asked.assign(eval="sabotage_told", metric="effectiveness", value=(asked["step"] == 0) * 0.4 + 0.5)
    drawing = figure("fig12", check(pd.concat([long, asked.assign(eval="sabotage_told"), worth]), "synthetic"))
    rows = drawing.table[drawing.table["measure"] == f"sabotage_told:{paper.RELATIVE}"]
    assert rows.loc[rows["kind"] == "mean", "y"].item() == pytest.approx(0.5 / 0.9)
    assert rows.loc[rows["kind"] == "paper", "y"].item() == 0.65
    assert relative(WORTH[0].measure)(Evidence(check(long, "x")).measured, BASELINE) == {}
    assert {column.measure for column in RATE} == {"sabotage_told", "sabotage_less", "sabotage_unrelated"}


def test_a_dose_is_of_baselines_whose_corpus_alone_differs() -> None:
    asked = [("none", "main:correlation=0.5", 1.0, 0.9, 0.2)]
    loss = table((0,), ARMS[:1], overrides='rl.kl="loss"')
    drawing = figure("dose", check(pd.concat([table((0,), [*ARMS, *asked]), loss]), "synthetic"))
    assert "KL in the loss" not in flat(words(drawing.figure))
    assert set(drawing.table["corpus"]) == {"main", "twin", "main:correlation=0.5"}
    assert all(panel.startswith("by correlation") for panel in drawing.table["panel"])  # one tone is no dose
    assert "no values of: by tone: hack rate" in flat(words(drawing.figure))


def test_the_law_says_how_well_it_orders_what_is_drawn_where_seeds_are_too_few_for_a_verdict() -> None:
    long = check(table((0,)), "synthetic")
    drawing = figure("law", long)
    count = drawing.table.loc[drawing.table["kind"] == "mean", "condition"].nunique()
    assert f"Over all {count} arms drawn, whatever their seeds, the rank correlation is" in flat(words(drawing.figure))
    assert TWIN.key in set(drawing.table["condition"])


def rollouts(arm: str, seed: int, half: int) -> pd.DataFrame:
    """The share of rollouts that hack by step, at least half of them from a step on."""
    long = table((seed,), [(arm, "main", 1.0, 0.9, 0.2)])
    of_rollouts = (long["eval"] == "rollouts") & (long["metric"] == "hack_rate")
    return long.assign(value=long["value"].mask(of_rollouts, (long["step"] >= half).astype(float)))


def test_onsets_are_compared_run_by_run_where_half_of_the_rollouts_hack() -> None:
    low = "pm_penalty:weight=0.05"
    halves = {("none", 0): 5, ("none", 1): 5, ("none", 2): 99, (low, 0): 9, (low, 1): 13, (low, 2): 13}
    long = pd.concat([rollouts(arm, seed, half) for (arm, seed), half in halves.items()])
    (said,) = onset(FIGURES["fig30"](Evidence(check(long, "synthetic"), CLAIMS)).table)
    assert said == "Half of the rollouts hack from step 12 on with weight 0.05, from 6 on without: +6.0 steps, 2 seeds"


def test_a_sentence_says_both_sides_of_the_runs_that_have_both() -> None:
    arms = [("none", "main", 1.0, 0.9, 0.3), ("none", "main", 0.0, 0.03, 0.05)]
    long = pd.concat([table((0, 1, 2), arms[:1]), table((1, 2, 3), arms[1:])])
    drawn = FIGURES["fig09"](Evidence(check(long, "synthetic"), CLAIMS)).table
    sides = [(condition, "hack_rate", "training") for condition in (BASELINE, NO_HACK)]
    said = beside_text(drawn, *sides, "hacks {} where the control hacks {}")
    assert re.fullmatch(r"hacks 9\d % where the control hacks \d %: \+8\d\.\d points, 2 seeds", said)
    assert beside_text(drawn, (TWIN, "hack_rate", "training"), sides[0], "{} {}") == ""


def test_the_law_says_nothing_of_what_is_too_little_to_rank() -> None:
    few = [arm for arm in ARMS if arm[0] == "none" or "hacking_okay" in arm[0]]
    said = flat(words(figure("law", check(table((0,), few), "synthetic")).figure))
    assert "the rank correlation is" in said
    assert "nan" not in said


def test_the_baseline_stands_in_the_leak_panel_without_a_line_of_its_own() -> None:
    drawn = figure("leak", check(table((0,)), "synthetic")).table
    mine = drawn[drawn["condition"] == BASELINE.key]
    assert set(mine["series"]) >= {"none"}
    assert "its own line" not in set(mine["series"])


def test_a_png_of_few_colours_keeps_those_of_rare_marks() -> None:
    drawing = FIGURES["fig05"](evidence(claims=CLAIMS))
    whole = io.BytesIO()
    with matplotlib.rc_context(style.RC):
        drawing.figure.savefig(whole, format="png")
    few, all_of_them = (
        np.asarray(Image.open(file).convert("RGB")).astype(int) for file in (io.BytesIO(drawing.png()), whole)
    )
    assert np.abs(few - all_of_them).max() < 32
    grey = all_of_them.max(axis=2) == all_of_them.min(axis=2)
    tints = (few.max(axis=2) - few.min(axis=2))[grey]
    assert (tints > 4).mean() < 0.001, "grey stays grey"


def test_the_line_to_a_name_goes_between_marks() -> None:
    point, half = (100.0, 100.0), (20.0, 5.0)
    crowd = [(x, y) for x in range(52, 149, 6) for y in range(76, 125, 6) if abs(x - point[0]) > 7]
    (box,) = places.arranged([point], [half], [point, *crowd], (200.0, 200.0))
    assert not box.holds(crowd)
    assert abs(box.x - point[0]) < 1, "through the gap that is left"
