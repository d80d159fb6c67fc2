"""Charts as SVG, readable by themselves on any background: curves with bands, and means with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from lab.analysis.alignment import Band
from lab.analysis.intervals import Interval
from lab.analysis.ticks import linear_ticks, tick_labels

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#806000", "#4b2e83", "#56b4e9", "#000000")
"""Told apart by the colour-blind too (after Okabe and Ito), dark enough on white; later lines repeat them dashed."""
DASHES = ("", "7 4", "2 3")
INK, GRID = "#24292f", "#e3e5e8"
WIDTH, _HEIGHT = 760, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 190, 18, 46
_LABEL_GAP = 15.0
_MOST_TICKS = 7
_ROW = 26
_LONGEST_LABEL = 26


@dataclass(frozen=True)
class Curve:
    """A line with its band, and its name."""

    label: str
    band: Band


def curves(lines: Sequence[Curve], x_name: str, y_name: str) -> str:
    """Curves over each other, each named at its end, their bands behind them. Empty where nothing is finite."""
    drawn = [line for line in lines if np.isfinite(line.band.mean).any()]
    if not drawn:
        return ""
    xs = np.concatenate([line.band.x for line in drawn])
    ys = np.concatenate([line.band.mean[np.isfinite(line.band.mean)] for line in drawn])
    # The first losses say little: what is drawn is where most of each curve is.
    top = max(float(np.quantile(line.band.mean[np.isfinite(line.band.mean)], 0.93)) for line in drawn)
    frame = Frame(padded(float(xs.min()), float(xs.max()), 0.0), padded(float(ys.min()), top, 0.06), _HEIGHT)
    parts = [*frame.axes(x_name, y_name)]
    parts += [f'<clipPath id="inside"><rect {frame.inside()}/></clipPath><g clip-path="url(#inside)">']
    parts += [_band(line.band, frame, colour_of(i)) for i, line in enumerate(drawn) if line.band.count > 1]
    parts += [_line(line.band, frame, colour_of(i), DASHES[i // len(COLOURS) % 3]) for i, line in enumerate(drawn)]
    parts += ["</g>", *_end_labels(drawn, frame)]
    return document(parts, _HEIGHT, f"{y_name} over {x_name}: {', '.join(line.label for line in drawn)}")


def intervals(rows: Sequence[tuple[str, Interval | None]], x_name: str) -> str:
    """One row a group: a dot at its mean, and a line as wide as its interval. Empty where there is none."""
    known = [(i, label, each) for i, (label, each) in enumerate(rows) if each is not None]
    if not known:
        return ""
    reaches = [(each.mean - (each.half_width or 0), each.mean + (each.half_width or 0)) for _, _, each in known]
    height = _TOP + _BOTTOM + _ROW * len(known)
    low, high = min(low for low, _ in reaches), max(high for _, high in reaches)
    frame = Frame(padded(low, high, 0.08), (0.0, float(len(known))), height, left=_RIGHT, right=30)
    parts = frame.axes(x_name, None)
    for place, ((i, label, each), (start, end)) in enumerate(zip(known, reaches, strict=True)):
        y, colour = frame.y(len(known) - place - 0.5), colour_of(i)
        parts.append(text_at(frame.left - 10, y + 4, clipped(label), "end"))
        parts.append(f'<line x1="{frame.x(start):.1f}" x2="{frame.x(end):.1f}" y1="{y:.1f}" y2="{y:.1f}" '
                     f'stroke="{colour}" stroke-width="3" stroke-linecap="round"/>')  # fmt: skip
        parts.append(f'<circle cx="{frame.x(each.mean):.1f}" cy="{y:.1f}" r="4.5" fill="{colour}"/>')
    return document(parts, height, f"{x_name}: {', '.join(f'{label} {each.mean:.3f}' for _, label, each in known)}")


Ticks = Sequence[tuple[float, str]]


class Frame:
    """The inside of a chart: from values to places."""

    def __init__(
        self, x: tuple[float, float], y: tuple[float, float], height: int, *, left: int = _LEFT, right: int = _RIGHT
    ) -> None:
        self.x_range, self.y_range, self.left = x, y, left
        self.width, self.height = WIDTH - left - right, height - _TOP - _BOTTOM

    def x(self, value: float) -> float:
        low, high = self.x_range
        return self.left + (value - low) / (high - low) * self.width

    def y(self, value: float) -> float:
        low, high = self.y_range
        return _TOP + (high - value) / (high - low) * self.height

    def inside(self) -> str:
        return f'x="{self.left}" y="{_TOP}" width="{self.width}" height="{self.height}"'

    def axes(
        self, x_name: str, y_name: str | None, x_ticks: Ticks | None = None, y_ticks: Ticks | None = None
    ) -> list[str]:
        """Grid, labels and names; ticks are places with their labels, round numbers unless given."""
        parts = []
        bottom = _TOP + self.height
        for tick, label in x_ticks or round_ticks(*self.x_range):
            x = self.x(tick)
            parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{bottom}" stroke="{GRID}"/>')
            parts.append(text_at(x, bottom + 17, label, "middle"))
        for tick, label in (y_ticks or round_ticks(*self.y_range)) if y_name else []:
            y = self.y(tick)
            parts.append(f'<line x1="{self.left}" x2="{self.left + self.width}" y1="{y:.1f}" y2="{y:.1f}" '
                         f'stroke="{GRID}"/>')  # fmt: skip
            parts.append(text_at(self.left - 8, y + 4, label, "end"))
        parts.append(f'<line x1="{self.left}" x2="{self.left + self.width}" y1="{bottom}" y2="{bottom}" '
                     f'stroke="{INK}"/>')  # fmt: skip
        parts.append(text_at(self.left + self.width / 2, bottom + 36, x_name, "middle"))
        if y_name:
            middle = _TOP + self.height / 2
            parts.append(f'<text transform="translate(14 {middle:.0f}) rotate(-90)" text-anchor="middle">'
                         f"{escape(y_name)}</text>")  # fmt: skip
        return parts


def round_ticks(low: float, high: float) -> Ticks:
    """Round places in a range, and their labels."""
    ticks = linear_ticks(low, high, _MOST_TICKS)
    return list(zip(ticks, tick_labels(ticks), strict=True))


def _line(band: Band, frame: Frame, colour: str, dashes: str) -> str:
    """One path, with a gap where a value is missing."""
    words, drawing = [], False
    for x, y in zip(band.x.tolist(), band.mean.tolist(), strict=True):
        if not np.isfinite(y):
            drawing = False
            continue
        words.append(f"{'L' if drawing else 'M'}{frame.x(x):.1f} {frame.y(y):.1f}")
        drawing = True
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return (
        f'<path d="{"".join(words)}" fill="none" stroke="{colour}" stroke-width="2" stroke-linejoin="round"{dashed}/>'
    )


def _band(band: Band, frame: Frame, colour: str) -> str:
    known = np.isfinite(band.low) & np.isfinite(band.high)
    x = band.x[known].tolist()
    there = [f"{frame.x(a):.1f},{frame.y(b):.1f}" for a, b in zip(x, band.high[known].tolist(), strict=True)]
    back = [f"{frame.x(a):.1f},{frame.y(b):.1f}" for a, b in zip(x, band.low[known].tolist(), strict=True)][::-1]
    return f'<polygon points="{" ".join(there + back)}" fill="{colour}" fill-opacity="0.18"/>'


def _end_labels(lines: Sequence[Curve], frame: Frame) -> list[str]:
    """The names at the right, moved apart where the curves end close to each other."""
    ends = []
    for i, line in enumerate(lines):
        last = float(line.band.mean[np.isfinite(line.band.mean)][-1])
        ends.append((min(max(frame.y(last), _TOP + 6.0), _TOP + frame.height), i, f"{clipped(line.label)} {last:.3f}"))
    parts, lowest = [], -_LABEL_GAP
    for y, i, label in sorted(ends):
        lowest = max(y, lowest + _LABEL_GAP)
        parts.append(text_at(frame.left + frame.width + 8, lowest + 4, label, "start", colour_of(i)))
    return parts


def colour_of(place: int) -> str:
    """The colour of a line by its place in the order."""
    return COLOURS[place % len(COLOURS)]


def clipped(label: str) -> str:
    """A label that fits beside a chart."""
    return label if len(label) <= _LONGEST_LABEL else label[: _LONGEST_LABEL - 1] + "…"


def padded(low: float, high: float, share: float) -> tuple[float, float]:
    """A range with some room around it, and never empty."""
    room = (high - low) * share or (0.0 if high > low else max(abs(high), 1e-3) * 0.01)
    return low - room, high + room


def text_at(x: float, y: float, text: str, anchor: str, colour: str = INK) -> str:
    """A text at a place, anchored at its start, middle or end."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'


def document(parts: Sequence[str], height: int, description: str) -> str:
    """Parts as a whole SVG on white, its description for those who cannot see it."""
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" font-family="system-ui, sans-serif" font-size="12" fill="{INK}">\n'
        f'<title>{escape(description)}</title>\n<rect width="100%" height="100%" fill="#ffffff"/>\n{body}\n</svg>\n'
    )
