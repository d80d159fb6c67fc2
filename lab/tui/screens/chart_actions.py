"""What a person can change about the chart."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from rich.text import Text
from textual.reactive import var

from lab.tui.chart_frame import ChartContent
from lab.tui.curves import SMOOTHINGS, ChartOptions, x_axes
from lab.tui.screens.lab_screen import LabScreen
from lab.tui.snapshot import Snapshot


class ChartActions(LabScreen):
    """The chart's keys; a mode that has a chart is one of these."""

    options: var[ChartOptions] = var(ChartOptions, init=False)

    @property
    def drawn(self) -> tuple[str, ...]:
        """The runs that are drawn."""
        raise NotImplementedError

    def action_x_axis(self) -> None:
        """Draws over the next of what is known of every drawn run."""
        snapshot: Snapshot = self.lab.snapshot
        known = x_axes(snapshot, self.drawn)
        place = known.index(self.options.x) if self.options.x in known else 0
        self.options = replace(self.options, x=known[(place + 1) % len(known)])

    def action_log_y(self) -> None:
        """Switches the loss between linear and logarithmic."""
        self.options = replace(self.options, log_y=not self.options.log_y)

    def action_log_x(self) -> None:
        """Switches the x-axis between linear and logarithmic."""
        self.options = replace(self.options, log_x=not self.options.log_x)

    def action_smooth_less(self) -> None:
        """Smooths less."""
        self.options = replace(self.options, smoothing=max(0, self.options.smoothing - 1))

    def action_smooth_more(self) -> None:
        """Smooths more."""
        self.options = replace(self.options, smoothing=min(len(SMOOTHINGS) - 1, self.options.smoothing + 1))

    def action_whole_range(self) -> None:
        """Shows the first steps too, or leaves them out of the range."""
        self.options = replace(self.options, whole_range=not self.options.whole_range)

    def chart_heading(self, content: ChartContent) -> Text:
        """What is drawn, and how."""
        options = self.options
        switches = (("log y", options.log_y), ("log x", options.log_x), ("whole range", options.whole_range))
        words = ["Loss", content.caption, *(word for word, on in switches if on)]
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
    options = replace(usual, **fitting)
    return replace(options, smoothing=min(max(0, options.smoothing), len(SMOOTHINGS) - 1))
