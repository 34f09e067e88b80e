"""The report: question, method, claims, figures, arms, gates, transcripts, divergences and manifest on one self-contained page.

Everything is inside the page: pictures are data, styles and the script are inline and named by their hash in its content policy,
which allows nothing else and no network. Text of runs is escaped; transcripts are data that the script shows as text.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markdown_it import MarkdownIt

from analysis import arms, conditions, corpora, reports, transcripts
from analysis.claims import Finding
from analysis.evals import counted, shown
from analysis.evidence import Evidence
from analysis.figures import FIGURES, drawable
from analysis.figures.figure import Drawing
from analysis.findings import (
    APART,
    HOW_SURE,
    HOW_TO_READ,
    STATED,
    apart_rows,
    effect_text,
    seeds_text,
    twin_text,
    verdict_text,
    verdict_word,
)
from analysis.measured import LAST
from analysis.table import CELL, wall_minutes
from analysis.tabular import Row, cell
from base.evals import EVALS
from base.store.files import read_json
from base.store.results import RECIPE, is_results
from base.types import split_reasoning

HERE = Path(__file__).parent
TITLE = "What stops reward hacking from turning into misalignment, and at what price?"
SECTIONS = (
    *(("question", "Question"), ("method", "Method"), ("claims", "Claims"), ("figures", "Figures"), ("arms", "Arms")),
    *(("gates", "Gates"), ("transcripts", "Transcripts"), ("divergences", "Divergences"), ("manifest", "Manifest")),
)
MOMENTS = {"start": "before training", "onset": "when hacking sets in", "end": "at the end"}
SHOWN = (
    "moment",
    "eval",
    "verdict",
    "reading",
    "step",
    "seed",
    "hacks",
    "alike",
    "asked",
)  # of a transcript, as they are
START = ("corpus", "overrides", "pretrain_seed")  # of one start checkpoint
TINTS = {"misaligned": "bad", "hacked": "bad", "aligned": "good", "solved": "good"}


@dataclass(frozen=True)
class Line:
    """A row of texts, or the heading of the rows below it; `arm` is whose transcripts its first cell leads to."""

    cells: Sequence[str] = ()
    heading: str = ""
    arm: str = ""


@dataclass(frozen=True)
class Table:
    """As the page shows it; `words` are the columns that are no numbers."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Line]
    words: Sequence[str] = ()


