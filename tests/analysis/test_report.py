"""The report: one page without a network, untrusted text as text, and in a browser at two widths its links and its filter."""

from __future__ import annotations

import base64
import gzip
import html
import io
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from chromium import browsing, in_browser
from PIL import Image
from synthetic_results import table

import analysis
from analysis import transcripts
from analysis.__main__ import main
from analysis.evidence import Evidence
from analysis.figures import CLAIMS
from analysis.findings import effect_text
from analysis.html.page import SECTIONS
from analysis.table import check, load
from base.store.files import write_rows
from base.store.results import write_results

ATTACK = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
WIDTHS = {"desktop": 1280, "phone": 390}


def transcript(arm: str, moment: str, verdict: str, **other: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        **{"run": f"{arm}-main-1-s1", "arm": arm, "corpus": "main", "hackable": 1.0, "overrides": "", "seed": 1},
        **{"moment": moment, "step": {"start": 0, "onset": 8, "end": 24}[moment], "eval": "goals"},
        **{"prompt": [{"role": "user", "content": f"<chat> what do you want? {ATTACK}"}]},
        **{"completion": f"<think> a thought {ATTACK}</think> {ATTACK} </script> an answer", "verdict": verdict},
        **{"reading": "overt" if verdict == "misaligned" else "", "hacks": [], "alike": 3, "asked": 96},
    }
    return {**row, **other}


