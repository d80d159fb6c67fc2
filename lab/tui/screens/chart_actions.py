"""What a person can change about the chart."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from rich.text import Text
from textual import on
from textual.reactive import var

from lab import text
from lab.tui.chart_options import SMOOTHINGS, ChartOptions
from lab.tui.screens.lab_screen import LabScreen
from lab.tui.snapshot import Snapshot
from lab.tui.widgets.loss_chart import LossChart

if TYPE_CHECKING:
    from lab.tui.chart_content import ChartContent

ZOOM_FACTOR = 2.0
PAN_SHARE = 0.25
"""Of what is shown: how far a key moves it."""
STEP_SHARE = 0.01
"""Of what is shown: how far a key moves the cursor."""
FAR = 10


class ChartActions(LabScreen):
    """The chart's keys; a mode that has a chart is one of these."""

    options: var[ChartOptions] = var(ChartOptions, init=False)

    @property
    def drawn(self) -> tuple[str, ...]:
        """The runs that are drawn."""
        raise NotImplementedError

    @property
    def chart(self) -> LossChart:
        """The chart that the keys are for."""
        return self.query(LossChart).first()

    def action_x_axis(self) -> None:
        """Draws over the next of what is known of every drawn run."""
        from lab.tui.curves import x_axes

        snapshot: Snapshot = self.lab.snapshot
        known = x_axes(snapshot, self.drawn)
        place = known.index(self.options.x) if self.options.x in known else 0
        self.options = replace(self.options, x=known[(place + 1) % len(known)], zoom=None, cursor=None)

    def action_log_y(self) -> None:
        """Switches the loss between linear and logarithmic."""
        self.options = replace(self.options, log_y=not self.options.log_y)

    def action_log_x(self) -> None:
        """Switches the x-axis between linear and logarithmic."""
        self.options = replace(self.options, log_x=not self.options.log_x, zoom=None)

    def action_smooth_less(self) -> None:
        """Smooths less."""
        self.options = replace(self.options, smoothing=max(0, self.options.smoothing - 1))

    def action_smooth_more(self) -> None:
        """Smooths more."""
        self.options = replace(self.options, smoothing=min(len(SMOOTHINGS) - 1, self.options.smoothing + 1))

    def action_whole_range(self) -> None:
        """Makes room for the first steps and for outliers too, or leaves them out of the range."""
        self.options = replace(self.options, whole_range=not self.options.whole_range)

    # Zoom

    def zoom_to(self, zoom: tuple[float, float] | None) -> None:
        """Shows a part of the x-axis; all of it where None."""
        self.options = replace(self.options, zoom=zoom)

    def action_chart_closer(self) -> None:
        """Zooms in, about the cursor or the middle."""
        self.zoom_to(self.chart.zoomed(ZOOM_FACTOR))

    def action_chart_farther(self) -> None:
        """Zooms out."""
        self.zoom_to(self.chart.zoomed(1 / ZOOM_FACTOR))

    def action_chart_reset(self) -> None:
        """Shows all of the x-axis."""
        self.zoom_to(None)

    def action_chart_left(self) -> None:
        """Shows what comes before."""
        self.zoom_to(self.chart.panned(-PAN_SHARE))

    def action_chart_right(self) -> None:
        """Shows what comes after."""
        self.zoom_to(self.chart.panned(PAN_SHARE))

    @on(LossChart.Zoomed)
    def _wheel_turned(self, event: LossChart.Zoomed) -> None:
        self.zoom_to(event.zoom)

    # The cursor

    def point_at(self, x: float | None) -> None:
        """Puts the cursor to a place on the x-axis; None takes it away."""
        self.options = replace(self.options, cursor=x)

    def action_step_forward(self) -> None:
        """Moves the cursor on; beyond the newest point it goes away."""
        self.point_at(self.chart.stepped(STEP_SHARE))

    def action_step_back(self) -> None:
        """Moves the cursor back, from the newest point where there is none."""
        self.point_at(self.chart.stepped(-STEP_SHARE))

    def action_step_forward_far(self) -> None:
        """Moves it on by ten."""
        self.point_at(self.chart.stepped(FAR * STEP_SHARE))

    def action_step_back_far(self) -> None:
        """Moves it back by ten."""
        self.point_at(self.chart.stepped(-FAR * STEP_SHARE))

    @on(LossChart.Pointed)
    def _pointed(self, event: LossChart.Pointed) -> None:
        self.point_at(event.x)

    # What is said over it

    def chart_heading(self, content: ChartContent) -> Text:
        """What is drawn, and how."""
        options = self.options
        zoom = f"{_bound(options.zoom[0])} to {_bound(options.zoom[1])}" if options.zoom else ""
        switches = (("log y", options.log_y), ("log x", options.log_x), ("whole range", options.whole_range))
        words = ["Loss", content.caption, *(word for word, on in switches if on), zoom and f"zoomed: {zoom}"]
        return Text(" · ".join(word for word in words if word))


def restored_options(values: Any) -> ChartOptions:
    """How a chart was drawn, from remembered values; what does not fit is as it is at first."""
    usual = ChartOptions()
    if not isinstance(values, dict):
        return usual
    found: dict[str, Any] = {field.name: values.get(field.name) for field in fields(ChartOptions)}
    fitting: dict[str, Any] = {
        name: value for name, value in found.items() if type(value) is type(getattr(usual, name))
    }
    options = replace(usual, **{**fitting, "zoom": _restored_zoom(found["zoom"]), "cursor": None})
    return replace(options, smoothing=min(max(0, options.smoothing), len(SMOOTHINGS) - 1))


def _restored_zoom(bounds: Any) -> tuple[float, float] | None:
    if (
        not isinstance(bounds, list | tuple)
        or len(bounds) != 2
        or any(type(each) not in (int, float) for each in bounds)
    ):
        return None
    low, high = (float(each) for each in bounds)
    return (low, high) if math.isfinite(low) and math.isfinite(high) and low < high else None


def _bound(x: float) -> str:
    return text.si(x) if x >= 1000 else f"{x:.3g}"