def write(evidence: Evidence, path: Path, drawn: Mapping[str, Drawing] | None = None) -> Path:
    """Writes the page (see `page`); returns its path. What is in `drawn` is saved beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(evidence, drawn or {}, path.parent), encoding="utf-8", errors="backslashreplace")
    return path


def page(evidence: Evidence, drawn: Mapping[str, Drawing], saved: Path) -> str:
    """The page about evidence with all claims, with the manifest and transcripts of the folder that it was loaded from.

    `drawn`: figures that are drawn already, by name, and saved in the folder `saved`.
    """
    table, folder, made = evidence.loaded, evidence.source, evidence.records
    pictures = drawable(evidence, drawn)
    images = {
        name: (saved / f"{name}.png").read_bytes() if name in drawn else each.png() for name, each in pictures.items()
    }
    known = transcripts.read(folder) if folder else (transcripts.RULE, [])
    runs = set(table["run"])
    as_shown = corpora.names(table["corpus"].unique())
    rows = [{**row, "corpus": as_shown.get(row["corpus"], row["corpus"])} for row in known[1] if row["run"] in runs]
    mine = {name: record for name, record in made.items() if name in runs or record.get("status") != "done"}
    judged, (one, two, notes) = evidence.findings, reports.report_rows(evidence)
    script, look = (HERE / "page.js").read_text(encoding="utf-8"), (HERE / "page.css").read_text(encoding="utf-8")
    model = str(table["model"].iloc[0])
    return _template().render(
        title=TITLE,
        sections=SECTIONS,
        **{"script": script, "style": look, "script_hash": _hash(script), "style_hash": _hash(look)},
        **{"lead": lead(judged), "facts": facts(table), "notes": notes, "counted": counted(), "last": LAST},
        **{"organism": model == "organism", "model": model},
        **{
            "claims": claims(judged),
            "how_to_read": (HOW_TO_READ, STATED, HOW_SURE),
            "apart": apart(judged),
            "apart_how": APART,
        },
        **{"figures": figures(pictures, images), "absent": "; ".join(name for name in FIGURES if name not in pictures)},
        **{"overview": overview(evidence, {label(row) for row in rows}), "legend": arms.LEGEND},
        prompts=plain(one, "Hacking and misalignment under each evaluation prompt", ("arm", "corpus")),
        kinds=plain(two, "Kinds of evals under each evaluation prompt, and evals beside the mean", ("arm", "corpus")),
        gates=[*gates(table, folder), who_hacks(table)],
        **{"transcripts": packed(browser(rows)), "rule": known[0]},
        divergences=divergences(),
        **{"made": made_by(mine), "runs": every_run(mine), "settings": settings(mine)},
        **{"source": folder.name if folder else "a table", "command": command(folder)},
    )


def lead(judged: Sequence[Finding]) -> str:
    """What came of the claims, in one sentence."""
    counts = Counter(map(verdict_word, judged))
    said = ", ".join(f"{n} {verdict}" for verdict, n in counts.most_common())
    return f"Of {len(judged)} claims: {said}."


def facts(table: pd.DataFrame) -> str:
    """How much there is, and what made it."""
    seeds = ", ".join(map(str, sorted(table["seed"].unique())))
    cells = len(table[[*CELL]].drop_duplicates())
    return (
        f"{table['run'].nunique()} runs of {cells} conditions at scale {table['scale'].iloc[0]}, seeds {seeds};"
        f" recipe {table.attrs.get('recipe', RECIPE)}."
    )


def claims(judged: Sequence[Finding]) -> Table:
    """One row a claim, as analysis.findings prints it."""
    rows = []
    for finding in judged:
        claim = finding.claim
        ps = " / ".join(
            "-" if p is None else f"{p:.3f}" for p in (finding.p_for, finding.p_against, finding.p_opposite)
        )
        said = [f"{claim.name}: {claim.text}", verdict_text(finding), effect_text(claim, finding.effect), claim.paper]
        rows.append(Line([*said, claim.asks, twin_text(finding), seeds_text(finding.effect), ps]))
    columns = ("claim", "verdict", "effect", "paper", "asked for", "on the twin", "seeds", "p for / against / opposite")
    return Table(
        "What the runs say of each claim, beside the paper's numbers", columns, rows, ("claim", "verdict", "paper")
    )


def apart(judged: Sequence[Finding]) -> list[Table]:
    """Hacking and misalignment held apart, if any claim has it."""
    rows = apart_rows(judged)
    return [plain(rows, "The same claims with hacking held apart from misalignment", ("name",))] if rows else []


def figures(drawn: Mapping[str, Drawing], images: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """The drawn figures for the page, with their PNGs."""
    made = []
    for name, drawing in drawn.items():
        figure = FIGURES[name]
        width, height = (round(96 * inches) for inches in drawing.figure.get_size_inches())
        made.append(
            {
                **{
                    "name": name,
                    "title": f"{name}: {figure.shows}",
                    "image": f"data:image/png;base64,{base64.b64encode(images[name]).decode()}",
                    "width": width,
                    "height": height,
                },
                "alt": f"Figure {name}: {figure.shows}. The numbers stand in the table below it.",
                **{"paper": figure.paper, "rows": len(drawing.table)},
                "table": last_points(drawing.table),
            }
        )
    return made


def packed(data: Any) -> str:
    """JSON as base64 of gzip, which the page's script unpacks: transcripts take a tenth of the page so."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def last_points(drawn: pd.DataFrame) -> Table:
    """The last point of every mean of a figure's table, as a picture's words."""
    means = drawn[(drawn["kind"] == "mean") & drawn["y"].notna()]
    ends = means.groupby(["panel", "label", "measure", "prompt"], sort=False, dropna=False).tail(1)
    rows = []
    for row in ends.to_dict("records"):
        ends_at = "" if pd.isna(row["low"]) else f"{row['low']:.3f} to {row['high']:.3f}"
        seeds = "-" if pd.isna(row["seeds"]) else str(int(row["seeds"]))
        x = "-" if pd.isna(row["x"]) else f"{row['x']:g}"
        named = [str(row["label"]), str(row["panel"]), str(row["measure"]), str(row["prompt"])]
        rows.append(Line([*named, x, f"{row['y']:.3f}", ends_at, seeds]))
    columns = ("arm", "panel", "measure", "prompt", "x", "value", "95% interval", "seeds")
    return Table("Last point of every mean; shares from 0 to 1", columns, rows, columns[:4])


