"""Copying what is shown, and writing it to a file: the same keys on every screen."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from lab.tui.screens.window import ClosesOnce
from lab.tui.shown import LARGEST_COPY, Shown, of_text, write_beside

if TYPE_CHECKING:
    from lab.tui.app import LabApp

TMUX_HINT = "not there? in tmux: set -g set-clipboard on"


class TakingAlong(ClosesOnce[None]):
    """A screen that says by `shown` what there is to take along."""

    def shown(self) -> list[Shown]:
        """What can be copied or written now, the likeliest first."""
        return []

    def action_copy(self) -> None:
        """Copies what is shown; asks where there are several things."""
        self._ask("Copy", self.shown(), [("enter", "copy"), ("w", "write to a file")])

    def action_write_file(self) -> None:
        """Writes what is shown to a file; asks which."""
        picture = Shown("picture of the screen (SVG)", lambda: "", "lab.svg")
        self._ask("Write to a file", [*self.shown(), picture], [("enter", "write"), ("y", "copy")])

    def action_picture(self) -> None:
        """Writes a picture of the screen."""
        picture = of_text("picture of the screen", self.app.export_screenshot(title="lab"), "lab.svg")
        self._write(picture)

    def _ask(self, title: str, offered: Sequence[Shown], keys: Sequence[tuple[str, str]]) -> None:
        from lab.tui.screens.choice import ChoiceScreen

        if not offered:
            self.app.notify("there is nothing here to copy", severity="warning", markup=False, timeout=3)
            return
        if len(offered) == 1:
            self._take(offered[0], dict(keys)["enter"])
            return

        def chosen(answer: tuple[int, str] | None) -> None:
            if answer is not None:
                self._take(offered[answer[0]], dict(keys)[answer[1]])

        self.app.push_screen(ChoiceScreen(title, [each.label for each in offered], keys), chosen)

    def _take(self, shown: Shown, how: str) -> None:
        if shown.file_name == "lab.svg":
            self.call_after_refresh(self.action_picture)  # when the question is gone from it
        elif how == "copy":
            self._copy(shown)
        else:
            self._write(shown)

    def _write(self, shown: Shown) -> None:
        lab = cast("LabApp", self.app)
        lab.edit(lambda: write_beside(lab.database, shown))

    def _copy(self, shown: Shown) -> None:
        """By the terminal (OSC 52), which says neither that it can nor that it did; large texts go to a file."""
        text = shown.text()
        if len(base64.b64encode(text.encode())) > LARGEST_COPY:
            self._write(of_text(f"{shown.label}: too long to copy,", text, shown.file_name))
            return
        self.app.copy_to_clipboard(text)
        hint = f" · {TMUX_HINT}" if os.environ.get("TMUX") else ""
        self.app.notify(f"copied: {shown.label}{hint}", markup=False, timeout=4)
