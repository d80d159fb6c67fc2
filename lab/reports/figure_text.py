"""The figures of an inspection as plain text, for a terminal or a pipe: shades for heat maps, blocks for bars."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.inference.figures import Bars, Cell, Figure, Heatmap, Lines, Number, Page, Passage, Prose, Scatter, Table
from lab.text import NOTHING, clip, literal

MOST_ROWS = 70
"""Of a table or of bars; CSV and JSON have all of them."""
_GAP = "   "
_LONGEST_LABEL = 28
_LONGEST_BAR = 60
_WIDEST_PROSE = 110
_SCATTER_ROWS = 26
_LINE_ROWS = 24


@dataclass(frozen=True)
class Ink:
    """What shades, bars and heights are drawn with, from nothing to all."""

    shades: str = " ░▒▓█"
    below: str = " ·-=≡"
    heights: str = " ▁▂▃▄▅▆▇█"
    bar: str = "█"
    negative: str = "░"


PLAIN = Ink(" .:*#", " '-=%", " .,:;ox%#", "#", "-")
"""For terminals without block characters."""


def page_lines(page: Page, width: int = 100, ink: Ink | None = None) -> list[str]:
    """A page as lines of at most so many cells (labels of words and characters permitting), texts shown literally."""
    ink = ink or Ink()
    lines = [literal(page.title), ""]
    lines += textwrap.wrap(page.look_at, min(width, _WIDEST_PROSE))
    for note in page.notes:
        lines += textwrap.wrap(literal(note), min(width, _WIDEST_PROSE), initial_indent="· ", subsequent_indent="  ")
    for together in _side_by_side(page.figures):
        lines.append("")
        if len(together) == 1:
            lines += figure_lines(together[0], width, ink)
        else:  # one legend for all of them
            lines += _joined([figure_lines(figure, width, ink)[:-1] for figure in together], width)
            lines += figure_lines(together[0], width, ink)[-1:]
    return lines


def figure_lines(figure: Figure, width: int = 100, ink: Ink | None = None) -> list[str]:
    """One figure as lines, its title first."""
    drawn = _DRAWERS[type(figure)](figure, width, ink or Ink())
    return [literal(figure.title), *drawn]


def shown_number(value: Number | int) -> str:
    """A number with four digits that mean something."""
    if value is None:
        return NOTHING
    if isinstance(value, int):
        return f"{value:,}"
    if value and (abs(value) < 1e-3 or abs(value) >= 1e6):
        return f"{value:.2e}"
    return f"{value:.4g}" if abs(value) >= 1000 else f"{value:.{max(0, 3 - max(0, _magnitude(value)))}f}"


def _magnitude(value: float) -> int:
    return math.floor(math.log10(abs(value))) if value else 0


def _side_by_side(figures: Sequence[Figure]) -> Iterable[list[Figure]]:
    """Heat maps of a group together, everything else by itself."""
    together: list[Figure] = []
    for figure in figures:
        alike = together and figure.group and figure.group == together[-1].group
        if not (alike and isinstance(figure, Heatmap) and isinstance(together[-1], Heatmap)):
            if together:
                yield together
            together = []
        together.append(figure)
    if together:
        yield together


def _joined(blocks: Sequence[list[str]], width: int) -> list[str]:
    """Blocks of lines beside each other as far as there is room, then below."""
    rows: list[list[list[str]]] = [[]]
    used = 0
    for block in blocks:
        wide = max((len(line) for line in block), default=0)
        if rows[-1] and used + wide > width:
            rows.append([])
            used = 0
        rows[-1].append([line.ljust(wide) for line in block])
        used += wide + len(_GAP)
    lines: list[str] = []
    for i, row in enumerate(rows):
        tall = max((len(block) for block in row), default=0)
        padded = [block + [" " * len(block[0])] * (tall - len(block)) for block in row if block]
        lines += [""] if i else []
        lines += [_GAP.join(parts).rstrip() for parts in zip(*padded, strict=True)]
    return lines


# Heat maps


def _heatmap(figure: Heatmap, width: int, ink: Ink) -> list[str]:
    rows = [clip(literal(label), 12) for label in figure.rows]
    gutter = max(map(len, rows), default=0)
    cell = 2 if figure.texts else 1
    fit = max(1, (width - gutter - 1) // cell)
    columns = [literal(label) for label in figure.columns[:fit]]
    lines = [" " * (gutter + 1) + line for line in _column_labels(columns, cell)]
    for i, label in enumerate(rows):
        cells = []
        for j in range(len(columns)):
            shade = _shade(figure, figure.values[i][j], ink)
            cells.append((literal(figure.texts[i][j])[:1] if figure.texts else "") + shade)
        lines.append(f"{label:>{gutter}} " + "".join(cells))
    lines.append(f"{'':{gutter}} {_legend(figure, ink)}")
    if len(figure.columns) > fit:
        lines.append(f"{'':{gutter}} … and {len(figure.columns) - fit:,} more columns")
    return [line.rstrip() for line in lines]


def _column_labels(columns: Sequence[str], cell: int) -> list[str]:
    """Labels over their columns, written downwards where they are longer than one character."""
    tall = min(4, max(map(len, columns), default=0))
    padded = [column[-tall:].rjust(tall) for column in columns]
    return ["".join(column[i].ljust(cell) for column in padded) for i in range(tall)]


def _shade(figure: Heatmap, value: Number, ink: Ink) -> str:
    """The root makes small values visible, as in the SVG."""
    if value is None:
        return " "
    if figure.diverging:
        bound = max(abs(figure.low), abs(figure.high)) or 1.0
        scale = ink.shades if value >= 0 else ink.below
        return scale[_level(math.sqrt(abs(value) / bound), len(scale))]
    share = max(0.0, (value - figure.low) / ((figure.high - figure.low) or 1.0))
    return ink.shades[_level(math.sqrt(share), len(ink.shades))]


def _level(share: float, levels: int) -> int:
    return min(levels - 1, max(0, round(share * (levels - 1))))


def _legend(figure: Heatmap, ink: Ink) -> str:
    named = f"{figure.row_name} ↓ {figure.column_name} →  " if figure.row_name and figure.column_name else ""
    low = f"{ink.below[-1]} {shown_number(figure.low)}  " if figure.diverging else f"blank {shown_number(figure.low)}  "
    return f"{named}{low}{ink.shades[-1]} {shown_number(figure.high)} {figure.unit}".rstrip()


# Bars, lines, points


def _bars(figure: Bars, width: int, ink: Ink) -> list[str]:
    labels = [clip(literal(label), _LONGEST_LABEL) for label in figure.labels[:MOST_ROWS]]
    gutter = max(map(len, labels), default=0)
    texts = [_bar_text(figure, i) for i in range(len(labels))]
    wide = max(map(len, texts), default=0)
    room = max(8, min(_LONGEST_BAR, width - gutter - wide - 4))
    largest = max((abs(value) for value in figure.values if value is not None), default=0.0) or 1.0
    lines = []
    for i, label in enumerate(labels):
        value = figure.values[i] or 0.0
        drawn = (ink.bar if value >= 0 else ink.negative) * round(abs(value) / largest * room)
        lines.append(f"{label:>{gutter}}  {texts[i]:>{wide}}  {drawn}".rstrip())
    if figure.reference is not None and figure.reference_name:
        lines.append(f"{'':{gutter}}  {shown_number(figure.reference)} {figure.reference_name}")
    return lines + _more(len(figure.labels))


def _bar_text(figure: Bars, i: int) -> str:
    text = shown_number(figure.values[i])
    if figure.lows and figure.highs and None not in (figure.lows[i], figure.highs[i]):
        text += f" ±{shown_number((figure.highs[i] - figure.lows[i]) / 2)}"  # type: ignore[operator]
    return text


def _more(count: int) -> list[str]:
    return [f"… and {count - MOST_ROWS:,} more: --json or --to FILE.csv has all"] if count > MOST_ROWS else []


def _lines(figure: Lines, width: int, ink: Ink) -> list[str]:
    """Curves as a table, at most some two dozen of their points, each beside a bar of its height."""
    count = len(figure.x)
    places = range(count) if count <= _LINE_ROWS else [i * (count - 1) // (_LINE_ROWS - 1) for i in range(_LINE_ROWS)]
    columns = (figure.x_name or "x", *figure.names)
    rows = [(f"{figure.x[i]:g}", *(shown_number(series[i]) for series in figure.values)) for i in places]
    lines = _aligned(columns, rows, [True] * len(columns))
    if figure.reference is not None and figure.reference_name:
        lines.append(f"{shown_number(figure.reference)} {figure.reference_name}")
    return lines


def _scatter(figure: Scatter, width: int, ink: Ink) -> list[str]:
    """Labels at their places; where two would stand on each other, the later one is moved aside, or listed."""
    wide = min(width, 78)
    places = enumerate(zip(figure.x, figure.y, strict=True))
    known = [(i, x, y) for i, (x, y) in places if x is not None and y is not None]
    if not known:
        return ["no point is a number: the model has diverged"]
    xs, ys = [x for _, x, _ in known], [y for _, _, y in known]
    taken: dict[tuple[int, int], str] = {}
    hidden = []
    for i, x, y in known:
        column = _level(_share(x, min(xs), max(xs)), wide)
        row = _level(1 - _share(y, min(ys), max(ys)), _SCATTER_ROWS)
        place = next((p for p in ((row, column), (row, column + 1), (row, column - 1)) if p not in taken), None)
        label = literal(figure.labels[i])[:1]
        if place is None or not 0 <= place[1] < wide:
            hidden.append(label)
        else:
            taken[place] = label
    lines = ["".join(taken.get((row, column), " ") for column in range(wide)).rstrip() for row in range(_SCATTER_ROWS)]
    lines.append(f"{figure.x_name} →  {figure.y_name} ↑")
    return lines + ([f"behind others: {' '.join(hidden)}"] if hidden else [])


def _share(value: float, low: float, high: float) -> float:
    return (value - low) / ((high - low) or 1.0)


# Tables and prose


def _table(figure: Table, width: int, ink: Ink) -> list[str]:
    rows = [[_cell(cell) for cell in row] for row in figure.rows[:MOST_ROWS]]
    for i, depth in enumerate(figure.depths[:MOST_ROWS]):
        rows[i][0] = "  " * depth + rows[i][0]
    numeric = [
        all(cell is None or isinstance(cell, int | float) for cell in column)
        for column in zip(*figure.rows, strict=True)
    ] or [False] * len(figure.columns)
    lines = _aligned(figure.columns, rows, numeric)
    return [clip(line, width) for line in lines] + _more(len(figure.rows))


def _cell(cell: Cell) -> str:
    return literal(cell) if isinstance(cell, str) else shown_number(cell)


def _aligned(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool]) -> list[str]:
    from rich.cells import cell_len

    cells = [[literal(column) for column in columns], *rows]
    widths = [max(cell_len(row[i]) for row in cells) for i in range(len(columns))]

    def padded(text: str, i: int) -> str:
        space = " " * (widths[i] - cell_len(text))
        return space + text if right[i] else text + space

    return ["  ".join(padded(text, i) for i, text in enumerate(row)).rstrip() for row in cells]


def _prose(figure: Prose, width: int, ink: Ink) -> list[str]:
    """Each passage, and under each of its characters how high it is; the one that it is about is pointed at."""
    lines = []
    for passage in figure.passages:
        value = "" if passage.value is None else shown_number(passage.value)
        head = f"{literal(passage.label)} {value}".strip()
        text = "".join("⏎" if character == "\n" else literal(character)[:1] for character in passage.text)
        lines.append(f"{head:>12}  {text}")
        lines.append(f"{'':12}  {_heights(figure, passage, ink)}".rstrip())
    low, high = shown_number(figure.low), shown_number(figure.high)
    return [*lines, f"{'':12}  {ink.heights[0]} {low}  {ink.heights[-1]} {high} {figure.unit}".rstrip()]


def _heights(figure: Prose, passage: Passage, ink: Ink) -> str:
    span = (figure.high - figure.low) or 1.0
    drawn = [
        " " if shade is None else ink.heights[_level((shade - figure.low) / span, len(ink.heights))]
        for shade in passage.shades
    ]
    if passage.mark is not None and passage.mark < len(drawn):
        drawn[passage.mark] = "▲" if ink.bar == "█" else "^"
    return "".join(drawn)


_DRAWERS: Mapping[type[Figure], Callable[[Any, int, Ink], list[str]]] = {
    Heatmap: _heatmap,
    Bars: _bars,
    Lines: _lines,
    Scatter: _scatter,
    Table: _table,
    Prose: _prose,
}
