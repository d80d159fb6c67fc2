"""Which of a run's stored checkpoints is meant."""

from __future__ import annotations

from lab.errors import CheckpointError, UsageError
from lab.store.run_store import CheckpointRow, RunRow, RunStore


def choose_checkpoint(store: RunStore, run: RunRow, which: str = "best") -> CheckpointRow:
    """The checkpoint that a person means: `best`, `last`, or a step of which there is one.

    Raises `CheckpointError` where the run has none, and `UsageError` on a step that was not kept.
    """
    rows = store.checkpoints(run.id)
    if not rows:
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
