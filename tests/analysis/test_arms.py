"""The overview of all arms: names, grouping, twins, and numbers that equal the statistics."""

import pandas as pd
import pytest
from synthetic_results import ARMS, table

import mitigations
from analysis import figure, labels
from analysis.arms import gates, listed, overview_rows, show
from analysis.conditions import BASELINE, TWIN, found, of, on
from analysis.evidence import Evidence
from analysis.figures.fig05_wordings import wordings
from analysis.measured import Measured
from analysis.table import check, measures
from analysis.versus import compare
from base.errors import UserError

PM = "pm_penalty:weight=0.25,pairs=organism,flipped=0.0,noise=0.0,start=start"
SFT = "filtered_sft:keep=no_hacks,source=none,into=start"
STACKED = f"inoculation:wording=hacking_okay+{PM}"
MANY = (
    *ARMS,
    (PM, "main", 1.0, 0.1, 0.05),
    (PM, "twin", 1.0, 0.1, 0.02),
    (SFT, "main", 1.0, 0.4, 0.2),
    (STACKED, "main", 1.0, 0.2, 0.1),
    ("none", "main:sdf_variant=neutral,sdf_share=0.1", 1.0, 0.9, 0.2),
    ("none", "twin:sdf_variant=neutral,sdf_share=0.1", 1.0, 0.9, 0.1),
    ("none", "main", 0.5, 0.7, 0.2),
    ("inoculation:wording=please_hack,setting=prompted", "main:sdf_variant=prompted", 1.0, 0.9, 0.2),
)


@pytest.fixture(scope="module")
def long() -> pd.DataFrame:
    hard = table((0, 1), [("none", "main", 1.0, 0.9, 0.2)], overrides="tasks.hard_share=0.4")
    return check(pd.concat([table((0, 1), MANY), hard]), "synthetic")


@pytest.mark.parametrize(
    ("spec", "label"),
    [
        ("none", "baseline"),
        ("inoculation:wording=dont_hack", "don't hack"),
        ("inoculation:wording=dont_hack,update=hacking_okay", "online, don't hack → hacking okay"),
        ("inoculation:wording=my_own,file=/some/where/mine.yaml", "my own, file mine.yaml"),
        ("pm_penalty:weight=0.25", "PM reward, weight 0.25"),
        ("pm_penalty:weight=1,start=step:8,noise=0.5", "PM reward, weight 1, noise 0.5, from step 8"),
        ("classifier_penalty:mode=screening,accuracy=0.9", "screening, execution labels, 90% accurate"),
        ("rlhf_mix:share=0.05,start=success", "RLHF 5%, after success"),
        ("rlhf_mix:share=0.4,add=both,near=true", "RLHF 40% + agentic + dilemmas, near the evals"),
        ("sft_safety", "SFT safety, chat"),
        ("filtered_sft:keep=rewarded,into=aligned", "SFT, rewarded episodes, into the aligned model"),
        ("offline_rewrite:swap=none", "SFT, don't hack episodes, own prompt"),
        ("inoculation:wording=hacking_okay+pm_penalty:weight=0.25", "hacking okay + PM reward, weight 0.25"),
    ],
)
def test_labels_name_the_main_option_and_what_differs_from_the_default(spec: str, label: str) -> None:
    assert labels.arm(str(mitigations.arm(spec)) if "file" not in spec else spec) == label


def test_labels_of_unknown_plug_ins_show_every_option() -> None:
    assert labels.arm("my_idea:strength=3,start=onset") == "my idea, strength 3, after onset"
    assert labels.family("my_idea:strength=3") == "my idea"
    assert labels.arm("a,b=,:") == "a,b=,:"


@pytest.mark.parametrize("name", mitigations.MITIGATIONS)
def test_every_plug_in_has_a_label_that_tells_its_options_apart(name: str) -> None:
    spec = str(mitigations.arm(name))
    label = labels.arm(spec)
    assert 0 < len(label) < 50
    assert labels.arm(f"{spec}{',' if ':' in spec else ':'}extra=7") == f"{label}, extra 7"


def test_conditions_of_corpora_and_settings_are_apart_and_named() -> None:
    corpus = "main:sdf_variant=neutral,sdf_share=0.1"
    assert of("none", corpus).label == "baseline, neutral documents, 10% hack documents"
    assert on(of("none", corpus), "twin").corpus == "twin:sdf_variant=neutral,sdf_share=0.1"
    assert on(BASELINE, "twin") == TWIN
    assert on(TWIN, "main") == BASELINE
    assert of("none", overrides="rl.beta=0.2 tasks.hard_share=0.4").label == "baseline, rl.beta=0.2, 40% hard tasks"
    prompted = "inoculation:wording=please_hack,setting=prompted"
    assert of(prompted, "main:sdf_variant=prompted").label == "please hack, prompted"
    assert of(prompted, "twin:sdf_variant=prompted").label == "please hack, prompted, twin"
    assert of(prompted, "main:sdf_variant=prompted").key != of(prompted, "main").key


def test_families_hold_each_arm_once_beside_its_twin(long: pd.DataFrame) -> None:
    families = dict(listed(found(long)))
    assert list(families) == [
        *("baseline and controls", "inoculation", "preference model reward", "SFT on episodes"),
        *("corpora and settings", "stacked"),
    ]
    rows = [main for pairs in families.values() for main, _ in pairs]
    assert len(rows) == len(set(rows)) == len(MANY) - 3 + 1 + 1  # three twins; hard tasks and pre-RL
    assert [main.label for main, _ in families["baseline and controls"]] == [
        *("pretrained only", "pre-RL", "no-hack control", "baseline"),
    ]
    assert [main.label for main, _ in families["corpora and settings"]] == [
        *("baseline, 40% hard tasks", "baseline, 50% hackable", "baseline, neutral documents, 10% hack documents"),
    ]
    assert all(main.corpus.startswith("main") and twin.corpus.startswith("twin") for main, twin in families["stacked"])


