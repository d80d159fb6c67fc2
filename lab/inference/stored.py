"""Reading the checkpoints of stored runs."""

from __future__ import annotations

from lab.errors import CheckpointError
from lab.store.run_store import CheckpointRow, RunRow, RunStore
from lab.training.checkpoint import Checkpoint, read_checkpoint


def read_stored_checkpoint(store: RunStore, row: CheckpointRow) -> Checkpoint:
    """Reads a checkpoint that the database names. Raises `CheckpointError`."""
    return read_checkpoint(store.database.files / row.path, row.sha256)


def newest_complete_checkpoint(store: RunStore, run: RunRow) -> Checkpoint | None:
    """The newest checkpoint that a run can go on from; a damaged one is passed over for the one before it."""
    for row in reversed(store.checkpoints(run.id)):
        if row.kind == "complete":
            try:
                return read_stored_checkpoint(store, row)
            except CheckpointError:
                continue
    return None
