"""Where names stand next to points: each where it hides least, with a thin line to its point if that is not close by."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
THROUGH = 3  # so near to a mark a line passes through it
# What it costs to lie on a name, on something drawn, and on a line to another name; to cross a name or something drawn; to be a
# point further away.
ON_NAME, ON_MARK, ON_LINE, ACROSS_NAME, ACROSS_MARK, FAR = 100, 12, 2, 20, 12, 0.12
PASSES, ORDERS = 3, 8  # in which names find their places
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

    points = [place(label.x, label.y) for label in labels]
    boxes = arranged(points, [_halves(label.text, size) for label in labels], [place(x, y) for x, y in drawn], whole)
    for label, point, best in zip(labels, points, boxes, strict=True):
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


def _halves(text: str, size: float) -> Halves:
    """Half of the width and height of a text, about."""
    parts = text.split("\n")
    return 0.29 * size * max(map(len, parts)) + 1, 0.6 * size * len(parts) + 1


def arranged(points: Sequence[Point], halves: Sequence[Halves], marks: Sequence[Point], whole: Point) -> list[Box]:
    """A box for the name of every point, hiding little: the best of some orders in which each in turn takes its best place."""
    offered = [_candidates(point, half, whole) for point, half in zip(points, halves, strict=True)]
    alone = [[_cost(box, point, marks) for box in boxes] for point, boxes in zip(points, offered, strict=True)]

    def costs(index: int, chosen: Mapping[int, Box]) -> list[float]:
        others = [box for other, box in chosen.items() if other != index]
        lines = [at for other, box in chosen.items() if other != index for at in _line(points[other], box)]
        beside = (_beside_others(box, points[index], others, lines) for box in offered[index])
        return [own + more for own, more in zip(alone[index], beside, strict=True)]

    best: tuple[float, dict[int, Box]] = (math.inf, {})
    for first in range(min(ORDERS, len(points))):
        chosen: dict[int, Box] = {}
        for index in [*range(first, len(points)), *range(first)] * PASSES:
            found = costs(index, chosen)
            chosen[index] = offered[index][found.index(min(found))]
        whole_cost = sum(costs(index, chosen)[offered[index].index(box)] for index, box in chosen.items())
        best = min(best, (whole_cost, chosen), key=lambda found: found[0])
    return [best[1][index] for index in range(len(points))]


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


def _cost(box: Box, point: Point, marks: Sequence[Point]) -> float:
    """What a name hides of the marks, and its line passes."""
    passed = _passed(marks, point, (box.x, box.y)) if box.gap(point) > CLOSE else 0
    return ON_MARK * box.holds(marks) + ACROSS_MARK * passed + FAR * box.gap(point)


def _beside_others(box: Box, point: Point, taken: Sequence[Box], lines: Sequence[Point]) -> float:
    """What a name and its line hide of other names and their lines."""
    line = _line(point, box)
    on_names = ON_NAME * sum(box.meets(other) for other in taken) + ACROSS_NAME * sum(
        other.holds(line) for other in taken
    )
    return on_names + ON_LINE * box.holds(lines)


def _line(point: Point, box: Box) -> list[Point]:
    return between(point, (box.x, box.y), 12)


def _passed(marks: Sequence[Point], one: Point, other: Point) -> int:
    """How many marks a line goes through, those where it begins apart."""
    (x0, y0), across, up = one, other[0] - one[0], other[1] - one[1]
    long = math.hypot(across, up)
    found = 0
    for x, y in marks:
        along, aside = (x - x0) * across + (y - y0) * up, (x - x0) * up - (y - y0) * across
        found += THROUGH * long < along < long * long and abs(aside) < THROUGH * long
    return found
