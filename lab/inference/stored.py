"""Reading the checkpoints of stored runs."""

from __future__ import annotations

from lab.errors import CheckpointError
from lab.store.checkpoints import note_damage
from lab.store.run_store import CheckpointRow, RunRow, RunStore
from lab.store.stored_files import stored_file
from lab.training.checkpoint import Checkpoint, read_checkpoint


def read_stored_checkpoint(store: RunStore, row: CheckpointRow) -> Checkpoint:
    """Reads a checkpoint that the database names. Raises `CheckpointError`."""
    return read_checkpoint(stored_file(store.database.files, row.path), row.sha256)


def newest_complete_checkpoint(store: RunStore, run: RunRow) -> Checkpoint | None:
    """The newest checkpoint that a run can go on from; a damaged one is passed over, and the run's log says so."""
    damaged: list[CheckpointRow] = []
    found = None
    for row in reversed(store.checkpoints(run.id)):
        if row.kind == "complete":
            try:
                found = read_stored_checkpoint(store, row)
                break
            except CheckpointError:
                damaged.append(row)
    for row in damaged:
        note_damage(store, row, found.state.step if found else None)
    return found
