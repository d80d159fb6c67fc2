"""Which of a run's stored checkpoints is meant, and which is used where that one is damaged."""

from __future__ import annotations

import contextlib
import time

import sqlalchemy as sa

from lab.config.lr_sweep import LR_SWEEP
from lab.errors import CheckpointError, StorageError, UsageError
from lab.store.run_store import CheckpointRow, RunRow, RunStore
from lab.store.schema import Event
from lab.store.stored_files import is_whole


def choose_checkpoint(store: RunStore, run: RunRow, which: str = "best") -> CheckpointRow:
    """The checkpoint that a person means: `best`, `last`, or a step of which there is one.

    Raises `CheckpointError` where the run has none, and `UsageError` on a step that was not kept.
    """
    rows = store.checkpoints(run.id)
    if not rows:
        if run.kind == LR_SWEEP:
            raise CheckpointError(f"run {run.name} is an LR sweep, which keeps no checkpoint; train {run.stage}")
        raise CheckpointError(f"run {run.name} has no checkpoint yet; its first comes after some seconds of training")
    if which == "last":
        return rows[-1]
    if which == "best":
        return next((row for row in reversed(rows) if row.kind == "best"), rows[-1])
    at_step = [row for row in rows if str(row.step) == which]
    if not at_step:
        steps = ", ".join(str(step) for step in sorted({row.step for row in rows}))
        raise UsageError(f"run {run.name} has no checkpoint '{which}'; it has best, last and the steps {steps}")
    return next((row for row in at_step if row.kind == "complete"), at_step[0])


def sound_checkpoint(store: RunStore, run: RunRow, which: str = "best") -> tuple[CheckpointRow, str]:
    """The checkpoint that a person means, or where its file is damaged the newest before it that is whole.

    With it comes what is to be said of that, which stands in the run's log too; empty where nothing is damaged. Where a
    step was named, no other will do. Raises as `choose_checkpoint` does, and `CheckpointError` where none is whole.
    """
    meant = choose_checkpoint(store, run, which)
    earlier = [row for row in reversed(store.checkpoints(run.id)) if row.id != meant.id and row.step <= meant.step]
    if which not in ("best", "last"):
        earlier = [row for row in earlier if row.step == meant.step]
    for row in (meant, *earlier):
        if is_whole(store.database.files, row.path, row.sha256, row.size):
            return row, "" if row is meant else note_damage(store, meant, row.step)
    path = store.database.files / meant.path
    raise CheckpointError(f"checkpoint {path} is damaged or gone, and so is every one before it; see: lab doctor")


def note_damage(store: RunStore, row: CheckpointRow, instead: int | None) -> str:
    """Says in a run's log, once, that a checkpoint is damaged, and from which step another is used; returns it."""
    then = f"the one at step {instead:,} is used" if instead is not None else "the run starts again"
    said = f"the {row.kind} checkpoint at step {row.step:,} is damaged or gone ({row.path}): {then}"
    known = sa.select(Event.id).where(Event.run_id == row.run_id, Event.text == said)
    with contextlib.suppress(StorageError), store.database.writer.begin() as connection:
        if connection.scalar(known.limit(1)) is None:
            values = {"run_id": row.run_id, "at": time.time(), "step": row.step, "level": "warning", "text": said}
            connection.execute(sa.insert(Event).values(**values))
    return said
