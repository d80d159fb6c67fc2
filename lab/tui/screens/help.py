"""What is under the cursor, what the keys do, and what the words mean: searchable."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Input, Static

from lab.tui.actions import ACTIONS, GROUPS, WINDOW_KEYS, Action
from lab.tui.glossary import Meaning, meanings, meanings_of
from lab.tui.modes import MODES_BY_NAME
from lab.tui.screens.window import Window
from lab.tui.theme import theme_colours

WITH_THE_MOUSE = (
    ("drag", "Select text in samples, configs and logs; ctrl+c copies what is selected."),
    ("shift+drag", "Select anything, as the terminal itself does it (option+drag or fn+drag on macOS)."),
)
"""How to select with the mouse, which belongs to lab until the terminal is told otherwise."""


class HelpScreen(Window[None]):
    """Says what the terms under the cursor mean, then lists the actions of the screen below, then the terms in view."""

    BINDINGS = [  # noqa: RUF012 (Textual's own form)
        Binding("escape", "close", show=False),
        Binding("down", "scroll(1)", show=False),
        Binding("up", "scroll(-1)", show=False),
        Binding("pagedown", "scroll(10)", show=False),
        Binding("pageup", "scroll(-10)", show=False),
    ]

    def __init__(self, mode: str, pointed_at: Sequence[str] = (), in_view: Sequence[str] = ()) -> None:
        super().__init__()
        self.mode = mode
        self._pointed_at = meanings_of(pointed_at)
        self._in_view = [meaning for meaning in meanings_of(in_view) if meaning not in self._pointed_at]

    def compose(self) -> ComposeResult:
        """A line to search in, over the list."""
        with Vertical(id="help") as box:
            mode = MODES_BY_NAME.get(self.mode)
            box.border_title = f"Help · {mode.label if mode else self.mode.replace('_', ' ').capitalize()}"
            box.border_subtitle = "↓ ↑ scroll · esc closes"
            yield Input(placeholder="type to search keys and words: curve, queue, choices…", id="help-search",
                        compact=True)  # fmt: skip
            with VerticalScroll(id="help-list", can_focus=False):
                yield Static(markup=False)

    def on_mount(self) -> None:
        """Starts with all of them."""
        self._show("")

    @on(Input.Changed, "#help-search")
    def _searched(self, event: Input.Changed) -> None:
        self._show(event.value.strip())

    @on(Input.Submitted, "#help-search")
    def action_close(self) -> None:
        """Goes back."""
        self.dismiss()

    def action_scroll(self, lines: int) -> None:
        """Moves the list while the search line keeps the focus."""
        self.query_one("#help-list").scroll_relative(y=lines, animate=False)

    def _show(self, search: str) -> None:
        """The keys and words of the screen below; when something is sought, all others too."""
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True, max_width=20)
        table.add_column()
        if not search:
            self._add_meanings(table, "Under the cursor", self._pointed_at)
        self._add_keys(table, search)
        self._add_listed(table, "In windows", WINDOW_KEYS, search)
        self._add_listed(table, "With the mouse", WITH_THE_MOUSE, search)
        sought = [meaning for meaning in meanings().values() if meaning.matches(search)] if search else self._in_view
        self._add_meanings(table, "Words", sought)
        shown = table if table.row_count else Text("nothing is called that: try another word")
        self.query_one("#help-list Static", Static).update(shown)
        self.query_one("#help-list").scroll_home(animate=False)

    @property
    def _colours(self) -> dict[str, str]:
        return theme_colours(self.app.theme_variables)

    def _add_heading(self, table: Table, name: str) -> None:
        if table.row_count:
            table.add_row("", "")
        table.add_row(Text(name, f"bold {self._colours['primary']}"), "")

    def _add_meanings(self, table: Table, heading: str, found: Sequence[Meaning]) -> None:
        if not found:
            return
        self._add_heading(table, heading)
        for meaning in found:
            said = Text(meaning.said)
            if meaning.lecture:
                said.append(f"  {meaning.lecture}", self._colours["text-muted"])
            table.add_row(Text(f"  {meaning.term}", f"bold {self._colours['secondary']}"), said)

    def _add_keys(self, table: Table, search: str) -> None:
        found = [action for action in ACTIONS if matches(action, search) and (search or action.is_for(self.mode))]
        for group in GROUPS:
            actions = [action for action in found if action.group == group]
            if actions:
                self._add_heading(table, group)
            for action in actions:
                said = Text(action.help)
                if not action.is_for(self.mode):
                    names = (mode.replace("_", " ").capitalize() for mode in action.modes)
                    said.append(f"  in {' and '.join(names)}", self._colours["text-muted"])
                table.add_row(Text(f"  {action.key_text or 'palette'}", f"bold {self._colours['accent']}"), said)

    def _add_listed(self, table: Table, heading: str, listed: Sequence[tuple[str, str]], search: str) -> None:
        words = search.casefold().split()
        found = [each for each in listed if all(word in f"{heading} {' '.join(each)}".casefold() for word in words)]
        if found:
            self._add_heading(table, heading)
        for key, said in found:
            table.add_row(Text(f"  {key}", f"bold {self._colours['accent']}"), said)


def matches(action: Action, search: str) -> bool:
    """Whether an action is meant by some words."""
    said = f"{action.label} {action.help} {action.synonyms} {action.key_text} {action.group}".casefold()
    return all(word in said for word in search.casefold().split())
