"""What an inspection answers with: a page of figures, of a few kinds that every view is made of. No torch, no numpy.

A view computes; a figure is only what is to be drawn, as plain numbers and texts. So each kind is drawn once, as text,
SVG and CSV (`reports/figure_text.py`, `figure_svg.py`, `figure_csv.py`) and on the screen, and a new view needs none of
these to be touched. Texts are data: whatever shows them goes through `literal`. Characters of a
vocabulary come as `visible` writes them (␣, ⏎). A number that is none (masked, NaN, infinite) is None.

A figure with the same `group` as its neighbours belongs beside them (the heads of a layer, two runs).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Number = float | None
Cell = str | int | float | None

DIGITS = 6
"""Significant digits of a number that is sent, stored and written: more than fp32 computes reliably."""


@dataclass(frozen=True)
class Heatmap:
    """A number in each cell, shaded from `low` to `high`; `values[row][column]`, None where there is none (masked).

    `diverging` is for numbers on both sides of zero: low = −high, and zero is blank. `texts` are written into the
    cells (the predicted character), empty where there are none.
    """

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[Number, ...], ...]
    low: float
    high: float
    row_name: str = ""
    column_name: str = ""
    unit: str = ""
    diverging: bool = False
    lower_triangular: bool = False
    texts: tuple[tuple[str, ...], ...] = ()
    group: str = ""


@dataclass(frozen=True)
class Bars:
    """A bar a label, from `reference` (or zero) to its value, with an interval where `lows` and `highs` are given."""

    title: str
    labels: tuple[str, ...]
    values: tuple[Number, ...]
    lows: tuple[Number, ...] = ()
    highs: tuple[Number, ...] = ()
    reference: Number = None
    reference_name: str = ""
    unit: str = ""
    group: str = ""


@dataclass(frozen=True)
class Scatter:
    """Labelled points in the plane, each of a class that gives it its colour.

    `neighbours` are, for each point, the nearest others by place, the nearest first, with `distances` in the space
    that the points come from, which may have more dimensions than two.
    """

    title: str
    labels: tuple[str, ...]
    x: tuple[Number, ...]
    y: tuple[Number, ...]
    classes: tuple[str, ...]
    x_name: str = ""
    y_name: str = ""
    neighbours: tuple[tuple[int, ...], ...] = ()
    distances: tuple[tuple[Number, ...], ...] = ()
    group: str = ""


@dataclass(frozen=True)
class Lines:
    """Curves over one axis: `values[i]` are those of `names[i]`, as many as `x`. `reference` is a level across."""

    title: str
    names: tuple[str, ...]
    x: tuple[float, ...]
    values: tuple[tuple[Number, ...], ...]
    x_name: str = ""
    y_name: str = ""
    log_x: bool = False
    log_y: bool = False
    reference: Number = None
    reference_name: str = ""
    group: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of texts and numbers. `depths`, where given, indents the first column: a tree."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    depths: tuple[int, ...] = ()
    group: str = ""


@dataclass(frozen=True)
class Passage:
    """A stretch of text as the model reads it, newlines included.

    `shades` are a number for each character (its loss), empty where there are none; `mark` is the place of the one that
    it is about.
    """

    text: str
    label: str = ""
    value: Number = None
    shades: tuple[Number, ...] = ()
    mark: int | None = None


@dataclass(frozen=True)
class Prose:
    """Passages of text, shaded from `low` to `high` where they have shades."""

    title: str
    passages: tuple[Passage, ...]
    low: float = 0.0
    high: float = 1.0
    unit: str = ""
    group: str = ""


Figure = Heatmap | Bars | Scatter | Lines | Table | Prose

KINDS: Mapping[str, type[Figure]] = {
    "heatmap": Heatmap,
    "bars": Bars,
    "scatter": Scatter,
    "lines": Lines,
    "table": Table,
    "prose": Prose,
}
_NAMES = {kind: name for name, kind in KINDS.items()}


@dataclass(frozen=True)
class Choice:
    """An option that can be set otherwise on this page, and what to: `values` in order, "" for none in particular."""

    option: str
    values: tuple[str, ...]
    chosen: str = ""


@dataclass(frozen=True)
class Page:
    """One view of one run at one checkpoint. `step` is None where no checkpoint was needed.

    `look_at` says in two sentences what to look at; `notes` what was cut, left out or must be known.
    """

    view: str
    title: str
    look_at: str
    figures: tuple[Figure, ...]
    notes: tuple[str, ...] = ()
    choices: tuple[Choice, ...] = ()
    run_id: str = ""
    run_name: str = ""
    step: int | None = None


def kind_of(figure: Figure) -> str:
    """A figure's kind by name, as JSON and CSV have it."""
    return _NAMES[type(figure)]


def number(value: float) -> Number:
    """A number as a figure holds it: rounded to what means something, None where it is NaN or infinite."""
    value = float(value)
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


def numbers(values: Iterable[float]) -> tuple[Number, ...]:
    """A row of numbers as a figure holds them."""
    return tuple(number(value) for value in values)


def grid(rows: Iterable[Iterable[float]]) -> tuple[tuple[Number, ...], ...]:
    """Rows of numbers as a heat map holds them."""
    return tuple(numbers(row) for row in rows)


def extent(values: Iterable[Number]) -> tuple[float, float]:
    """The least and the largest of the numbers that are any; 0 and 1 where none is."""
    known = [value for value in values if value is not None]
    return (min(known), max(known)) if known else (0.0, 1.0)


def page_document(page: Page) -> dict[str, Any]:
    """A page as JSON values; `page_of` reads it back. What is masked at the end of a heat map's row is left out."""
    document = _fields(page)
    document["figures"] = [_figure_document(figure) for figure in page.figures]
    document["choices"] = [_fields(choice) for choice in page.choices]
    return document


def page_of(document: Mapping[str, Any]) -> Page:
    """The page that JSON values describe. Raises `KeyError` or `TypeError` where they describe none."""
    values = dict(document)
    figures = tuple(_figure_of(each) for each in values.pop("figures"))
    choices = tuple(Choice(**_frozen(each)) for each in values.pop("choices", ()))
    return Page(**_frozen(values), figures=figures, choices=choices)


def _figure_document(figure: Figure) -> dict[str, Any]:
    document = {"kind": kind_of(figure)} | _fields(figure)
    if isinstance(figure, Heatmap):
        document["values"] = [_without_masked_end(row) for row in figure.values]
    if isinstance(figure, Prose):
        document["passages"] = [_fields(passage) for passage in figure.passages]
    return document


def _figure_of(document: Mapping[str, Any]) -> Figure:
    values = dict(document)
    kind = KINDS[values.pop("kind")]
    if kind is Prose:
        values["passages"] = [Passage(**_frozen(each)) for each in values["passages"]]
    if kind is Heatmap:
        width = len(values["columns"])
        values["values"] = [(*row, *[None] * (width - len(row))) for row in values["values"]]
    return kind(**_frozen(values))


def _fields(thing: Page | Figure | Choice | Passage) -> dict[str, Any]:
    """The fields alone, not copied: a page may hold a million numbers."""
    return {field.name: getattr(thing, field.name) for field in dataclasses.fields(thing)}


def _without_masked_end(row: tuple[Number, ...]) -> tuple[Number, ...]:
    end = len(row)
    while end and row[end - 1] is None:
        end -= 1
    return row[:end]


def _frozen(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _tuples(value) for name, value in values.items()}


def _tuples(value: object) -> object:
    """Lists as the tuples they were, however deep."""
    if isinstance(value, list | tuple):
        return tuple(_tuples(each) for each in value)
    return value