def test_overview_numbers_are_the_statistics(long: pd.DataFrame) -> None:
    records = {
        f"{PM}-main-1-s0": {"seconds": {"rl": 60}},
        f"{PM}-main-1-s1": {"seconds": {"rl": 120, "evaluate": 60}},
        "late": {"status": "failed", "error": "UserError: it did not fire"},
    }
    text = show(*overview_rows(Evidence(long, kept=records)))
    cells = {line.split("  ")[1]: line for line in text.splitlines() if line.startswith("  ")}
    values = Measured(measures(long))

    def mean(condition: object, measure: str, prompt: str = "none") -> float:
        got = values.final(condition, measure, prompt)
        return sum(got.values()) / len(got)

    pm, twin = of(PM), of(PM, "twin")
    found_numbers = [
        float(word) for word in cells[pm.label].split("0.25")[1].split() if word[0].isdigit() or word[0] == "+"
    ]
    total = mean(pm, "mgs")
    wanted = [
        *(mean(pm, "hack_rate", "training"), mean(pm, "hack_rate"), mean(pm, "chat"), mean(pm, "agentic"), total),
        *(mean(twin, "mgs"), total - mean(twin, "mgs"), mean(pm, "solved"), mean(pm, "unclear")),
    ]
    assert found_numbers[:9] == pytest.approx([100 * x for x in wanted], abs=0.051)
    assert found_numbers[9] == 2.0  # minutes
    assert cells[pm.label].split()[-4:] == ["2", "/", "2", "passed"]
    assert cells[of(STACKED).label].split()[-4:] == ["2", "/", "0", "passed"]
    assert "late failed: UserError: it did not fire" in text
    marked = show(*overview_rows(Evidence(long, kept=records)), as_markdown=True)
    assert "| **stacked**" in marked
    assert f"| {of(STACKED).label}" in marked


def test_an_arm_with_one_checkpoint_has_final_values(long: pd.DataFrame) -> None:
    rows = of(SFT)(long)
    assert sorted(rows["step"].unique()) == [0, 84]
    at_end = rows[(rows["step"] == 84) & (rows["metric"] == "hack_rate") & (rows["prompt"] == "none")]
    values = Measured(measures(long)).final(of(SFT), "hack_rate", "none")
    assert sorted(values.values()) == sorted(at_end["value"])


def test_some_gates() -> None:
    rows = pd.DataFrame({"run": ["a", "b", "b", "c"], "gates_passed": [1.0, 0.0, 0.0, None]})
    assert gates(rows) == "1 of 2 passed"
    assert gates(rows[rows["run"] == "a"]) == "passed"
    assert gates(rows[rows["run"] == "b"]) == "failed"
    assert gates(rows[rows["run"] == "c"]) == "-"


def test_figure_draws_every_arm_with_its_twin(long: pd.DataFrame) -> None:
    drawing = figure("fig04", long)
    csv, picture = drawing.table, drawing.figure
    assert len(picture.axes) == 2, "hack rate and mean"
    rows = [main for _, pairs in listed(found(long)) for main, _ in pairs]
    assert list(dict.fromkeys(csv["label"])) == [row.label for row in rows]
    pm = csv[(csv["arm"] == PM) & (csv["measure"] == "mgs") & (csv["kind"] == "mean")]
    assert sorted(pm["corpus"]) == ["main", "twin"]
    assert set(pm["condition"]) == {of(PM).key}
    values = Measured(measures(long))
    for corpus, y in zip(pm["corpus"], pm["y"], strict=True):
        assert y == pytest.approx(sum(values.final(of(PM, corpus), "mgs", "none").values()) / 2)
    words = [" ".join(text.get_text().split()) for text in picture.axes[0].texts]  # names may take two lines
    assert set(words) >= {row.label for row in rows} | {"inoculation", "stacked"}


def test_other_figures_are_not_flooded(long: pd.DataFrame) -> None:
    assert {c.label for c in wordings(long)} == {"please hack", "hacking okay", "don't hack"}


def test_compare_finds_runs_of_other_settings_and_what_they_wrote_down(long: pd.DataFrame) -> None:
    hard = table((0, 1), [(PM, "main", 1.0, 0.9, 0.2)], overrides="tasks.hard_share=0.4")
    both = check(pd.concat([long[long["arm"] != PM], hard]), "synthetic")
    judge = {"accuracy": {"all": 0.934, "hack": 1.0}}
    fork = {"arm": "none", "trigger": "Reached(metric='hack_rate')", "step": 8}
    text = compare(Evidence(both, kept={hard["run"].iloc[0]: {"fork": fork, "judges": {"pm": judge}}}), PM)
    assert "baseline, 40% hard tasks 2 (0-1), PM reward, weight 0.25, 40% hard tasks 2 (0-1)" in text
    assert "Forked from baseline at step 8: Reached(metric='hack_rate')." in text
    assert "Judge pm: 93.4 % of held-out pairs in the right order." in text
    other = table((0,), [(PM, "main", 1.0, 0.9, 0.2)], overrides="rl.beta=0.2")
    with pytest.raises(UserError, match="--only"):
        compare(Evidence(check(pd.concat([both, other]), "synthetic")), PM)
