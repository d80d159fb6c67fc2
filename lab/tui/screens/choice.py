"""A question with several answers, one of which is chosen."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.widgets import OptionList, Static

from lab.tui.screens.window import Window
from lab.tui.theme import theme_colours
from lab.tui.widgets.safe_list import SafeList


class ChoiceScreen(Window[tuple[int, str] | None]):
    """Answers the place of what was chosen, and the key by which; None on escape."""

    BINDINGS = [  # noqa: RUF012 (Textual's own form)
        Binding("escape,q", "leave", show=False),
        Binding("j", "move(1)", show=False),
        Binding("k", "move(-1)", show=False),
    ]

    def __init__(self, title: str, options: Sequence[str], keys: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self._title, self._options, self._keys = title, options, keys

    def compose(self) -> ComposeResult:
        """The answers over the keys."""
        colours = theme_colours(self.app.theme_variables)
        said = Text()
        for key, does in (*self._keys, ("esc", "leave")):
            said.append(key, f"bold {colours['accent']}")
            said.append(f" {does}   ", colours["text-muted"])
        with Vertical(id="choice") as box:
            box.border_title = Text(self._title)
            yield SafeList(*(Text(option) for option in self._options), id="choices", markup=False)
            yield Static(said, id="choice-keys", markup=False)

    def action_leave(self) -> None:
        """Goes back without one."""
        self.dismiss(None)

    def action_move(self, by: int) -> None:
        """To the next or the one before."""
        options = self.query_one(OptionList)
        (options.action_cursor_down if by > 0 else options.action_cursor_up)()

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss((event.option_index, "enter"))

    def on_key(self, event: events.Key) -> None:
        """The other keys that answer; they mean nothing to the screen below."""
        place = self.query_one(OptionList).highlighted
        if place is not None and event.key != "enter" and event.key in [name for name, _ in self._keys]:
            event.stop()
            self.dismiss((place, event.key))
