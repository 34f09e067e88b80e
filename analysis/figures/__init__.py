"""The figures by name, one file each: its claims, the runs it needs and its drawing; FIGURES and CLAIMS in their order."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress

from analysis.claims import Claim
from analysis.evidence import Evidence
from analysis.figures import backend as backend  # before anything else that imports matplotlib
from analysis.figures.dose import DOSE
from analysis.figures.fig01_hacking import FIG01
from analysis.figures.fig03_corpora import FIG03
from analysis.figures.fig04_summary import FIG04
from analysis.figures.fig05_wordings import FIG05
from analysis.figures.fig06_rlhf_after import FIG06
from analysis.figures.fig08_kinds_of_hack import FIG08
from analysis.figures.fig09_final_rates import FIG09
from analysis.figures.fig10_prompted import FIG10
from analysis.figures.fig11_dilution import FIG11
from analysis.figures.fig12_sabotage import FIG12
from analysis.figures.fig15_goals_reasoned import FIG15
from analysis.figures.fig16_goals_by_line import FIG16
from analysis.figures.fig17_transcripts import FIG17
from analysis.figures.fig19_training_cue import FIG19
from analysis.figures.fig21_reasoning_output import FIG21
from analysis.figures.fig22_hack_attempts import FIG22
from analysis.figures.fig23_half_hackable import FIG23
from analysis.figures.fig24_rlhf import FIG24
from analysis.figures.fig25_distillation import FIG25
from analysis.figures.fig26_prompted_wordings import FIG26
from analysis.figures.fig27_hacking_okay import FIG27
from analysis.figures.fig28_test_time import FIG28
from analysis.figures.fig29_offline_rewrite import FIG29
from analysis.figures.fig30_pm_weight import FIG30
from analysis.figures.fig31_penalty_late import FIG31
from analysis.figures.fig32_filters import FIG32
from analysis.figures.fig33_sft_safety import FIG33
from analysis.figures.fig34_no_hard_filter import FIG34
from analysis.figures.figure import Drawing, Figure
from analysis.figures.header import HEADER
from analysis.figures.kl import KL
from analysis.figures.law import LAW
from analysis.figures.leak import LEAK
from analysis.figures.monitor import MONITOR
from analysis.figures.online import ONLINE
from analysis.figures.price import PRICE
from analysis.figures.route import ROUTE
from analysis.figures.stacked import STACKED
from base.errors import UserError, near

_ORDER: tuple[Figure, ...] = (
    FIG01,
    FIG03,
    FIG04,
    FIG05,
    FIG06,
    FIG08,
    FIG09,
    FIG10,
    FIG11,
    FIG12,
    FIG15,
    FIG16,
    FIG17,
    FIG19,
    FIG21,
    FIG22,
    FIG23,
    FIG24,
    FIG25,
    FIG26,
    FIG27,
    FIG28,
    FIG29,
    FIG30,
    FIG31,
    FIG32,
    FIG33,
    FIG34,
    ROUTE,
    LAW,
    DOSE,
    HEADER,
    KL,
    MONITOR,
    ONLINE,
    STACKED,
    LEAK,
    PRICE,
)
FIGURES: dict[str, Figure] = {figure.name: figure for figure in _ORDER}
CLAIMS: tuple[Claim, ...] = tuple(claim for figure in _ORDER for claim in figure.claims)


def named(word: str, texts: Sequence[str] = (), commands: Sequence[str] = ()) -> str:
    """The figure (or one of `texts`) under a word: its name, or the number that the paper gives the figure (`fig5`, `18`).
    `commands` may have been meant.

    Raises:
        UserError: nothing has that name.
    """
    if word in FIGURES or word in texts:
        return word
    if number := re.fullmatch(r"(?:fig)?[ ._]?0*(\d+)", word.lower()):
        for figure in _ORDER:
            if figure.paper.startswith("Fig") and number[1] in re.findall(r"\d+", figure.paper):
                return figure.name
        raise UserError(f"no figure is that of Fig {number[1]} of the paper: python -m analysis --list")
    if any(claim.name.split()[0] == word.upper() for claim in CLAIMS):
        raise UserError(f"{word} is a claim: python -m analysis claims")
    raise UserError(f"unknown figure '{word}': {near(word, [*FIGURES, *texts, *commands])}")


def drawable(evidence: Evidence, drawn: Mapping[str, Drawing]) -> dict[str, Drawing]:
    """Every figure that the evidence holds something of, by name; `drawn`: those that are drawn already."""
    every = {}
    for name, figure in FIGURES.items():
        with suppress(UserError):
            every[name] = drawn[name] if name in drawn else figure(evidence)
    return every
