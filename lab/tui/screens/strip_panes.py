"""A screen of a few panes: which one has the keys, and what of them is shown."""

from __future__ import annotations

from typing import ClassVar

from textual import events, on
from textual.reactive import var

from lab.tui.screens.lab_screen import LabScreen
from lab.tui.widgets.bars import PaneStrip


class StripPanes(LabScreen):
    """The panes' widgets have their names as ids; where one fills the screen, a `PaneStrip` names them all."""

    PANES: ClassVar[tuple[str, ...]] = ()

    pane: var[str] = var("", init=False)
    """The one that has the keys."""
    zoomed: var[bool] = var(False, init=False)
    """Whether it alone is shown, though there is room for others."""

    def show_panes(self) -> None:
        """Shows the panes that there is room for."""
        raise NotImplementedError

    def show_bars(self) -> None:
        """Shows the keys and the status."""
        raise NotImplementedError

    def on_resize(self, event: events.Resize) -> None:
        """Panes come and go with the room there is."""
        if self.is_whole:
            self.show_panes()
            self.show_bars()

    def go_to(self, pane: str) -> None:
        """Shows a pane and gives it the keys."""
        self.pane = pane
        self.show_panes()
        self.query_one(f"#{pane}").focus()
        self.show_bars()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """The pane that has the keys is the current one."""
        pane = event.widget.id
        if pane in self.PANES and self.is_whole:
            self.pane = pane
            self.show_panes()
            self.show_bars()

    @on(PaneStrip.Chosen)
    def _strip_clicked(self, event: PaneStrip.Chosen) -> None:
        self.go_to(self.PANES[event.place])

    def action_next_pane(self, step: int = 1) -> None:
        """Goes to the next pane."""
        panes = [pane for pane in self.PANES if self.single or self.zoomed or self.query_one(f"#{pane}").display]
        place = panes.index(self.pane) if self.pane in panes else 0
        self.go_to(panes[(place + step) % len(panes)])

    def action_previous_pane(self) -> None:
        """Goes to the pane before."""
        self.action_next_pane(-1)

    def action_zoom(self) -> None:
        """Gives the current pane the whole screen, or gives it back."""
        if not self.single:
            self.zoomed = not self.zoomed
            self.go_to(self.pane)
