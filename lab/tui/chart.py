"""Lines and areas as dots in cells: lines by numpy, areas through plotext, which no other file imports.

The screen's thread alone draws. plotext 6.1 aborts the process on NaN among numbers and refuses infinities and
logarithms of 0, so nothing is handed on but the dots that an edge goes through. What was drawn of a line is kept: one
that has not changed is not drawn again, and of one that has grown only the new end is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lab.analysis.downsample import downsample, finite_segments
from lab.tui.marker_style import MarkerStyle

LARGEST = 1e150
"""Numbers beyond it are left out as if they were infinite: differences of such overflow."""

_QUADRANTS = " ▘▝▀▖▌▞▛▗▚▐▜▄▙▟█"
_BRAILLE = " " + "".join(chr(0x2800 + bits) for bits in range(1, 256))
_SPARSE_BRAILLE = 0b10010101
"""Every second dot of a cell."""


@dataclass(frozen=True)
class _Marker:
    """How plotext calls a kind of dot, how many of them a cell holds, the characters by their bits, and a shade."""

    name: str
    dots: tuple[int, int]
    characters: str
    shade: str = ""


_MARKERS: dict[MarkerStyle, _Marker] = {
    "braille": _Marker("braille", (2, 4), _BRAILLE),
    "block": _Marker("hd", (2, 2), _QUADRANTS, "░"),
    "ascii": _Marker("#", (1, 1), " #", ":"),
}
_BITS = np.zeros(0x2900, dtype=np.uint8)
"""The bits of each character that plotext draws with."""
for _marker in _MARKERS.values():
    _BITS[[ord(character) for character in _marker.characters]] = np.arange(len(_marker.characters))
_DOT_BITS: dict[MarkerStyle, np.ndarray] = {
    "braille": np.array([[1, 8], [2, 16], [4, 32], [64, 128]], dtype=np.uint8),
    "block": np.array([[1, 2], [4, 8]], dtype=np.uint8),
    "ascii": np.array([[1]], dtype=np.uint8),
}
"""The bit of each dot of a cell, from above and from the left."""


def drawable(values: np.ndarray) -> np.ndarray:
    """Which values can be drawn at all: finite ones of a size that can be reckoned with."""
    return np.abs(values) < LARGEST  # neither is NaN


@dataclass(frozen=True)
class Axis:
    """What a side of the chart spans; the bounds are as the data is, not as it is drawn."""

    low: float
    high: float
    log: bool = False

    def transform(self, values: np.ndarray) -> np.ndarray:
        """Values as places along the axis; what a logarithmic axis cannot show becomes NaN."""
        values = np.asarray(values, dtype=float)
        known = drawable(values)
        if self.log:
            known &= values > 0
        if not known.all():
            values = np.where(known, values, np.nan)
        return np.log10(values) if self.log else values

    def share(self, value: float) -> float:
        """How far along the axis a value stands: 0 at its low end, 1 at its high end; NaN where nowhere."""
        low, high, place = self.transform(np.array([self.low, self.high, value]))
        return float((place - low) / (high - low)) if high > low else math.nan

    def shares(self, values: np.ndarray) -> np.ndarray:
        """The same of many values."""
        low, high = self.transform(np.array([self.low, self.high]))
        return (self.transform(values) - low) / (high - low) if high > low else np.full(len(values), np.nan)

    def value(self, share: float) -> float:
        """What stands at a share of the axis."""
        low, high = self.transform(np.array([self.low, self.high]))
        place = float(low + share * (high - low))
        return float(10.0**place) if self.log else place


@dataclass(frozen=True, eq=False)
class Trace:
    """One line to draw, or the area between it and a `floor`. By its key it is known again at the next drawing."""

    key: str
    x: np.ndarray
    y: np.ndarray
    floor: np.ndarray | None = None
    character: str = "*"
    """What it is drawn with in ASCII."""

    def same(self, other: Trace) -> bool:
        """Whether it is made of the same arrays as another."""
        return self.x is other.x and self.y is other.y and self.floor is other.floor


@dataclass(frozen=True, eq=False)
class Canvas:
    """What was drawn: characters, and for each cell the place of the trace that shows in it, -1 for none."""

    rows: list[str]
    owners: np.ndarray


@dataclass(frozen=True, eq=False)
class _Path:
    """The dots that a line is drawn through, from the left and from below; `starts` where none leads to."""

    columns: np.ndarray
    rows: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.columns)

    def alike(self, other: _Path) -> int:
        """From the beginning, how many of the dots are those of another path."""
        n = min(len(self), len(other))
        same = (self.columns[:n] == other.columns[:n]) & (self.rows[:n] == other.rows[:n])
        same &= self.starts[:n] == other.starts[:n]
        return n if same.all() else int(same.argmin())

    def from_dot(self, place: int) -> _Path:
        """What comes from a dot on."""
        starts = self.starts[place:].copy()
        starts[:1] = True
        return _Path(self.columns[place:], self.rows[place:], starts)


@dataclass(frozen=True, eq=False)
class _Frame:
    """What lines are drawn into."""

    x_axis: Axis
    y_axis: Axis
    width: int
    height: int
    style: MarkerStyle

    def same(self, other: _Frame) -> bool:
        return vars(self) == vars(other)

    @property
    def dots(self) -> tuple[int, int]:
        across, up = _MARKERS[self.style].dots
        return self.width * across, self.height * up


@dataclass(eq=False)
class _Drawn:
    """What a trace came to: its dots, and the bits of each cell, (height, width)."""

    frame: _Frame
    trace: Trace
    path: _Path
    ink: np.ndarray


class Drawer:
    """Draws, and remembers what it drew of each trace."""

    def __init__(self) -> None:
        self._drawn: dict[str, _Drawn] = {}

    def draw(
        self, traces: Sequence[Trace], x_axis: Axis, y_axis: Axis, width: int, height: int, style: MarkerStyle
    ) -> Canvas:
        """The traces on a canvas of so many cells; later ones lie over earlier ones."""
        owners = np.full((max(0, height), max(0, width)), -1, dtype=np.int16)
        if width < 2 or height < 2:
            return Canvas([" " * width] * height, owners)
        frame, marker = _Frame(x_axis, y_axis, width, height, style), _MARKERS[style]
        drawn = {trace.key: self._draw(trace, frame) for trace in traces}
        self._drawn = drawn
        bits, shaded = np.zeros((height, width), dtype=np.uint8), np.zeros((height, width), dtype=bool)
        for place, trace in enumerate(traces):
            ink = drawn[trace.key].ink
            if trace.floor is not None and not marker.shade:
                ink = ink & _SPARSE_BRAILLE
            here = ink > 0
            if trace.floor is not None:
                bits[here], shaded[here] = ink[here], True
            else:  # a line clears the shade under it, and shares the cell with other lines
                bits[here & shaded] = 0
                shaded &= ~here
                bits |= ink
            owners[here] = place
        characters = np.array(list(marker.characters))[bits]
        if marker.shade:
            characters[shaded] = marker.shade
        if style == "ascii":
            own = (bits > 0) & ~shaded
            characters[own] = np.array([trace.character for trace in traces])[owners[own]]
        return Canvas(["".join(row) for row in characters.tolist()], owners)

    def _draw(self, trace: Trace, frame: _Frame) -> _Drawn:
        """One trace; as little of it as has to be."""
        before = self._drawn.get(trace.key)
        if before is not None and not before.frame.same(frame):
            before = None
        if before is not None and before.trace.same(trace):
            return before
        if trace.floor is not None:
            ceiling, floor = _area(trace, frame)
            return _Drawn(frame, trace, ceiling, _area_ink(ceiling, floor, frame))
        path = _path(trace, frame)
        if before is None:
            return _Drawn(frame, trace, path, _ink(path, frame))
        return _Drawn(frame, trace, path, _continued(before, path, frame))


def warm_up() -> None:
    """Imports plotext ahead of the first band; may be called on another thread, since it draws nothing."""
    import plotext  # noqa: F401


def _path(trace: Trace, frame: _Frame) -> _Path:
    """What of a line is drawn: inside the axes, no finer than the dots, without those that lie on the way."""
    columns, rows = frame.dots
    x, y = frame.x_axis.shares(trace.x), frame.y_axis.shares(trace.y)
    paths = []
    for whole_x, whole_y in finite_segments(x, y):
        seen_x, seen_y = _between(whole_x, whole_y)
        if not len(seen_x):
            continue
        for piece_x, piece_y in _clipped(*downsample(seen_x, seen_y, columns, (0.0, 1.0)), 0.0, 1.0):
            across = np.minimum((piece_x * columns).astype(np.int64), columns - 1)
            up = np.minimum((piece_y * rows).astype(np.int64), rows - 1)
            keep = _turns(across, up)
            paths.append((across[keep], up[keep]))
    starts = [np.arange(len(across)) == 0 for across, _ in paths]
    if not paths:
        return _Path(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=bool))
    return _Path(
        np.concatenate([across for across, _ in paths]), np.concatenate([up for _, up in paths]), np.concatenate(starts)
    )


def _between(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The part of a line with x from 0 to 1, cut where it enters and leaves."""
    if x[0] >= 0 and x[-1] <= 1:
        return x, y
    edges = np.array([edge for edge in (0.0, 1.0) if x[0] < edge < x[-1]])
    inside = (x >= 0) & (x <= 1)
    joined_x = np.concatenate([x[inside], edges])
    joined_y = np.concatenate([y[inside], np.interp(edges, x, y)])
    order = np.argsort(joined_x, kind="stable")
    return joined_x[order], joined_y[order]


