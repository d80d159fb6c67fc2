"""Reading the checkpoints of stored runs."""

from __future__ import annotations

from lab.config.own_model import OWN, OwnSource
from lab.errors import CheckpointError
from lab.models.own import let_in
from lab.store.checkpoints import note_damage
from lab.store.model_sources import trusted_source
from lab.store.run_store import CheckpointRow, RunRow, RunStore
from lab.store.stored_files import stored_file
from lab.training.checkpoint import Checkpoint, read_checkpoint


def read_stored_checkpoint(store: RunStore, row: CheckpointRow) -> Checkpoint:
    """Reads a checkpoint that the database names.

    Raises `CheckpointError`, and `OwnModelError` where its model is somebody's own and may not be run here.
    """
    checkpoint = read_checkpoint(stored_file(store.database.files, row.path), row.sha256)
    if checkpoint.config.model == OWN:
        let_in_model_of(store, store.run(row.run_id))
    return checkpoint


def let_in_model_of(store: RunStore, run: RunRow) -> OwnSource:
    """Has a run's own model run in this process, if this machine's user wants it. Raises `OwnModelError`."""
    source = trusted_source(store, run)
    let_in(source)
    return source


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
