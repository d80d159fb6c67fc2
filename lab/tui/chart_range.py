"""What the axes of a chart span: the range of what is drawn, without outliers, or the part that one has zoomed to."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lab.analysis.ticks import linear_ticks
from lab.tui.chart import Axis, drawable
from lab.tui.chart_content import ChartContent, Line

EARLY_SHARE = 0.04
"""Of the run: losses before it may leave the range, so that the differences at the end can be seen."""
RARE = 2.0
"""Percent of a line's values that may leave the range at either end."""
FEW = 8
"""Values below which none counts as rare."""
ROOM = 0.025
"""Of the range: what is left free above and below."""
CLOSEST = 1 / 1024
"""Of the whole x-axis: what one can zoom to."""


def axes(content: ChartContent) -> tuple[Axis, Axis] | None:
    """The ranges of what is drawn; None where no point can be."""
    whole = whole_x_axis(content)
    if whole is None:
        return None
    x_axis = whole if content.zoom is None else Axis(*content.zoom, whole.log)
    if content.y_range is not None:
        return x_axis, Axis(*content.y_range, content.log_y)
    edges = [Line(band.x, edge, band.colour) for band in content.bands for edge in (band.low, band.high)]
    lines = [(line, *_points(line, content)) for line in [*content.all_lines, *edges]]
    lines = [(line, x, y) for line, x, y in lines if len(x)]
    ranging = [(x, y) for line, x, y in lines if line.in_range or content.whole_range] or [each[1:] for each in lines]
    ranges = [_range(x, y, x_axis, content) for x, y in ranging]
    seen = [each for each in ranges if each is not None]
    if not seen:  # what is zoomed to lies beside all lines
        seen = [(float(y.min()), float(y.max())) for _, y in ranging]
    y_low, y_high = min(low for low, _ in seen), max(high for _, high in seen)
    for reference in content.references:  # near enough to be worth the room
        if y_high < reference.y < y_high + 0.25 * (y_high - y_low):
            y_high = reference.y
        if y_low > reference.y > y_low - 0.35 * (y_high - y_low) and (reference.y > 0 or not content.log_y):
            y_low = reference.y
    return x_axis, Axis(*_padded(y_low, y_high, content.log_y), content.log_y)


def whole_x_axis(content: ChartContent) -> Axis | None:
    """The x-axis when one has not zoomed; None where nothing can be drawn."""
    xs = [x for x, _ in (_points(line, content) for line in content.all_lines) if len(x)]
    if not xs:
        return None
    low = min(float(x.min()) for x in xs)
    high = max(content.x_to, *(float(x.max()) for x in xs))
    if not content.log_x and low >= 0:
        low = 0.0
    if high <= low:
        low, high = (low * 0.5, high * 2) if content.log_x else (low, low + 1)
    if not content.log_x:  # a run's last step is one below a round number
        high = max(high, linear_ticks(low, low + (high - low) * 1.01, 8)[-1])
    return Axis(low, high, content.log_x)


def zoomed(whole: Axis, zoom: tuple[float, float] | None, factor: float, at: float) -> tuple[float, float] | None:
    """So many times closer (or, below 1, farther) around a place; None for the whole axis."""
    low, high = (whole.share(bound) for bound in zoom) if zoom else (0.0, 1.0)
    here = min(max(whole.share(at), low), high)
    span = max((high - low) / factor, CLOSEST)
    if span >= 1 - 1e-9:
        return None
    start = here - (here - low) * span / (high - low)
    return _bounds(whole, start, span)


def panned(whole: Axis, zoom: tuple[float, float] | None, share: float) -> tuple[float, float] | None:
    """Moved by a share of what is shown, up to the ends of the axis."""
    if zoom is None:
        return None
    low, high = (whole.share(bound) for bound in zoom)
    return _bounds(whole, low + share * (high - low), high - low)


def _bounds(whole: Axis, start: float, span: float) -> tuple[float, float]:
    start = min(max(start, 0.0), 1 - span)
    return whole.value(start), whole.value(start + span)


def _points(line: Line, content: ChartContent) -> tuple[np.ndarray, np.ndarray]:
    """The points of a line that can be drawn."""
    x, y = line.points
    if content.log_x:
        x, y = x[x > 0], y[x > 0]
    if content.log_y:
        x, y = x[y > 0], y[y > 0]
    return x, y


def _range(x: np.ndarray, y: np.ndarray, x_axis: Axis, content: ChartContent) -> tuple[float, float] | None:
    """What of a line must be seen: all of it, or what is left without its first steps and rare spikes."""
    last = y[-1:]
    if content.zoom is not None:
        inside = (x >= x_axis.low) & (x <= x_axis.high)
        edges = [edge for edge in (x_axis.low, x_axis.high) if x[0] <= edge <= x[-1]]
        y = np.concatenate([y[inside], np.interp(edges, x, y)])
        last = y[-1:]
    elif not content.whole_range and len(y) >= FEW:
        late = y[x >= x[0] + EARLY_SHARE * (x[-1] - x[0])]
        y = late if len(late) > 3 else y
    if not len(y):
        return None
    if content.whole_range or len(y) < FEW:
        return float(y.min()), float(y.max())
    low, high = _percentiles(y, RARE, 100 - RARE)
    return float(min(low, *last)), float(max(high, *last))


def _percentiles(y: np.ndarray, *percents: float) -> np.ndarray:
    """As `np.percentile` has them, which takes as long to find out what it is asked as to answer it."""
    places = np.array(percents) / 100 * (len(y) - 1)
    around = np.concatenate([np.floor(places), np.ceil(places)]).astype(np.int64)
    around.sort()
    return np.interp(places, around, np.partition(y, around)[around])


def _padded(low: float, high: float, log: bool) -> tuple[float, float]:
    """A little room around a range, up to round bounds: one that grows by little keeps them, and so its drawing."""
    if log:
        low, high = _padded(math.log10(low), math.log10(high), log=False)
        return 10.0**low, 10.0**high
    room = ROOM * (high - low) or 0.05 * abs(high) or 1.0
    low, high = low - room, high + room
    step = 10.0 ** math.floor(math.log10((high - low) / 40))
    step *= next(factor for factor in (1, 2, 5, 10) if factor * step >= (high - low) / 40 * (1 - 1e-9))
    return math.floor(low / step) * step, math.ceil(high / step) * step


def values_at(lines: Sequence[Line], x: float) -> list[tuple[Line, float]]:
    """Each line's last value at or before a place; a line that has none by then, or no finite one, is left out."""
    values = []
    for line in lines:
        place = int(np.searchsorted(line.x, x, side="right")) - 1
        if place >= 0 and drawable(line.y[place : place + 1]).all():
            values.append((line, float(line.y[place])))
    return values