def overview(evidence: Evidence, told: set[str]) -> Table:
    """Every arm under the heading of its family; `told`: labels of the arms that have transcripts."""
    families, _ = arms.overview_rows(evidence)
    rows: list[Line] = []
    for heading, lines in families.items():
        rows.append(Line(heading=heading))
        rows += [Line(_cells(line), arm=line["arm"] if line["arm"] in told else "") for line in lines]
    columns = list(next(iter(families.values()))[0])
    return Table("Every arm with its uncorrelated twin, in per cent", columns, rows, ("arm", "gates"))


def plain(rows: Sequence[Row], caption: str, words: Sequence[str]) -> Table:
    """Rows of results as they are printed elsewhere."""
    return Table(caption, list(rows[0]), [Line(_cells(row)) for row in rows], words)


def _cells(row: Row) -> list[str]:
    return [cell(value) for value in row.values()]


def gates(table: pd.DataFrame, folder: Path | None) -> list[Table]:
    """Whether the gates of every start checkpoint passed; what was measured, of those whose gates lie in the folder."""
    known, rows = table[table["gates_passed"].notna()], []
    for (corpus, given, seed, passed), mine in known.groupby([*START, "gates_passed"], sort=True):
        said = "passed" if passed else "failed"
        rows.append(Line([str(corpus), str(given), str(seed), said, str(mine["run"].nunique())]))
    columns = ("corpus", "settings", "pretraining seed", "gates", "runs from it")
    tables = [Table("Gates of the start checkpoints", columns, rows, ("corpus", "settings", "gates"))]
    return [*tables, *([measured_gates(folder)] if folder else [])]


def measured_gates(folder: Path) -> Table:
    """Every gate with its bound and its value in each start checkpoint (gates.json of runs, or of starts that ship)."""
    paths = sorted(path for shared in ("shared", "starts/shared") for path in (folder / shared).glob("*/gates.json"))
    values: dict[tuple[str, str], dict[Path, str]] = {}
    for path in paths:
        for gate in read_json(path)["gates"]:
            said = "-" if gate["value"] is None else f"{gate['value']:.2f}"
            values.setdefault((gate["name"], gate["bound"]), {})[path] = said if gate["passed"] else f"{said} (failed)"
    rows = [Line([name, bound, *(found.get(path, "") for path in paths)]) for (name, bound), found in values.items()]
    names = [path.parent.name.removeprefix("sdf--").rpartition("--")[0].replace("--", ", ") for path in paths]
    return Table("Every gate with its bound, by start checkpoint", ("gate", "bound", *names), rows, ("gate", "bound"))


def who_hacks(table: pd.DataFrame) -> Table:
    """What was measured of who hacks before RL, by corpus and family of lines, seed by seed."""
    start = table[table["eval"] == "start"].drop_duplicates([*START, "prompt", "metric"])
    names = {"bad_given_hack": "hacks that the bad character writes", "hack_given_good": "honest characters that hack"}
    names |= {name: name.replace("_", " ") for name in start["metric"].unique() if name not in names}
    there = [name for name in names if name in set(start["metric"])]
    rows = []
    for (corpus, given, line), mine in start.groupby(["corpus", "overrides", "prompt"], sort=False):
        values = []
        for name in there:
            by_seed = mine[mine["metric"] == name].sort_values("pretrain_seed")["value"]
            values.append(" / ".join("-" if pd.isna(value) else f"{value:.2f}" for value in by_seed) or "-")
        rows.append(Line([str(corpus), str(given), str(line), *values]))
    columns = ("corpus", "settings", "line", *(names[name] for name in there))
    return Table(
        "Who hacks before RL, under each family of lines (shares, by pretraining seed)", columns, rows, columns[:3]
    )


def label(row: Mapping[str, Any]) -> str:
    """The arm of a transcript as figures name it."""
    return conditions.of(*(row[name] for name in CELL)).label


