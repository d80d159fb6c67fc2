"""The table of runs: rows updated by key, in an order of its own, the cursor staying with its run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual import events, on
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import DataTable
from textual.widgets.data_table import RowKey

from lab import text
from lab.tui.widgets.run_columns import COLUMNS, COLUMNS_BY_KEY, Column, Look, RunCell

if TYPE_CHECKING:
    from lab.store.run_store import RunRow

_REBUILD_FROM = 40
"""Rows coming or going at once, from which filling the table anew is cheaper."""
_PADDING = 1
NARROW_BELOW = 98
"""Cells of width below which columns make themselves small."""


class RunTable(DataTable[Text]):
    """Shows runs; which, and in what order, is told by `show`."""

    BORDER_TITLE = "Runs"
    BINDINGS: ClassVar[list[BindingType]] = [  # a table's own home and end move within the row
        Binding("home", "scroll_top", show=False),
        Binding("end", "scroll_bottom", show=False),
        Binding("enter", "screen.open_run", show=False),
    ]

    @dataclass
    class SortAsked(Message):
        """A column's head was clicked."""

        column: str

    def __init__(self, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(
            id=id,
            cursor_type="row",
            zebra_stripes=False,
            cell_padding=_PADDING,
            cursor_foreground_priority="renderable",
        )
        self._shown: dict[str, tuple[Text, ...]] = {}
        self._order: list[str] = []
        self._columns_shown: list[Column] = []
        self._heading_shown = ""
        self._cell_cache: dict[str, tuple[tuple[object, ...], tuple[Text, ...]]] = {}
        self._shared_key: tuple[object, ...] = ()
        self._layout_key: tuple[object, ...] = ()
        self._runs: Sequence[RunRow] = ()
        self._look = Look()
        self._sort, self._reverse = "", False
        self._sort_labelled = ("", False)
        self._relabelled = False

    def show(self, runs: Sequence[RunRow], look: Look, *, sort: str, reverse: bool) -> None:
        """Shows these runs in this order."""
        self._runs, self._sort, self._reverse = runs, sort, reverse
        self._look = replace(look, narrow=self._narrow)
        self._lay_out_columns()
        self._fill()

    @property
    def _narrow(self) -> bool:
        return (self.size.width or self.app.size.width) < NARROW_BELOW

    @property
    def columns_shown(self) -> tuple[Column, ...]:
        """The columns that there is room for."""
        return tuple(self._columns_shown)

    @property
    def column_under_mouse(self) -> str:
        """The head of the column that the mouse is over; empty where it is elsewhere."""
        place = self.hover_coordinate.column
        return self._columns_shown[place].label if self._show_hover_cursor and place < len(self._columns_shown) else ""

    def set_heading(self, *, shown: int, of: int, marks: int, sort: str) -> None:
        """Says in the border how many runs there are, and how many of them are shown and marked."""
        said = Text("Runs")
        said.append(f" · {shown} of {of}" if shown != of else f" · {of}")
        if marks:
            said.append(f" · {marks} marked")
        if sort:
            said.append(f" · by {COLUMNS_BY_KEY[sort].label}")
        if said.plain != self._heading_shown:
            self._heading_shown = said.plain
            self.border_title = said

    @property
    def run_id(self) -> str | None:
        """The run under the cursor."""
        return self._order[self.cursor_row] if 0 <= self.cursor_row < len(self._order) else None

    def move_to(self, run_id: str) -> None:
        """Puts the cursor on a run, if it is shown."""
        if run_id in self._order:
            self.move_cursor(row=self._order.index(run_id))

    def _lay_out_columns(self) -> None:
        width = self.size.width or self.app.size.width
        baseline = self._look.baseline is not None
        shown = [column for column in COLUMNS if width >= column.from_width and (baseline or not column.with_baseline)]
        key = (width, baseline)
        if key == self._layout_key:
            self._label_columns()
            return
        self._layout_key = key
        kept = self.run_id
        self.clear(columns=True)
        self._shown.clear()
        self._order.clear()
        self._columns_shown = shown
        self._sort_labelled = (self._sort, self._reverse)
        for column, column_width in zip(shown, self._widths(shown, width), strict=True):
            self.add_column(self._heading(column), width=column_width, key=column.key)
        if kept:
            self._fill()
            self.move_to(kept)

    def _label_columns(self) -> None:
        """Moves the sign of the order to another head."""
        if (self._sort, self._reverse) == self._sort_labelled:
            return
        self._sort_labelled = (self._sort, self._reverse)
        for column in self.ordered_columns:
            column.label = self._heading(COLUMNS_BY_KEY[column.key.value or ""])
        self._relabelled = True

    def _update_dimensions(self, new_rows: Iterable[RowKey]) -> None:
        """Measures no cell: each column has a width of its own, and each row one line."""
        super()._update_dimensions(())

    def _widths(self, columns: Iterable[Column], width: int) -> list[int]:
        """Each column's width; the flexible ones share what is left over, down to a few cells."""
        columns = list(columns)
        own = [column.narrow_width or column.width if self._narrow else column.width for column in columns]
        fixed = sum(own) + 2 * _PADDING * len(columns)
        spare = width - fixed - 1
        flexible = [column for column in columns if column.flexible]
        widths = []
        for column, own_width in zip(columns, own, strict=True):
            more = 0
            if column.flexible:
                more = spare // len(flexible) if spare > 0 else spare
                if column.key == "name" and spare > 0:
                    more = min(more, 12)
            widths.append(max(8, own_width + more) if column.flexible else own_width)
        if len(flexible) > 1 and spare > 0:
            unused = spare - (sum(widths) - sum(own))
            widths[columns.index(flexible[-1])] += max(0, unused)
        return widths

    def _heading(self, column: Column) -> Text:
        label = column.label
        if column.key == self._sort:
            label += " ▼" if column.descending != self._reverse else " ▲"
        return Text(label, justify="right" if column.right else "left", no_wrap=True)

    def _cells(self, run: RunRow) -> tuple[Text, ...]:
        """A run's cells; those of before where nothing that they show has changed."""
        look = self._look
        seen = (run.id in look.marks, look.places.get(run.id), text.age(look.now - (run.ended_at or run.created_at)))
        key = (run, seen, self._shared_key)
        known = self._cell_cache.get(run.id)
        if known is None or known[0] != key:
            known = (key, tuple(column.cell(run, look) for column in self._columns_shown))
            self._cell_cache[run.id] = known
        return known[1]

    def _fill(self) -> None:
        look = self._look
        self._shared_key = (look.narrow, look.dark, look.colours, look.baseline, tuple(self._columns_shown))
        wanted = {run.id: self._cells(run) for run in self._runs}
        kept = self.run_id
        gone = [run_id for run_id in self._shown if run_id not in wanted]
        new = [run_id for run_id in wanted if run_id not in self._shown]
        if len(gone) + (len(new) if self._shown else 0) >= _REBUILD_FROM:
            self.clear()
            self._shown.clear()
            gone, new = [], list(wanted)
        for run_id in gone:
            self.remove_row(run_id)
            del self._shown[run_id]
        for run_id, cells in self._shown.items():
            if cells is wanted[run_id]:
                continue
            for column, before, now in zip(self._columns_shown, cells, wanted[run_id], strict=True):
                if before != now:
                    self.update_cell(run_id, column.key, now)
        for run_id in new:
            self.add_row(*wanted[run_id], key=run_id)
        self._shown = {run_id: wanted[run_id] for run_id in wanted}
        self._put_in_order(list(wanted), kept, rows_changed=bool(gone or new or self._relabelled))
        self._relabelled = False

    def _put_in_order(self, order: list[str], kept: str | None, *, rows_changed: bool) -> None:
        if order == self._order and not rows_changed:
            return
        place = {run_id: i for i, run_id in enumerate(order)}

        def place_of(cell: Any) -> int:
            return place[cell.run_id] if isinstance(cell, RunCell) else -1

        self.sort("mark", key=place_of)
        row = self.cursor_row
        self._order = order
        if kept in place:
            row = place[kept]
        if order:
            self.move_cursor(row=min(max(row, 0), len(order) - 1))

    @on(DataTable.HeaderSelected)
    def _head_clicked(self, event: DataTable.HeaderSelected) -> None:
        event.stop()
        if event.column_key.value:
            self.post_message(self.SortAsked(event.column_key.value))

    def on_resize(self, event: events.Resize) -> None:
        """Gives the columns their new room."""
        if self._layout_key:
            self._look = replace(self._look, narrow=self._narrow)
            self._lay_out_columns()
            self._fill()
