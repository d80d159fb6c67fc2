"""What a person can do to the run under the cursor, and how new ones are queued."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lab.tui.edits import Edits
from lab.tui.screens.lab_screen import LabScreen

if TYPE_CHECKING:
    from lab.store.run_store import RunRow, RunStore
    from lab.tui.screens.composer import ComposerScreen


class QueueActions(LabScreen):
    """The queue's keys; a mode that has a run under its cursor is one of these."""

    @property
    def run(self) -> RunRow | None:
        """The run under the cursor."""
        raise NotImplementedError

    def _edit(self, change: Callable[[Edits, RunStore, RunRow], str]) -> None:
        """Changes the run under the cursor, as it was when the key was pressed."""
        run = self.run
        lab = self.lab
        if run is None:
            lab.notify("no run is selected", severity="warning", markup=False)
            return
        lab.edit(lambda: change(lab.edits, lab.reader.store(), run))

    def action_pause_resume(self) -> None:
        """Pauses the run, or lets it go on."""
        self.lab.minder.retry_now()
        self._edit(Edits.pause_or_resume)

    def action_stop(self) -> None:
        """Ends the run where it is, or gives it up."""
        self._edit(Edits.stop)

    def action_retry(self) -> None:
        """Queues the run again."""
        self.lab.minder.retry_now()
        self._edit(Edits.retry)

    def action_trash(self) -> None:
        """Puts the run away."""
        self._edit(Edits.trash)

    def action_undo(self) -> None:
        """Takes the last change back."""
        lab = self.lab
        lab.edit(lambda: lab.edits.undo(lab.reader.store()))

    def action_new_run(self) -> None:
        """Opens the composer with the stage of the run under the cursor."""
        from lab.tui.drafts import Draft
        from lab.tui.screens.composer import ComposerScreen

        run = self.run
        self._open_composer(ComposerScreen(Draft.of_stage(run) if run else Draft()))

    def action_edit_copy(self) -> None:
        """Opens the composer with the run's config."""
        from lab.tui.drafts import Draft
        from lab.tui.screens.composer import ComposerScreen

        if self.run is not None:
            self._open_composer(ComposerScreen(Draft.of_run(self.run)))

    def _open_composer(self, composer: ComposerScreen) -> None:
        def queued(said: str | None) -> None:
            if said:
                self.lab.minder.retry_now()

        self.app.push_screen(composer, queued)
