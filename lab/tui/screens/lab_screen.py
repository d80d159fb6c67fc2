"""What every mode of lab shares: the actions that mean the same everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.screen import Screen

if TYPE_CHECKING:
    from lab.tui.app import LabApp


class LabScreen(Screen[None]):
    """A mode of lab."""

    @property
    def lab(self) -> LabApp:
        """The application, by its own type."""
        return cast("LabApp", self.app)

    def action_help(self) -> None:
        """Shows the keys."""
        from lab.tui.screens.help import HelpScreen

        self.app.push_screen(HelpScreen())

    def action_command_palette(self) -> None:
        """Opens the palette."""
        self.app.action_command_palette()

    def action_change_theme(self) -> None:
        """Lets one choose a theme."""
        self.app.action_change_theme()

    def action_quit(self) -> None:
        """Leaves lab; asks first where runs are active."""
        from lab.tui.screens.confirm import ConfirmScreen

        snapshot = self.lab.snapshot
        training, waiting = len(snapshot.training), snapshot.waiting
        if not training and not waiting:
            self.app.exit()
            return
        parts = [f"{training} training" if training else "", f"{waiting} waiting" if waiting else ""]
        said = f"{' and '.join(part for part in parts if part)}: the work goes on in the background."

        def leave(sure: bool | None) -> None:
            if sure:
                self.app.exit()

        self.app.push_screen(ConfirmScreen("Quit lab?", said, yes="quit", key="q"), leave)

    def action_stop_worker(self) -> None:
        """Ends the background worker."""
        self.lab.stop_worker()
