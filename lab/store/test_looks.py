"""Looks at the test split: each is kept, since each makes the next mean less."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from lab.store.run_store import RunStore
from lab.store.schema import TestLook


@dataclass(frozen=True)
class Look:
    """One look at a run's loss on the test split, at the checkpoint of a step."""

    run_id: str
    at: float
    step: int
    loss: float


def record_look(store: RunStore, run_id: str, step: int, loss: float) -> None:
    """Keeps a look for good."""
    with store.database.durable.begin() as connection:
        connection.execute(sa.insert(TestLook).values(run_id=run_id, at=time.time(), step=step, loss=loss))


def looks_at(store: RunStore, run_ids: Sequence[str]) -> dict[str, list[Look]]:
    """All looks at some runs, by run, oldest first; a run that was never looked at is left out."""
    query = sa.select(TestLook.run_id, TestLook.at, TestLook.step, TestLook.loss).order_by(TestLook.id)
    found: dict[str, list[Look]] = {}
    with store.database.reader.connect() as connection:
        for row in connection.execute(query.where(TestLook.run_id.in_(run_ids))):
            found.setdefault(row.run_id, []).append(Look(*row))
    return found
