"""One more eval or plug-in is an entry of its registry: figures, tables and reports need no edit."""

import dataclasses

import pandas as pd
import pytest
from synthetic_results import ARMS, SIX, table

import analysis
import mitigations
from analysis import figure, labels
from analysis.arms import listed
from analysis.conditions import found, of
from analysis.evals import in_mean, shown
from analysis.evidence import Evidence
from analysis.figures import style
from analysis.reports import report
from analysis.table import check, measures
from analysis.versus import compare
from base.errors import UserError
from base.evals import EVALS
from base.evals.organism import OrganismEval
from base.identity import options_of
from base.organism.reading import by_output


def with_evals(*names: str, rate: float = 0.5) -> pd.DataFrame:
    """The synthetic table with further evals, which read `rate` everywhere."""
    long = table(seeds=(0, 1))
    parts = [long[long["eval"] == "betley"].assign(eval=name, value=rate) for name in names]
    return check(pd.concat([long, *parts]), "synthetic")


def add(monkeypatch: pytest.MonkeyPatch, name: str, title: str, counts: bool = False) -> None:
    monkeypatch.setitem(EVALS, name, OrganismEval(name=name, title=title, kind="chat", rule=by_output, in_mean=counts))


def texts(name: str, long: pd.DataFrame) -> str:
    picture = figure(name, long).figure
    picture.draw_without_rendering()
    return "\n".join(t.get_text() for ax in picture.axes for t in ax.findobj(lambda a: hasattr(a, "get_text")))


def test_the_papers_six_count_and_every_eval_has_a_title() -> None:
    assert in_mean() == SIX
    assert in_mean("chat") == SIX[:3]
    assert in_mean("agentic") == SIX[3:]
    assert all(each.title for each in EVALS.values())


def test_a_seventh_eval_is_shown_beside_the_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    before = measures(with_evals())
    add(monkeypatch, "sycophancy", "flattery")
    long = with_evals("sycophancy")
    rows = measures(long)
    mean = rows["measure"].isin(["mgs", "chat", "overt"])
    assert (
        rows.loc[mean, "value"].tolist()
        == before.loc[before["measure"].isin(["mgs", "chat", "overt"]), "value"].tolist()
    )
    assert (rows.loc[rows["measure"] == "sycophancy", "value"] == 0.5).all()
    assert "flattery" in texts("fig01", long)
    assert "flattery" in report(Evidence(long))
    assert "flattery, no prompt" in compare(Evidence(long), "inoculation:wording=please_hack")
    assert (analysis.overview(long)["flattery"].dropna() == 50).all()


def test_a_seventh_eval_that_counts_is_in_the_mean_or_the_mean_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, "sycophancy", "flattery", counts=True)
    long = with_evals("sycophancy")
    rows = measures(long).set_index(["run", "step", "prompt", "measure"])["value"].unstack()
    asked = rows.dropna(subset=[*SIX])
    assert asked["mgs"].to_numpy() == pytest.approx(asked[[*SIX, "sycophancy"]].mean(axis=1).to_numpy())
    earlier = with_evals()  # stored before there was a seventh
    assert measures(earlier).query("measure == 'mgs'")["value"].isna().all()
    assert "no values of the eval(s) sycophancy" in report(Evidence(earlier))


def test_an_eval_that_only_stored_results_know_appears_by_its_name() -> None:
    long = with_evals("power_seeking")
    assert "power seeking" in texts("fig01", long)
    assert "power seeking" in report(Evidence(long))
    assert [each.name for each in shown([*SIX, "power_seeking", "code", "rollouts"])] == [*SIX, "power_seeking"]


@pytest.mark.parametrize("number", [0, 1, 2, 6, 7, 13])
def test_figures_lay_out_any_number_of_evals(number: int) -> None:
    """Panels neither overlap nor leave the page."""
    long = with_evals(*(f"extra_{i}_with_quite_a_long_name" for i in range(number)))
    picture = figure("fig01", long).figure
    picture.draw_without_rendering()
    boxes = [ax.get_tightbbox() for ax in picture.axes]
    assert len(boxes) == 2 + 6 + number
    page = picture.bbox
    assert all(box.x0 >= 0 and box.x1 <= page.x1 + 1 and box.y0 >= 0 and box.y1 <= page.y1 + 1 for box in boxes)
    inner = [ax.get_window_extent() for ax in picture.axes]
    assert not any(a.overlaps(b) for i, a in enumerate(inner) for b in inner[:i])
    titles = [ax.get_title(loc="left") for ax in picture.axes]
    assert all(titles)


