"""What stands around the lines of a chart: axes, ticks, reference lines, labels at the lines' ends or a legend."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style

from lab.analysis.ticks import linear_ticks, log_ticks, tick_labels
from lab.text import clip
from lab.tui import chart
from lab.tui.chart import Axis, Trace
from lab.tui.theme import rgb

LABEL_WIDTH = 26
EARLY_SHARE = 0.04
"""Of the run: losses before it may leave the range, so that the differences at the end can be seen."""
RARE = 2.0
"""Percent of a line's values that may leave the range at either end."""


@dataclass(frozen=True, eq=False)
class Line:
    """One curve; `label` stands at its end, none for a curve that only lies behind."""

    x: np.ndarray
    y: np.ndarray
    colour: str
    label: str = ""
    in_range: bool = True
    """Whether the chart makes room for it."""


@dataclass(frozen=True)
class Reference:
    """A value to compare with, drawn across the chart."""

    label: str
    y: float


@dataclass(frozen=True)
class Palette:
    """The colours of what is not a run's."""

    frame: str
    text: str
    reference: str


@dataclass(frozen=True, eq=False)
class ChartContent:
    """All that is drawn. Two contents of one `key` look the same."""

    key: tuple[object, ...]
    lines: Sequence[Line] = ()
    references: Sequence[Reference] = ()
    x_name: str = "step"
    log_x: bool = False
    log_y: bool = False
    whole_range: bool = False
    caption: str = ""
    """Which metrics are drawn, and how."""
    nothing: str = ""
    """What is said where there is nothing to draw."""
    x_to: float = 0.0
    """How far the x-axis goes at least."""
    cursor: float | None = None
    """Where on the x-axis a line stands upright, with what is said beside it."""
    cursor_label: str = ""
    lines_key: tuple[object, ...] = ()
    """Equal where the lines are the same, wherever the cursor is; empty where that is not known."""


Row = list[Segment]
Draw = Callable[[Sequence[Trace], Axis, Axis, int, int], list[list[chart.Run]]]


def render_chart(
    content: ChartContent, palette: Palette, width: int, height: int, draw: Draw = chart.draw
) -> list[Row]:
    """The rows of a chart of so many cells; `draw` draws the lines."""
    axes = _axes(content)
    if axes is None or width < 20 or height < 5:
        said = content.nothing if axes is None else "too small for a chart"
        return _said(said, palette, width, height)
    return _Frame(content, palette, *axes, width, height).rows(draw)


