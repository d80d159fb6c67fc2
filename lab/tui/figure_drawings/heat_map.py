"""A heat map: cells in shades, with numbers in them where there is room; large ones scroll with the cursor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from lab import text
from lab.inference.figures import Heatmap
from lab.tui.chart_cells import Row
from lab.tui.figure_drawings.base import (
    Cursor,
    Drawing,
    FigureDrawing,
    FigureLook,
    Size,
    clipped,
    padded,
    said_number,
    short_number,
    window,
)
from lab.tui.figure_drawings.shades import Scale

LONGEST_LABEL = 14
NUMBERS_FROM = 5
"""Columns of a cell from which on its number is written into it."""
LEGEND_STEPS = 12
MOST_NAMED = 12
"""Cells of a row that are named in their order."""


@dataclass(frozen=True)
class _Level:
    """How large a cell is; `labelled` maps have their rows and columns named, others are thumbnails."""

    width: int
    height: int
    labelled: bool = True
    head: int = 0
    gutter: int = 0
    """Rows and columns that a thumbnail's names take up."""

    @property
    def deep(self) -> int:
        """Rows of the map in one of the screen, of a thumbnail."""
        return 1 if self.height else 2


_LEVELS = tuple(_Level(*size) for size in ((11, 5), (9, 4), (7, 3), (6, 2), (5, 1), (3, 1), (2, 1), (1, 1)))
_PAIRS = _Level(1, 0, labelled=False, head=1, gutter=3)
"""Two rows of the map in one of the screen, so that cells are square, with the characters of both on the left."""
_HALF = _Level(1, 0, labelled=False, head=1)
"""The same with the columns named alone."""
_BARE = _Level(1, 0, labelled=False)
_TINY = _Level(1, 1, labelled=False)


