"""Lists whose options come and go while one clicks on them."""

from __future__ import annotations

from textual import events
from textual.widgets import OptionList


class FreshClicks(OptionList):
    """A list that ignores a click on an option that is gone by the time the click arrives; Textual's would break."""

    def on_click(self, event: events.Click) -> None:
        """Leaves clicks on what is still there to the list."""
        place = event.style.meta.get("option")
        if place is not None and place >= self.option_count:
            event.prevent_default()
            event.stop()
