"""Asks for the name under which runs are saved as an experiment; never overwrites a file unasked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.widgets import Input, Static

from lab import text
from lab.errors import ExperimentError
from lab.tui.screens.window import Window

if TYPE_CHECKING:
    from pathlib import Path

    from lab.config.experiment import Experiment


class SaveExperimentScreen(Window[str]):
    """Its result is the name of the saved experiment; none where nothing was saved."""

    CSS = """
    #save { width: 70; max-width: 92%; height: auto; padding: 1 2; border: round $accent; background: $surface; }
    #save Input { background: $panel; margin: 1 0; }
    #save Static { width: 1fr; height: auto; }
    """
    BINDINGS = [Binding("escape", "close", show=False)]  # noqa: RUF012 (Textual's own form)

    def __init__(self, experiment: Experiment, name: str) -> None:
        super().__init__()
        self._experiment = experiment
        self._suggested = re.sub(r"[^\w.-]+", "-", name).strip("-.") or "experiment"
        self._replace: Path | None = None
        """The file that is there already, and is replaced by another enter."""

    def compose(self) -> ComposeResult:
        """The name, and where the file goes."""
        with Vertical(id="save") as box:
            box.border_title = "Save as an experiment"
            yield Static(text.literal(self._experiment.title), markup=False)
            yield Input(self._suggested, id="save-name", compact=True)
            yield Static(id="save-said", markup=False)

    def on_mount(self) -> None:
        """Says where the file would go."""
        self._say_where()

    @on(Input.Changed)
    def _say_where(self) -> None:
        from lab.config.experiment_files import path_for

        self._replace = None
        try:
            said = f"enter writes {path_for(self._typed_name)} · esc leaves"
        except ExperimentError as error:
            said = str(error)
        self._say(said)

    @property
    def _typed_name(self) -> str:
        return self.query_one("#save-name", Input).value

    def _say(self, said: str) -> None:
        self.query_one("#save-said", Static).update(text.literal(said))

    @on(Input.Submitted)
    def _write(self, event: Input.Submitted) -> None:
        event.stop()
        from lab.config.experiment_files import path_for, write_experiment

        try:
            path = path_for(self._typed_name)
            if path.exists() and self._replace != path:
                self._replace = path
                self._say(f"there is already a file {path}: enter again replaces it, another name keeps it")
                return
            write_experiment(self._experiment, path, replace=self._replace == path)
        except ExperimentError as error:
            self._say(str(error))
            return
        self.app.notify(f"saved {path}", markup=False, timeout=4)
        self.dismiss(path.stem)

    def action_close(self) -> None:
        """Leaves without saving."""
        self.dismiss()
