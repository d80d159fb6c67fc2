"""The step cursor: moved by keys, played, and left to follow a run that trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.reactive import reactive
from textual.timer import Timer

from lab.tui.run_story import cursor_unit
from lab.tui.screens.lab_screen import LabScreen

if TYPE_CHECKING:
    from lab.store.run_store import RunRow

FAR = 10
PLAY_SECONDS = 0.12
"""Between two places of the cursor while it plays: a run takes some twelve seconds."""


class StepActions(LabScreen):
    """The keys of the step cursor; a screen that moves through one run's steps is one of these."""

    cursor: reactive[int | None] = reactive(None, init=False)
    """The step that is looked at; None: the newest."""
    playing: reactive[bool] = reactive(False, init=False)

    _ticks: Timer | None = None

    @property
    def run(self) -> RunRow | None:
        """The run whose steps are meant."""
        raise NotImplementedError

    @property
    def step(self) -> int:
        """The step that every pane shows: the cursor's, or the newest."""
        newest = self._newest
        return newest if self.cursor is None else min(self.cursor, newest)

    @property
    def _newest(self) -> int:
        """The last step that is known of; a child run begins where its parent was."""
        run = self.run
        return max(run.step, run.parent_step or 0) if run else 0

    def _move(self, units: int) -> None:
        """Moves the cursor; at the newest step it goes along with the run."""
        run = self.run
        if run is None:
            return
        unit = cursor_unit(run)
        place = self.step // unit if units > 0 else -(-self.step // unit)
        self._go_to(max(0, (place + units) * unit))

    def _go_to(self, step: int) -> None:
        if self.run is not None:
            self.cursor = None if step >= self._newest else step

    def point_at(self, x: float | None) -> None:
        """Moves the cursor to where one pointed on a chart."""
        self.playing = False
        self._go_to(max(0, round(x)) if x is not None else self.run.step if self.run else 0)

    def action_step_forward(self) -> None:
        """Moves the cursor on."""
        self.playing = False
        self._move(1)

    def action_step_back(self) -> None:
        """Moves the cursor back."""
        self.playing = False
        self._move(-1)

    def action_step_forward_far(self) -> None:
        """Moves it on by ten."""
        self.playing = False
        self._move(FAR)

    def action_step_back_far(self) -> None:
        """Moves it back by ten."""
        self.playing = False
        self._move(-FAR)

    def action_step_first(self) -> None:
        """Goes to the run's beginning."""
        self.playing = False
        self._go_to(0)

    def action_step_last(self) -> None:
        """Goes to the newest step, and along with the run from there."""
        self.playing = False
        self.cursor = None

    def action_play(self) -> None:
        """Plays through the steps from here, from the beginning where this is the end; or stops."""
        run = self.run
        if run is None or not self._newest:
            return
        if not self.playing and self.cursor is None:
            self.cursor = 0
        self.playing = not self.playing

    def watch_playing(self, playing: bool) -> None:
        """Moves the cursor by itself, or no more."""
        if self._ticks is not None:
            self._ticks.stop()
        self._ticks = self.set_interval(PLAY_SECONDS, self._play_on) if playing else None

    def _play_on(self) -> None:
        if self.is_foremost:
            self._move(1)
        if self.cursor is None or self.run is None:
            self.playing = False
