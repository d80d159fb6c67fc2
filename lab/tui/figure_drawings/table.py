"""A table of texts and numbers, or a tree of them; long ones scroll under their head with the cursor."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.segment import Segment
from rich.text import Text

from lab import text
from lab.inference.figures import Cell, Table
from lab.tui.chart_cells import Row
from lab.tui.figure_drawings.base import (
    Cursor,
    Drawing,
    FigureDrawing,
    FigureLook,
    Size,
    clipped,
    padded,
    said_column,
    window,
)

_BETWEEN = 2
_NARROWEST = 6
INDENT = "  "


class TableDrawing(FigureDrawing):
    """One table."""

    def __init__(self, figure: Table) -> None:
        self.figure: Table = figure
        self._head = [text.literal(name) for name in figure.columns]
        self._right = [any(isinstance(row[i], int | float) for row in figure.rows) for i in range(len(figure.columns))]
        self._cells = _said_cells(figure)
        for row, depth in zip(self._cells, figure.depths, strict=False):
            if row:
                row[0] = INDENT * depth + row[0]
        self._widths = [
            max([cell_len(name), *(cell_len(row[i]) for row in self._cells)]) for i, name in enumerate(self._head)
        ]

    @property
    def extent(self) -> Cursor:
        """Its rows; columns are read together."""
        return len(self._cells), 1

    def sizes(self, look: FigureLook, width: int) -> Sequence[Size]:
        """As wide as its cells need, or as there is room."""
        needed = sum(self._widths) + _BETWEEN * (len(self._widths) - 1) + 1
        return [Size(min(needed, width), len(self._cells) + 1)]

    def _fitted(self, width: int) -> list[int]:
        """The columns' widths in so much room: the widest give way first."""
        widths = list(self._widths)
        over = sum(widths) + _BETWEEN * (len(widths) - 1) - width
        texts = [i for i, right in enumerate(self._right) if not right]
        for giving in (texts[1:], texts, range(len(widths))):  # what a row is called is cut last but for its numbers
            while over > 0 and any(widths[i] > _NARROWEST for i in giving):
                widths[max(giving, key=widths.__getitem__)] -= 1
                over -= 1
        return widths

    def draw(self, look: FigureLook, size: Size, cursor: Cursor | None) -> Drawing:
        """The head over as many rows as there is room for."""
        widths = self._fitted(size.width)
        shown = min(len(self._cells), max(1, size.height - 1))
        top = window(cursor[0], shown, len(self._cells)) if cursor is not None else 0
        head = self._line(self._head, widths)
        rows: list[Row] = [padded([Segment(clipped(head, size.width), look.style("text-muted"))], size.width)]
        spots: dict[tuple[int, int], Cursor] = {}
        for place in range(top, top + shown):
            chosen = cursor is not None and cursor[0] == place
            spots.update({(x, len(rows)): (place, 0) for x in range(size.width)})
            line = clipped(self._line(self._cells[place], widths), size.width)
            rows.append([Segment(line, look.cursor_row if chosen else look.style("foreground"))])
        return Drawing(rows, spots)

    def _line(self, cells: Sequence[str], widths: Sequence[int]) -> str:
        parts = []
        for cell, width, right in zip(cells, widths, self._right, strict=True):
            shown = text.clip(cell, width)
            room = " " * (width - cell_len(shown))
            parts.append(room + shown if right else shown + room)
        return (" " * _BETWEEN).join(parts)

    def under(self, cursor: Cursor) -> Text:
        """The row in full, each cell by its column's name."""
        said = Text()
        if not self._cells:
            return said
        for name, cell in zip(self._head, self._cells[self.within(cursor)[0]], strict=True):
            said.append(f"{' · ' if said else ''}{name} ")
            said.append(cell.strip() or text.NOTHING, "bold")
        return said


def _said_cells(figure: Table) -> list[list[str]]:
    """The cells as they are written: texts as they are, the numbers of a column alike."""
    columns = []
    for i in range(len(figure.columns)):
        cells: list[Cell] = [row[i] for row in figure.rows]
        numbers = iter(said_column([cell for cell in cells if not isinstance(cell, str)]))
        columns.append([text.literal(cell) if isinstance(cell, str) else next(numbers) for cell in cells])
    return [list(row) for row in zip(*columns, strict=True)]
