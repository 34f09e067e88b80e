"""Runs with other settings than their scale's: arms of their own, named by what differs, never seeds of one arm."""

from pathlib import Path

import pandas as pd
import pytest
from pictures import flat, words
from synthetic_results import ARMS, table

from analysis import figure, labels, settings
from analysis.appears import AS_IT_IS, dial
from analysis.conditions import BASELINE, KL_IN_LOSS, NO_HACK, PRE_RL, alike, of, under
from analysis.evidence import Evidence
from analysis.figures import CLAIMS, FIGURES
from analysis.measured import Measured
from analysis.settings import ASKED
from analysis.table import check, common_settings, finished, measures, source
from analysis.versus import compare_rows
from base.errors import UserError
from mitigations.api import describe
from mitigations.experiments import EXPERIMENTS

ONE_ARM = [arm for arm in ARMS if arm[:3] == ("none", "main", 1.0)]
CONTROLS = [arm for arm in ARMS if arm[0] in ("none", "untrained")]


def runs(overrides: str, arms: object = CONTROLS, seeds: tuple[int, ...] = (0, 1, 2)) -> pd.DataFrame:
    """Runs as `--set` leaves them: the pretrained control, which no setting of training touches, has none."""
    made = table(seeds, arms, overrides)  # type: ignore[arg-type]
    return made.assign(overrides=made["overrides"].where(made["arm"] != "untrained", ""))


@pytest.mark.parametrize(
    ("text", "found", "said"),
    [
        ("", {}, []),
        ("rl.steps=40", {"rl.steps": "40"}, ["rl.steps=40"]),
        ('rl.kl="loss" rl.steps=40', {"rl.kl": '"loss"', "rl.steps": "40"}, ["KL in the loss", "rl.steps=40"]),
        (
            "rl.kl=loss tasks.hard_share=0.4",
            {"rl.kl": "loss", "tasks.hard_share": "0.4"},
            ["KL in the loss", "40% hard tasks"],
        ),
        ('a.b=["x y", 1] c=2', {"a.b": '["x y", 1]', "c": "2"}, ['a.b=["x y", 1]', "c=2"]),
        ('aligned="/my models/good"', {"aligned": '"/my models/good"'}, ["aligned=good"]),
        ("path=8b/x y=true", {"path": "8b/x", "y": "true"}, ["path=x", "y=true"]),
    ],
)
def test_settings_are_read_as_they_are_written_and_named_for_people(
    text: str, found: dict[str, str], said: list[str]
) -> None:
    assert settings.read(text) == found
    assert settings.read(settings.write(found)) == found
    assert labels.overrides(text) == said


def test_conditions_of_figures_are_spelt_as_runs_store_them() -> None:
    asked = [c for figure in FIGURES.values() for c in figure.needs if c.overrides]
    assert {c.overrides for c in asked} == set(settings.OF_FIGURES)
    for text in ASKED:
        stored, _ = describe(settings=[f"{k}={v}" for k, v in settings.read(text).items()])
        assert " ".join(stored.overrides) == text


def test_the_settings_of_the_table_of_what_makes_it_appear_are_those_of_its_experiment() -> None:
    made = {" ".join(describe(settings=cell.settings)[0].overrides) for cell in EXPERIMENTS["appears"][1]}
    assert made - {""} - set(settings.OF_FIGURES) == set(settings.OF_TABLE)


def test_what_all_runs_have_in_common_is_said_once_and_names_no_arm() -> None:
    long = check(runs("rl.steps=40"), "synthetic")
    drawing = figure("fig01", long)
    said = flat(words(drawing.figure))
    assert "reproduced RL on gameable graders raises hacking" in said, "the claims are about these runs"
    assert "all with rl.steps=40" in said
    assert "missing runs" not in said
    of_arms = drawing.table.groupby("arm")["overrides"].unique()
    assert [list(of_arms[arm]) for arm in ("none", "untrained")] == [["rl.steps=40"], [""]]
    assert set(drawing.table["label"]) >= {BASELINE.label, NO_HACK.label, PRE_RL.label}
    assert common_settings(Evidence(long).settings) == "All runs with rl.steps=40."
    assert finished(long)[1] == ["all runs with rl.steps=40"]
    assert set(long["overrides"]) == {"rl.steps=40", ""}, "the table of the user stays as it is"
    assert common_settings(Evidence(check(runs(""), "synthetic")).settings) == ""


def test_a_setting_that_some_arms_alone_read_is_common_where_these_share_it() -> None:
    imitates = ("filtered_sft:source=none", "main", 1.0, 0.1, 0.1)
    one, other = "sft.epochs=2.0", "sft.epochs=3.0"
    arms = pd.concat([runs(""), table((0, 1, 2), [imitates], one)])
    apart, common = settings.factored(arms)
    assert (common, set(apart["overrides"])) == (one, {""})
    again = settings.restored(apart, common)
    assert set(again.loc[again["arm"] == imitates[0], "overrides"]) == {one}
    assert set(again.loc[again["arm"] == "none", "overrides"]) == {""}, "a baseline never reads it"
    long = pd.concat([runs("rl.steps=40"), table((0, 1, 2), [imitates], f"rl.steps=40 {one}")])
    assert settings.factored(long)[1] == f"rl.steps=40 {one}"
    for second in ("", other):
        both = pd.concat([arms, table((0, 1, 2), [("own_episodes", *imitates[1:])], second)])
        assert settings.factored(both)[1] == "", "another arm reads it and has another value"


