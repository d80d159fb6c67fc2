"""The table of runs. Only the rows in sight are drawn, so a thousand runs cost what twenty do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from lab import text
from lab.tui.widgets.run_columns import Column, Look, column_of, column_widths, columns_that_fit

if TYPE_CHECKING:
    from lab.store.run_store import RunRow

_PADDING = 1
NARROW_BELOW = 98
"""Cells of width below which columns make themselves small."""


class RunTable(ScrollView, can_focus=True, inherit_bindings=False):
    """Shows runs under a head; which, and in what order, is told by `show`. The cursor stays with its run."""

    BORDER_TITLE = "Runs"
    COMPONENT_CLASSES: ClassVar[set[str]] = {"datatable--header", "datatable--cursor"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "screen.open_run", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
    ]

    @dataclass
    class Moved(Message):
        """The cursor was put on another run."""

    @dataclass
    class SortAsked(Message):
        """A column's head was clicked."""

        column: str

    @dataclass
    class MarkAsked(Message):
        """A run's mark was clicked; the cursor is on it."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self._runs: Sequence[RunRow] = ()
        self._of = 0
        self._places: dict[str, int] = {}
        self._cursor = 0
        self._look = Look()
        self._sort, self._reverse = "", False
        self._wanted: tuple[str, ...] = ()
        self._columns: tuple[Column, ...] = ()
        self._widths: tuple[int, ...] = ()
        self._laid_out_for = 0
        self._longest_name = 0
        self._nothing = Text()
        self._heading_shown = ""
        self._rows: dict[str, tuple[tuple[object, ...], Strip]] = {}
        self._rows_key: tuple[object, ...] = ()
        self._row_style = self._cursor_style = Style()
        self._styles_changed = True

    # What is shown

    def show(
        self, runs: Sequence[RunRow], look: Look, *, of: int, sort: str, reverse: bool, columns: tuple[str, ...] = ()
    ) -> None:
        """Shows these runs in this order; in these columns, as many as fit, or in those that suit the width.

        `of` is how many there are without the filter: the table keeps its height while one types.
        """
        kept, rows = self.run_id, (len(self._runs), self._of)
        self._of = of
        self._runs, self._sort, self._reverse, self._wanted = runs, sort, reverse, columns
        self._places = {run.id: place for place, run in enumerate(runs)}
        self._look = look
        self._longest_name = max((len(run.name) for run in runs), default=0)
        self._lay_out()
        self._cursor = self._places.get(kept or "", min(self._cursor, max(0, len(runs) - 1)))
        if (len(runs), of) != rows:
            self.virtual_size = Size(self._width, len(runs) + 1)
            self.refresh(layout=of != rows[1])
        self._keep_in_sight()
        self.refresh()

    def say_nothing(self, why: Text) -> None:
        """What stands there where no run is shown."""
        self._nothing = why

    def set_heading(self, *, shown: int, of: int, marks: int, sort: str, where: str = "Runs") -> None:
        """Says in the border how many runs there are, and how many of them are shown and marked."""
        said = Text(where)
        said.append(f" · {shown:,} of {of:,}" if shown != of else f" · {of:,}")
        if marks:
            said.append(f" · {marks:,} marked")
        if sort:
            said.append(f" · by {column_of(sort).label}")
        if said.plain != self._heading_shown:
            self._heading_shown = said.plain
            self.border_title = said

    @property
    def columns_shown(self) -> tuple[Column, ...]:
        """The columns that there is room for."""
        return self._columns

    @property
    def row_count(self) -> int:
        """How many runs are shown."""
        return len(self._runs)

    @property
    def cursor_row(self) -> int:
        """The row under the cursor, counted from 0."""
        return self._cursor

    def get_row_at(self, row: int) -> tuple[Text, ...]:
        """The cells of a row."""
        return tuple(column.cell(self._runs[row], self._look) for column in self._columns)

    @property
    def run_id(self) -> str | None:
        """The run under the cursor."""
        return self._runs[self._cursor].id if self._cursor < len(self._runs) else None

    # The cursor

    def move_to(self, run_id: str) -> None:
        """Puts the cursor on a run, if it is shown."""
        if run_id in self._places:
            self.move_cursor(row=self._places[run_id])

    def move_cursor(self, *, row: int) -> None:
        """Puts the cursor on a row, or the nearest there is."""
        row = min(max(0, row), max(0, len(self._runs) - 1))
        if row == self._cursor:
            return
        before, self._cursor = self._cursor, row
        self._keep_in_sight()
        for each in (before, row):
            self.refresh(Region(0, each + 1 - self._top, self._width, 1))
        self.post_message(self.Moved())

    def action_cursor_down(self) -> None:
        """Moves down."""
        self.move_cursor(row=self._cursor + 1)

    def action_cursor_up(self) -> None:
        """Moves up."""
        self.move_cursor(row=self._cursor - 1)

    def action_page(self, pages: int) -> None:
        """Moves by as many rows as are in sight."""
        self.move_cursor(row=self._cursor + pages * max(1, self._room - 1))

    def action_scroll_top(self) -> None:
        """Moves to the first."""
        self.move_cursor(row=0)

    def action_scroll_bottom(self) -> None:
        """Moves to the last."""
        self.move_cursor(row=len(self._runs) - 1)

    @property
    def _top(self) -> int:
        """The first row in sight."""
        return self.scroll_offset.y

    @property
    def _width(self) -> int:
        """Cells of a row; those of the window before it is known."""
        return self.scrollable_content_region.width or self.app.size.width

    @property
    def _room(self) -> int:
        """Rows in sight, without the head."""
        return max(0, self.scrollable_content_region.height - 1)

    def _keep_in_sight(self) -> None:
        top = min(max(self._top, self._cursor - self._room + 1), self._cursor)
        if self._room and top != self._top:
            self.scroll_to(y=top, animate=False, immediate=True, force=True)

    # Drawing

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """A row each, the head, and a line where there is nothing to show."""
        return max(2, self._of + 1)

    def render_line(self, y: int) -> Strip:
        """The head, or one run."""
        width = self._width
        if width != self._laid_out_for:  # the scrollbar has come or gone
            self._lay_out()
        if self._styles_changed:
            self._take_styles()
        if y == 0:
            return self._head(width)
        row = self._top + y - 1
        if not self._runs and y == 1:
            return self._strip(self._nothing, self.rich_style, width)
        if row >= len(self._runs):
            return Strip.blank(width, self.rich_style)
        return self._row(row, width)

    def _head(self, width: int) -> Strip:
        style = self.get_component_rich_style("datatable--header", partial=True)
        said = Text(style=style)
        for column, column_width in zip(self._columns, self._widths, strict=True):
            label = column.label
            if column.key == self._sort:
                label += " ▼" if column.descending != self._reverse else " ▲"
            _append_cell(said, Text(label, justify="right" if column.right else "left"), column_width)
        return self._strip(said, self.rich_style + style, width)

    def _row(self, row: int, width: int) -> Strip:
        """A row as it was drawn last, where nothing that it shows has changed."""
        run, look = self._runs[row], self._look
        under_cursor = row == self._cursor
        seen = (
            under_cursor and self._cursor_style,
            run.id in look.marks,
            look.places.get(run.id),
            look.times.get(run.id),
            text.age(look.now - (run.ended_at or run.created_at)),
            look.slots.get(run.id),
        )
        key = (run, seen, width)
        known = self._rows.get(run.id)
        if known is None or known[0] != key:
            known = self._rows[run.id] = (key, self._drawn(run, under_cursor, width))
        return known[1]

    def _drawn(self, run: RunRow, under_cursor: bool, width: int) -> Strip:
        style = self._cursor_style if under_cursor else self._row_style
        said = Text()
        for column, column_width in zip(self._columns, self._widths, strict=True):
            _append_cell(said, column.cell(run, self._look), column_width)
        return self._strip(said, style, width)

    def _strip(self, said: Text, style: Style, width: int) -> Strip:
        segments = list(said.render(self.app.console, end=""))
        return Strip(segments).adjust_cell_length(width).apply_style(style)

    def _lay_out(self) -> None:
        """Chooses the columns and their widths, and forgets the rows that were drawn otherwise."""
        width = self._width
        narrow = width < NARROW_BELOW
        self._look = look = replace(self._look, narrow=narrow)
        self._columns = columns_that_fit(self._wanted, width, narrow=narrow, baseline=look.baseline is not None)
        self._widths = column_widths(self._columns, width, narrow=narrow, longest_name=self._longest_name)
        self._laid_out_for = width
        key = (width, look.dark, look.colours, look.baseline, self._columns, self._widths)
        if key != self._rows_key:
            self._rows_key = key
            self._rows.clear()

    def notify_style_update(self) -> None:
        """Its styles may be others; all of them are known when it is drawn."""
        super().notify_style_update()
        self._styles_changed = True

    def _take_styles(self) -> None:
        """Takes over the theme's styles, and those of the focus; rows that were drawn in others are drawn anew."""
        self._styles_changed = False
        style = self.rich_style
        self._cursor_style = style + self.get_component_rich_style("datatable--cursor", partial=True)
        if style != self._row_style:
            self._row_style = style
            self._rows.clear()

    def on_resize(self, event: events.Resize) -> None:
        """Gives the columns their new room."""
        self.virtual_size = Size(self._width, len(self._runs) + 1)
        self._lay_out()
        self._keep_in_sight()
        self.refresh()

    # The mouse

    def on_click(self, event: events.Click) -> None:
        """Goes to the run that was clicked, opens it at the second click; a click on a head sorts."""
        place = event.get_content_offset(self)
        if place is None:
            return
        column = self._column_at(place.x)
        row = self._top + place.y - 1
        if place.y == 0:
            if column is not None:
                self.post_message(self.SortAsked(column.key))
            return
        if row >= len(self._runs):
            return
        self.move_cursor(row=row)
        if column is not None and column.key == "mark":
            self.post_message(self.MarkAsked())
        elif event.chain == 2:
            self.call_next(self.run_action, "screen.open_run")

    @property
    def column_under_mouse(self) -> str:
        """The head of the column that the mouse is over; empty where it is elsewhere."""
        column = self._column_at(self.app.mouse_position.x - self.content_region.x) if self.mouse_hover else None
        return column.label if column is not None else ""

    def _column_at(self, x: int) -> Column | None:
        start = 0
        for column, width in zip(self._columns, self._widths, strict=True):
            if start <= x < start + width + 2 * _PADDING:
                return column
            start += width + 2 * _PADDING
        return None


def _append_cell(said: Text, cell: Text, width: int) -> None:
    """Adds a cell, cut or filled to its width, between its blanks."""
    if cell.cell_len > width:
        cell = cell.copy()
        cell.truncate(width, overflow="ellipsis")
    gap = " " * (width - cell.cell_len)
    said.append(" " * _PADDING + (gap if cell.justify == "right" else ""))
    said.append_text(cell)
    said.append(("" if cell.justify == "right" else gap) + " " * _PADDING)
