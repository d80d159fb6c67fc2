"""A pane that shows one text and scrolls."""

from __future__ import annotations

import io

from rich.console import Console, RenderableType
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

    def show(self, said: RenderableType, key: object) -> bool:
        """Shows a text, unless it is the present one: equal keys look the same. Tells whether it was another.

        The lines of one that is not to be wrapped are cut where the pane ends.
        """
        if key == self._key:
            return False
        self._key = key
        static = self.query_one(Static)
        wraps = not (isinstance(said, Text) and said.no_wrap)
        static.styles.text_wrap = "wrap" if wraps else "nowrap"
        static.styles.text_overflow = "fold" if wraps else "ellipsis"
        static.update(said)
        return True

    @property
    def plain(self) -> str:
        """What is shown, as mere text."""
        return plain_text(self.query_one(Static).content, self.scrollable_content_region.width)


def plain_text(content: object, width: int) -> str:
    """What a widget shows, as mere text."""
    if isinstance(content, Text):
        return content.plain
    console = Console(width=max(20, width), color_system=None, file=io.StringIO())
    with console.capture() as captured:
        console.print(content)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"
