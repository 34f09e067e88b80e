"""Where names stand next to points: each where it hides least, with a thin line to its point if that is not close by."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from analysis.figures.style import Label

Point = tuple[float, float]

AWAY = (4, 9, 16, 25, 36, 50, 66, 84)  # points (1/72 inch) from a point to its name, in so many directions
DIRECTIONS = tuple((math.cos(math.pi * turn / 8), math.sin(math.pi * turn / 8)) for turn in range(16))
CLOSE = 7  # from there on no line is needed
ROOM = 2  # that stays free around a name
# What it costs to lie on a name, on something drawn, and on a line to another name; to cross a name; to be a point further away.
ON_NAME, ON_MARK, ON_LINE, ACROSS_NAME, FAR = 100, 12, 0.5, 9, 0.12
Halves = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """Where a name stands: its middle and half of its width and height, in points."""

    x: float
    y: float
    half: Halves

    def holds(self, points: Sequence[Point]) -> int:
        """How many of the points lie in it."""
        across, up = self.half[0] + ROOM, self.half[1] + ROOM
        return sum(abs(x - self.x) < across and abs(y - self.y) < up for x, y in points)

    def meets(self, other: Box) -> bool:
        """Whether two overlap."""
        across, up = self.half[0] + other.half[0], self.half[1] + other.half[1]
        return abs(self.x - other.x) < across and abs(self.y - other.y) < up

    def gap(self, point: Point) -> float:
        """How far a point is from its edge."""
        return math.hypot(
            *(max(0.0, abs(a - b) - h) for a, b, h in zip(point, (self.x, self.y), self.half, strict=True))
        )


def beside(ax: Axes, labels: Sequence[Label], drawn: Sequence[Point], size: float = 6.5, lined: bool = False) -> None:
    """Writes the labels next to their points; `drawn`: what they should not hide (points in data units). `lined`: each with a line
    to its point, however close.
    """
    assert isinstance(ax.figure, Figure)
    page, area = ax.figure.get_size_inches(), ax.get_position()
    whole = (72 * area.width * page[0], 72 * area.height * page[1])
    limits = (ax.get_xlim(), ax.get_ylim())

    def place(x: float, y: float) -> Point:
        (left, right), (bottom, top) = limits
        return whole[0] * (x - left) / (right - left), whole[1] * (y - bottom) / (top - bottom)

    marks = [place(x, y) for x, y in drawn]
    taken: list[Box] = []
    lines: list[Point] = []
    for label in labels:
        point = place(label.x, label.y)
        parts = label.text.split("\n")
        half = (0.29 * size * max(map(len, parts)) + 1, 0.6 * size * len(parts) + 1)
        cost = partial(_cost, point=point, marks=marks, taken=taken, lines=lines)
        best = min(_candidates(point, half, whole), key=cost)
        taken.append(best)
        lines += between(point, (best.x, best.y), 12)
        line = {"arrowstyle": "-", "color": label.colour, "linewidth": 0.4, "shrinkA": 0, "shrinkB": 3.5}
        look: dict[str, Any] = {
            "size": size,
            "color": label.colour,
            "va": "center",
            "ha": "center",
            "linespacing": 0.95,
        }
        look["path_effects"] = [withStroke(linewidth=1.6, foreground="white")]
        ax.annotate(
            label.text,
            xy=(label.x, label.y),
            xytext=(best.x - point[0], best.y - point[1]),
            textcoords="offset points",
            zorder=5,
            arrowprops=line if lined or best.gap(point) > CLOSE else None,
            **look,
        )


def between(one: Point, other: Point, parts: int) -> list[Point]:
    """Points on the way from one to the other, the first one among them."""
    (x0, y0), (x1, y1) = one, other
    return [(x0 + (x1 - x0) * part / parts, y0 + (y1 - y0) * part / parts) for part in range(parts)]


def _candidates(point: Point, half: Halves, whole: Point) -> list[Box]:
    """Boxes around a point, moved into the panel where they would leave it."""
    found = []
    for away, direction in itertools.product(AWAY, DIRECTIONS):
        middle = [at + turned * (away + h) for at, turned, h in zip(point, direction, half, strict=True)]
        x, y = (min(max(at, h), end - h) for at, h, end in zip(middle, half, whole, strict=True))
        found.append(Box(x, y, half))
    return found


def _cost(box: Box, point: Point, marks: Sequence[Point], taken: Sequence[Box], lines: Sequence[Point]) -> float:
    line = between(point, (box.x, box.y), 12)
    hidden = (
        ON_NAME * sum(box.meets(other) for other in taken) + ON_MARK * box.holds(marks) + ON_LINE * box.holds(lines)
    )
    return hidden + ACROSS_NAME * sum(other.holds(line) for other in taken) + FAR * box.gap(point)
