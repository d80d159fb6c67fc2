"""What the keys do, searchable."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from lab.tui.actions import ACTIONS, GROUPS, Action
from lab.tui.theme import theme_colours


class HelpScreen(ModalScreen[None]):
    """Lists the actions of the screen that it was opened on, by their groups."""

    BINDINGS = [  # noqa: RUF012 (Textual's own form)
        Binding("escape", "close", show=False),
        Binding("down", "scroll(1)", show=False),
        Binding("up", "scroll(-1)", show=False),
        Binding("pagedown", "scroll(10)", show=False),
        Binding("pageup", "scroll(-10)", show=False),
    ]

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode = mode

    def compose(self) -> ComposeResult:
        """A line to search in, over the list."""
        with Vertical(id="help") as box:
            box.border_title = "Keys"
            box.border_subtitle = "esc closes"
            yield Input(placeholder="type to search: curve, queue, stop…", id="help-search", compact=True)
            with VerticalScroll(id="help-list", can_focus=False):
                yield Static(markup=False)

    def on_mount(self) -> None:
        """Starts with all of them."""
        self._show("")

    @on(Input.Changed, "#help-search")
    def _searched(self, event: Input.Changed) -> None:
        self._show(event.value)

    @on(Input.Submitted, "#help-search")
    def action_close(self) -> None:
        """Goes back."""
        self.dismiss()

    def action_scroll(self, lines: int) -> None:
        """Moves the list while the search line keeps the focus."""
        self.query_one("#help-list").scroll_relative(y=lines, animate=False)

    def _show(self, search: str) -> None:
        """The keys of the screen below; when something is sought, of the others too."""
        found = [action for action in ACTIONS if matches(action, search) and (search or action.is_for(self.mode))]
        colours = theme_colours(self.app.theme_variables)
        muted = colours["text-muted"]
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True)
        table.add_column()
        for group in GROUPS:
            actions = [action for action in found if action.group == group]
            if actions:
                table.add_row(Text(group, f"bold {colours['primary']}"), "")
            for action in actions:
                keys = action.key_text or "palette"
                said = Text(action.help)
                if not action.is_for(self.mode):
                    names = (mode.replace("_", " ").capitalize() for mode in action.modes)
                    said.append(f"  in {' and '.join(names)}", muted)
                table.add_row(Text(f"  {keys}", f"bold {colours['accent']}"), said)
        self.query_one("#help-list Static", Static).update(table if found else Text("no such key"))


def matches(action: Action, search: str) -> bool:
    """Whether an action is meant by some words."""
    said = f"{action.label} {action.help} {action.synonyms} {action.key_text} {action.group}".casefold()
    return all(word in said for word in search.casefold().split())
