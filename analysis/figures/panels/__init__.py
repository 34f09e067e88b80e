"""The kinds of panels that figures are made of, one file each.

Every kind is a band (analysis.figures.figure.Band): it makes the rows it draws, says how tall it is, and draws them.
"""

from analysis.figures.panels.categories import Categories, Category, Group, by_eval
from analysis.figures.panels.columns import (
    AGENTIC,
    ALONG_HACKING,
    BESIDE,
    CHAT,
    HACKED,
    HACKING,
    MEAN,
    MISALIGNED,
    MISALIGNMENT,
    ROLLOUTS,
    SIX,
    UNCLEAR,
    Column,
)
from analysis.figures.panels.dots import EACH_EVAL, SUMS, Dots
from analysis.figures.panels.kinds import Kind, KindLines
from analysis.figures.panels.lines import Lines
from analysis.figures.panels.marks import EDGE, SWITCH, WIDTH, WITH_TWIN, Series
from analysis.figures.panels.points import Points

__all__ = [
    "AGENTIC",
    "ALONG_HACKING",
    "BESIDE",
    "CHAT",
    "EACH_EVAL",
    "EDGE",
    "HACKED",
    "HACKING",
    "MEAN",
    "MISALIGNED",
    "MISALIGNMENT",
    "ROLLOUTS",
    "SIX",
    "SUMS",
    "SWITCH",
    "UNCLEAR",
    "WIDTH",
    "WITH_TWIN",
    "Categories",
    "Category",
    "Column",
    "Dots",
    "Group",
    "Kind",
    "KindLines",
    "Lines",
    "Points",
    "Series",
    "by_eval",
]
