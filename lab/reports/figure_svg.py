"""The figures of an inspection as one SVG, below each other; those of a group side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from lab.inference.figures import Bars, Figure, Heatmap, Lines, Number, Page, Prose, Scatter, Table, extent
from lab.reports.figure_text import shown_number
from lab.reports.svg import COLOURS, GRID, INK, WIDTH, Frame, Ticks, clipped, colour_of, document, padded, text_at
from lab.text import literal

MOST_ROWS = 80
"""Of a table or of bars; CSV and JSON have all of them."""
_TITLE = 24
_GAP = 22
_NOTHING = "#f1f2f4"
_LOW, _HIGH, _ZERO = (0, 114, 178), (213, 94, 0), (255, 255, 255)
_LARGEST_CELL, _SMALLEST_CELL = 22.0, 2.0
_ROW = 17
_LETTERS_OF_PROSE = 112
_BARELY = 1e-3
_LETTER = 7.25
"""How wide a character of the monospaced font is at 12 pixels."""
_CLASS_NAMES = ("vowel", "consonant", "capital", "digit", "punctuation", "blank", "start/end")
_MONO = 'font-family="ui-monospace, DejaVu Sans Mono, monospace"'

Drawn = tuple[list[str], float]
"""The parts of a drawing from its upper left corner, and how tall it is."""


def page_svg(page: Page) -> str:
    """A page as an SVG that stands by itself."""
    parts = [f'<g font-size="15" font-weight="600">{text_at(14, 24, literal(page.title), "start")}</g>']
    y = 46.0
    for line in _wrapped(page.look_at, _LETTERS_OF_PROSE):
        parts.append(text_at(14, y, line, "start"))
        y += 16
    for note in page.notes:
        for line in _wrapped(f"· {literal(note)}", _LETTERS_OF_PROSE):
            parts.append(text_at(14, y, line, "start", "#57606a"))
            y += 16
    y += 8
    for row in _rows(page.figures):
        tallest = 0.0
        for i, figure in enumerate(row):
            wide = WIDTH / len(row)
            drawn, height = _titled(figure, wide)
            parts += [f'<g transform="translate({i * wide:.0f} {y:.0f})">', *drawn, "</g>"]
            tallest = max(tallest, height)
        y += tallest + _GAP
    return document(parts, math.ceil(y), literal(page.title))


def _rows(figures: Sequence[Figure]) -> list[list[Figure]]:
    """Figures of one group beside each other, as many as stay legible."""
    rows: list[list[Figure]] = []
    for figure in figures:
        last = rows[-1] if rows else []
        alike = bool(last) and bool(figure.group) and last[-1].group == figure.group and type(last[-1]) is type(figure)
        if alike and len(last) < _most_beside(figure):
            last.append(figure)
        else:
            rows.append([figure])
    return rows


def _most_beside(figure: Figure) -> int:
    if isinstance(figure, Heatmap):
        return 4 if len(figure.columns) <= 24 else 2
    return 1


def _titled(figure: Figure, width: float) -> Drawn:
    parts, height = _DRAWERS[type(figure)](figure, width)
    letters = int((width - 20) / 6.6)
    title = literal(figure.title)
    title = title if len(title) <= letters else title[: letters - 1] + "…"
    head = f'<g font-weight="600">{text_at(14, 14, title, "start")}</g>'
    return [head, f'<g transform="translate(0 {_TITLE})">', *parts, "</g>"], height + _TITLE


def _wrapped(text: str, letters: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text, letters)


# Heat maps


def _heatmap(figure: Heatmap, width: float) -> Drawn:
    gutter = 20 + 6.5 * max((min(12, len(label)) for label in figure.rows), default=1)
    tall_labels = max((len(label) for label in figure.columns), default=1) > 2
    top = 14 + (5.5 * min(10, max((len(label) for label in figure.columns), default=1)) if tall_labels else 0)
    cell = min(_LARGEST_CELL, max(_SMALLEST_CELL, (width - gutter - 16) / max(1, len(figure.columns))))
    size = min(11.0, cell * 0.8)
    parts = [f'<g font-size="{size:.1f}">']
    for j, label in enumerate(figure.columns):
        x = gutter + (j + 0.5) * cell
        turned = f' transform="rotate(-60 {x:.1f} {top - 5:.1f})"' if tall_labels else ""
        anchor = "start" if tall_labels else "middle"
        parts.append(f'<text x="{x:.1f}" y="{top - 4:.1f}" text-anchor="{anchor}"{turned}>{_label(label)}</text>')
    for i, label in enumerate(figure.rows):
        parts.append(text_at(gutter - 4, top + (i + 0.72) * cell, literal(label)[:12], "end"))
        parts += _cells(figure, i, gutter, top, cell)
    parts.append("</g>")
    bottom = top + len(figure.rows) * cell
    return [*parts, _scale(figure, gutter, bottom + 8, width)], bottom + 26


def _label(label: str) -> str:
    return escape(literal(label)[:10])


def _cells(figure: Heatmap, i: int, left: float, top: float, cell: float) -> list[str]:
    parts = []
    y = top + i * cell
    for j, value in enumerate(figure.values[i]):
        colour = _shaded(figure, value)
        x = left + j * cell
        if colour is not None:
            parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{cell:.1f}" height="{cell:.1f}" fill="{colour}"/>')
        if figure.texts and figure.texts[i][j]:
            ink = "#ffffff" if _share_of(figure, value) > 0.6 else INK
            parts.append(text_at(x + cell / 2, y + cell * 0.72, literal(figure.texts[i][j])[:2], "middle", ink))
    return parts


def _share_of(figure: Heatmap, value: Number) -> float:
    """From −1 to 1 of a diverging figure, else from 0 to 1."""
    if value is None:
        return 0.0
    if figure.diverging:
        return max(-1.0, min(1.0, value / (max(abs(figure.low), abs(figure.high)) or 1.0)))
    return max(0.0, min(1.0, (value - figure.low) / ((figure.high - figure.low) or 1.0)))


def _shaded(figure: Heatmap, value: Number) -> str | None:
    """The colour of a cell; None where it is masked, or as good as white."""
    if value is None:
        return _NOTHING if not figure.lower_triangular else None
    share = _share_of(figure, value)
    if abs(share) < _BARELY:
        return None
    return _between(_HIGH if figure.diverging and share > 0 else _LOW, abs(share))


def _between(colour: tuple[int, int, int], share: float) -> str:
    """White to a colour; the root makes small values visible."""
    strength = math.sqrt(share)
    return "#" + "".join(f"{round(a + (b - a) * strength):02x}" for a, b in zip(_ZERO, colour, strict=True))


def _scale(figure: Heatmap, left: float, y: float, width: float) -> str:
    said = f"{shown_number(figure.low)} to {shown_number(figure.high)} {figure.unit}".strip()
    if figure.row_name and figure.column_name and width > WIDTH / 3:
        said = f"{figure.row_name} ↓, {figure.column_name} →: {said}"
    return f'<g font-size="10">{text_at(left, y + 8, said, "start", "#57606a")}</g>'


# Bars, curves, points


def _bars(figure: Bars, width: float) -> Drawn:
    count = min(MOST_ROWS, len(figure.labels))
    left = 16 + 6.8 * min(26, max((len(label) for label in figure.labels[:count]), default=1))
    known = [v for v in (*figure.values, *figure.lows, *figure.highs, figure.reference, 0.0) if v is not None]
    low, high = padded(min(known), max(known), 0.02)
    span = width - left - 110

    def at(value: float) -> float:
        return left + (value - low) / (high - low) * span

    parts = []
    for i in range(count):
        y, value = i * _ROW, figure.values[i]
        parts.append(text_at(left - 6, y + 12, clipped(literal(figure.labels[i])), "end"))
        if value is None:
            continue
        start, end = sorted((at(0.0), at(value)))
        parts.append(f'<rect x="{start:.1f}" y="{y + 2}" width="{max(0.5, end - start):.1f}" height="{_ROW - 4}" '
                     f'fill="{COLOURS[0] if value >= 0 else COLOURS[1]}" fill-opacity="0.75"/>')  # fmt: skip
        text = shown_number(value)
        if figure.lows and figure.highs and figure.lows[i] is not None and figure.highs[i] is not None:
            a, b = at(figure.lows[i] or 0.0), at(figure.highs[i] or 0.0)
            parts.append(f'<line x1="{a:.1f}" x2="{b:.1f}" y1="{y + 8}" y2="{y + 8}" stroke="{INK}" stroke-width="2"/>')
            text += f" ±{shown_number(((figure.highs[i] or 0.0) - (figure.lows[i] or 0.0)) / 2)}"
            end = max(end, b)
        parts.append(text_at(end + 5, y + 12, text, "start"))
    bottom = float(count * _ROW)
    if figure.reference is not None and figure.reference_name:
        x = at(figure.reference)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{bottom}" stroke="{INK}" stroke-dasharray="4 3"/>')
        parts.append(text_at(x, bottom + 14, f"{figure.reference_name} {shown_number(figure.reference)}", "middle"))
        bottom += 18
    return [*parts, *_left_out(len(figure.labels), bottom)], bottom + (16 if len(figure.labels) > MOST_ROWS else 0)


def _left_out(count: int, y: float) -> list[str]:
    if count <= MOST_ROWS:
        return []
    return [text_at(14, y + 12, f"… and {count - MOST_ROWS:,} more", "start", "#57606a")]


def _lines(figure: Lines, width: float) -> Drawn:
    height = 300
    xs = [math.log10(x) if figure.log_x else x for x in figure.x if not figure.log_x or x > 0]
    ys = [_scaled(value, figure.log_y) for series in figure.values for value in series]
    known = [y for y in (*ys, _scaled(figure.reference, figure.log_y)) if y is not None]
    if not xs or not known:
        return [text_at(14, 12, "nothing here is a number", "start")], 20
    frame = Frame(padded(min(xs), max(xs), 0.0), padded(*extent(known), 0.06), height)
    x_ticks = _log_ticks(*frame.x_range) if figure.log_x else None
    y_ticks = _log_ticks(*frame.y_range) if figure.log_y else None
    parts = frame.axes(figure.x_name, figure.y_name or " ", x_ticks, y_ticks)
    for i, (name, series) in enumerate(zip(figure.names, figure.values, strict=True)):
        points = [
            (frame.x(x), frame.y(y))
            for x, y in zip(xs, (_scaled(value, figure.log_y) for value in series), strict=True)
            if y is not None
        ]
        if points:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            parts.append(f'<polyline points="{path}" fill="none" stroke="{colour_of(i)}" stroke-width="2"/>')
            parts.append(text_at(frame.left + frame.width + 8, points[-1][1] + 4, clipped(literal(name)), "start",
                                 colour_of(i)))  # fmt: skip
    level = _scaled(figure.reference, figure.log_y)
    if level is not None:
        y = frame.y(level)
        parts.append(f'<line x1="{frame.left}" x2="{frame.left + frame.width}" y1="{y:.1f}" y2="{y:.1f}" '
                     f'stroke="{INK}" stroke-dasharray="4 3"/>')  # fmt: skip
        parts.append(text_at(frame.left + 6, y - 4, figure.reference_name, "start"))
    return parts, float(height)


def _scaled(value: Number, log: bool) -> Number:
    if value is None or (log and value <= 0):
        return None
    return math.log10(value) if log else value


def _log_ticks(low: float, high: float) -> Ticks:
    """Powers of ten, and where there are few, twos and fives between them; places are logarithms."""
    whole = range(math.floor(low), math.ceil(high) + 1)
    factors = (1, 2, 5) if high - low < 3 else (1,)
    values = [factor * 10.0**power for power in whole for factor in factors]
    return [(math.log10(value), f"{value:g}") for value in values if low - 1e-9 <= math.log10(value) <= high + 1e-9]


def _scatter(figure: Scatter, width: float) -> Drawn:
    height = 460
    known = [(i, x, y) for i, (x, y) in enumerate(zip(figure.x, figure.y, strict=True))
             if x is not None and y is not None]  # fmt: skip
    if not known:
        return [text_at(14, 12, "no point is a number: the model has diverged", "start")], 20
    xs, ys = [x for _, x, _ in known], [y for _, _, y in known]
    frame = Frame(padded(min(xs), max(xs), 0.05), padded(min(ys), max(ys), 0.05), height)
    parts = frame.axes(figure.x_name, figure.y_name or " ")
    parts.append('<g font-size="14" font-weight="600">')
    for i, x, y in known:
        parts.append(text_at(frame.x(x), frame.y(y) + 5, literal(figure.labels[i]), "middle",
                             _class_colour(figure.classes[i])))  # fmt: skip
    parts.append("</g>")
    for row, name in enumerate(name for name in dict.fromkeys((*_CLASS_NAMES, *figure.classes))
                               if name in figure.classes):  # fmt: skip
        parts.append(text_at(frame.left + frame.width + 12, 34 + 18 * row, name, "start", _class_colour(name)))
    return parts, float(height)


def _class_colour(name: str) -> str:
    """Vowels stand out from consonants."""
    order = {"vowel": 1, "consonant": 0, "capital": 2, "digit": 3, "punctuation": 4, "blank": 5, "start/end": 7}
    return colour_of(order.get(name, 6))


# Tables and prose


def _table(figure: Table, width: float) -> Drawn:
    rows = [[literal(cell) if isinstance(cell, str) else shown_number(cell) for cell in row]
            for row in figure.rows[:MOST_ROWS]]  # fmt: skip
    for i, depth in enumerate(figure.depths[:MOST_ROWS]):
        rows[i][0] = "  " * depth + rows[i][0]
    columns = [literal(column) for column in figure.columns]
    widths = [max([len(column), *(len(row[i]) for row in rows)]) for i, column in enumerate(columns)]
    numeric = [bool(figure.rows) and all(not isinstance(row[i], str) for row in figure.rows)
               for i in range(len(columns))]  # fmt: skip
    whole = sum(widths) + 2 * len(widths)
    size = min(12.0, 12.0 * (width - 28) / (whole * _LETTER)) if whole else 12.0
    letter = _LETTER * size / 12
    parts = [f'<g {_MONO} font-size="{size:.1f}" xml:space="preserve">']
    for i, row in enumerate([columns, *rows]):
        x, y = 14.0, 12 + i * (_ROW - 1)
        for text, wide, right in zip(row, widths, numeric, strict=True):
            shown = f'<tspan font-weight="600">{escape(text)}</tspan>' if i == 0 else escape(text)
            at, anchor = (x + wide * letter, "end") if right else (x, "start")
            parts.append(f'<text x="{at:.1f}" y="{y}" text-anchor="{anchor}">{shown}</text>')
            x += (wide + 2) * letter
    parts.append(f'</g><line x1="14" x2="{14 + whole * letter:.0f}" y1="16" y2="16" stroke="{GRID}"/>')
    bottom = float((len(rows) + 1) * (_ROW - 1))
    return [*parts, *_left_out(len(figure.rows), bottom)], bottom + (16 if len(figure.rows) > MOST_ROWS else 0)


def _prose(figure: Prose, width: float) -> Drawn:
    parts = [f'<g {_MONO} font-size="12">']
    diverging = figure.low < 0 < figure.high
    y = 0.0
    for passage in figure.passages:
        value = "" if passage.value is None else shown_number(passage.value)
        parts.append(text_at(86, y + 13, f"{literal(passage.label)} {value}".strip(), "end"))
        for i, character in enumerate(passage.text):
            x = 96 + i * _LETTER
            if x > width - 16:
                break
            shade = passage.shades[i] if passage.shades else None
            if shade is not None:
                bound = max(abs(figure.low), abs(figure.high)) or 1.0
                fill = _between(_LOW if diverging and shade < 0 else _HIGH, min(1.0, abs(shade) / bound) ** 2)
                parts.append(f'<rect x="{x:.1f}" y="{y + 1}" width="{_LETTER}" height="16" fill="{fill}"/>')
            if i == passage.mark:
                parts.append(f'<rect x="{x - 0.5:.1f}" y="{y + 0.5}" width="{_LETTER + 1}" height="17" fill="none" '
                             f'stroke="{INK}"/>')  # fmt: skip
            parts.append(text_at(x, y + 13, "⏎" if character == "\n" else literal(character)[:1], "start"))
        y += 21
    parts.append("</g>")
    scale = f"shaded from {shown_number(figure.low)} to {shown_number(figure.high)} {figure.unit}".strip()
    return [*parts, f'<g font-size="10">{text_at(96, y + 8, scale, "start", "#57606a")}</g>'], y + 14


_DRAWERS: Mapping[type[Figure], Callable[[Any, float], Drawn]] = {
    Heatmap: _heatmap,
    Bars: _bars,
    Lines: _lines,
    Scatter: _scatter,
    Table: _table,
    Prose: _prose,
}
