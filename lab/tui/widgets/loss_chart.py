"""The chart widget: draws its content when that or its size has changed, and not otherwise.

What it draws with is imported with the first drawing: numpy takes as long as a third of the first frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, cast

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from lab.tui.marker_style import marker_style
from lab.tui.theme import theme_colours

if TYPE_CHECKING:
    from lab.tui.app import LabApp
    from lab.tui.chart import Drawer
    from lab.tui.chart_content import ChartContent, Palette
    from lab.tui.chart_frame import Frame

WHEEL_FACTOR = 1.25
WHEEL_SHARE = 0.1


class LossChart(Widget, can_focus=True):
    """Metrics over one x-axis, whatever they are. What is zoomed to, and the cursor, are its content's."""

    BORDER_TITLE = "Loss"

    @dataclass
    class Zoomed(Message):
        """One asked for another part of the x-axis; None for all of it."""

        chart: LossChart
        zoom: tuple[float, float] | None

    @dataclass
    class Pointed(Message):
        """One pointed at a place on the x-axis."""

        chart: LossChart
        x: float

    def __init__(self, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self.drawings = 0
        """How often it has drawn, for those who want to know that it did not."""
        self.linked = True
        """Whether the mouse zooms and points on it: its x-axis is the one that the screen's zoom and cursor are on."""
        self._draws_soon = False
        self._strips: list[Strip] = []
        self._style: Style | None = None
        """That of the widget; None where it may be another one now."""
        self._drawn: tuple[object, ...] = ()
        self._drawer: Drawer | None = None
        self._frame: Frame | str = ""
        self._heading = Text()

    @cached_property
    def content(self) -> ChartContent:
        """What it shows, or will show soon; nothing at first."""
        from lab.tui.chart_content import ChartContent

        return ChartContent(())

    @cached_property
    def _shown(self) -> ChartContent:
        """What it shows now."""
        return self.content

    def show(self, content: ChartContent) -> None:
        """Shows a content, unless it looks like the present one."""
        changed = content.key != self.content.key
        self.content = content
        if changed and not self._draws_soon:
            # Drawing takes longer than all else that a key changes: that is shown first, and keys in haste draw once.
            self._draws_soon = True
            self.call_after_refresh(self._draw_content)

    def set_heading(self, said: Text) -> None:
        """Says in the border what is drawn; Textual would paint the chart anew for a heading that it has already."""
        if said != self._heading:
            self._heading = said
            self.border_title = said

    def zoomed(self, factor: float) -> tuple[float, float] | None:
        """What is shown after zooming in so many times, about the cursor or the middle."""
        from lab.tui.chart_range import whole_x_axis, zoomed

        content, whole = self.content, whole_x_axis(self.content)
        if whole is None:
            return content.zoom
        low, high = (whole.share(bound) for bound in content.zoom) if content.zoom else (0.0, 1.0)
        cursor = whole.share(content.cursor) if content.cursor is not None else -1.0
        return zoomed(whole, content.zoom, factor, whole.value(cursor if low <= cursor <= high else (low + high) / 2))

    def panned(self, share: float) -> tuple[float, float] | None:
        """What is shown after moving by a share of it."""
        from lab.tui.chart_range import panned, whole_x_axis

        whole = whole_x_axis(self.content)
        return panned(whole, self.content.zoom, share) if whole is not None else self.content.zoom

    def stepped(self, share: float) -> float | None:
        """Where the cursor is after moving by a share of what is shown; None beyond the newest point."""
        from lab.tui.chart_range import whole_x_axis

        content, whole = self.content, whole_x_axis(self.content)
        if whole is None:
            return None
        shown = whole if content.zoom is None else type(whole)(*content.zoom, whole.log)
        newest = max(float(line.x[-1]) for line in content.labelled if len(line.x))
        at = min(content.cursor if content.cursor is not None else newest, newest)
        here = min(max(shown.share(at), 0.0), 1.0)
        target = shown.value(min(max(here + share, 0.0), 1.0))
        if whole.high - whole.low > 100:  # steps and characters are whole numbers
            target = float(round(target))
        return None if target >= newest and share > 0 else min(target, newest)

    # The mouse

    def _x_at(self, event: events.MouseEvent) -> float | None:
        """The place on the x-axis under the pointer."""
        offset = event.get_content_offset(self)
        frame = self._frame
        if offset is None or isinstance(frame, str):
            return None
        share = (offset.x - frame.gutter + 0.5) / frame.columns
        return frame.x_axis.value(share) if 0 <= share <= 1 else None

    def on_click(self, event: events.Click) -> None:
        """The cursor comes to where one clicks."""
        at = self._x_at(event)
        if at is not None and self.linked:
            self.post_message(self.Pointed(self, at))

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """It follows the pointer while a button is held."""
        if event.button:
            self.on_click(events.Click.from_event(self, event))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Zooms in where the pointer is; with shift or ctrl, moves to the left."""
        self._wheel(event, WHEEL_FACTOR, -WHEEL_SHARE)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Zooms out where the pointer is; with shift or ctrl, moves to the right."""
        self._wheel(event, 1 / WHEEL_FACTOR, WHEEL_SHARE)

    def _wheel(self, event: events.MouseEvent, factor: float, share: float) -> None:
        from lab.tui.chart_range import panned, whole_x_axis, zoomed

        event.stop()
        if not self.linked:
            return
        whole, at = whole_x_axis(self.content), self._x_at(event)
        if whole is None or at is None:
            return
        sideways = event.shift or event.ctrl
        zoom = panned(whole, self.content.zoom, share) if sideways else zoomed(whole, self.content.zoom, factor, at)
        self.post_message(self.Zoomed(self, zoom))

    # Drawing

    def _draw_content(self) -> None:
        self._draws_soon = False
        self._shown = self.content
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One row of the drawing."""
        size = self.size
        style = self._style = self._style or self.rich_style
        if not self._shown.key:
            return Strip.blank(size.width, style)
        app = cast("LabApp", self.app)
        drawn = (self._shown.key, size, app.theme, app.ascii_charts, style)
        if drawn != self._drawn:
            self._draw(size, style)
            self._drawn = drawn
        if y >= len(self._strips):
            return Strip.blank(size.width, style)
        return self._strips[y]

    def notify_style_update(self) -> None:
        """Its style may be another one."""
        super().notify_style_update()
        self._style = None

    def _palette(self) -> Palette:
        from lab.tui.chart_content import Palette

        app = cast("LabApp", self.app)
        colours = theme_colours(app.theme_variables)
        return Palette(
            frame=colours["border"],
            text=colours["text-muted"],
            reference=colours["secondary"],
            background=colours["background"],
            strong=colours["foreground"],
            marker=marker_style(app.theme_variables, ascii_only=app.ascii_charts),
            colour_system=None if app.no_color else app.console.color_system or "truecolor",
        )

    def _draw(self, size: Size, style: Style) -> None:
        from lab.tui.chart import Drawer
        from lab.tui.chart_frame import framed, said

        self.drawings += 1
        palette = self._palette()
        self._drawer = self._drawer or Drawer()
        frame = self._frame = framed(self._shown, palette, size.width, size.height)
        rows = said(frame, palette, *size) if isinstance(frame, str) else frame.rows(self._drawer.draw)
        strips = (Strip(row or [Segment("")]).adjust_cell_length(size.width) for row in rows)
        self._strips = [strip.apply_style(style) for strip in strips]
