"""What a chart shows: lines, bands, references and marks over one x-axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from lab import text
from lab.tui.marker_style import MarkerStyle

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, eq=False)
class Line:
    """One metric; `label` stands at its end, none for a curve that only lies behind."""

    x: np.ndarray
    y: np.ndarray
    colour: str
    label: str = ""
    in_range: bool = True
    """Whether the chart makes room for it."""
    name: str = ""
    """What stands before its value at the cursor; where a line has none, the labels stay at the ends."""
    key: str = ""
    """By which it is known again, so that only what has changed of it is drawn; else by its place."""

    @cached_property
    def points(self) -> tuple[np.ndarray, np.ndarray]:
        """Those of its points that can be drawn on linear axes."""
        from lab.tui.chart import drawable

        keep = drawable(self.x) & drawable(self.y)
        return (self.x, self.y) if keep.all() else (self.x[keep], self.y[keep])


@dataclass(frozen=True, eq=False)
class Band:
    """A mean with the range around it, as of runs that differ in their seeds."""

    x: np.ndarray
    mid: np.ndarray
    low: np.ndarray
    high: np.ndarray
    colour: str
    label: str = ""
    name: str = ""
    key: str = ""

    @property
    def line(self) -> Line:
        """Its mean."""
        return Line(self.x, self.mid, self.colour, self.label, name=self.name, key=self.key and f"{self.key} mid")


@dataclass(frozen=True)
class Reference:
    """A value to compare with, drawn across the chart."""

    label: str
    y: float


MarkKind = Literal["best", "diverged", "checkpoint", "point", "branch"]


@dataclass(frozen=True)
class Mark:
    """A place on the chart that something is to be said of; a label is written where there is room."""

    kind: MarkKind
    x: float
    y: float
    colour: str
    label: str = ""


@dataclass(frozen=True)
class Palette:
    """How everything but the lines' own colours looks."""

    frame: str
    text: str
    reference: str
    background: str = "#000000"
    strong: str = ""
    """For what must be seen before all else; the text's colour where none is given."""
    marker: MarkerStyle = "braille"
    colour_system: str | None = "truecolor"
    """What the terminal makes of colours, as Rich calls it; None for no colours at all."""


@dataclass(frozen=True, eq=False)
class ChartContent:
    """All that is drawn. Two contents of one `key` look the same."""

    key: tuple[object, ...]
    lines: Sequence[Line] = ()
    references: Sequence[Reference] = ()
    bands: Sequence[Band] = ()
    marks: Sequence[Mark] = ()
    x_name: str = "step"
    y_name: str = ""
    log_x: bool = False
    log_y: bool = False
    whole_range: bool = False
    """Whether room is made for the first steps and for outliers too."""
    zoom: tuple[float, float] | None = None
    """What part of the x-axis is shown; all of it where None."""
    caption: str = ""
    """Which metrics are drawn, and how."""
    nothing: str = ""
    """What is said where there is nothing to draw."""
    x_to: float = 0.0
    """How far the x-axis goes at least."""
    y_range: tuple[float, float] | None = None
    """What the y-axis spans, where charts side by side share it; else what the lines need."""
    cursor: float | None = None
    """Where on the x-axis a line stands upright: the values there take the place of the labels, the best first."""
    cursor_label: str = ""
    """What is said beside the cursor; the labels then stay."""
    best: Literal["lowest", "highest"] = "lowest"
    say: Callable[[float], str] = text.loss
    """How a value is written."""

    @property
    def all_lines(self) -> list[Line]:
        """The lines, and the bands' means."""
        return [*self.lines, *(band.line for band in self.bands)]

    @property
    def labelled(self) -> list[Line]:
        """The lines that are told apart."""
        return [line for line in self.all_lines if line.label]