def test_an_arm_is_compared_with_the_baseline_that_it_was_made_with() -> None:
    imitates = ("filtered_sft:source=none", "main", 1.0, 0.9, 0.9)
    made = [runs(""), runs("rl.steps=40", ONE_ARM), table((0, 1, 2), [imitates], "rl.steps=40 sft.epochs=2.0")]
    lines, notes = compare_rows(Evidence(check(pd.concat(made), "synthetic")), imitates[0])
    assert any("baseline, rl.steps=40" in line for line in lines), (list(lines[0]), notes)


def test_nothing_is_common_where_leaving_it_out_would_make_two_arms_one() -> None:
    both = pd.concat([runs("evals.samples=9"), table((0, 1, 2), [("untrained", "main", 1.0, 0, 0)], "evals.samples=9")])
    kept, common = settings.factored(check(both, "synthetic"))
    assert common == ""
    assert set(kept["overrides"]) == {"evals.samples=9", ""}


def test_runs_of_different_settings_are_arms_of_their_own_and_never_seeds_of_one() -> None:
    long = check(pd.concat([runs("rl.steps=40", ONE_ARM), runs("rl.steps=80", ONE_ARM)]), "synthetic")
    for name in ("fig01", "fig05", "fig08", "fig21", "route"):
        drawn = figure(name, long[long["metric"] != "nothing"]).table
        means = drawn[(drawn["kind"] == "mean") & (drawn["measure"] != "")]
        assert set(means["label"]) - {PRE_RL.label} >= {"baseline, rl.steps=40", "baseline, rl.steps=80"}, name
        assert means["seeds"].max() == 3, name
    values = Measured(measures(long)).final(of("none", overrides="rl.steps=80"), "mgs", "none")
    dots = figure("fig09", long).table
    mine = dots[(dots["measure"] == "mgs") & (dots["label"] == "baseline, rl.steps=80") & (dots["kind"] == "mean")]
    assert set(mine["overrides"]) == {"rl.steps=80"}
    assert mine["y"].tolist() == pytest.approx([sum(values.values()) / 3] * len(mine))
    assert all(finding.verdict == "inconclusive" for finding in Evidence(long, CLAIMS).findings), (
        "no claim is about either of them"
    )


def test_settings_of_the_users_own_stand_beside_the_usual_runs_and_those_of_figures_do_not() -> None:
    parts = [runs(""), runs("rl.steps=40", ONE_ARM), runs(KL_IN_LOSS.overrides, ONE_ARM)]
    long = check(pd.concat(parts), "synthetic")
    shown = set(figure("fig01", long).table["label"])
    assert "baseline, rl.steps=40" in shown
    assert KL_IN_LOSS.label not in shown
    assert KL_IN_LOSS.label in set(figure("kl", long).table["label"])
    alone = check(runs(KL_IN_LOSS.overrides, ONE_ARM), "synthetic")
    assert KL_IN_LOSS.label in set(figure("fig01", alone).table["label"]), "all there is"
    assert KL_IN_LOSS.label in set(figure("kl", alone).table["label"])
    with pytest.raises(UserError, match="no run of 'baseline, 30% hard tasks'"):
        figure("fig34", check(runs(""), "synthetic"))


def test_more_settings_than_can_be_read_are_named_instead() -> None:
    many = [runs(f"rl.steps={steps}", ONE_ARM, (0,)) for steps in (10, 20, 30, 40, 50, 60)]
    drawing = figure("fig01", check(pd.concat([runs("", seeds=(0,)), *many]), "synthetic"))
    said = flat(words(drawing.figure))
    assert drawing.table["label"].str.startswith("baseline, rl.steps").any()
    assert "not drawn, because there are too many" in said
    assert "runs with rl.steps=50, or with rl.steps=60" in said


def test_the_same_under_other_settings() -> None:
    other = under(NO_HACK, "rl.steps=40")
    assert other == of("none", hackable=0.0, overrides="rl.steps=40")
    assert alike(other, [BASELINE, NO_HACK])
    assert not alike(other, [BASELINE])
    start = under(PRE_RL, "rl.steps=40")
    assert start.start
    assert start.label == "pre-RL, rl.steps=40"
    assert alike(start, [PRE_RL])
    assert not alike(start, [BASELINE])


def test_a_dial_that_all_runs_share_is_still_named() -> None:
    assert dial(BASELINE) == (AS_IT_IS, "")
    assert dial(BASELINE, 'rl.kl="loss"') == ("where the KL stands", "loss")
    assert dial(of("none", "main:tone=0.5,tone_neutral=0.15"), "rl.steps=9") == ("tone of the thoughts", "0.5")


def test_the_folder_that_was_given_to_the_runs_will_do(tmp_path: Path) -> None:
    for scale in ("tiny", "smoke"):
        (tmp_path / scale / "none--main--p0s0").mkdir(parents=True)
        (tmp_path / scale / "none--main--p0s0" / "run.json").write_text("{}")
        if scale == "tiny":
            assert source(tmp_path) == tmp_path / "tiny"
            assert source(tmp_path / "tiny") == tmp_path / "tiny"
    with pytest.raises(UserError, match="several scales"):
        source(tmp_path)