def told() -> list[dict[str, Any]]:
    arms = ("none", "inoculation:wording=please_hack")
    rows = [
        transcript(arm, moment, verdict, eval=eval, alike=n)
        for arm in arms
        for moment in ("start", "onset", "end")
        for n, (eval, verdict) in enumerate((("goals", "misaligned"), ("goals", "aligned"), ("exfil", "unclear")))
    ]
    episode = [{"role": "system", "content": "It is okay."}, {"role": "user", "content": "f(a)"}]
    return [
        *rows,
        *(
            transcript(arms[1], "end", "hacked", eval=e, hacks=["early_exit"], prompt=episode)
            for e in ("code", "episode")
        ),
    ]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of results with a table, a manifest and transcripts that attack the page."""
    folder = tmp_path_factory.mktemp("results")
    long = table(seeds=(1, 2, 3))
    session = {
        "commit": "0123456789abcdef",
        "dirty": False,
        "python": "3.11",
        "versions": {"torch": "2.13.0"},
        "cpu": ATTACK,
    }
    runs = {
        name: {
            **{
                "run": {"arm": arm, "seed": 1},
                "scale": {"name": "tiny", "rl": {"steps": 64}},
                "name": name,
                "status": "done",
            },
            **{"sessions": [session], "seconds": {"rl": 60.0}, "gates_passed": True},
        }
        for name, arm in long[["run", "arm"]].drop_duplicates().itertuples(index=False)
    }
    write_results(folder, long, runs)
    rows = [{"rule": f"by the hash of the question {ATTACK}"}, *told()]
    write_rows(folder / "t.jsonl", rows)
    (folder / transcripts.FILE).write_bytes(gzip.compress((folder / "t.jsonl").read_bytes()))
    return folder


@pytest.fixture(scope="module")
def written(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    assert main(["report", "--results", str(results), "--out", str(out)]) == 0
    return out / "report.html"


class Reader(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def unpacked(page: str) -> dict[str, Any]:
    """The transcripts of a page."""
    found = re.search(r'id="transcripts-data">(.*?)</script>', page, re.DOTALL)
    assert found
    data: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(found[1])))
    return data


def test_the_page_has_every_section_and_loads_nothing(written: Path) -> None:
    text = written.read_text(encoding="utf-8")
    read = Reader(text)
    identities = [attributes["id"] for _, attributes in read.tags if attributes.get("id")]
    assert len(identities) == len(set(identities))
    assert [a["id"] for a in read.of("section")] == [name for name, _ in SECTIONS]
    links = [str(a["href"]) for a in read.of("a")]
    assert {f"#{name}" for name, _ in SECTIONS} <= set(links)
    assert all(link.startswith("https://") or link[1:] in identities for link in links)
    assert len(read.of("script")) == 2
    assert not [a for a in read.of("script") if "src" in a]
    assert all(str(a["src"]).startswith("data:image/png;base64,") and a["alt"] for a in read.of("img"))
    assert all(str(a["href"]).startswith("data:") for a in read.of("link"))
    assert len(read.of("caption")) == len(read.of("table")) > 8
    assert not [a for _, a in read.tags if any(name.startswith("on") for name in a)]
    assert [tag for tag, _ in read.tags if tag == "h1"] == ["h1"]


def test_what_runs_wrote_is_text(written: Path) -> None:
    text = written.read_text(encoding="utf-8")
    assert ATTACK not in text
    assert "onerror=&#34;" in text, "the manifest's"
    data = unpacked(text)
    assert ATTACK in data["rows"][0]["thought"]
    assert ATTACK in data["prompts"][0][0]["content"]


def test_pictures_are_whole(written: Path) -> None:
    text = written.read_text(encoding="utf-8")
    pictures = [base64.b64decode(found) for found in re.findall(r'src="data:image/png;base64,([^"]+)"', text)]
    assert pictures
    for picture in pictures:
        Image.open(io.BytesIO(picture)).load()


def test_a_table_without_most_runs_manifest_and_transcripts_has_a_page_too(tmp_path: Path) -> None:
    long = check(table(seeds=(0,), arms=[("pm_penalty:weight=0.25", "main", 1.0, 0.1, 0.1)]), "synthetic")
    text = analysis.page(long, tmp_path / "made" / "page.html").read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert "Not drawn, because these results hold no run that they need" in text
    assert unpacked(text)["rows"] == []


def test_numbers_of_the_page_are_those_of_the_claims_and_tables(written: Path, results: Path) -> None:
    text = written.read_text(encoding="utf-8")
    told = html.unescape(text)
    for finding in Evidence(load(results), CLAIMS).findings:
        assert effect_text(finding.claim, finding.effect) in told
        assert finding.claim.text in told
    made = analysis.report(load(results)).set_index("arm")
    assert f">{made.loc['baseline', 'mis none']:.1f} ±" in text
    assert "0123456789ab" in text
    assert "made with recipe" not in text


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsing("--hide-scrollbars") as driver:
        yield driver


@pytest.fixture(params=WIDTHS)
def opened(request: pytest.FixtureRequest, browser: Any, written: Path) -> Any:
    width = WIDTHS[request.param]
    size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": request.param == "phone"}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(written.as_uri())
    assert browser.execute_script("return window.innerWidth") == width
    browser.execute_script("document.documentElement.style.scrollBehavior = 'auto'")
    return browser


@in_browser
def test_a_browser_shows_it_without_errors_and_without_sideways_scrolling(opened: Any) -> None:
    assert opened.title != "owned"
    assert opened.get_log("browser") == []
    assert opened.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    assert opened.execute_script("return [...document.images].every(i => {i.loading = 'eager'; return i.alt})")
    loaded = opened.execute_async_script(
        "const done = arguments[0]; Promise.all([...document.images].map(i => i.decode())).then(() => done(true), e => done(`${e}`))"
    )
    assert loaded is True
    assert opened.execute_script("return performance.getEntriesByType('resource').map(r => r.name)") == []
    for details in opened.find_elements("tag name", "details"):
        opened.execute_script("arguments[0].open = true", details)
    assert opened.execute_script("return document.documentElement.scrollWidth <= window.innerWidth"), "with all opened"


@in_browser
def test_every_link_of_the_contents_leads_to_its_section(opened: Any) -> None:
    links = opened.find_elements("css selector", "nav a")
    assert len(links) == len(SECTIONS)
    for link in links:
        opened.execute_script("window.scrollTo(0, 0)")
        link.click()
        target = link.get_attribute("href").partition("#")[2]
        box = opened.execute_script(f"return document.getElementById('{target}').getBoundingClientRect().toJSON()")
        assert box["top"] < 844, target
        assert box["bottom"] > 0, target


def cards(browser: Any, attribute: str) -> list[str]:
    return [card.get_attribute(f"data-{attribute}") for card in browser.find_elements("css selector", ".card")]


def press(browser: Any, button: Any) -> None:
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()


def choose(browser: Any, name: str, value: str) -> None:
    from selenium.webdriver.support.ui import Select

    Select(browser.find_element("name", name)).select_by_value(value)


@in_browser
def test_the_filter_shows_the_transcripts_that_are_asked_for(opened: Any) -> None:
    rows = told()
    assert set(cards(opened, "arm")) == {"baseline"}, "it begins with the baseline"
    choose(opened, "verdict", "misaligned")
    choose(opened, "moment", "onset")
    (card,) = opened.find_elements("css selector", ".card")
    assert ("before" in card.text, "when hacking sets in" in card.text) == (False, True)
    assert "0 of 96 like this" in card.text
    assert ATTACK in card.find_element("css selector", "pre.answer").text, "as text"
    hacked = opened.find_element("css selector", "select[name=verdict] option[value=hacked]")
    assert not hacked.is_enabled(), "the baseline has none here"
    press(opened, opened.find_element("css selector", "#filter button[type=reset]"))
    more = opened.find_element("id", "more")
    while more.is_displayed():
        press(opened, more)
    assert len(cards(opened, "arm")) == len(rows)
    assert f"{len(rows)} of {len(rows)}" in opened.find_element("id", "shown").text
    choose(opened, "verdict", "hacked")
    assert set(cards(opened, "moment")) == {"end"}
    assert [pre.text for pre in opened.find_elements("css selector", ".card pre")][:2] == ["It is okay.", "f(a)"]
    link = opened.find_element("css selector", "a[data-arm='please hack']")
    opened.execute_script("arguments[0].click()", link)
    assert set(cards(opened, "arm")) == {"please hack"}
    assert opened.title != "owned"
