"""Passages of text as the model reads them, each character shaded by its number."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from lab import text
from lab.datasets.tokenizer import visible
from lab.inference.figures import Number, Passage, Prose
from lab.tui.chart_cells import Row
from lab.tui.figure_drawings.base import Cursor, Drawing, FigureDrawing, FigureLook, Size, padded, said_number
from lab.tui.figure_drawings.shades import Scale

_WIDTHS = (104, 84, 64, 48, 36)
_MARKED_FROM = 0.5
_BOLD_FROM = 0.8
"""Of the range: without colours, characters from here on are underlined, and then bold too."""

_Line = list[tuple[int, str]]
"""Characters with their places in the passage."""


class ProseDrawing(FigureDrawing):
    """Some passages under each other; the cursor goes through their characters."""

    def __init__(self, figure: Prose) -> None:
        self.figure: Prose = figure
        self._headed = any(passage.label or passage.value is not None for passage in figure.passages)

    @property
    def extent(self) -> Cursor:
        """A row a passage."""
        longest = max((len(passage.text) for passage in self.figure.passages), default=0)
        return len(self.figure.passages), longest

    def start(self) -> Cursor:
        """What the first passage is about."""
        passages = self.figure.passages
        return 0, (passages[0].mark or 0) if passages else 0

    def within(self, cursor: Cursor) -> Cursor:
        """The nearest character that there is."""
        passages = self.figure.passages
        row = min(max(cursor[0], 0), max(0, len(passages) - 1))
        length = len(passages[row].text) if passages else 0
        return row, min(max(cursor[1], 0), max(0, length - 1))

    def moved(self, cursor: Cursor, right: int, down: int) -> Cursor:
        """Through the characters; up and down to what another passage is about."""
        row, place = self.within(cursor)
        if down:
            other = self.within((row + down, 0))[0]
            mark = self.figure.passages[other].mark if self.figure.passages else None
            return (other, mark if mark is not None else 0) if other != row else (row, place)
        return self.within((row, place + right))

    def sizes(self, look: FigureLook, width: int) -> Sequence[Size]:
        """Narrower ones are higher."""
        fitting = [each for each in _WIDTHS if each <= width] or [width]
        return [Size(each, self._height(each)) for each in fitting]

    def _height(self, width: int) -> int:
        return sum(len(self._wrapped(passage, width)) + self._headed for passage in self.figure.passages)

    def draw(self, look: FigureLook, size: Size, cursor: Cursor | None) -> Drawing:
        """As many lines as there is room for, about the cursor."""
        lines: list[tuple[Row, dict[int, Cursor]]] = []
        cursor_line = 0
        for number, passage in enumerate(self.figure.passages):
            at = cursor[1] if cursor is not None and cursor[0] == number else None
            if self._headed:
                if at is not None:
                    cursor_line = len(lines)
                lines.append((self._heading(look, passage, chosen=at is not None), {}))
            for line in self._wrapped(passage, size.width):
                if at is not None and any(place == at for place, _ in line):
                    cursor_line = len(lines)
                lines.append(self._line(look, passage, number, line, at))
        top = min(max(0, cursor_line - size.height // 2), max(0, len(lines) - size.height))
        shown = lines[top : top + size.height]
        spots = {(x, y): at for y, (_, places) in enumerate(shown) for x, at in places.items()}
        return Drawing([padded(row, size.width) for row, _ in shown], spots)

    def _heading(self, look: FigureLook, passage: Passage, *, chosen: bool) -> Row:
        value = f" {said_number(passage.value)}" if passage.value is not None else ""
        unit = f" {text.literal(self.figure.unit)}" if self.figure.unit and value else ""
        style = look.style("accent", bold=True) if chosen else look.style("text-muted")
        return [Segment(f"{text.literal(passage.label)}{value}{unit}".strip(), style)]

    def _wrapped(self, passage: Passage, width: int) -> list[_Line]:
        """A passage in lines of so many cells; a newline is seen, and is one."""
        lines: list[_Line] = [[]]
        used = 0
        for place, character in enumerate(passage.text):
            shown = visible(character) if character == "\n" else text.literal(character)
            if used + cell_len(shown) > width:
                lines.append([])
                used = 0
            lines[-1].append((place, shown))
            used += cell_len(shown)
            if character == "\n" and place + 1 < len(passage.text):
                lines.append([])
                used = 0
        return lines

    def _line(
        self, look: FigureLook, passage: Passage, number: int, line: _Line, at: int | None
    ) -> tuple[Row, dict[int, Cursor]]:
        scale = Scale(look, self.figure.low, self.figure.high)
        row: Row = []
        places: dict[int, Cursor] = {}
        x = 0
        for place, shown in line:
            shade = passage.shades[place] if place < len(passage.shades) else None
            style = look.cursor if place == at else self._style(look, scale, shade, marked=place == passage.mark)
            row.append(Segment(shown, style))
            places.update({x + i: (number, place) for i in range(cell_len(shown))})
            x += cell_len(shown)
        return row, places

    def _style(self, look: FigureLook, scale: Scale, shade: Number, *, marked: bool) -> Style:
        style = Style()
        if shade is not None:
            share = scale.share(shade)
            without = Style(underline=share >= _MARKED_FROM, bold=share >= _BOLD_FROM)
            style = without if look.in_characters else scale.style(shade)
        return style + Style(bold=True, underline=True) if marked else style

    def under(self, cursor: Cursor) -> Text:
        """The character, its number, and its passage."""
        if not self.figure.passages:
            return Text()
        row, place = self.within(cursor)
        passage = self.figure.passages[row]
        said = Text(text.literal(passage.label))
        if place < len(passage.text):
            said.append(" · " if said else "")
            said.append(visible(passage.text[place]), "bold")
        if place < len(passage.shades):
            said.append(f" {said_number(passage.shades[place])} {text.literal(self.figure.unit)}".rstrip(), "bold")
        return said