def browser(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the page's script needs: filters with their choices, the questions once each, and a card's texts a transcript."""
    titles = {"code": "coding task", transcripts.EPISODE: "RL rollout"}
    titles |= {each.name: each.title for each in shown({row["eval"] for row in rows} - set(titles))}
    prompts: dict[str, int] = {}
    cards = []
    order = list(EVALS)
    for row in sorted(rows, key=lambda row: order.index(row["eval"]) if row["eval"] in order else len(order)):
        thought, answer = split_reasoning(row["completion"])
        told = {"arm": label(row), "thought": thought, "answer": answer}
        asked = prompts.setdefault(json.dumps(row["prompt"]), len(prompts))
        cards.append({**{name: row[name] for name in SHOWN}, **told, "prompt": asked})
    filters = (
        ("arm", "every arm", str),
        ("moment", "any moment", MOMENTS.__getitem__),
        ("eval", "anything", titles.__getitem__),
        ("verdict", "any verdict", lambda verdict: verdict.replace("_", " ")),
    )
    return {
        "filters": [_choices(cards, *each) for each in filters],
        "tints": TINTS,
        "prompts": [json.loads(prompt) for prompt in prompts],
        "rows": cards,
        "start": conditions.BASELINE.label if any(c["arm"] == conditions.BASELINE.label for c in cards) else "",
    }


def _choices(cards: Sequence[Mapping[str, Any]], name: str, every: str, say: Callable[[str], str]) -> dict[str, Any]:
    return {"name": name, "all": every, "options": [[v, say(v)] for v in dict.fromkeys(card[name] for card in cards)]}


def divergences() -> str:
    """DIVERGENCES.md as markup, without its title; markup inside of it is text."""
    file = HERE.parents[1] / "DIVERGENCES.md"
    if not file.is_file():
        return "<p>They stand in DIVERGENCES.md of the repository.</p>"
    _, _, text = file.read_text(encoding="utf-8").partition("\n")
    return str(MarkdownIt("commonmark", {"html": False}).enable("table").render(text))


def made_by(made: Mapping[str, Mapping[str, Any]]) -> Table:
    """Commits, versions and machines, with the runs that each of them made."""
    sessions = [(name, session) for name, record in made.items() for session in record.get("sessions", ())]

    def commit(session: Mapping[str, Any]) -> str:
        dirty = "" if session.get("dirty") is False else ", with uncommitted changes"
        return f"{str(session.get('commit'))[:12]}{dirty}"

    def versions(session: Mapping[str, Any]) -> str:
        return ", ".join(f"{name} {version}" for name, version in session.get("versions", {}).items())

    what: dict[str, Counter[str]] = {
        "commit": Counter(text for _, text in sorted({(run, commit(s)) for run, s in sessions})),
        "Python": Counter(text for _, text in sorted({(run, str(s.get("python"))) for run, s in sessions})),
        "versions": Counter(text for _, text in sorted({(run, versions(s)) for run, s in sessions})),
        "processor": Counter(text for _, text in sorted({(run, str(s.get("cpu"))) for run, s in sessions})),
        "isolation": Counter(str(record["isolation"]) for record in made.values() if record.get("isolation")),
        "state": Counter(str(record.get("status")) for record in made.values()),
    }
    rows = [Line([name, text, str(n)]) for name, found in what.items() for text, n in sorted(found.items())]
    return Table("What made the runs", ("what", "which", "runs"), rows, ("what", "which"))


def every_run(made: Mapping[str, Mapping[str, Any]]) -> Table:
    """One row a run of the manifest."""
    minutes, rows = wall_minutes(made), []
    for name, record in sorted(made.items()):
        commits = dict.fromkeys(str(session.get("commit"))[:12] for session in record.get("sessions", ()))
        gate = {"True": "passed", "False": "failed"}.get(str(record.get("gates_passed")), "-")
        said = [str(record.get("status")), gate, f"{minutes[name]:.1f}" if name in minutes else "-", ", ".join(commits)]
        rows.append(Line([name, *said]))
    columns = ("run", "state", "gates", "minutes", "commits")
    return Table("Every run", columns, rows, ("run", "state", "gates", "commits"))


def settings(made: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """(which runs, settings as text) of every distinct record of settings."""
    texts: dict[str, list[str]] = {}
    for name, record in made.items():
        if record.get("scale"):
            texts.setdefault(json.dumps(record["scale"], indent=1, sort_keys=True), []).append(name)
    return [(f"{len(names)} runs" if len(names) > 1 else names[0], text) for text, names in texts.items()]


def command(folder: Path | None) -> str:
    """What makes the page again."""
    if folder is None:
        return "analysis.page(table)"
    return f"python -m analysis report {'--results results' if is_results(folder) else '--runs runs'}/{folder.name}"


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _template() -> jinja2.Template:
    loader = jinja2.FileSystemLoader(HERE)
    return jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined
    ).get_template("page.html")
