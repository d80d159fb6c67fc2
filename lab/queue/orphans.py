"""Runs whose program died without a word: found by their locks, and put where a person can go on from."""

from __future__ import annotations

from lab.queue.file_lock import FileLock
from lab.store import lifecycle
from lab.store.external_runs import RECORDED_BY
from lab.store.location import run_lock
from lab.store.run_store import RunStore

_ORPHANS = (
    ("command", "paused", "the command that trained it ended"),
    (RECORDED_BY, "failed", "the program that trained it ended"),
)


def pause_orphans(store: RunStore) -> None:
    """Marks what a program that died left as training: paused where it was `lab train`, failed where not lab's own."""
    for trained_by, status, said in _ORPHANS:
        for run in lifecycle.training_runs(store, trained_by):
            if FileLock(run_lock(store.database.path, run.id)).holder() is None:
                lifecycle.end(store, run.id, run.attempt, status, said)
