"""The views of a model in a list; those that do not fit the run's stage are dimmed, and say why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from lab import text
from lab.inference.views import VIEWS, fits
from lab.tui.widgets.run_columns import Look
from lab.tui.widgets.safe_list import SafeList

if TYPE_CHECKING:
    from lab.config.run_config import RunConfig

_LABEL_WIDTH = 12
_SURROUNDINGS = 6
"""Columns of a row that are neither label nor description."""


class ViewList(SafeList):
    """What is under its cursor is shown."""

    BORDER_TITLE = "Views"

    def __init__(self, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id, classes="pane", compact=True)
        self._rows: tuple[object, ...] = ()
        self._place = 0
        """Of the view that is chosen, also while none is listed yet."""

    @property
    def view(self) -> str:
        """The view under the cursor, by its name."""
        return VIEWS[self._place if self.highlighted is None else self.highlighted].name

    def show(self, config: RunConfig | None, look: Look, *, described: bool) -> None:
        """Lists all views; where there is the room, with what each shows."""
        fitting = tuple(config is None or fits(view, config) for view in VIEWS)
        room = self.app.size.width - _LABEL_WIDTH - _SURROUNDINGS
        rows = (fitting, described, room, look.colours.get("background"))
        if rows == self._rows:
            return
        self._rows = rows
        place = self._place if self.highlighted is None else self.highlighted
        options = []
        for view, fit in zip(VIEWS, fitting, strict=True):
            said = Text(no_wrap=True, overflow="ellipsis")
            said.append("  " if fit else "– ", look.colour("text-muted"))
            said.append(f"{view.label:<{_LABEL_WIDTH}}", "" if fit else look.colour("text-muted"))
            if described:
                said.append(f" {text.clip(view.shows, room)}", look.colour("text-muted"))
            options.append(Option(said, id=view.name))
        with self.prevent(OptionList.OptionHighlighted):
            self.set_options(options)
            self.highlighted = place

    def choose(self, name: str) -> None:
        """Puts the cursor on a view."""
        place = next((i for i, view in enumerate(VIEWS) if view.name == name), None)
        if place is not None:
            self._place = place
            if self.option_count:
                self.highlighted = place
