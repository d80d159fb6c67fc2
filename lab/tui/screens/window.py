"""What opens over a mode and is closed again."""

from __future__ import annotations

from textual.await_complete import AwaitComplete
from textual.screen import ModalScreen, Screen, ScreenResultType


class ClosesOnce(Screen[ScreenResultType]):
    """A screen that closes itself only: a second escape may reach it when it is gone already."""

    def dismiss(self, result: ScreenResultType | None = None) -> AwaitComplete:
        """Closes it and hands on the result, if it is the one that is open; Textual would close whichever is."""
        if not self.is_active:
            return AwaitComplete()
        return super().dismiss(result)


class Window(ModalScreen[ScreenResultType], ClosesOnce[ScreenResultType]):
    """A window over a mode: it takes all keys until it is closed."""
