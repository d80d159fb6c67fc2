"""The figures of an inspection as one CSV table: a line for each number, with where it stands."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lab.inference.figures import Bars, Cell, Figure, Heatmap, Lines, Page, Prose, Scatter, Table, kind_of

COLUMNS = ("figure", "kind", "row", "column", "value")
"""`row` and `column` are labels; of a table, the line's number and the column's name. What is none is empty."""


def page_csv(page: Page) -> str:
    """Every figure of a page, one after another, in long form."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for figure in page.figures:
        for row, column, value in _CELLS[type(figure)](figure):
            writer.writerow((figure.title, kind_of(figure), row, column, "" if value is None else value))
    return file.getvalue()


_Cells = Iterator[tuple[Cell, Cell, Cell]]


def _heatmap(figure: Heatmap) -> _Cells:
    for i, row in enumerate(figure.rows):
        for j, column in enumerate(figure.columns):
            if figure.values[i][j] is not None:
                yield row, column, figure.values[i][j]
            if figure.texts:
                yield row, f"{column} text", figure.texts[i][j]


def _bars(figure: Bars) -> _Cells:
    for i, label in enumerate(figure.labels):
        yield label, "value", figure.values[i]
        if figure.lows:
            yield label, "low", figure.lows[i]
        if figure.highs:
            yield label, "high", figure.highs[i]


def _scatter(figure: Scatter) -> _Cells:
    for i, label in enumerate(figure.labels):
        yield label, "x", figure.x[i]
        yield label, "y", figure.y[i]
        yield label, "class", figure.classes[i]


def _lines(figure: Lines) -> _Cells:
    for name, series in zip(figure.names, figure.values, strict=True):
        for x, value in zip(figure.x, series, strict=True):
            yield x, name, value


def _table(figure: Table) -> _Cells:
    for i, row in enumerate(figure.rows, start=1):
        for column, cell in zip(figure.columns, row, strict=True):
            yield i, column, cell


def _prose(figure: Prose) -> _Cells:
    for i, passage in enumerate(figure.passages, start=1):
        yield i, "label", passage.label
        yield i, "value", passage.value
        yield i, "text", passage.text
        for place, shade in enumerate(passage.shades, start=1):
            yield i, f"character {place}", shade


_CELLS: Mapping[type[Figure], Callable[[Any], _Cells]] = {
    Heatmap: _heatmap,
    Bars: _bars,
    Scatter: _scatter,
    Lines: _lines,
    Table: _table,
    Prose: _prose,
}
