"""Draws charts as SVG. They have no scripts and no inline styles, which the page's CSP forbids."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Series", "bars", "lines", "share"]

WIDTH, HEIGHT = 1000, 120

LEAST = 3
"""How high the smallest part of a bar is: one bad request of a thousand has to be seen."""


class Series(NamedTuple):
    """One colour of a chart.

    Attributes:
        name: Name of the series, which is also the CSS class of its shapes.
        values: One value for each place; ``None``: no value there.
    """

    name: str
    values: Sequence[float | None]


def bars(series: Sequence[Series], titles: Sequence[str], label: str) -> Markup:
    """Draw stacked bars, with the first series at the bottom.

    Args:
        series: The series, all of the same length.
        titles: The tooltip of each bar.
        label: Description of the chart for screen readers.
    """
    places = len(titles)
    highest = max((sum(one.values[place] or 0 for one in series) for place in range(places)), default=0) or 1
    width, scale = WIDTH / max(1, places), (HEIGHT - LEAST * len(series)) / highest
    shapes: list[Markup] = []
    for place, title in enumerate(titles):
        top = float(HEIGHT)
        parts: list[Markup] = []
        for one in series:
            value = one.values[place]
            if value:
                height = LEAST + value * scale
                top -= height
                parts.append(_rectangle(one.name, place * width, top, width * 0.86, height))
        shapes.append(_group(parts, title, place * width, width))
    return _chart(shapes, label)


def lines(series: Sequence[Series], titles: Sequence[str], label: str) -> Markup:
    """Draw lines. A place without a value interrupts its line; the arguments are those of ``bars``."""
    places = len(titles)
    highest = max((value for one in series for value in one.values if value is not None), default=0) or 1
    width = WIDTH / max(1, places)
    shapes = [
        Markup('<polyline class="{}" points="{}"/>').format(one.name, " ".join(f"{x:.1f},{y:.1f}" for x, y in run))
        for one in series
        for run in _runs(one.values, width, highest)
    ]
    shapes += [_group([], title, place * width, width) for place, title in enumerate(titles)]
    return _chart(shapes, label)


def share(part: float, name: str = "ok") -> Markup:
    """Draw one bar for a cell of a table, whose length is ``part`` (0 to 1) of the cell."""
    length = max(0.0, min(1.0, part)) * 100
    return Markup(
        '<svg class="share" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="{}" x="0" y="0" width="{}" height="8"/></svg>'
    ).format(name, f"{length:.2f}")


def _runs(values: Sequence[float | None], width: float, highest: float) -> list[list[tuple[float, float]]]:
    runs: list[list[tuple[float, float]]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            runs.append([])
            continue
        y = HEIGHT - value / highest * (HEIGHT - 2)
        # A single value becomes a short line, because a point would be invisible.
        runs[-1] += [((place + 0.3) * width, y), ((place + 0.7) * width, y)]
    return [run for run in runs if run]


def _rectangle(name: str, x: float, y: float, width: float, height: float) -> Markup:
    # Only the name is escaped, because there are hundreds of rectangles.
    numbers = f'x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}"'
    return Markup(f'<rect class="{escape(name)}" {numbers}/>')  # noqa: S704 - escaped


def _group(parts: Sequence[Markup], title: str, x: float, width: float) -> Markup:
    area = _rectangle("place", x, 0, width, HEIGHT)
    return Markup("<g><title>{}</title>{}{}</g>").format(title, Markup("").join(parts), area)


def _chart(shapes: Sequence[Markup], label: str) -> Markup:
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
    ).format(WIDTH, HEIGHT, label, Markup("").join(shapes))
