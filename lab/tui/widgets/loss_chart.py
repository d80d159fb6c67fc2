"""The chart widget: draws its content when that or its size has changed, and not otherwise."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

from lab.tui import chart
from lab.tui.chart import Axis, Trace
from lab.tui.chart_frame import ChartContent, Palette, render_chart
from lab.tui.theme import theme_colours


class LossChart(Widget, can_focus=True):
    """Curves over each other."""

    BORDER_TITLE = "Loss"

    def __init__(self, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self.content = ChartContent(())
        self.drawings = 0
        """How often it has drawn, for those who want to know that it did not."""
        self._strips: list[Strip] = []
        self._drawn: tuple[object, ...] = ()
        self._lines_drawn: tuple[tuple[object, ...], list[list[chart.Run]]] = ((), [])

    def show(self, content: ChartContent) -> None:
        """Shows a content, unless it looks like the present one."""
        changed = content.key != self.content.key
        self.content = content
        if changed:
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """One row of the drawing."""
        size = self.size
        drawn = (self.content.key, size, self.app.theme)
        if drawn != self._drawn:
            self._draw(size)
            self._drawn = drawn
        if y >= len(self._strips):
            return Strip.blank(size.width, self.rich_style)
        return self._strips[y].apply_style(self.rich_style)

    def _draw(self, size: Size) -> None:
        self.drawings += 1
        colours = theme_colours(self.app.theme_variables)
        palette = Palette(frame=colours["border"], text=colours["text-muted"], reference=colours["secondary"])
        rows = render_chart(self.content, palette, size.width, size.height, self._draw_lines)
        self._strips = [Strip(row or [Segment("")]).adjust_cell_length(size.width) for row in rows]

    def _draw_lines(
        self, traces: Sequence[Trace], x_axis: Axis, y_axis: Axis, width: int, height: int
    ) -> list[list[chart.Run]]:
        """The lines as they were drawn last, where only the cursor has moved."""
        key = (self.content.lines_key, x_axis, y_axis, width, height)
        if not self.content.lines_key or key != self._lines_drawn[0]:
            self._lines_drawn = (key, chart.draw(traces, x_axis, y_axis, width, height))
        return self._lines_drawn[1]
