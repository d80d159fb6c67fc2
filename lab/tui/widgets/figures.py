"""Large figures for a room: what a number is called, and the number in digits three lines high."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Digits, Static

MOST = 3


class Figures(Horizontal):
    """Some numbers in a row; none take up no room. They are shown where the theme is the presenter's."""

    DEFAULT_CSS = """
    Figures { height: 3; padding: 0 1; display: none; }
    Figures .figure-name { width: auto; height: 3; padding: 1 1 0 0; color: $text-muted; }
    Figures Digits { width: auto; margin: 0 4 0 0; color: $foreground; text-style: bold; }
    """

    def compose(self) -> ComposeResult:
        """A name and a number each."""
        for _ in range(MOST):
            yield Static(classes="figure-name", markup=False)
            yield Digits("")

    def show(self, figures: Sequence[tuple[str, str]]) -> None:
        """Shows these, at most three, each with its name."""
        self.display = bool(figures)
        names, numbers = list(self.query(Static).filter(".figure-name")), list(self.query(Digits))
        for place, (name, number) in enumerate(zip(names, numbers, strict=True)):
            known = place < len(figures)
            name.display = number.display = known
            if known:
                said, value = figures[place]
                name.update(said)
                number.update(value.replace("−", "-"))