class HeatMapDrawing(FigureDrawing):
    """One heat map."""

    def __init__(self, figure: Heatmap) -> None:
        self.figure: Heatmap = figure
        self._rows = [text.literal(label) for label in figure.rows]
        self._columns = [text.literal(label) for label in figure.columns]
        self._gutter = min(LONGEST_LABEL, max((cell_len(label) for label in self._rows), default=0)) + 1
        self._longest_column = max((cell_len(label) for label in self._columns), default=1)

    @property
    def extent(self) -> Cursor:
        """Its rows and columns."""
        return len(self._rows), len(self._columns)

    def start(self) -> Cursor:
        """The last row, where the map is a triangle: it sees most."""
        return (len(self._rows) - 1, 0) if self.figure.lower_triangular else (0, 0)

    # Sizes

    def _levels(self, look: FigureLook) -> list[_Level]:
        least = 3 if self.figure.texts else 1
        levels = [level for level in _LEVELS if level.width >= least]
        if self.figure.texts:
            return levels
        if look.in_characters or look.ascii_only:
            return [*levels, _TINY]
        named = all(cell_len(label) == 1 for label in (*self._rows, *self._columns))
        return [*levels, _PAIRS, _HALF] if named else [*levels, _BARE]

    def _size(self, level: _Level) -> Size:
        rows, columns = self.extent
        if not level.labelled:
            return Size(max(1, level.gutter + columns), level.head + math.ceil(rows / level.deep))
        return Size(self._gutter + columns * level.width, rows * level.height + 2)

    def sizes(self, look: FigureLook, width: int) -> Sequence[Size]:
        """From cells with numbers in them to a thumbnail."""
        return [self._size(level) for level in self._levels(look)]

    def _level(self, look: FigureLook, size: Size) -> _Level:
        """The largest cells that all of the map is seen in; else the smallest that can be read, two columns wide."""
        levels = self._levels(look)
        fitting = next((level for level in levels if self._size(level).fits(size.width, size.height)), None)
        if fitting is not None:
            return fitting
        if size.width < self._gutter + 4 or size.height < 4:
            return levels[-1]
        return next((level for level in reversed(levels) if level.labelled and level.width >= 2), levels[0])

    # Drawing

    def draw(self, look: FigureLook, size: Size, cursor: Cursor | None) -> Drawing:
        """The map, or the part about the cursor that there is room for."""
        level = self._level(look, size)
        scale = Scale(look, self.figure.low, self.figure.high, diverging=self.figure.diverging)
        if not level.labelled:
            return self._thumbnail(look, level, scale, size, cursor)
        return self._labelled(look, level, scale, size, cursor)

    def _labelled(self, look: FigureLook, level: _Level, scale: Scale, size: Size, cursor: Cursor | None) -> Drawing:
        rows, columns = self.extent
        shown_rows = min(rows, max(1, (size.height - 2) // level.height))
        shown_columns = min(columns, max(1, (size.width - self._gutter) // level.width))
        at = cursor if cursor is not None else self.start()
        top, left = window(at[0], shown_rows, rows), window(at[1], shown_columns, columns)
        drawn: list[Row] = [padded(self._head(look, level, left, shown_columns, cursor), size.width)]
        spots: dict[tuple[int, int], Cursor] = {}
        for row in range(top, top + shown_rows):
            for line in range(level.height):
                y = len(drawn)
                middle = line == level.height // 2
                cells = [self._label(look, row, cursor, named=middle)]
                for column in range(left, left + shown_columns):
                    cells.append(self._cell(look, level, scale, (row, column), cursor, written=middle))
                    start = self._gutter + (column - left) * level.width
                    spots.update({(start + i, y): (row, column) for i in range(level.width)})
                drawn.append(padded(cells, size.width))
        more = (shown_rows, shown_columns) != (rows, columns)
        drawn.append(padded(self._legend(look, scale, size.width, more=more), size.width))
        return Drawing(drawn, spots)

    def _head(self, look: FigureLook, level: _Level, left: int, count: int, cursor: Cursor | None) -> Row:
        """The columns' names, as many as have room."""
        every = max(1, math.ceil((self._longest_column + (self._longest_column > 1)) / level.width))
        row: Row = [Segment(" " * self._gutter)]
        column = left
        while column < left + count:
            step = min(every - column % every, left + count - column)
            chosen = cursor is not None and column <= cursor[1] < column + step
            place = cursor[1] if chosen and cursor is not None else column
            named = self._columns[place] if chosen or column % every == 0 else ""
            width = step * level.width
            label = clipped(f"{named:^{level.width}}" if cell_len(named) <= level.width else named, width)
            row.append(Segment(label, self._name_style(look, chosen=chosen)))
            column += step
        return row

    def _label(self, look: FigureLook, row: int, cursor: Cursor | None, *, named: bool) -> Segment:
        chosen = cursor is not None and cursor[0] == row
        label = text.clip(self._rows[row], LONGEST_LABEL) if named else ""
        shown = " " * (self._gutter - 1 - cell_len(label)) + label + " "
        return Segment(shown, self._name_style(look, chosen=chosen))

    def _cell(
        self, look: FigureLook, level: _Level, scale: Scale, at: Cursor, cursor: Cursor | None, *, written: bool
    ) -> Segment:
        value = self.figure.values[at[0]][at[1]]
        shown = self._written(level, at) if written else ""
        style = scale.style(value)
        if look.in_characters and not shown:
            shown = scale.character(value) * level.width
        if at == cursor:
            shown = shown.strip() or ("·" if value is None else shown)
            return Segment(f"{shown:^{level.width}}"[: level.width], look.cursor)
        return Segment(f"{shown:^{level.width}}"[: level.width], style)

    def _written(self, level: _Level, at: Cursor) -> str:
        """What is written into a cell: its text, else its number where there is room."""
        if self.figure.texts:
            return text.clip(text.literal(self.figure.texts[at[0]][at[1]]), level.width)
        value = self.figure.values[at[0]][at[1]]
        return short_number(value, level.width - 1) if level.width >= NUMBERS_FROM else ""

    def _legend(self, look: FigureLook, scale: Scale, width: int, *, more: bool) -> Row:
        """The range in shades, and what rows and columns are."""
        figure, muted = self.figure, look.style("text-muted")
        row: Row = [Segment(" " * self._gutter), Segment(f"{said_number(figure.low)} ", muted)]
        room = width - self._gutter - LEGEND_STEPS - len(row[1].text)
        for i in range(LEGEND_STEPS):
            share = i / (LEGEND_STEPS - 1)
            share = 2 * share - 1 if figure.diverging else share
            character = scale.character_of_share(share) if look.in_characters else " "
            row.append(Segment(character, scale.style_of_share(share)))
        unit = f" {text.literal(figure.unit)}" if figure.unit else ""
        arrows = ("v", ">") if look.ascii_only else ("↓", "→")
        named = zip(arrows, (figure.row_name, figure.column_name), strict=True)
        parts = [(f" {said_number(figure.high)}{unit}", muted)]
        parts += [("  + more", look.style("accent"))] if more else []
        parts += [(f"  {arrow} {text.literal(name)}", muted) for arrow, name in named if name]
        for said, style in parts:
            if cell_len(said) > room:
                break
            row.append(Segment(said, style))
            room -= cell_len(said)
        return row

    def _thumbnail(self, look: FigureLook, level: _Level, scale: Scale, size: Size, cursor: Cursor | None) -> Drawing:
        rows, columns = self.extent
        deep = level.deep
        shown_rows = min(rows, max(1, size.height - level.head) * deep)
        shown_columns = min(columns, max(1, size.width - level.gutter))
        at = cursor if cursor is not None else self.start()
        top, left = window(at[0], shown_rows, rows), window(at[1], shown_columns, columns)
        top += top % deep
        drawn: list[Row] = []
        spots: dict[tuple[int, int], Cursor] = {}
        if level.head:
            head = [Segment(" " * level.gutter)]
            for column in range(left, left + shown_columns):
                chosen = cursor is not None and cursor[1] == column
                head.append(Segment(self._columns[column], self._name_style(look, chosen=chosen)))
            drawn.append(padded(head, size.width))
        for first in range(top, min(rows, top + shown_rows), deep):
            cells: Row = self._pair(look, first, cursor) if level.gutter else []
            for column in range(left, left + shown_columns):
                spots[level.gutter + column - left, len(drawn)] = (first, column)
                here = cursor is not None and cursor[1] == column and first <= cursor[0] < first + deep
                cells.append(self._dot(look, scale, (first, column), deep, cursor if here else None))
            drawn.append(padded(cells, size.width))
        return Drawing(drawn, spots)

    def _name_style(self, look: FigureLook, *, chosen: bool) -> Style:
        return look.style("accent", bold=True) if chosen else look.style("text-muted")

    def _pair(self, look: FigureLook, first: int, cursor: Cursor | None) -> Row:
        """What the two rows are called that stand in one of the screen."""
        row: Row = []
        for i in (first, first + 1):
            name = self._rows[i] if i < len(self._rows) else " "
            row.append(Segment(name, self._name_style(look, chosen=cursor is not None and cursor[0] == i)))
        return [*row, Segment(" ")]

    def _dot(self, look: FigureLook, scale: Scale, at: Cursor, deep: int, cursor: Cursor | None) -> Segment:
        row, column = at
        values = self.figure.values
        upper = values[row][column]
        if deep == 1:
            return Segment(scale.character(upper), look.cursor if cursor is not None else scale.style(upper))
        lower = values[row + 1][column] if row + 1 < len(values) else None
        top, bottom = scale.colour(upper), scale.colour(lower)
        if cursor is not None:
            top, bottom = (look.colour("accent"), bottom) if cursor[0] == row else (top, look.colour("accent"))
        return Segment("▀", Style(color=top, bgcolor=bottom))

    # Reading

    def under(self, cursor: Cursor) -> Text:
        """The cell's row, column and number, and the row's largest cells in their order."""
        figure = self.figure
        row, column = self.within(cursor)
        if not self._rows or not self._columns:
            return Text()
        value = figure.values[row][column]
        said = Text()
        for name, label in ((figure.row_name, self._rows[row]), (figure.column_name, self._columns[column])):
            said.append(f"{text.literal(name)} " if name else "")
            said.append(label, "bold")
            said.append(" · ")
        if figure.texts and figure.texts[row][column]:
            said.append(text.literal(figure.texts[row][column]), "bold")
            said.append(" ")
        said.append(said_number(value) if value is not None else "masked", "bold")
        said.append(f" {text.literal(figure.unit)}" if figure.unit else "")
        ordered = self._ordered(row)
        if len(ordered) > 1:
            verb = " looks at" if figure.lower_triangular else ", the largest:"
            said.append(f"\n{self._rows[row]}{verb} ")
            said.append(" · ".join(f"{self._columns[i]} {_brief(number)}" for i, number in ordered[:MOST_NAMED]))
        return said

    def _ordered(self, row: int) -> list[tuple[int, float]]:
        """The cells of a row, the largest first."""
        known = [(i, value) for i, value in enumerate(self.figure.values[row]) if value is not None]
        return sorted(known, key=lambda pair: -abs(pair[1]) if self.figure.diverging else -pair[1])


def _brief(value: float) -> str:
    return short_number(value, 6) or said_number(value)
