"""The learning rate: its schedule over the run, and beside it the LR sweep of the run's stage."""

from __future__ import annotations

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.containers import Container
from textual.widgets import Static

from lab.tui.chart_content import ChartContent
from lab.tui.widgets.loss_chart import LossChart

BESIDE_FROM = 80
"""Columns from which on the two stand side by side."""
BELOW_FROM = 16
"""Rows from which on they stand over each other."""


class RatePane(Container, can_focus=True):
    """The schedule with where the run is on it; a sweep's curve where there is one, and where this lr is on that."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self._has_sweep = False

    def compose(self) -> ComposeResult:
        """Two charts and a line."""
        with Container():
            yield LossChart(id=f"{self.id}-schedule")
            yield LossChart(id=f"{self.id}-sweep")
        yield Static(classes="hint", markup=False)

    def on_mount(self) -> None:
        """The pane has the keys, not its charts."""
        for chart in self.query(LossChart):
            chart.can_focus = False
        self.sweep.linked = False
        self._lay_out()

    @property
    def schedule(self) -> LossChart:
        """The chart of the schedule."""
        return self.query_one(f"#{self.id}-schedule", LossChart)

    @property
    def sweep(self) -> LossChart:
        """The chart of the sweep."""
        return self.query_one(f"#{self.id}-sweep", LossChart)

    def show(self, schedule: ChartContent, sweep: ChartContent | None, hint: Text) -> None:
        """Shows a schedule and a sweep; without one, the hint of how to come by it."""
        self.schedule.show(schedule)
        if sweep is not None:
            self.sweep.show(sweep)
        self.query_one(".hint", Static).update(hint, layout=False)
        if self._has_sweep != (sweep is not None):
            self._has_sweep = sweep is not None
            self._lay_out()

    def on_resize(self, event: events.Resize) -> None:
        """Side by side, over each other, or the schedule alone."""
        self._lay_out()

    def _lay_out(self) -> None:
        beside, below = self.size.width >= BESIDE_FROM, self.size.height >= BELOW_FROM
        self.sweep.display = self._has_sweep and (beside or below)
        self.query_one(".hint", Static).display = not self._has_sweep
        self.set_class(beside, "-beside")
