"""Bars with their labels, numbers and intervals; long charts scroll with the cursor."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from lab import text
from lab.inference.figures import Bars, Number
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
    said_number,
    window,
)
from lab.tui.theme import blend

LONGEST_LABEL = 28
_WIDTHS = (84, 64, 48, 36)
_EIGHTHS = "▏▎▍▌▋▊▉"


class BarDrawing(FigureDrawing):
    """One chart of bars, from a reference (or zero) to each value."""

    gives_way = True

    def __init__(self, figure: Bars) -> None:
        self.figure: Bars = figure
        self._labels = [text.literal(label) for label in figure.labels]
        self._numbers = said_column(figure.values)
        self._intervals = len(figure.lows) == len(figure.values) == len(figure.highs) and bool(figure.lows)
        self._base = figure.reference if figure.reference is not None else 0.0
        ends = [value for value in (*figure.values, *figure.lows, *figure.highs) if value is not None]
        self._low, self._high = min([self._base, *ends]), max([self._base, *ends])

    @property
    def extent(self) -> Cursor:
        """A row a bar."""
        return len(self._labels), 1

    def sizes(self, look: FigureLook, width: int) -> Sequence[Size]:
        """A row a bar, and one for what they start from."""
        return [Size(each, len(self._labels) + self._heading) for each in _WIDTHS]

    @property
    def _heading(self) -> int:
        return 1 if self.figure.reference is not None or self.figure.unit else 0

    def draw(self, look: FigureLook, size: Size, cursor: Cursor | None) -> Drawing:
        """Label, bar and number in each row."""
        label_width = min(LONGEST_LABEL, size.width // 2, max((cell_len(label) for label in self._labels), default=0))
        number_width = max((len(number) for number in self._numbers), default=0)
        columns = max(1, size.width - label_width - number_width - 3)
        shown = min(len(self._labels), max(1, size.height - self._heading))
        top = window(cursor[0], shown, len(self._labels)) if cursor is not None else 0
        rows: list[Row] = [self._head(look, label_width, size.width)] if self._heading else []
        spots: dict[tuple[int, int], Cursor] = {}
        for place in range(top, top + shown):
            chosen = cursor is not None and cursor[0] == place
            spots.update({(x, len(rows)): (place, 0) for x in range(size.width)})
            label = clipped(self._labels[place], label_width)
            number = f" {self._numbers[place]:>{number_width}}"
            row = [
                Segment(f"{label} ", look.cursor_row if chosen else look.style("foreground")),
                *self._bar(look, place, columns),
                Segment(number, look.cursor_row if chosen else look.style("text-muted")),
            ]
            rows.append(padded(row, size.width))
        return Drawing(rows, spots)

    def _head(self, look: FigureLook, label_width: int, width: int) -> Row:
        """What the bars start from, and their unit."""
        figure = self.figure
        parts = []
        if figure.reference is not None:
            name = text.literal(figure.reference_name or "the reference")
            parts.append(f"from {name} {said_number(figure.reference)}")
        if figure.unit:
            parts.append(text.literal(figure.unit))
        said = ", ".join(reversed(parts))
        start = min(label_width + 1, max(0, width - cell_len(said)))
        return padded([Segment(" " * start), Segment(text.clip(said, width), look.style("text-muted"))], width)

    def _column(self, value: float, columns: int) -> float:
        """Where a value lies, in columns from the left, with parts of one."""
        span = self._high - self._low
        return (value - self._low) / span * columns if span > 0 else 0.0

    def _bar(self, look: FigureLook, place: int, columns: int) -> Row:
        value = self.figure.values[place]
        if value is None:
            return [Segment(" " * columns)]
        base, end = self._column(self._base, columns), self._column(value, columns)
        colour = look.colour("primary") if value >= self._base else look.colour("accent")
        characters = _filled(min(base, end), max(base, end), columns, ascii_only=look.ascii_only)
        styles = [Style(color=colour)] * columns
        if self._intervals:
            self._draw_interval(look, place, columns, characters, styles, colour)
        row: Row = []
        for character, style in zip(characters, styles, strict=True):
            row.append(Segment(character, style))
        return row

    def _draw_interval(
        self, look: FigureLook, place: int, columns: int, characters: list[str], styles: list[Style], colour: str
    ) -> None:
        """A line from the interval's low end to its high end, over the bar."""
        low, high = self.figure.lows[place], self.figure.highs[place]
        if low is None or high is None:
            return
        first = min(columns - 1, int(self._column(low, columns)))
        last = min(columns - 1, int(self._column(high, columns)))
        left, line, right = ("|", "-", "|") if look.ascii_only else ("├", "─", "┤")
        for column in range(first, last + 1):
            on_bar = characters[column] not in " "
            characters[column] = left if column == first else right if column == last else line
            if first == last:
                characters[column] = "|" if look.ascii_only else "┼"
            back = None
            if on_bar and not look.in_characters:
                back = blend(colour, look.colour("background"), 0.55)
            styles[column] = Style(color=look.colour("foreground"), bgcolor=back, reverse=on_bar and back is None)

    def under(self, cursor: Cursor) -> Text:
        """The label in full, its number, its interval, and how far it is from the reference."""
        if not self._labels:
            return Text()
        place = self.within(cursor)[0]
        figure = self.figure
        said = Text()
        said.append(self._labels[place], "bold")
        said.append(" · ")
        said.append(self._numbers[place], "bold")
        said.append(f" {text.literal(figure.unit)}" if figure.unit else "")
        if self._intervals:
            said.append(f" · interval {said_number(figure.lows[place])} to {said_number(figure.highs[place])}")
        value = figure.values[place]
        if figure.reference is not None and value is not None:
            name = text.literal(figure.reference_name or "the reference")
            said.append(f"\n{_signed(value - figure.reference)} against {name} {said_number(figure.reference)}")
        return said


def _signed(value: Number) -> str:
    said = said_number(value)
    return said if value is None or value < 0 else f"+{said}"


def _filled(start: float, end: float, columns: int, *, ascii_only: bool) -> list[str]:
    """The cells from one place to another, the last one to its eighth; nothing but a mark where both are one."""
    characters = [" "] * columns
    first, last = round(start), end
    if ascii_only:
        for column in range(first, min(columns, max(first + 1, round(last)))):
            characters[column] = "#"
        return characters
    whole = min(columns, int(last))
    for column in range(first, whole):
        characters[column] = "█"
    eighths = int((last - whole) * 8)
    if whole < columns and (eighths or whole <= first):
        characters[max(whole, min(first, columns - 1))] = _EIGHTHS[max(0, eighths - 1)]
    return characters
