"""A run's notes, in an editor of several lines."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static, TextArea

from lab import text
from lab.errors import UsageError
from lab.tui.screens.window import Window
from lab.tui.theme import theme_colours
from lab.tui.typed_words import check_notes


class NotesScreen(Window[str]):
    """Answers what the notes shall be; None where they stay as they were."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "keep", show=False, priority=True),
        Binding("escape", "leave", show=False, priority=True),
    ]

    def __init__(self, name: str, notes: str) -> None:
        super().__init__()
        self._of, self._notes = name, notes
        self._warned = False

    def compose(self) -> ComposeResult:
        """The editor over its keys."""
        with Vertical(id="notes") as box:
            box.border_title = Text(f"Notes on {text.clip(text.literal(self._of), 40)}")
            # Escape sequences would be obeyed by the terminal: they are shown, and kept, as they are written.
            yield TextArea(text.literal(self._notes, lines=True), compact=True, show_line_numbers=False, soft_wrap=True)
            yield Static(id="notes-keys", markup=False)

    def on_mount(self) -> None:
        """Writing goes on at the end."""
        editor = self.query_one(TextArea)
        editor.move_cursor(editor.document.end)
        editor.focus()
        self._say()

    def _say(self, problem: str = "") -> None:
        colours = theme_colours(self.app.theme_variables)
        strong, muted = f"bold {colours['accent']}", colours["text-muted"]
        said = Text(f"✗ {problem}   " if problem else "", colours["error"])
        for key, does in (("ctrl+s", "keep"), ("esc", "leave as it was")):
            said.append(key, strong)
            said.append(f" {does}   ", muted)
        self.query_one("#notes-keys", Static).update(said)

    @property
    def _changed(self) -> bool:
        return self.query_one(TextArea).text.rstrip() != text.literal(self._notes, lines=True).rstrip()

    @on(TextArea.Changed)
    def _typed(self) -> None:
        self._warned = False
        try:
            check_notes(self.query_one(TextArea).text)
        except UsageError as error:
            self._say(str(error))
        else:
            self._say()

    def action_keep(self) -> None:
        """Answers what stands in the editor."""
        try:
            notes = check_notes(self.query_one(TextArea).text)
        except UsageError:
            return  # said already, as it was typed
        self.dismiss(text.literal(notes, lines=True) if self._changed else None)

    def action_leave(self) -> None:
        """Leaves the notes as they were; where something was typed, at the second press."""
        if self._changed and not self._warned:
            self._warned = True
            self._say("esc again forgets what was typed")
            return
        self.dismiss(None)
