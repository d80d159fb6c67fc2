"""Which drawing each kind of figure has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lab.inference.figures import Bars, Figure, Heatmap, Lines, Prose, Scatter, Table
from lab.tui.figure_drawings.bar_chart import BarDrawing
from lab.tui.figure_drawings.base import FigureDrawing
from lab.tui.figure_drawings.heat_map import HeatMapDrawing
from lab.tui.figure_drawings.line_chart import LineDrawing
from lab.tui.figure_drawings.prose import ProseDrawing
from lab.tui.figure_drawings.scatter import ScatterDrawing
from lab.tui.figure_drawings.table import TableDrawing

_DRAWINGS: Mapping[type[Figure], Callable[[Any], FigureDrawing]] = {
    Heatmap: HeatMapDrawing,
    Bars: BarDrawing,
    Scatter: ScatterDrawing,
    Lines: LineDrawing,
    Table: TableDrawing,
    Prose: ProseDrawing,
}


def drawing_of(figure: Figure) -> FigureDrawing:
    """The drawing of a figure."""
    return _DRAWINGS[type(figure)](figure)
