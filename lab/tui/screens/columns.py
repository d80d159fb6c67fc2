"""Which columns the table of runs has, in which order, and by which it is sorted; the table behind follows at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from lab.tui.screens.window import Window
from lab.tui.theme import theme_colours
from lab.tui.widgets.run_columns import all_columns, column_of
from lab.tui.widgets.safe_list import SafeList

_KEYS = (("space", "show/hide"), ("shift ↑↓", "move"), ("s", "sort"), ("S", "reverse"), ("r", "reset"), ("esc", "done"))
_ALWAYS = "mark"
"""Without it one would not know which run is which in the chart."""


@dataclass(frozen=True)
class TableLayout:
    """Columns (none: as suits the width), and the order of the rows."""

    columns: tuple[str, ...] = ()
    sort: str = ""
    reverse: bool = False


class ColumnsScreen(Window[None]):
    """Changes the layout, and tells of each change."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,c", "leave", show=False),
        Binding("space,enter", "show_or_hide", show=False, priority=True),
        Binding("shift+up,comma", "move(-1)", show=False),
        Binding("shift+down,full_stop", "move(1)", show=False),
        Binding("s", "sort", show=False),
        Binding("S", "reverse", show=False),
        Binding("r", "reset", show=False),
        Binding("j", "down", show=False),
        Binding("k", "up", show=False),
    ]

    def __init__(self, layout: TableLayout, shown: Sequence[str], changed: Callable[[TableLayout], None]) -> None:
        super().__init__()
        self.layout_chosen = layout
        self._usual = tuple(shown)
        """What the table has where nothing is chosen."""
        self._changed = changed

    def compose(self) -> ComposeResult:
        """The columns over the keys."""
        with Vertical(id="columns") as box:
            box.border_title = Text("Columns")
            yield SafeList(id="column-list", compact=True, markup=False)
            yield Static(id="column-keys", markup=False)

    def on_mount(self) -> None:
        """The columns that there are first, then those that there could be."""
        colours = theme_colours(self.app.theme_variables)
        said = Text()
        for key, does in _KEYS:
            said.append(key, f"bold {colours['accent']}")
            said.append(f" {does}  ", colours["text-muted"])
        self.query_one("#column-keys", Static).update(said)
        self._fill(self._shown[1])

    @property
    def _shown(self) -> tuple[str, ...]:
        return self.layout_chosen.columns or self._usual

    @property
    def _key(self) -> str:
        """The column under the cursor."""
        options = self.query_one(OptionList)
        option = options.highlighted_option
        return option.id or "" if option else ""

    def _fill(self, key: str) -> None:
        """Lists the columns anew, the cursor on one of them."""
        keys = [each for each in (*self._shown, *(k for k in all_columns() if k not in self._shown)) if each != _ALWAYS]
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options([Option(self._line(each), id=each) for each in keys])
        options.highlighted = keys.index(key) if key in keys else 0

    def _line(self, key: str) -> Text:
        column, layout = column_of(key), self.layout_chosen
        colours = theme_colours(self.app.theme_variables)
        shown = key in self._shown
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append("✓ " if shown else "  ", colours["success"])
        arrow = " " if key != layout.sort else "▼" if column.descending != layout.reverse else "▲"
        line.append(f"{arrow} ", colours["accent"])
        line.append(f"{column.label:<22}", "" if shown else colours["text-muted"])
        line.append(column.meaning, colours["text-muted"])
        return line

    def _change(self, layout: TableLayout) -> None:
        key = self._key
        self.layout_chosen = layout
        self._fill(key)
        self._changed(layout)

    @on(OptionList.OptionSelected)
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.action_show_or_hide()

    def action_show_or_hide(self) -> None:
        """Shows a column behind the others, or hides it."""
        key, shown = self._key, self._shown
        columns = tuple(each for each in shown if each != key) if key in shown else (*shown, key)
        if columns != (_ALWAYS,):
            self._change(replace(self.layout_chosen, columns=columns))

    def action_move(self, by: int) -> None:
        """Moves a column that is shown among its neighbours."""
        key, columns = self._key, list(self._shown)
        if key not in columns:
            return
        place = columns.index(key)
        to = place + by
        if 0 <= to < len(columns) and columns[to] != _ALWAYS:
            columns[place], columns[to] = columns[to], columns[place]
            self._change(replace(self.layout_chosen, columns=tuple(columns)))

    def action_sort(self) -> None:
        """Sorts by a column; by none, where it is the one already."""
        key, layout = self._key, self.layout_chosen
        if column_of(key).sort is not None:
            self._change(replace(layout, sort="" if key == layout.sort else key, reverse=False))

    def action_reverse(self) -> None:
        """Turns the order round."""
        self._change(replace(self.layout_chosen, reverse=not self.layout_chosen.reverse))

    def action_reset(self) -> None:
        """The columns that suit the width, in the order of the work."""
        self._change(TableLayout())

    def action_down(self) -> None:
        """Moves down."""
        self.query_one(OptionList).action_cursor_down()

    def action_up(self) -> None:
        """Moves up."""
        self.query_one(OptionList).action_cursor_up()

    def action_leave(self) -> None:
        """Closes the list; what was chosen stays."""
        self.dismiss()
