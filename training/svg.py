"""Plots as SVG inside HTML: no library, no script, nothing to fetch, and every label escaped.

Colours of text and lines come from the page's style, so that they follow its light or dark theme.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

# Okabe and Ito's colours, that most colour-blind people can tell apart, and some more.
COLOURS = (
    "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7",
    "#56b4e9", "#8c6bb1", "#a6761d", "#b2182b", "#7f8c1f",
)  # fmt: skip
WIDTH, HEIGHT = 380, 250
LEFT, RIGHT, TOP, BOTTOM = 48, 14, 12, 40


@dataclass(frozen=True)
class Point:
    """A place in the units of the axes; `error` is a standard error, `about` is shown under the pointer."""

    x: float
    y: float
    error: float = 0.0
    about: str = ""


@dataclass(frozen=True)
class Plot:
    """A panel with a line per series.

    Attributes:
        series: name to its points.
        levels: name to a height that is drawn all across.
        ticks: places on the x axis to what stands there; the axis is logarithmic.
    """

    x_label: str
    y_label: str
    series: Mapping[str, Sequence[Point]]
    ticks: Mapping[float, str]
    levels: Mapping[str, float] = field(default_factory=dict)

    def svg(self) -> str:
        """The whole panel."""
        inner = [*self._frame(), *self._levels()]
        for number, (name, points) in enumerate(self.series.items()):
            inner += self._line(name, points, COLOURS[number % len(COLOURS)])
        return (
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(self.y_label)} against '
            f'{escape(self.x_label)}">{"".join(inner)}</svg>'
        )

    def _range(self) -> tuple[float, float]:
        points = [point for line in self.series.values() for point in line]
        heights = [point.y + sign * point.error for point in points for sign in (-1, 1)]
        heights += self.levels.values()
        low, high = min(heights), max(heights)
        room = max((high - low) * 0.12, 0.005)
        return low - room, high + room

    def _x(self, value: float) -> float:
        low, high = math.log(min(self.ticks)), math.log(max(self.ticks))
        share = (math.log(value) - low) / (high - low) if high > low else 0.5
        return LEFT + 14 + share * (WIDTH - LEFT - RIGHT - 28)

    def _y(self, value: float) -> float:
        low, high = self._range()
        return TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)

    def _frame(self) -> Iterable[str]:
        bottom = HEIGHT - BOTTOM
        for value in steps(*self._range()):
            y = self._y(value)
            yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            yield _text(LEFT - 6, y + 4, f"{value:g}", anchor="end")
        for place, name in self.ticks.items():
            x = self._x(place)
            yield f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 4}"/>'
            yield _text(x, bottom + 16, name)
        yield f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{bottom}" y2="{bottom}"/>'
        middle = (LEFT + WIDTH - RIGHT) / 2
        yield _text(middle, HEIGHT - 6, self.x_label)

    def _levels(self) -> Iterable[str]:
        above = sorted(self.levels.items(), key=lambda level: -level[1])
        last = -math.inf
        for name, value in above:
            y = self._y(value)
            place = max(y - 4, last + 12)
            last = place
            yield f'<line class="level" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            yield (
                f'<text class="level-name" x="{LEFT + 4}" y="{place:.1f}">{escape(name)} {value:.3f}</text>'
            )

    def _line(self, name: str, points: Sequence[Point], colour: str) -> Iterable[str]:
        ordered = sorted(points, key=lambda point: point.x)
        way = " ".join(f"{self._x(point.x):.1f},{self._y(point.y):.1f}" for point in ordered)
        yield f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="2"/>'
        for point in ordered:
            x, y = self._x(point.x), self._y(point.y)
            if point.error:
                low, high = self._y(point.y - point.error), self._y(point.y + point.error)
                yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}" stroke="{colour}"/>'
            about = escape(point.about or f"{name}: {point.y:.4f}")
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"><title>{about}</title></circle>'


def scatter(points: Sequence[tuple[float, float]], labels: Sequence[str], texts: Sequence[str]) -> str:
    """A square of points within -1..1, coloured as in the `legend` of the sorted labels."""
    side, names = 400, sorted(set(labels))
    colour = {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(names)}
    rows = [
        f'<circle cx="{_at(x, side):.1f}" cy="{_at(-y, side):.1f}" r="2.6" fill="{colour[label]}">'
        f"<title>{escape(label)}: {escape(text)}</title></circle>"
        for (x, y), label, text in zip(points, labels, texts, strict=True)
    ]
    return f'<svg class="map" viewBox="0 0 {side} {side}" role="img" aria-label="map">{"".join(rows)}</svg>'


def legend(names: Sequence[str]) -> str:
    """Draw which colour is what."""
    items = (
        f'<span><i style="background:{COLOURS[number % len(COLOURS)]}"></i>{escape(name)}</span>'
        for number, name in enumerate(names)
    )
    return f'<p class="legend">{"".join(items)}</p>'


def steps(low: float, high: float) -> list[float]:
    """Three to seven round numbers between two heights."""
    rough = (high - low) / 5
    unit = 10.0 ** math.floor(math.log10(rough))
    step = unit * min((size for size in (1, 2, 5, 10) if size * unit >= rough), default=10)
    return [round(number * step, 10) for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def decades(values: Sequence[float]) -> dict[float, str]:
    """Round places, 1 and 3 of each power of ten, that enclose all values of a logarithmic axis."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    places = [size * 10.0**power for power in range(low, high + 1) for size in (1, 3)]
    start = max(place for place in places if place <= min(values))
    stop = min(place for place in [*places, 10.0 ** (high + 1)] if place >= max(values) and place > start)
    return {place: f"{place:,.0f}" for place in places if start <= place <= stop}


def _text(x: float, y: float, text: str, *, anchor: str = "middle", kind: str = "tick") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _at(value: float, side: int) -> float:
    return side / 2 + value * (side / 2 - 14)