def _clipped(x: np.ndarray, y: np.ndarray, low: float, high: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """The stretches of a line between two heights, cut where it crosses them."""
    inside = (y >= low) & (y <= high)
    if inside.all():
        return [(x, y)]
    all_x, all_y = [x], [y]
    for bound in (low, high):
        crosses = np.flatnonzero((y[:-1] < bound) != (y[1:] < bound))
        share = (bound - y[crosses]) / (y[crosses + 1] - y[crosses])
        all_x.append(x[crosses] + share * (x[crosses + 1] - x[crosses]))
        all_y.append(np.full(len(crosses), bound))
    joined_x, joined_y = np.concatenate(all_x), np.concatenate(all_y)
    order = np.argsort(joined_x, kind="stable")
    joined_x, joined_y = joined_x[order], joined_y[order]
    shown = np.where((joined_y >= low) & (joined_y <= high), joined_y, np.nan)
    return finite_segments(joined_x, shown)


def _turns(columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Which of the dots a line needs: its ends, and where it changes its direction."""
    across, up = np.diff(columns), np.diff(rows)
    moved = np.flatnonzero((across != 0) | (up != 0))
    across, up = across[moved], up[moved]
    turned = (across[1:] * up[:-1] != across[:-1] * up[1:]) | (across[1:] * across[:-1] + up[1:] * up[:-1] < 0)
    return np.concatenate([[0], moved[1:][turned], moved[-1:] + 1]).astype(np.int64)


def _area(trace: Trace, frame: _Frame) -> tuple[_Path, _Path]:
    """The upper and the lower edge of an area, a dot for each column that it covers."""
    assert trace.floor is not None
    columns, rows = frame.dots
    shares = (frame.x_axis.shares(trace.x), frame.y_axis.shares(trace.y), frame.y_axis.shares(trace.floor))
    x, high, low = (share[np.isfinite(sum(shares))] for share in shares)
    if not len(x):
        nothing = _Path(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=bool))
        return nothing, nothing
    edges = np.arange(columns + 1) / columns
    edges = edges[(edges >= x[0]) & (edges <= x[-1])]
    every = np.union1d(x[(x >= 0) & (x <= 1)], edges)
    column = np.minimum((every * columns).astype(np.int64), columns - 1)
    firsts = np.flatnonzero(np.diff(column, prepend=-1))
    tops, bottoms = np.interp(every, x, high), np.interp(every, x, low)
    top = np.maximum.reduceat(tops, firsts) if len(firsts) else tops
    bottom = np.minimum.reduceat(bottoms, firsts) if len(firsts) else bottoms
    seen = (top >= 0) & (bottom <= 1)
    place = column[firsts][seen]
    edge_rows = [np.clip((edge[seen] * rows).astype(np.int64), 0, rows - 1) for edge in (top, bottom)]
    starts = np.ones(len(place), dtype=bool)
    return _Path(place, edge_rows[0], starts), _Path(place, edge_rows[1], starts)


def _continued(before: _Drawn, path: _Path, frame: _Frame) -> np.ndarray:
    """The bits of a line that was drawn already up to some dot: only what comes behind it is drawn."""
    alike = path.alike(before.path)
    if alike == len(path) == len(before.path):
        return before.ink
    across = _MARKERS[frame.style].dots[0]
    first_cell = int(path.columns[alike - 1]) // across if alike else 0
    entering = int(np.searchsorted(path.columns, first_cell * across)) - 1
    new = _ink(path.from_dot(max(entering, 0)), frame)
    return np.concatenate([before.ink[:, :first_cell], new[:, first_cell:]], axis=1)


def _ink(path: _Path, frame: _Frame) -> np.ndarray:
    """The bits of the cells that a path goes through, (height, width): each dot between two of its own, by rounding.

    plotext draws the same, a point at a time in Python: ten lines of it take longer than a key may take to be seen.
    """
    columns, rows = frame.dots
    dots = np.zeros((rows, columns), dtype=bool)  # from below
    dots[path.rows, path.columns] = True
    joined = ~path.starts[1:]
    across, up = np.diff(path.columns)[joined], np.diff(path.rows)[joined]
    length = np.maximum(np.abs(across), np.abs(up))
    stretch = np.repeat(np.arange(len(length)), length)
    nth = np.arange(len(stretch)) - np.repeat(np.cumsum(length) - length, length)

    def between(first: np.ndarray, moved: np.ndarray) -> np.ndarray:
        return first[stretch] + (2 * moved[stretch] * nth + length[stretch]) // (2 * length[stretch])

    dots[between(path.rows[:-1][joined], up), between(path.columns[:-1][joined], across)] = True
    wide, high = _MARKERS[frame.style].dots
    in_cells = dots[::-1].reshape(frame.height, high, frame.width, wide)
    return np.einsum("yaxb,ab->yx", in_cells, _DOT_BITS[frame.style], dtype=np.uint8)


def _area_ink(ceiling: _Path, floor: _Path, frame: _Frame) -> np.ndarray:
    """What plotext makes of the stems from one path down to another: the bits of each cell, (height, width)."""
    width, height, marker = frame.width, frame.height, _MARKERS[frame.style]
    if not len(ceiling):
        return np.zeros((height, width), dtype=np.uint8)
    import plotext

    plotext.terminal.limit(False, False)  # a headless screen, and a test, may be larger than the terminal
    figure = plotext.figure
    figure.clear()
    figure.plot_size(width, height)
    figure.axes(False)
    figure.canvas("default")
    for name, cells, dots in (("x", width, marker.dots[0]), ("y", height, marker.dots[1])):
        figure.ruler(name).alignment("edge").lim(0, cells * dots).ticks([], [])
    signal = figure.signal(*_middles(ceiling), marker=marker.name)
    signal.fill(figure.signal(*_middles(floor), marker=marker.name))
    # plotext would ask each point for its colour, to leave that out for signals without one: most of the time it takes.
    signal._get_unique_pixels = list
    figure.draw(signal)
    rows = [row.ljust(width)[:width] for row in figure.build().string(True).split("\n")[:height]]
    rows += [" " * width] * (height - len(rows))
    codes = np.frombuffer("".join(rows).encode("utf-32-le"), dtype="<u4").reshape(height, width)
    return _BITS[np.minimum(codes, len(_BITS) - 1)]


def _middles(path: _Path) -> tuple[list[float], list[float]]:
    return (path.columns + 0.5).tolist(), (path.rows + 0.5).tolist()


def draw(
    traces: Sequence[Trace], x_axis: Axis, y_axis: Axis, width: int, height: int, style: MarkerStyle = "braille"
) -> Canvas:
    """The traces on a canvas, with nothing remembered."""
    return Drawer().draw(traces, x_axis, y_axis, width, height, style)
