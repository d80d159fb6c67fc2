"""What opens over a mode and is closed again."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.await_complete import AwaitComplete
from textual.binding import Binding
from textual.screen import ModalScreen, Screen, ScreenResultType

if TYPE_CHECKING:
    from lab.tui.app import LabApp


class ClosesOnce(Screen[ScreenResultType]):
    """A screen that closes itself only: a second escape may reach it when it is gone already."""

    def dismiss(self, result: ScreenResultType | None = None) -> AwaitComplete:
        """Closes it and hands on the result, if it is the one that is open; Textual would close whichever is."""
        if not self.is_active:
            return AwaitComplete()
        return super().dismiss(result)


class Window(ModalScreen[ScreenResultType], ClosesOnce[ScreenResultType]):
    """A window over a mode: it takes all keys until it is closed."""

    BINDINGS = [  # noqa: RUF012 (Textual's own form)
        # First of all, so that what is typed right behind them goes where they lead.
        Binding("tab", "app.focus_next", show=False, priority=True),
        Binding("shift+tab", "app.focus_previous", show=False, priority=True),
    ]

    @property
    def lab(self) -> LabApp:
        """The application, by its own type."""
        return cast("LabApp", self.app)
