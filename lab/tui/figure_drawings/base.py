"""What every kind of figure can do on the screen: be drawn in some cells, and be read with a cursor."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from lab import text
from lab.inference.figures import Figure, Number
from lab.tui.chart_cells import Row
from lab.tui.marker_style import MarkerStyle
from lab.tui.theme import blend

_FAINT_CURSOR = 0.5

Cursor = tuple[int, int]
"""A place in a figure by row and column, or by what stands for them."""


@dataclass(frozen=True)
class Size:
    """So many cells."""

    width: int
    height: int

    def fits(self, width: int, height: int) -> bool:
        """Whether there is room for it."""
        return self.width <= width and self.height <= height


@dataclass(frozen=True)
class FigureLook:
    """What a drawing depends on beside its figure; `colours` are the theme's, by name."""

    colours: Mapping[str, str] = field(default_factory=dict)
    dark: bool = True
    marker: MarkerStyle = "braille"
    colour_system: str | None = "truecolor"
    """What the terminal makes of colours, as Rich calls it; None for no colours at all."""
    focused: bool = True
    """Whether the keys move the cursor: else it is fainter."""

    @property
    def ascii_only(self) -> bool:
        """Whether nothing but ASCII can be drawn."""
        return self.marker == "ascii"

    @property
    def in_characters(self) -> bool:
        """Whether shades must be characters, since the terminal has too few colours for them."""
        return self.colour_system not in ("truecolor", "256")

    def colour(self, name: str) -> str:
        """A colour of the theme."""
        return self.colours.get(name, "default")

    def style(self, name: str, *, bold: bool = False) -> Style:
        """A style with a colour of the theme."""
        return _style(self.colour(name), bold)

    @property
    def cursor(self) -> Style:
        """How what is under the cursor stands out, in colours and without."""
        share = 1.0 if self.focused else _FAINT_CURSOR
        return _cursor_style(self.colour("accent"), self.colour("background"), share, self.colour_system is None)

    @property
    def cursor_row(self) -> Style:
        """How the row under the cursor stands out."""
        if self.colour_system is None:
            return Style(reverse=True) if self.focused else Style(underline=True)
        if self.in_characters:
            return Style(reverse=True)
        share = 0.32 if self.focused else 0.16
        return Style(
            color=self.colour("foreground"), bgcolor=blend(self.colour("primary"), self.colour("background"), share)
        )


@lru_cache(maxsize=256)
def _style(colour: str, bold: bool) -> Style:
    return Style(color=colour, bold=bold)


@lru_cache(maxsize=64)
def _cursor_style(accent: str, background: str, share: float, plain: bool) -> Style:
    if plain:
        return Style(reverse=True, bold=True)
    return Style(color=background, bgcolor=blend(accent, background, share), bold=True)


@dataclass(frozen=True, eq=False)
class Drawing:
    """Rows of equal width, and which place of the figure is where: `spots[(x, y)]`, by cells of the drawing."""

    rows: list[Row]
    spots: Mapping[tuple[int, int], Cursor] = field(default_factory=dict)


class FigureDrawing(ABC):
    """One figure. It knows in which sizes it can be drawn, draws itself, and says what is under a cursor."""

    figure: Figure
    gives_way: ClassVar[bool] = False
    """Whether it is as good when it is narrow, and so makes room for others beside it."""

    @abstractmethod
    def sizes(self, look: FigureLook, width: int) -> Sequence[Size]:
        """Sizes that it looks well in, the largest first; drawn in less room, it shows what is about the cursor."""

    @abstractmethod
    def draw(self, look: FigureLook, size: Size, cursor: Cursor | None) -> Drawing:
        """The figure in so many cells; the cursor is None where another figure has it."""

    @property
    @abstractmethod
    def extent(self) -> Cursor:
        """How many rows and columns a cursor can be in."""

    @abstractmethod
    def under(self, cursor: Cursor) -> Text:
        """What is under the cursor, with its numbers."""

    def start(self) -> Cursor:
        """Where the cursor is at first."""
        return 0, 0

    def moved(self, cursor: Cursor, right: int, down: int) -> Cursor:
        """The cursor after it has moved, as far as the figure goes."""
        return self.within((cursor[0] + down, cursor[1] + right))

    def within(self, cursor: Cursor) -> Cursor:
        """The nearest place that there is."""
        rows, columns = self.extent
        return min(max(cursor[0], 0), max(0, rows - 1)), min(max(cursor[1], 0), max(0, columns - 1))


def window(place: int, shown: int, count: int) -> int:
    """The first of so many places that are shown around one of them."""
    return min(max(place - shown // 2, 0), max(0, count - shown))


def padded(row: Row, width: int) -> Row:
    """A row of exactly so many cells."""
    used = sum(cell_len(segment.text) for segment in row)
    if used <= width:
        return [*row, Segment(" " * (width - used))] if used < width else row
    return list(Segment.adjust_line_length(row, width))


def clipped(said: str, width: int) -> str:
    """A text of exactly so many cells."""
    shown = text.clip(said, width)
    return shown + " " * (width - cell_len(shown))


def said_number(value: Number) -> str:
    """A number as it stands beside its name: four digits, counts whole."""
    if value is None or not math.isfinite(value):
        return text.NOTHING
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}".replace("-", "−")
    size = abs(value)
    said = f"{value:.4f}" if 1e-3 <= size < 10 else f"{value:,.4g}" if size < 1e6 and size >= 10 else f"{value:.3g}"
    return said.replace("-", "−") if "e" not in said else said.replace("-", "−", 1) if value < 0 else said


def said_column(values: Sequence[Number]) -> list[str]:
    """Numbers that stand under each other: with the same decimals, as many as the largest of them needs."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    most = max((abs(value) for value in known), default=0.0)
    if all(float(value).is_integer() for value in known) or most >= 1e4:
        return [said_number(value) for value in values]
    decimals = 4 if most < 10 else 2 if most < 1000 else 1
    return [_fixed(value, decimals) for value in values]


def _fixed(value: Number, decimals: int) -> str:
    if value is None or not math.isfinite(value):
        return text.NOTHING
    if 0 < abs(value) < 0.5 * 10.0**-decimals:
        return f"{value:.0e}".replace("-", "−", 1) if value < 0 else f"{value:.0e}"
    return f"{value:,.{decimals}f}".replace("-", "−")


def short_number(value: Number, width: int) -> str:
    """A number in at most so many cells, without the zero before its point; empty where that says nothing."""
    if value is None or not math.isfinite(value):
        return ""
    size = abs(value)
    if float(value).is_integer() and size >= 1:
        said = f"{value:.0f}" if size < 10_000 else text.si(value)
    elif size >= 1000:
        said = text.si(value)
    else:
        whole = 0 if size < 1 else len(f"{int(size)}")
        decimals = max(0, min(2, width - whole - 1 - (value < 0)))
        said = f"{value:.{decimals}f}"
        said = said.replace("0.", ".", 1) if size < 1 and "." in said else said
    said = said.replace("-", "−")
    return said if len(said) <= width else ""
