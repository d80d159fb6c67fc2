"""Labelled points in the plane: each label stands where its point is, in the colour of its class."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from lab import text
from lab.inference.figures import Scatter
from lab.tui.chart_cells import Row
from lab.tui.figure_drawings.base import Cursor, Drawing, FigureDrawing, FigureLook, Size, padded, said_number
from lab.tui.run_colours import run_colour

_SIZES = tuple(
    Size(*size)
    for size in (
        (190, 58), (150, 46), (120, 38), (92, 31), (92, 24), (76, 21), (76, 16), (60, 14), (46, 12), (34, 12), (26, 10)
    )
)  # fmt: skip
_HUES = (7, 1, 4, 9, 2, 10, 6, 0)
"""Of the palette of runs, those farthest from each other first."""
_NEIGHBOURS_DRAWN = 5
_NEAR = [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1), (2, 0), (-2, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)]
"""Where a label goes whose place is taken."""


class ScatterDrawing(FigureDrawing):
    """One scatter plot; its cursor goes from point to point."""

    def __init__(self, figure: Scatter) -> None:
        self.figure: Scatter = figure
        self._labels = [text.literal(label) for label in figure.labels]
        self._classes = list(dict.fromkeys(figure.classes))
        self._known = [
            place
            for place, (x, y) in enumerate(zip(figure.x, figure.y, strict=True))
            if x is not None and y is not None
        ]

    @property
    def extent(self) -> Cursor:
        """Its points are in one row."""
        return 1, len(self._labels)

    def start(self) -> Cursor:
        """The first point that has a place."""
        return 0, self._known[0] if self._known else 0

    def sizes(self, look: FigureLook, width: int) -> Sequence[Size]:
        """From what fills a screen to what is just readable."""
        return _SIZES

    def _place(self, point: int) -> tuple[float, float]:
        x, y = self.figure.x[point], self.figure.y[point]
        assert x is not None
        assert y is not None
        return x, y

    def moved(self, cursor: Cursor, right: int, down: int) -> Cursor:
        """The nearest point in that direction; several steps at once go as many points far."""
        point = self.within(cursor)[1]
        for _ in range(max(abs(right), abs(down))):
            point = self._next(point, (right > 0) - (right < 0), (down > 0) - (down < 0))
        return 0, point

    def _next(self, point: int, right: int, down: int) -> int:
        if point not in self._known:
            return self.start()[1]
        (low_x, high_x), (low_y, high_y) = self._spans()
        x, y = self._place(point)
        best, found = math.inf, point
        for other in self._known:
            other_x, other_y = self._place(other)
            across, up = (other_x - x) / (high_x - low_x), (other_y - y) / (high_y - low_y)
            ahead, aside = (across * right, up) if right else (-up * down, across)
            if ahead <= 0 or other == point:
                continue
            far = ahead + 2 * abs(aside)  # what lies ahead before what lies aside
            if far < best:
                best, found = far, other
        return found

    def _spans(self) -> tuple[tuple[float, float], tuple[float, float]]:
        places = [self._place(point) for point in self._known]
        spans = []
        for axis in (0, 1):
            low, high = min(place[axis] for place in places), max(place[axis] for place in places)
            spans.append((low, high) if high > low else (low - 1, high + 1))
        return spans[0], spans[1]

    # Drawing

    def draw(self, look: FigureLook, size: Size, cursor: Cursor | None) -> Drawing:
        """The points over the axes' names and the classes."""
        legend = self._legend(look, size.width)
        height = max(1, size.height - len(legend) - 1)
        if not self._known or size.width < 4:
            return Drawing([padded([Segment("no points", look.style("text-muted"))], size.width)])
        point = self.within(cursor)[1] if cursor is not None else None
        near = set(self.figure.neighbours[point][:_NEIGHBOURS_DRAWN]) if point is not None and self._neighbours else ()
        cells: dict[tuple[int, int], Segment] = {}
        spots: dict[tuple[int, int], Cursor] = {}
        for other in sorted(self._known, key=lambda each: (each != point, each not in near)):
            at = self._cell(other, size.width, height)
            label = text.clip(self._labels[other], max(1, size.width // 4))
            style = self._style(look, other, cursor=other == point, near=other in near)
            for across, down in _NEAR:
                column, row = min(max(0, at[0] + across), size.width - cell_len(label)), at[1] + down
                taken = [(column + i, row) for i in range(max(1, cell_len(label)))]
                if 0 <= row < height and not any(cell in cells for cell in taken):
                    cells.update({cell: Segment("") for cell in taken})
                    cells[taken[0]] = Segment(label, style)
                    spots.update(dict.fromkeys(taken, (0, other)))
                    break
        rows = [self._row(look, cells, y, size.width, height) for y in range(height)]
        arrows = (">", "^") if look.ascii_only else ("→", "↑")
        named = zip(arrows, (self.figure.x_name, self.figure.y_name), strict=True)
        names = "  ".join(f"{arrow} {text.literal(name)}" for arrow, name in named if name)
        axis = [Segment(names, look.style("text-muted"))]
        return Drawing([*rows, padded(axis, size.width), *legend], spots)

    @property
    def _neighbours(self) -> bool:
        return len(self.figure.neighbours) == len(self._labels)

    def _cell(self, point: int, width: int, height: int) -> tuple[int, int]:
        (low_x, high_x), (low_y, high_y) = self._spans()
        x, y = self._place(point)
        column = round((x - low_x) / (high_x - low_x) * (width - 1))
        return column, round((high_y - y) / (high_y - low_y) * (height - 1))

    def _row(self, look: FigureLook, cells: dict[tuple[int, int], Segment], y: int, width: int, height: int) -> Row:
        """One row: labels, and where the axes cross zero faint lines."""
        (low_x, high_x), (low_y, high_y) = self._spans()
        zero_x = round(-low_x / (high_x - low_x) * (width - 1)) if low_x < 0 < high_x else -1
        zero_y = round(high_y / (high_y - low_y) * (height - 1)) if low_y < 0 < high_y else -1
        across, down = ("-", "|") if look.ascii_only else ("┈", "┊")
        faint = look.style("border")
        row: Row = []
        for x in range(width):
            if (x, y) in cells:
                row.append(cells[x, y])
            elif y == zero_y or x == zero_x:
                row.append(Segment(across if y == zero_y else down, faint))
            else:
                row.append(Segment(" "))
        return row

    def _style(self, look: FigureLook, point: int, *, cursor: bool, near: bool) -> Style:
        if cursor:
            return look.cursor
        return Style(color=self._colour(look, self.figure.classes[point]), bold=near, underline=near)

    def _colour(self, look: FigureLook, name: str) -> str:
        place = self._classes.index(name)
        return run_colour(_HUES[place % len(_HUES)], dark=look.dark)

    def _legend(self, look: FigureLook, width: int) -> list[Row]:
        """The classes in their colours, in as many rows as they need."""
        rows: list[Row] = [[]]
        used = 0
        mark = "*" if look.ascii_only else "●"
        for name in self._classes:
            said = f"{mark} {text.literal(name)} {self.figure.classes.count(name)}  "
            if used and used + cell_len(said) > width:
                rows.append([])
                used = 0
            rows[-1].append(Segment(said, Style(color=self._colour(look, name))))
            used += cell_len(said)
        return [padded(row, width) for row in rows[:2]]

    # Reading

    def under(self, cursor: Cursor) -> Text:
        """The point with its class and place, and its neighbours with their distances, the nearest first."""
        if not self._labels:
            return Text()
        point = self.within(cursor)[1]
        figure = self.figure
        said = Text()
        said.append(self._labels[point], "bold")
        said.append(f" {text.literal(figure.classes[point])} · ")
        said.append(f"{said_number(figure.x[point])}, {said_number(figure.y[point])}")
        if self._neighbours:
            distances = figure.distances[point] if len(figure.distances) == len(self._labels) else ()
            near = [
                f"{self._labels[other]} {said_number(distances[i])}" if i < len(distances) else self._labels[other]
                for i, other in enumerate(figure.neighbours[point])
            ]
            said.append(f"\nnearest: {' · '.join(near)}")
        return said
