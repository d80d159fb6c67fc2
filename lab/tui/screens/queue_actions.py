"""What a person can do to runs, marked or under the cursor, and how new ones are queued."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lab.errors import ConfigError, LabError, reason_of
from lab.tui.edits import Edits
from lab.tui.messages import Edited
from lab.tui.screens.break_run import BreakActions

if TYPE_CHECKING:
    from lab.config.own_model import OwnSource
    from lab.store.run_store import RunRow, RunStore
    from lab.tui.drafts import Draft


class QueueActions(BreakActions):
    """The queue's keys; a mode that has a run under its cursor is one of these."""

    @property
    def chosen(self) -> tuple[RunRow, ...]:
        """The runs that a key is for: the marked ones, where there can be marks and there are, else `run`."""
        run = self.run
        return () if run is None else (run,)

    def edit_chosen(self, change: Callable[[Edits, RunStore, tuple[RunRow, ...]], str]) -> None:
        """Changes the chosen runs, on a thread."""
        runs = self.chosen
        lab = self.lab
        if not runs:
            lab.notify("no run is selected", severity="warning", markup=False)
            return
        lab.edit(lambda: change(lab.edits, lab.reader.store(), runs))

    async def action_inspect_run(self) -> None:
        """Looks into the run under the cursor."""
        if self.run is not None:
            await self.inspect(self.run.id)

    def action_pause_resume(self) -> None:
        """Pauses the runs, or lets them go on."""
        self.lab.minder.retry_now()
        self.edit_chosen(Edits.pause_or_resume)

    def action_stop(self) -> None:
        """Ends the runs where they are, or gives them up."""
        self.edit_chosen(Edits.stop)

    def action_cancel(self) -> None:
        """Gives the runs up, without a score."""
        self.edit_chosen(Edits.cancel)

    def action_retry(self) -> None:
        """Queues the runs again."""
        self.lab.minder.retry_now()
        self.edit_chosen(Edits.retry)

    def action_trash(self) -> None:
        """Puts the runs away."""
        self.edit_chosen(Edits.trash)

    def action_undo(self) -> None:
        """Takes the last change back."""
        lab = self.lab
        lab.edit(lambda: lab.edits.undo(lab.reader.store()))

    def action_pause_queue(self) -> None:
        """Lets nothing that waits start, or lets it again."""
        lab = self.lab
        lab.minder.retry_now()
        lab.edit(lambda: lab.edits.pause_queue(lab.reader.store()))

    def action_new_run(self) -> None:
        """Opens the composer with the stage of the run under the cursor."""
        from lab.tui.drafts import Draft

        run = self.run
        if run is None:
            self._open_composer(Draft())
        else:
            self._compose_from(run, Draft.of_stage)

    def action_edit_copy(self) -> None:
        """Opens the composer with the run's config."""
        from lab.tui.drafts import Draft

        if self.run is not None:
            self._compose_from(self.run, Draft.of_run)

    def _compose_from(self, run: RunRow, draft_of: Callable[[RunRow, OwnSource | None], Draft]) -> None:
        """Opens the composer with what is drawn from a run, the file of its own model read on a thread."""
        if not _has_own_model(run):
            self._open_composer(draft_of(run, None))
            return
        lab = self.lab

        def work() -> None:
            from sqlalchemy.exc import SQLAlchemyError

            from lab.store.model_sources import trusted_source

            try:
                draft = draft_of(run, trusted_source(lab.reader.store(), run))
            except (LabError, SQLAlchemyError) as error:
                lab.post_message(Edited(reason_of(error), failed=True))
                return
            lab.call_from_thread(self._open_composer, draft)

        self.run_worker(work, thread=True, group="compose", exclusive=True, exit_on_error=False)

    def _open_composer(self, draft: Draft) -> None:
        from lab.tui.screens.composer import ComposerScreen

        def queued(said: str | None) -> None:
            if said:
                self.lab.minder.retry_now()

        self.app.push_screen(ComposerScreen(draft), queued)


def _has_own_model(run: RunRow) -> bool:
    from lab.config.own_model import OWN

    try:
        return run.config.model == OWN
    except ConfigError:  # an external run, or nonsense
        return False
