"""Writes what lab remembers: soon after it changed, on a thread, and where that fails says so once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from textual.app import App
from textual.timer import Timer

from lab.tui.messages import NotRemembered
from lab.tui.remembered import RememberedFile

WRITE_AFTER_SECONDS = 0.5
"""From a change of what is remembered until it is written: whoever turns a knob turns it again."""


class Remembering:
    """Writes some files of an app's."""

    def __init__(self, app: App[str], files: Sequence[RememberedFile]) -> None:
        self._app = app
        self._files = files
        self._timer: Timer | None = None
        self._said: set[Path] = set()

    def write_soon(self) -> None:
        """Has all of them written in a moment."""
        if self._timer is None:
            self._timer = self._app.set_timer(WRITE_AFTER_SECONDS, self._write_on_thread)

    def _write_on_thread(self) -> None:
        self._timer = None
        self._app.run_worker(self.write, thread=True, group="remembering", exit_on_error=False)

    def write(self) -> None:
        """Writes them now. Posts `NotRemembered` for one that cannot be written."""
        for file in self._files:
            try:
                file.write()
            except OSError as error:
                self._app.post_message(NotRemembered(file.path, error.strerror or str(error)))

    def say(self, message: NotRemembered) -> None:
        """Says once of each file that what it should hold is forgotten."""
        if message.path not in self._said:
            self._said.add(message.path)
            said = f"what you choose here is not remembered: {message.path}: {message.reason}"
            self._app.notify(said, severity="warning", markup=False)
