"""What stands around the lines of a chart: axes, ticks, references, marks, labels at the lines' ends or a legend."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style

from lab import text
from lab.analysis.ticks import linear_ticks, log_ticks, tick_labels
from lab.text import clip
from lab.tui import chart
from lab.tui.chart import Axis, Canvas, Trace
from lab.tui.chart_cells import ASCII, LINE_CHARACTERS, LINE_LETTERS, UNICODE, Cells, Row, spread
from lab.tui.chart_content import ChartContent, Line, Mark, Palette
from lab.tui.chart_range import axes, values_at
from lab.tui.marker_style import MarkerStyle
from lab.tui.run_colours import as_shown
from lab.tui.theme import blend

LABEL_WIDTH = 28
SMALLEST = (20, 5)
"""Cells below which there is no chart."""
BAND_SHARE = 0.45
"""Of its colour: what is left of it in the area of a band."""
LETTERS = 3
"""How often the letter of a line is written on it."""

Draw = Callable[[Sequence[Trace], Axis, Axis, int, int, MarkerStyle], Canvas]


def render_chart(
    content: ChartContent, palette: Palette, width: int, height: int, draw: Draw = chart.draw
) -> list[Row]:
    """The rows of a chart of so many cells; `draw` draws the lines."""
    frame = framed(content, palette, width, height)
    return said(frame, palette, width, height) if isinstance(frame, str) else frame.rows(draw)


def framed(content: ChartContent, palette: Palette, width: int, height: int) -> Frame | str:
    """The layout of a chart, or what is said where there can be none."""
    found = axes(content)
    if found is None:
        return content.nothing
    if width < SMALLEST[0] or height < SMALLEST[1]:
        return "too small for a chart"
    return Frame(content, palette, *found, width, height)


class Frame:
    """One chart being laid out: where the canvas lies, and what surrounds it."""

    def __init__(
        self, content: ChartContent, palette: Palette, x_axis: Axis, y_axis: Axis, width: int, height: int
    ) -> None:
        self.content, self.palette, self.x_axis, self.y_axis = content, palette, x_axis, y_axis
        self.glyphs = ASCII if palette.marker == "ascii" else UNICODE
        self.frame, self.text = Style(color=palette.frame), Style(color=palette.text)
        self.reference = Style(color=palette.reference)
        self.strong = Style(color=palette.strong or palette.text, bold=True)
        self.width, self.height = width, height
        self.labelled = content.labelled
        self.signs = self._signs()
        labels = self._said_of_lines()
        self.margin = min(max((cell_len(label) for label, _ in labels), default=-1), LABEL_WIDTH) + 1
        self.legend: list[Row] = []
        if self.margin > width // 3 or len(labels) > height - 4:
            self.margin, self.legend = 0, self._legend(labels, max(1, height // 5))
        self.rows_of_canvas = height - len(self.legend) - 2
        self.ticks = _ticks(y_axis, min(9, max(2, self.rows_of_canvas // 3)))
        self.gutter = max((len(label) for _, label in self.ticks), default=0) + 2
        self.columns = width - self.gutter - self.margin

    # What is said of the lines

    def _signs(self) -> dict[int, str]:
        """By which lines are told apart beside their colours: their characters in ASCII, else letters on them."""
        if self.palette.marker == "ascii":
            return {id(line): LINE_CHARACTERS[i % len(LINE_CHARACTERS)] for i, line in enumerate(self.labelled)}
        if len({as_shown(line.colour, self.palette.colour_system) for line in self.labelled}) < len(self.labelled):
            return {id(line): LINE_LETTERS[i % len(LINE_LETTERS)] for i, line in enumerate(self.labelled)}
        return {}

    @property
    def cursor_share(self) -> float:
        """Where along the x-axis the cursor stands; NaN where it is not seen."""
        share = self.x_axis.share(self.content.cursor) if self.content.cursor is not None else math.nan
        return share if 0 <= share <= 1 else math.nan

    @property
    def reads_cursor(self) -> bool:
        """Whether the values at the cursor stand in the place of the labels."""
        named = bool(self.labelled) and all(line.name for line in self.labelled)
        return named and math.isfinite(self.cursor_share) and not self.content.cursor_label

    def _said_of_lines(self) -> list[tuple[str, Line | None]]:
        """The labels in the order of the lines; at a cursor its place, and the values there with the best first."""
        content = self.content
        if not self.reads_cursor or content.cursor is None:
            return [(self._signed(line, line.label), line) for line in self.labelled]
        values = values_at(self.labelled, content.cursor)
        values.sort(key=lambda pair: pair[1], reverse=content.best == "highest")
        said = [(self._signed(line, f"{line.name} {content.say(value)}"), line) for line, value in values]
        return [(f"{content.x_name} {_place(content.cursor)}", None), *said]

    def _signed(self, line: Line, label: str) -> str:
        sign = self.signs.get(id(line), "")
        return f"{sign} {label}" if sign else label

    def _style_of(self, line: Line | None) -> Style:
        return self.strong if line is None else Style(color=line.colour)

    # Drawing

    def rows(self, draw: Draw) -> list[Row]:
        """Legend, canvas with its gutter and margin, and the x-axis."""
        traces, styles = self._traces()
        canvas = draw(traces, self.x_axis, self.y_axis, self.columns, self.rows_of_canvas, self.palette.marker)
        cells = [Cells(row, canvas.owners[i], styles, self.text) for i, row in enumerate(canvas.rows)]
        self._draw_letters(cells)
        self._draw_marks(cells)
        if self.content.y_name:
            cells[0].write_at(1, self.content.y_name, self.text)
        self._draw_references(cells)
        self._draw_cursor(cells)
        gutter, margin = self._gutter(), self._margin()
        rows = [gutter[i] + cells[i].segments() + margin[i] for i in range(self.rows_of_canvas)]
        return [*self.legend, *rows, *self._x_axis()]

    def _traces(self) -> tuple[list[Trace], list[Style]]:
        """The bands, and over them the lines; and their styles."""
        traces, styles = [], []
        for i, band in enumerate(self.content.bands):
            traces.append(Trace(band.key or f"band {i}", band.x, band.high, band.low))
            styles.append(Style(color=blend(band.colour, self.palette.background, BAND_SHARE)))
        ascii_only = self.palette.marker == "ascii"
        for i, line in enumerate(self.content.all_lines):
            character = self.signs.get(id(line), ".") if ascii_only else ""
            traces.append(Trace(line.key or f"line {i}", line.x, line.y, character=character))
            styles.append(Style(color=line.colour))
        return traces, styles

    def _row(self, value: float) -> int:
        """The row of a value; outside the canvas where the value is."""
        share = self.y_axis.share(value)
        if not math.isfinite(share):
            return -1
        return math.floor((1 - share) * self.rows_of_canvas) - (share == 0)

    def _column(self, x: float) -> int:
        """The column of a place; -1 where it is not shown."""
        share = self.x_axis.share(x)
        return min(int(share * self.columns), self.columns - 1) if 0 <= share <= 1 else -1

    def _gutter(self) -> list[Row]:
        at = {self._row(value): label for value, label in self.ticks}
        rows: list[Row] = []
        for i in range(self.rows_of_canvas):
            label = at.get(i, "")
            edge = self.glyphs.gutter_tick if label else self.glyphs.gutter
            rows.append([Segment(label.rjust(self.gutter - 1), self.text), Segment(edge, self.frame)])
        return rows

    def _draw_letters(self, cells: list[Cells]) -> None:
        """Writes on each line the letter that its label has; no two lines have theirs in the same columns."""
        if self.palette.marker == "ascii" or not self.signs:
            return
        count = len(self.labelled)
        for i, line in enumerate(self.labelled):
            x, y = line.points
            for turn in range(LETTERS if len(x) else 0):
                place = self.x_axis.value((turn + (i + 0.5) / count) / LETTERS)
                if x[0] <= place <= x[-1]:
                    row = self._row(float(np.interp(place, x, y)))
                    if 0 <= row < len(cells):
                        style = Style(color=line.colour, bold=True)
                        cells[row].put(self._column(place), self.signs[id(line)], style, over=True)

    def _draw_marks(self, cells: list[Cells]) -> None:
        marks = [*self.content.marks, *(mark for line in self.labelled for mark in _lone_point(line))]
        placed = []
        for mark in marks:
            row, column = self._row(mark.y), self._column(mark.x)
            if mark.kind == "diverged":  # mostly far above what is shown
                row = min(max(row, 0), len(cells) - 1)
            if column >= 0 and 0 <= row < len(cells):
                cells[row].put(column, self.glyphs.marks[mark.kind], Style(color=mark.colour, bold=True), over=True)
                placed.append((mark, row, column))
        for mark, row, column in placed:
            style = Style(color=mark.colour)
            near = [other for other in (row, row - 1, row + 1) if 0 <= other < len(cells)] if mark.label else []
            _ = any(
                cells[other].write_at(start, mark.label, style)
                for other in near
                for start in (column + 2, column - 1 - len(mark.label))
            )

    def _draw_references(self, cells: list[Cells]) -> None:
        taken: set[int] = set()
        for reference in sorted(self.content.references, key=lambda reference: reference.y):
            row = self._row(reference.y)
            share = self.y_axis.share(reference.y)
            if 0 <= share <= 1:
                cells[row].fill(self.glyphs.reference, self.reference)
                label = f" {reference.label} "
            else:
                row = 0 if share > 1 else self.rows_of_canvas - 1
                label = f" {self.glyphs.above if share > 1 else self.glyphs.below} {reference.label} "
            step = 1 if row == 0 else -1
            while row in taken and 0 < row + step < self.rows_of_canvas:
                row += step
            near = (row, row - 1, row + 1) if 0 <= share <= 1 else (row,)
            for place in (place for place in near if 0 <= place < self.rows_of_canvas and place not in taken):
                if cells[place].write(label, self.reference):
                    taken.add(place)
                    break

    def _draw_cursor(self, cells: list[Cells]) -> None:
        if not math.isfinite(self.cursor_share):
            return
        column, label = min(int(self.cursor_share * self.columns), self.columns - 1), self.content.cursor_label
        for row in cells:
            row.put(column, self.glyphs.cursor, self.strong)
        if label and not cells[-1].write_at(column + 2, label, self.text):
            cells[-1].write_at(column - 1 - len(label), label, self.text)

    def _margin(self) -> list[Row]:
        """Right of the canvas: each line's label beside its end, or the values at the cursor in their order."""
        if not self.margin:
            return [[] for _ in range(self.rows_of_canvas)]
        if self.reads_cursor:
            said = self._said_of_lines()
            places = list(range(len(said)))
        else:
            wanted = sorted(((self._end_row(line), i) for i, line in enumerate(self.labelled)))
            said = [(self._signed(line, line.label), line) for line in (self.labelled[i] for _, i in wanted)]
            places = spread([row for row, _ in wanted], self.rows_of_canvas)
        rows: list[Row] = [[Segment(" " * self.margin)] for _ in range(self.rows_of_canvas)]
        for place, (label, line) in zip(places, said, strict=True):
            shown = clip(label, self.margin - 1)
            rows[place] = [
                Segment(" "),
                Segment(shown, self._style_of(line)),
                Segment(" " * (self.margin - 1 - cell_len(shown))),
            ]
        return rows

    def _end_row(self, line: Line) -> int:
        """The row in which a line ends, or leaves what is shown."""
        x, y = line.points
        if not len(x):
            return self.rows_of_canvas - 1
        end = float(np.interp(self.x_axis.high, x, y))
        row = self._row(end)
        return min(max(row, 0), self.rows_of_canvas - 1)

    def _legend(self, said: Sequence[tuple[str, Line | None]], most: int) -> list[Row]:
        """Labels in a few rows over the chart, where there is no room at the lines' ends."""
        rows: list[Row] = [[]]
        used = 0
        for count, (label, line) in enumerate(said):
            shown = clip(label, LABEL_WIDTH)
            dash = f"{self.glyphs.legend} " if line is not None and not self.signs else ""
            needed = cell_len(shown) + len(dash) + 2
            last = len(rows) == most
            if used and used + needed + (5 if last else 0) > self.width:
                if last:
                    rows[-1].append(Segment(f"+{len(said) - count}", self.text))
                    break
                rows.append([])
                used = 0
            rows[-1] += [Segment(f"{dash}{shown}  ", self._style_of(line))]
            used += needed
        return rows

    def _x_axis(self) -> list[Row]:
        name = f" {self.content.x_name}"
        ticks = _ticks(self.x_axis, max(2, self.columns // 8))
        line, labels = [self.glyphs.floor] * self.columns, [" "] * (self.gutter + self.columns + self.margin)
        free_from = 0
        limit = len(labels) - len(name)
        for value, label in ticks:
            column = max(0, self._column(value))
            start = max(0, self.gutter + column - len(label) // 2)
            if start < free_from or start + len(label) > limit:
                continue
            line[column] = self.glyphs.floor_tick
            labels[start : start + len(label)] = label
            free_from = start + len(label) + 1
        name_at = min(len(labels) - len(name), max(free_from, self.gutter + self.columns - len(name) + self.margin))
        if name_at >= free_from - 1:
            labels[name_at : name_at + len(name)] = name
        axis = Segment(" " * (self.gutter - 1) + self.glyphs.corner + "".join(line), self.frame)
        return [[axis, Segment(" " * self.margin)], [Segment("".join(labels), self.text)]]


def _lone_point(line: Line) -> list[Mark]:
    """A mark for a line of one point, which a dot alone would hardly show."""
    x, y = line.points
    return [Mark("point", float(x[0]), float(y[0]), line.colour)] if len(x) == 1 else []


def _place(x: float) -> str:
    """A place on the x-axis: steps to the last digit, what is larger shortened."""
    if x < 1e6:
        return f"{x:,.0f}" if x >= 10 or x == round(x) else f"{x:.3g}"
    return text.si(x)


def _ticks(axis: Axis, most: int) -> list[tuple[float, str]]:
    values = (log_ticks if axis.log else linear_ticks)(axis.low, axis.high, most)
    return list(zip(values, tick_labels(values), strict=True))


def said(words: str, palette: Palette, width: int, height: int) -> list[Row]:
    """A line of text in the middle of nothing."""
    words = clip(words, width)
    left = (width - cell_len(words)) // 2
    line: Row = [Segment(" " * left), Segment(words, Style(color=palette.text))]
    return [line if i == height // 2 else [Segment("")] for i in range(height)]
