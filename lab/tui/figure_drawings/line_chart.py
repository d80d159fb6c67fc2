"""Curves over one axis, drawn as every chart of lab is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.text import Text

from lab import text
from lab.inference.figures import Lines
from lab.tui.chart_content import ChartContent, Line, Palette, Reference
from lab.tui.chart_frame import render_chart
from lab.tui.figure_drawings.base import Cursor, Drawing, FigureDrawing, FigureLook, Size, padded, said_number
from lab.tui.run_colours import run_colour

_SIZES = (Size(150, 40), Size(120, 32), Size(100, 26), Size(80, 20), Size(60, 15), Size(44, 11), Size(34, 9))
_HUES = (7, 1, 4, 9, 2, 10, 6, 0)


class LineDrawing(FigureDrawing):
    """One chart of curves; its cursor goes along the axis."""

    gives_way = True

    def __init__(self, figure: Lines) -> None:
        self.figure: Lines = figure
        self._x = np.array(figure.x, dtype=float)
        self._values = [np.array([np.nan if y is None else y for y in values], dtype=float) for values in figure.values]

    @property
    def extent(self) -> Cursor:
        """A column a place on the axis."""
        return 1, len(self._x)

    def sizes(self, look: FigureLook, width: int) -> Sequence[Size]:
        """From what fills a screen to what is just readable."""
        return _SIZES

    def draw(self, look: FigureLook, size: Size, cursor: Cursor | None) -> Drawing:
        """The curves with their axes; at the cursor their values."""
        figure = self.figure
        lines = [
            _line(self._x, values, text.literal(name), run_colour(_HUES[i % len(_HUES)], dark=look.dark))
            for i, (name, values) in enumerate(zip(figure.names, self._values, strict=True))
        ]
        references = []
        if figure.reference is not None:
            references = [Reference(text.literal(figure.reference_name), figure.reference)]
        at = float(self._x[self.within(cursor)[1]]) if cursor is not None and len(self._x) else None
        content = ChartContent(
            (), lines, references, x_name=text.literal(figure.x_name), y_name=text.literal(figure.y_name),
            log_x=figure.log_x, log_y=figure.log_y, whole_range=True, cursor=at, say=said_number,
            nothing="nothing that could be drawn",
        )  # fmt: skip
        palette = Palette(
            look.colour("border"), look.colour("text-muted"), look.colour("secondary"), look.colour("background"),
            look.colour("foreground"), look.marker, look.colour_system,
        )  # fmt: skip
        rows = [padded(row, size.width) for row in render_chart(content, palette, size.width, size.height)]
        return Drawing(rows)

    def under(self, cursor: Cursor) -> Text:
        """The place on the axis, and every curve's value there."""
        if not len(self._x):
            return Text()
        place = self.within(cursor)[1]
        said = Text(f"{text.literal(self.figure.x_name)} ")
        said.append(said_number(float(self._x[place])), "bold")
        for name, values in zip(self.figure.names, self._values, strict=True):
            said.append(f" · {text.literal(name)} ")
            said.append(said_number(float(values[place])), "bold")
        return said


def _line(x: np.ndarray, y: np.ndarray, name: str, colour: str) -> Line:
    return Line(x, y, colour, name, name=name)