class _Frame:
    """One chart being laid out: where the canvas lies, and what surrounds it."""

    def __init__(
        self, content: ChartContent, palette: Palette, x_axis: Axis, y_axis: Axis, width: int, height: int
    ) -> None:
        self.content, self.x_axis, self.y_axis = content, x_axis, y_axis
        self.frame, self.text = Style(color=palette.frame), Style(color=palette.text)
        self.reference = Style(color=palette.reference)
        self.width, self.height = width, height
        labelled = [line for line in content.lines if line.label]
        longest = max((cell_len(line.label) for line in labelled), default=0)
        self.margin = min(longest, LABEL_WIDTH) + 1 if labelled else 0
        self.legend: list[Row] = []
        if self.margin > width // 3 or len(labelled) > height - 4:
            self.margin, self.legend = 0, _legend(labelled, width, max(1, height // 5))
        self.rows_of_canvas = height - len(self.legend) - 2
        self.ticks = _ticks(y_axis, min(9, max(2, self.rows_of_canvas // 3)))
        self.gutter = max((len(label) for _, label in self.ticks), default=0) + 2
        self.columns = width - self.gutter - self.margin
        self.labelled = labelled

    def rows(self, draw: Draw) -> list[Row]:
        """Legend, canvas with its gutter and margin, and the x-axis."""
        traces = [Trace(line.x, line.y, rgb(line.colour)) for line in self.content.lines]
        canvas = draw(traces, self.x_axis, self.y_axis, self.columns, self.rows_of_canvas)
        cells = [_Cells(row) for row in canvas]
        self._draw_references(cells)
        self._draw_cursor(cells)
        gutter, margin = self._gutter(), self._end_labels()
        rows = [gutter[i] + cells[i].segments() + margin[i] for i in range(self.rows_of_canvas)]
        return [*self.legend, *rows, *self._x_axis()]

    def _row(self, value: float) -> int:
        """The row of a value; outside the canvas where the value is."""
        share = self.y_axis.share(value)
        if not math.isfinite(share):
            return -1
        return math.floor((1 - share) * (self.rows_of_canvas - 1) + 0.5)

    def _gutter(self) -> list[Row]:
        at = {self._row(value): label for value, label in self.ticks}
        rows: list[Row] = []
        for i in range(self.rows_of_canvas):
            label = at.get(i, "")
            rows.append([Segment(label.rjust(self.gutter - 1), self.text), Segment("┤" if label else "│", self.frame)])
        return rows

    def _draw_references(self, cells: list[_Cells]) -> None:
        taken: set[int] = set()
        for reference in sorted(self.content.references, key=lambda reference: reference.y):
            row = self._row(reference.y)
            share = self.y_axis.share(reference.y)
            if 0 <= share <= 1:
                cells[row].fill("┈", self.reference)
                label = f" {reference.label} "
            else:
                row = 0 if share > 1 else self.rows_of_canvas - 1
                label = f" {'↑' if share > 1 else '↓'} {reference.label} "
            step = 1 if row == 0 else -1
            while row in taken and 0 < row + step < self.rows_of_canvas:
                row += step
            near = (row, row - 1, row + 1) if 0 <= share <= 1 else (row,)
            for place in (place for place in near if 0 <= place < self.rows_of_canvas and place not in taken):
                if cells[place].write(label, self.reference):
                    taken.add(place)
                    break

    def _draw_cursor(self, cells: list[_Cells]) -> None:
        share = self.x_axis.share(self.content.cursor) if self.content.cursor is not None else math.nan
        if not 0 <= share <= 1:
            return
        column, label = round(share * (self.columns - 1)), self.content.cursor_label
        for row in cells:
            row.put(column, "│", self.text)
        if label:
            start = column + 2 if column + 2 + len(label) <= self.columns else column - 1 - len(label)
            for place, character in enumerate(label):
                cells[-1].put(start + place, character, self.text)

    def _end_labels(self) -> list[Row]:
        """Each line's label in the margin, beside its end or as near to it as the others leave room."""
        if not self.margin:
            return [[] for _ in range(self.rows_of_canvas)]
        wanted = []
        for line in self.labelled:
            finite = np.flatnonzero(chart.drawable(line.y) & chart.drawable(line.x))
            row = self._row(float(line.y[finite[-1]])) if len(finite) else self.rows_of_canvas
            wanted.append((min(max(row, 0), self.rows_of_canvas - 1), line))
        wanted.sort(key=lambda pair: pair[0])
        places = spread([row for row, _ in wanted], self.rows_of_canvas)
        rows: list[Row] = [[Segment(" " * self.margin)] for _ in range(self.rows_of_canvas)]
        for place, (_, line) in zip(places, wanted, strict=True):
            text = clip(line.label, self.margin - 1)
            rows[place] = [
                Segment(" "),
                Segment(text, Style(color=line.colour)),
                Segment(" " * (self.margin - 1 - cell_len(text))),
            ]
        return rows

    def _x_axis(self) -> list[Row]:
        name = f" {self.content.x_name}"
        ticks = _ticks(self.x_axis, max(2, self.columns // 8))
        line, labels = ["─"] * self.columns, [" "] * (self.gutter + self.columns + self.margin)
        free_from = 0
        limit = len(labels) - len(name)
        for value, label in ticks:
            column = round(self.x_axis.share(value) * (self.columns - 1))
            start = max(0, self.gutter + column - len(label) // 2)
            if start < free_from or start + len(label) > limit:
                continue
            line[column] = "┴"
            labels[start : start + len(label)] = label
            free_from = start + len(label) + 1
        name_at = min(len(labels) - len(name), max(free_from, self.gutter + self.columns - len(name) + self.margin))
        if name_at >= free_from - 1:
            labels[name_at : name_at + len(name)] = name
        axis = Segment(" " * (self.gutter - 1) + "└" + "".join(line), self.frame)
        return [[axis, Segment(" " * self.margin)], [Segment("".join(labels), self.text)]]


class _Cells:
    """One row of the canvas, cell by cell, to write into where no line is drawn."""

    def __init__(self, runs: list[chart.Run]) -> None:
        self._characters: list[str] = []
        self._styles: list[Style | None] = []
        for text, colour in runs:
            style = Style(color="#{:02x}{:02x}{:02x}".format(*colour)) if colour else None
            self._characters.extend(text)
            self._styles.extend([style] * len(text))
        self._free = [character in " ⠀" for character in self._characters]

    def fill(self, character: str, style: Style) -> None:
        """Puts a character wherever no line is."""
        for i, free in enumerate(self._free):
            if free:
                self._characters[i], self._styles[i] = character, style

    def put(self, column: int, character: str, style: Style) -> None:
        """Puts a character into one column, unless a line or a label is there."""
        if 0 <= column < len(self._free) and self._free[column]:
            self._characters[column], self._styles[column] = character, style

    def write(self, text: str, style: Style) -> bool:
        """Writes a text as far right as no line is in its way; False where there is no such place."""
        size = len(text)
        run = 0
        for i in range(len(self._free) - 1, -1, -1):
            run = run + 1 if self._free[i] else 0
            if run >= size:
                self._characters[i : i + size] = text
                self._styles[i : i + size] = [style] * size
                self._free[i : i + size] = [False] * size
                return True
        return False

    def segments(self) -> Row:
        """The row, alike neighbours joined."""
        row: Row = []
        start = 0
        for i in range(1, len(self._characters) + 1):
            if i == len(self._characters) or self._styles[i] is not self._styles[start]:
                row.append(Segment("".join(self._characters[start:i]), self._styles[start]))
                start = i
        return row


def spread(wanted: Sequence[int], rows: int) -> list[int]:
    """Places for labels that ascend, each on a row of its own, as near to where they are wanted as can be."""
    places: list[int] = []
    for row in wanted:
        places.append(max(row, places[-1] + 1 if places else 0))
    below = rows
    for i in range(len(places) - 1, -1, -1):
        below = places[i] = min(places[i], below - 1)
    return places


def _legend(lines: Sequence[Line], width: int, most: int) -> list[Row]:
    """Labels in a few rows over the chart, where there is no room at the lines' ends."""
    rows: list[Row] = [[]]
    used = 0
    for count, line in enumerate(lines):
        text = clip(line.label, LABEL_WIDTH)
        needed = cell_len(text) + 4
        last = len(rows) == most
        if used and used + needed + (5 if last else 0) > width:
            if last:
                rows[-1].append(Segment(f"+{len(lines) - count}"))
                break
            rows.append([])
            used = 0
        rows[-1] += [Segment("━ " + text + "  ", Style(color=line.colour))]
        used += needed
    return rows


def _axes(content: ChartContent) -> tuple[Axis, Axis] | None:
    """The ranges of what is drawn; None where no point can be."""
    lines = [(line, chart.drawable(line.x) & chart.drawable(line.y)) for line in content.lines]
    if content.log_x:
        lines = [(line, keep & (line.x > 0)) for line, keep in lines]
    if content.log_y:
        lines = [(line, keep & (line.y > 0)) for line, keep in lines]
    lines = [(line, keep) for line, keep in lines if keep.any()]
    if not lines:
        return None
    x_low = min(float(line.x[keep].min()) for line, keep in lines) if content.log_x else 0.0
    x_high = max(content.x_to, *(float(line.x[keep].max()) for line, keep in lines))
    if x_high <= x_low:
        x_low, x_high = (x_low * 0.5, x_high * 2) if content.log_x else (x_low, x_low + 1)
    if not content.log_x:  # a run's last step is one below a round number
        x_high = max(x_high, linear_ticks(x_low, x_high * 1.01, 8)[-1])
    ranging = [(line, keep) for line, keep in lines if line.in_range or content.whole_range] or lines
    ranges = [_range(line.x[keep], line.y[keep], content.whole_range) for line, keep in ranging]
    y_low, y_high = min(low for low, _ in ranges), max(high for _, high in ranges)
    for reference in content.references:  # near enough to be worth the room
        if y_high < reference.y < y_high + 0.25 * (y_high - y_low):
            y_high = reference.y
        if y_low > reference.y > y_low - 0.35 * (y_high - y_low):
            y_low = reference.y
    return Axis(x_low, x_high, content.log_x), Axis(*_padded(y_low, y_high, content.log_y), content.log_y)


def _range(x: np.ndarray, y: np.ndarray, whole: bool) -> tuple[float, float]:
    """What of a line must be seen: all of it, or what is left without its first steps and rare spikes."""
    if whole or len(y) < 8:
        return float(y.min()), float(y.max())
    late = y[x >= x.min() + EARLY_SHARE * (x.max() - x.min())]
    low, high = np.percentile(late if len(late) > 3 else y, [RARE, 100 - RARE])
    return float(min(low, y[-1])), float(max(high, y[-1]))


def _padded(low: float, high: float, log: bool) -> tuple[float, float]:
    """A little room around a range; some even where all values are equal."""
    if log:
        factor = (high / low) ** 0.04 if high > low else 1.1
        return low / factor, high * factor
    room = 0.04 * (high - low) or 0.05 * abs(high) or 1.0
    return low - room, high + room


def _ticks(axis: Axis, most: int) -> list[tuple[float, str]]:
    values = (log_ticks if axis.log else linear_ticks)(axis.low, axis.high, most)
    return list(zip(values, tick_labels(values), strict=True))


def _said(text: str, palette: Palette, width: int, height: int) -> list[Row]:
    """A line of text in the middle of nothing."""
    text = clip(text, width)
    left = (width - cell_len(text)) // 2
    said: Row = [Segment(" " * left), Segment(text, Style(color=palette.text))]
    return [said if i == height // 2 else [Segment("")] for i in range(height)]
