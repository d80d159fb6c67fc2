"""Lists whose options come and go while one clicks on them and pages through them."""

from __future__ import annotations

from typing import Literal

from textual import events
from textual.widgets import OptionList


class SafeList(OptionList):
    """A list that does nothing where Textual's would break."""

    def on_click(self, event: events.Click) -> None:
        """Ignores a click on an option that is gone by the time the click arrives."""
        place = event.style.meta.get("option")
        if place is not None and place >= self.option_count:
            event.prevent_default()
            event.stop()

    def _move_page(self, direction: Literal[-1, 1]) -> None:
        """Stays where no line is laid out: the list has no room, or its options are just being replaced."""
        if (self.highlighted or 0) in self._index_to_line:
            super()._move_page(direction)
