"""Lines as braille, through plotext: the only file that imports it, called by the screen's thread alone.

plotext 6.1 aborts the process on a line that mixes NaN with numbers and refuses infinities and logarithms of 0, so
nothing but finite, already transformed, clipped numbers is handed on.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lab.analysis.downsample import downsample, finite_segments

MARKER = "braille"
DOTS_PER_CELL = (2, 4)

LARGEST = 1e150
"""Numbers beyond it are left out as if they were infinite: differences of such overflow."""

Run = tuple[str, tuple[int, int, int] | None]
"""Some cells of one row, and their colour."""


def drawable(values: np.ndarray) -> np.ndarray:
    """Which values can be drawn at all: finite ones of a size that can be reckoned with."""
    return np.isfinite(values) & (np.abs(values) < LARGEST)


@dataclass(frozen=True)
class Axis:
    """What a side of the chart spans; the bounds are as the data is, not as it is drawn."""

    low: float
    high: float
    log: bool = False

    def transform(self, values: np.ndarray) -> np.ndarray:
        """Values as places along the axis; what a logarithmic axis cannot show becomes NaN."""
        values = np.asarray(values, dtype=float)
        if not self.log:
            return np.where(drawable(values), values, np.nan)
        return np.log10(np.where(drawable(values) & (values > 0), values, np.nan))

    def share(self, value: float) -> float:
        """How far along the axis a value stands: 0 at its low end, 1 at its high end; NaN where nowhere."""
        low, high, place = self.transform(np.array([self.low, self.high, value]))
        return float((place - low) / (high - low)) if high > low else math.nan


@dataclass(frozen=True, eq=False)
class Trace:
    """One line to draw."""

    x: np.ndarray
    y: np.ndarray
    colour: tuple[int, int, int]


def draw(traces: Sequence[Trace], x_axis: Axis, y_axis: Axis, width: int, height: int) -> list[list[Run]]:
    """The rows of a canvas of so many cells, top first; later traces lie over earlier ones."""
    blank: list[list[Run]] = [[(" " * width, None)] for _ in range(height)]
    if width < 2 or height < 2:
        return blank
    pieces = [(piece, trace.colour) for trace in traces for piece in _pieces(trace, x_axis, y_axis, width)]
    if not pieces:
        return blank
    import plotext

    plotext.terminal.limit(False, False)  # a headless screen, and a test, may be larger than the terminal
    figure = plotext.figure
    figure.clear()
    figure.plot_size(width, height)
    figure.axes(False)
    figure.canvas("default")
    for axis, name in ((x_axis, "x"), (y_axis, "y")):
        low, high = axis.transform(np.array([axis.low, axis.high]))
        figure.ruler(name).lim(float(low), float(high))
        figure.ruler(name).ticks([], [])
    for (x, y), colour in pieces:
        signal = figure.signal(x.tolist(), y.tolist(), marker=plotext.marker(MARKER, plotext.pixel(colour)))
        if len(x) > 1:
            signal.lines()
        figure.draw(signal)
    rows = [_runs(line, width) for line in figure.build().string().split("\n")[:height]]
    return rows + blank[len(rows) :]


def warm_up() -> None:
    """Imports plotext ahead of the first drawing; may be called on another thread, since it draws nothing."""
    import plotext  # noqa: F401


def _pieces(trace: Trace, x_axis: Axis, y_axis: Axis, width: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """What of a trace is drawn: transformed, inside the axes, and no finer than the dots."""
    x, y = x_axis.transform(trace.x), y_axis.transform(trace.y)
    x_low, x_high = x_axis.transform(np.array([x_axis.low, x_axis.high]))
    x = np.where((x >= x_low) & (x <= x_high), x, np.nan)
    low, high = y_axis.transform(np.array([y_axis.low, y_axis.high]))
    pieces = []
    for piece_x, piece_y in finite_segments(x, y):
        for clipped_x, clipped_y in _clipped(*downsample(piece_x, piece_y, width * DOTS_PER_CELL[0]), low, high):
            pieces.append((clipped_x, clipped_y))
    return pieces


def _clipped(x: np.ndarray, y: np.ndarray, low: float, high: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """The stretches of a line between two heights, cut where it crosses them."""
    inside = (y >= low) & (y <= high)
    if inside.all():
        return [(x, y)]
    all_x, all_y = [x], [y]
    for bound in (low, high):
        crosses = np.flatnonzero((y[:-1] < bound) != (y[1:] < bound))
        share = (bound - y[crosses]) / (y[crosses + 1] - y[crosses])
        all_x.append(x[crosses] + share * (x[crosses + 1] - x[crosses]))
        all_y.append(np.full(len(crosses), bound))
    joined_x, joined_y = np.concatenate(all_x), np.concatenate(all_y)
    order = np.argsort(joined_x, kind="stable")
    joined_x, joined_y = joined_x[order], joined_y[order]
    shown = np.where((joined_y >= low) & (joined_y <= high), joined_y, np.nan)
    return finite_segments(joined_x, shown)


_ESCAPE = re.compile(r"\x1b\[([0-9;]*)m")


def _runs(line: str, width: int) -> list[Run]:
    """One row of plotext's output, parsed: it writes nothing but truecolor foregrounds and resets."""
    runs: list[Run] = []
    colour: tuple[int, int, int] | None = None
    used = 0
    for place, part in enumerate(_ESCAPE.split(line)):
        if place % 2:
            colour = _colour(part)
        elif part:
            runs.append((part, colour))
            used += len(part)
    if used < width:
        runs.append((" " * (width - used), None))
    return runs


def _colour(code: str) -> tuple[int, int, int] | None:
    numbers = [int(number) for number in code.split(";") if number]
    return (numbers[2], numbers[3], numbers[4]) if numbers[:2] == [38, 2] and len(numbers) >= 5 else None
