"""What the modes that ask a stored model read on a thread: runs with checkpoints, and what the chosen one has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual import on
from textual.message import Message

from lab.errors import LabError
from lab.tui.screens.lab_screen import LabScreen

if TYPE_CHECKING:
    from lab.store.run_store import CheckpointRow, RunRow


class RunChoices(LabScreen):
    """Reads what there is to choose among, each time that the runs have changed."""

    @dataclass
    class ChoicesRead(Message):
        """Which runs have checkpoints, and what there is to know of the chosen one."""

        with_checkpoints: frozenset[str]
        run_id: str | None = None
        checkpoints: tuple[CheckpointRow, ...] = ()
        vocabulary: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self.choices = self.ChoicesRead(frozenset())

    @property
    def run(self) -> RunRow | None:
        """The run that is chosen."""
        raise NotImplementedError

    def run_of(self, run_id: str | None) -> RunRow | None:
        """A run that is not in the trash, by its id."""
        return next((run for run in self.lab.snapshot.runs if run.id == run_id), None)

    def model_of(self, value: object) -> tuple[str, str] | None:
        """A remembered run and checkpoint, where the run is still there."""
        match value:
            case [str(run_id), ("best" | "last") as checkpoint] if self.run_of(run_id):
                return run_id, checkpoint
            case [str(run_id), str(step)] if self.run_of(run_id) and step.isdecimal():
                return run_id, step
        return None

    def show_choices(self) -> None:
        """Shows what was read."""
        raise NotImplementedError

    def read_choices(self) -> None:
        """Which runs have checkpoints now, and which checkpoints the chosen one has."""
        lab, run = self.lab, self.run
        if not lab.loaded:
            return

        def work() -> None:
            from sqlalchemy.exc import SQLAlchemyError

            try:
                store = lab.reader.store()
                with_checkpoints = store.with_checkpoints()
                if run is None:
                    self.post_message(self.ChoicesRead(with_checkpoints))
                    return
                facts = store.dataset(run.dataset_sha256, run.dataset_kind)
                vocabulary = facts.vocabulary if facts else ()
                checkpoints = tuple(store.checkpoints(run.id))
                self.post_message(self.ChoicesRead(with_checkpoints, run.id, checkpoints, vocabulary))
            except (LabError, SQLAlchemyError):
                return  # the reader meets the same, and says so at the top

        self.run_worker(work, thread=True, exclusive=True, group="choices", exit_on_error=False)

    @on(ChoicesRead)
    def _choices_read(self, event: ChoicesRead) -> None:
        self.choices = event
        self.show_choices()
        run = self.run
        if run is not None and event.run_id != run.id:
            self.read_choices()  # another has been chosen meanwhile, or threads overtook each other
        self.after_choices()

    def after_choices(self) -> None:
        """What a mode does beside when they have been read."""


def absence(run: RunRow) -> str:
    """Why the run that one comes from has nothing to be asked."""
    from lab import text

    name = text.clip(text.literal(run.name), 16)
    return f"{name}: none yet" if run.status in ("queued", "training", "paused") else f"{name} has none"
