"""A pane that shows one text and scrolls."""

from __future__ import annotations

from rich.console import RenderableType
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static


class TextPane(VerticalScroll):
    """Shows a text; draws it anew only where it has changed."""

    def __init__(self, title: str, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self.border_title = Text(title)
        self._key: object = None

    def compose(self) -> ComposeResult:
        """One text."""
        yield Static(markup=False)

    def show(self, said: RenderableType, key: object) -> None:
        """Shows a text, unless it is the present one: equal keys look the same."""
        if key != self._key:
            self._key = key
            self.query_one(Static).update(said)
