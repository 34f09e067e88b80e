"""Draws figures, tests the claims and writes the report, without torch: a figure in seconds, all of it in minutes.

examples:
  python -m analysis                                      every figure, the claims and the report
  python -m analysis fig01 --runs runs/tiny               one figure, from your own runs
  python -m analysis fig04 mitigations                    every arm, as a figure and as a table
  python -m analysis report                               one HTML page with all of it, transcripts included
  python -m analysis claims targets                       two tables alone
  python -m analysis compare inoculation:wording=please_hack --runs runs/tiny   one arm beside the baseline
  python -m analysis --list                               what can be drawn, what it claims and which runs it needs
  python -m analysis readme                               the tables of README.md and its neighbours, from shipped results
  python -m analysis export --runs runs/tiny --results results/tiny   adds finished runs to the results that ship
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from analysis import appears, arms, readme, reports, versus
from analysis import targets as held_to
from analysis.conditions import UNTRAINED
from analysis.evidence import Evidence
from analysis.figures import CLAIMS, FIGURES, named
from analysis.figures.figure import Drawing
from analysis.findings import show as show_claims
from analysis.html import page
from analysis.results import export
from analysis.table import RESULTS, RUNS, common_settings, load, select, source
from analysis.tabular import text
from base.errors import Parser, UserError, exit_code
from base.settings import ORGANISM
from base.store.files import check_writable
from base.store.results import is_results

TEXTS = ("claims", "targets", "report", "mitigations", "appears")
NAMES = tuple(dict.fromkeys([*FIGURES, *TEXTS]))  # one name may be a figure and a text
OF_THE_ORGANISM = ("targets", "appears")  # what it is held to, and what it is made of: of other runs only by name


def parser() -> Parser:
    p = Parser(prog="python -m analysis", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"{', '.join(NAMES)} (default: all), export, readme, or compare ARM",
    )
    p.add_argument(
        "--runs",
        type=Path,
        help=f"the runs of one scale: DIR/SCALE where mitigations got --runs DIR, or DIR (default: {RUNS} if it exists)",
    )
    p.add_argument("--results", type=Path, help=f"a folder of exported results (default otherwise: {RESULTS})")
    p.add_argument(
        "--out", type=Path, help="where pictures and tables go (default: DIR/figures of --runs DIR, or figures)"
    )
    p.add_argument("--only", default="", metavar="TEXT", help="only runs whose name contains this")
    p.add_argument("--model", default="", help="only runs of this model, if there are several")
    p.add_argument("--corpus", default="main", help="corpus of the arm to compare (default: main)")
    p.add_argument("--hackable", type=float, default=1.0, help="its share of hackable tasks (default: 1)")
    p.add_argument("--list", action="store_true", help="figures with their claims and the runs they need")
    return p


def main(argv: list[str] | None = None) -> int:
    return exit_code(lambda: dispatch(parser().parse_args(argv)))


def dispatch(options: argparse.Namespace) -> int:
    """Does what the words ask for.

    Raises:
        UserError: words that mean nothing, or results that cannot be used.
    """
    if options.list:
        print(listing())
        return 0
    if "export" in options.names:
        if options.names != ["export"]:
            raise UserError("export stands alone: python -m analysis export --runs DIR --results DIR")
        print(export(options.runs or RUNS, options.results or RESULTS))
        return 0
    if "readme" in options.names:
        if options.names != ["readme"] or options.runs:
            raise UserError("readme stands alone, and is made from results: python -m analysis readme --results DIR")
        print(readme.write(source(options.results or RESULTS)))
        return 0
    if options.runs and options.results:
        raise UserError("draw from --runs or from --results, not both (both are for export)")
    folder = source(options.runs or options.results)
    if options.names[:1] == ["compare"]:
        _compare(options, folder)
    else:
        _show(options, folder)
    return 0


def _compare(options: argparse.Namespace, folder: Path) -> None:
    if len(options.names) != 2:
        raise UserError("compare takes one arm: python -m analysis compare inoculation:wording=please_hack")
    mine, note = Evidence(select(load(folder), options.only, options.model)), ""
    asked = (options.names[1], options.corpus, options.hackable)
    shipped = source("results") / folder.name
    if shipped != folder and is_results(shipped):
        mine, note = versus.with_baseline(mine, Evidence(load(shipped)), *asked)
    print(note + versus.compare(mine, *asked))


def _show(options: argparse.Namespace, folder: Path) -> None:
    """Draws the figures and writes the texts that are named, or all of them."""
    asked = [named(name, TEXTS, ("compare", "export", "readme")) for word in options.names for name in word.split(",")]
    out = options.out or (Path("figures") if is_results(folder) else folder / "figures")
    check_writable(out, "--out")
    table = select(load(folder), options.only, options.model)
    before = table.loc[table["arm"] == UNTRAINED.arm, "run"].nunique()
    controls = f", {before} of them start models before their documents" if before else ""
    print(f"{folder}: {table['run'].nunique()} runs{controls}")
    names = asked or usual_names(str(table["model"].iloc[0]))
    figures = [name for name in names if name in FIGURES]
    evidence = Evidence(table, CLAIMS)
    drawn = _draw(figures, evidence, out, skip=not asked)
    for name in names:
        if name == "report":
            print(reports.report(evidence))
            print(f"\nwrote {page.write(evidence, out / 'report.html', drawn)}")
        elif name in TEXTS:
            _write(name, evidence, out)


def usual_names(model: str) -> list[str]:
    """What is drawn and written of runs of a model where nothing is named."""
    return [name for name in NAMES if model == ORGANISM or name not in OF_THE_ORGANISM]


def _draw(names: Sequence[str], evidence: Evidence, out: Path, skip: bool) -> dict[str, Drawing]:
    """The figures by name, saved as they are drawn; `skip`: one without runs takes a line and is no error."""
    drawn = {}
    for name in names:
        try:
            drawing = FIGURES[name](evidence)
        except UserError as error:
            if not skip:
                raise
            print(f"skipped: {error}")
            continue
        drawn[name] = drawing
        print("drew " + ", ".join(str(path) for path in drawing.save(out)))
    return drawn


def _write(name: str, evidence: Evidence, out: Path) -> None:
    """Prints a text, and leaves it as markdown."""
    said = text_of(name, evidence)
    plain, marked = said(False), said(True)
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.md").write_text(marked + "\n", encoding="utf-8")
    print(f"\n{plain}\n\nwrote {out / name}.md")


def text_of(name: str, evidence: Evidence) -> Callable[[bool], str]:
    """A text, computed once, as a function of whether it is printed as markdown."""
    if name == "appears":
        return partial(appears.show, appears.rows(evidence), appears.legend(evidence))
    if name == "mitigations":
        return partial(arms.show, *arms.overview_rows(evidence))
    show = partial(text, held_to.target_rows(evidence))
    if name == "claims":
        show = partial(show_claims, evidence.findings, evidence.maker)
    return lambda as_markdown: "\n\n".join(filter(None, [show(as_markdown), common_settings(evidence.settings)]))


def listing() -> str:
    """Every figure: its place in the paper, what it shows, its claims and the runs it needs."""
    lines = []
    for figure in FIGURES.values():
        lines.append(f"{figure.name}  ({'paper ' * figure.paper.startswith('Fig')}{figure.paper}): {figure.shows}")
        lines += [f"    claim {claim.name}: {claim.text}" for claim in figure.claims]
        lines.append("    needs: " + "; ".join(condition.label for condition in figure.needs))
    lines.append("claims  the claims of all figures as tests over training runs")
    lines.append("targets  what the organism is held to, stated before its reported seeds were run")
    lines.append(
        "appears  what makes the effect appear: what is known before RL beside what it brings, one change at a time"
    )
    lines.append("mitigations  the arms as a table: hacking, misalignment, the same on the twin, price")
    return "\n".join([*lines, "report  all of this on one HTML page, with transcripts to browse"])


if __name__ == "__main__":
    sys.exit(main())
