"""A pane that shows one text and scrolls."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static


class TextPane(VerticalScroll):
    """Shows a text; draws it anew only where it has changed."""

    def __init__(self, title: str, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self.border_title = Text(title)
        self.said = Text()

    def compose(self) -> ComposeResult:
        """One text."""
        yield Static(markup=False)

    def show(self, said: Text, *, subtitle: str = "") -> None:
        """Shows a text."""
        if said == self.said:  # rich compares the words and the spans
            return
        self.said = said
        self.border_subtitle = Text(subtitle)
        self.query_one(Static).update(said)