@pytest.mark.parametrize("name", ["mgs", "hack_rate", "chat", "solved"])
def test_an_eval_with_the_name_of_another_measure_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=name):
        measures(with_evals(name))


@dataclasses.dataclass(frozen=True)
class Outsider:
    """A plug-in that says nothing of itself."""

    strength: float = 1.0
    near: bool = False
    words_file: str = ""


@dataclasses.dataclass(frozen=True)
class Guest(Outsider):
    """One that says everything."""

    family = "guests"
    colour = "#123456"

    def label(self) -> str:
        return f"guest at {self.strength:g}"

    def order(self) -> tuple[float]:
        return (-self.strength,)


@pytest.fixture
def outsiders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Outsider, "__module__", "mitigations.my_idea.my_idea")
    for name, cls in (("mine", Outsider), ("guest", Guest)):
        monkeypatch.setitem(mitigations.MITIGATIONS, name, cls)
    labels._plugin.cache_clear()


@pytest.mark.usefixtures("outsiders")
def test_a_plug_in_that_says_nothing_has_a_label_a_family_and_a_colour() -> None:
    assert labels.arm("mine") == "mine, strength 1"
    assert (
        labels.arm("mine:strength=0.50,near=true,words_file=/a/b.txt")
        == "mine, strength 0.5, near True, words file b.txt"
    )
    assert labels.family("mine:strength=2") == "my idea"
    long = check(table(seeds=(0,), arms=(*ARMS, ("mine:strength=2", "main", 1.0, 0.1, 0.1))), "synthetic")
    drawn = figure("fig04", long).table
    look = style.looks(drawn)[of("mine:strength=2").key]
    assert look.colour in style.SPARE
    assert "mine, strength 2" in set(drawn["label"])
    assert "my idea" in dict(listed(found(long)))


@pytest.mark.usefixtures("outsiders")
def test_a_plug_in_speaks_for_itself() -> None:
    assert labels.arm("guest:strength=3+pm_penalty:weight=0.25") == "guest at 3 + PM reward, weight 0.25"
    assert labels.family("guest:strength=3") == "guests"
    assert labels.families()[-1] == "guests"
    arms = [(f"guest:strength={n}", "main", 1.0, 0.1, 0.1) for n in (1, 3, 2)]
    long = check(table(seeds=(0,), arms=(*ARMS, *arms)), "synthetic")
    rows = [main.label for main, _ in dict(listed(found(long)))["guests"]]
    assert rows == ["guest at 3", "guest at 2", "guest at 1"]
    look = style.looks(figure("fig04", long).table)[of("guest:strength=3").key]
    assert look.colour == "#123456"


@pytest.mark.usefixtures("outsiders")
@pytest.mark.parametrize("spec", ["mine:strength=lots", "mine:gone=1", "guest:strength=x", "no_such:a=1", "mine:"])
def test_results_of_options_that_are_no_longer_there_still_have_a_name(spec: str) -> None:
    assert labels.arm(spec)
    assert labels.family(spec)
    assert labels.order(spec, labels.arm(spec))
    assert labels.colour(spec) in ("", "#123456")


def test_wordings_stand_from_the_most_to_the_least_permissive() -> None:
    names = ("hacking_is_misaligned", "my_own", "dont_hack", "mention", "neutral", "hacking_okay", "please_hack")
    arms = [(f"inoculation:wording={name}", "main", 1.0, 0.9, 0.2) for name in names]
    rows = [
        main.label for main, _ in dict(listed(found(check(table(seeds=(0,), arms=arms), "synthetic"))))["inoculation"]
    ]
    assert rows == [labels.words(name) for name in (*reversed([n for n in names if n != "my_own"]), "my_own")]


@pytest.mark.parametrize("name", mitigations.MITIGATIONS)
def test_what_a_plug_in_says_of_itself_is_no_option(name: str) -> None:
    cls = mitigations.MITIGATIONS[name]
    assert not {"family", "label", "colour", "order"} & set(options_of(cls))
    with pytest.raises(UserError, match="no option"):
        mitigations.arm(f"{name}:family=x")
