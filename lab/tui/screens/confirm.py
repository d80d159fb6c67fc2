"""A question with two answers."""

from __future__ import annotations

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from lab.tui.screens.window import Window
from lab.tui.theme import theme_colours


class ConfirmScreen(Window[bool]):
    """Answers True by its key or enter, False by escape."""

    def __init__(self, title: str, said: str, *, yes: str, key: str) -> None:
        super().__init__()
        self._title, self._said, self._yes, self._key = title, said, yes, key

    def compose(self) -> ComposeResult:
        """The question over the keys that answer it."""
        colours = theme_colours(self.app.theme_variables)
        strong, muted = f"bold {colours['accent']}", colours["text-muted"]
        keys = Text.assemble((f"{self._key}", strong), (f" {self._yes}   ", muted), ("esc", strong), (" stay", muted))
        with Vertical(id="confirm") as box:
            box.border_title = Text(self._title)
            yield Static(Text(self._said), markup=False)
            yield Static(keys, id="confirm-keys", markup=False)

    def on_key(self, event: events.Key) -> None:
        """Answers; the key means nothing more to the screen below."""
        event.stop()
        if self._key in (event.key, event.character) or event.key == "enter":
            self.dismiss(True)
        elif event.key in ("escape", "n"):
            self.dismiss(False)
