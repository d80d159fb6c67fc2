"""Every change of a run's status, in one place.

    queued ──► training ──► finished | stopped | diverged | failed | cancelled
      ▲ │          │
      │ └► paused ◄┘        a person's wish, a dead `lab train`, or Ctrl-C
      └─── paused, and by retry what has ended without finishing

Each function is one transaction and answers whether the change applied: where another process was first, nothing
happens.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import sqlalchemy as sa

from lab.errors import UsageError
from lab.store.run_store import EXTERNAL, RunRow, RunStore, run_rows, run_table
from lab.store.schema import Event, Setting

ACTIVE = ("queued", "training")
ENDED = ("finished", "stopped", "diverged", "failed", "cancelled")
STATUSES = ("queued", "training", "paused", *ENDED)
RETRYABLE = ("stopped", "failed", "cancelled", "diverged")
WISHES = {"paused": "pause", "stopped": "stop", "cancelled": "cancel"}
"""How a trainer ends that grants a wish, and the wish."""
FAILURES_ALLOWED = 3
"""A run fails for good after this many failures without a new checkpoint between."""

_QUEUE_PAUSED = "queue_paused"
"""The setting that is there while nothing that waits may start."""
_STORAGE = "storage_problem"
"""The setting that says why nothing can be recorded; there while training waits for the disk."""

_c = run_table.c


# What a person wishes


def pause(store: RunStore, run_id: str) -> bool:
    """A waiting run leaves the queue; a training one is asked to keep a checkpoint and end its trainer."""
    left = _set(store, run_id, ("queued",), status="paused", queue_position=None, wish=None)
    return left or _wish(store, run_id, "pause", but=EXTERNAL)  # another program cannot go on later


def resume(store: RunStore, run_id: str) -> bool:
    """A paused run waits again, at the head of the queue; a wish that is not yet granted is taken back."""
    return _take_back_wish(store, run_id) or _queue(store, run_id, ("paused",), front=True)


def stop(store: RunStore, run_id: str) -> bool:
    """A training run ends at its present step and is scored there; a waiting or paused one is cancelled."""
    # Asked twice: a worker may claim the run between the two questions.
    return _wish(store, run_id, "stop") or _give_up(store, run_id) or _wish(store, run_id, "stop")


def cancel(store: RunStore, run_id: str) -> bool:
    """A run that waits or is paused is given up; a training one is ended without being scored."""
    return _give_up(store, run_id) or _wish(store, run_id, "cancel")


def retry(store: RunStore, run_id: str) -> bool:
    """What ended without finishing waits again, and goes on from its last checkpoint."""
    return _queue(store, run_id, RETRYABLE, front=False)


def move(store: RunStore, run_id: str, place: int) -> bool:
    """Puts a waiting run at a place in the queue, counted from 1. Raises `UsageError` on a place below 1."""
    if place < 1:
        raise UsageError(f"place {place}: the first in the queue is 1")
    order = [run.id for run in waiting_runs(store)]
    if run_id not in order:
        return False
    order.remove(run_id)
    order.insert(min(place - 1, len(order)), run_id)
    return arrange(store, order)


def arrange(store: RunStore, order: Sequence[str]) -> bool:
    """Puts waiting runs into an order; those that it does not name wait behind. False where none of them waits."""
    with store.database.writer.begin() as connection:
        query = sa.select(_c.id, _c.trashed_at).where(_c.status == "queued").order_by(_c.queue_position, _c.id)
        waiting = connection.execute(query).all()
        shown = [row.id for row in waiting if row.trashed_at is None]
        named = [run_id for run_id in order if run_id in set(shown)]
        if not named:
            return False
        everyone = [*named, *(run_id for run_id in shown if run_id not in set(named))]
        everyone += [row.id for row in waiting if row.trashed_at is not None]  # behind, should they come back
        for position, waiting_id in enumerate(everyone, start=1):
            connection.execute(_update(waiting_id, ("queued",), queue_position=float(position)))
        return True


def take_back(store: RunStore, before: RunRow) -> bool:
    """Makes a run stand as it did before a wish, while no attempt has been made at it since.

    One that was training takes its wish back, or goes on from the checkpoint at which the wish was granted.
    """
    if before.status == "training":
        return resume(store, before.id) or retry(store, before.id)
    fields = ("status", "queue_position", "trained_by", "wish", "failures", "error", "ended_at")
    values = {name: getattr(before, name) for name in fields}
    with store.database.durable.begin() as connection:
        if before.queue_position is not None:
            values["queue_position"] = _free_position(connection, before.queue_position)
        update = _update(before.id, ("queued", "paused", *ENDED), of_attempt=before.attempt, **values)
        return bool(connection.execute(update).rowcount)


def pause_queue(store: RunStore) -> bool:
    """Nothing that waits starts until `resume_queue`; what trains goes on."""
    with store.database.durable.begin() as connection:
        insert = sa.insert(Setting).prefix_with("OR IGNORE").values(name=_QUEUE_PAUSED, value=str(time.time()))
        return bool(connection.execute(insert).rowcount)


def resume_queue(store: RunStore) -> bool:
    """What waits may start again."""
    with store.database.durable.begin() as connection:
        return bool(connection.execute(sa.delete(Setting).where(Setting.name == _QUEUE_PAUSED)).rowcount)


def queue_paused(store: RunStore) -> bool:
    """Whether the queue as a whole is paused."""
    with store.database.reader.connect() as connection:
        return connection.scalar(sa.select(Setting.name).where(Setting.name == _QUEUE_PAUSED)) is not None


def storage_problem(store: RunStore) -> str:
    """Why training waits for the disk; empty where it does not."""
    with store.database.reader.connect() as connection:
        return connection.scalar(sa.select(Setting.value).where(Setting.name == _STORAGE)) or ""


# What the worker does


def claim(store: RunStore, run_id: str | None = None) -> RunRow | None:
    """Takes the first waiting run (or the one named) for training and counts the attempt; None in a paused queue.

    A wish made to an attempt that was lost still stands.
    """
    with store.database.writer.begin() as connection:
        waiting = sa.select(_c.id).where(_c.status == "queued", _c.trashed_at.is_(None))
        waiting = waiting.where(~sa.exists().where(Setting.name == _QUEUE_PAUSED))
        if run_id is not None:
            waiting = waiting.where(_c.id == run_id)
        first = waiting.order_by(_c.queue_position, _c.id).limit(1).scalar_subquery()
        now = time.time()
        taken = connection.execute(
            sa.update(run_table)
            .where(_c.id == first)
            .values(
                status="training",
                queue_position=None,
                error=None,
                attempt=_c.attempt + 1,
                started_at=sa.func.coalesce(_c.started_at, now),
                ended_at=None,
            )
            .returning(_c.id)
        ).scalar_one_or_none()
        return run_rows(connection, sa.select(run_table).where(_c.id == taken))[0] if taken else None


def claim_for_command(store: RunStore, run_id: str) -> RunRow | None:
    """Takes a paused run for training in the foreground, by the process that asks; None where it is not paused."""
    with store.database.durable.begin() as connection:
        taken = connection.execute(
            _update(
                run_id,
                ("paused",),
                status="training",
                trained_by="command",
                wish=None,
                error=None,
                attempt=_c.attempt + 1,
                started_at=sa.func.coalesce(_c.started_at, time.time()),
            )
        )
        if not taken.rowcount:
            return None
        return run_rows(connection, sa.select(run_table).where(_c.id == run_id))[0]


def end(store: RunStore, run_id: str, attempt: int, status: str, error: str | None = None) -> bool:
    """A trainer's own word of how its attempt ended: paused, or one of `ENDED`."""
    return _set(store, run_id, ("training",), of_attempt=attempt, **_as_ended(status, error))


def end_as_wished(store: RunStore, run_id: str, attempt: int, status: str) -> bool:
    """A worker's trainer has granted a wish. Was it taken back meanwhile, or another made, the run waits again.

    Its next attempt then goes on from the checkpoint, or grants the other wish.
    """
    with store.database.durable.begin() as connection:
        granted = _update(run_id, ("training",), of_attempt=attempt, **_as_ended(status))
        if connection.execute(granted.where(_c.wish == WISHES[status])).rowcount:
            return True
        waits = _update(run_id, ("training",), of_attempt=attempt, status="queued", queue_position=_front(connection))
        changed = bool(connection.execute(waits).rowcount)
        if changed:
            _log(connection, run_id, "info", f"no longer to be {status}: it waits to go on")
        return changed


def attempt_failed(store: RunStore, run_id: str, attempt: int, reason: str, *, for_good: bool = False) -> str | None:
    """A trainer died or raised: the run waits again at the head of the queue, or has failed for good.

    Returns the new status, None where the attempt is no longer the run's.
    """
    with store.database.durable.begin() as connection:
        query = sa.select(_c.failures).where(_c.id == run_id, _c.attempt == attempt, _c.status == "training")
        before = connection.scalar(query)
        if before is None:
            return None
        failures = int(before) + 1
        status = "failed" if for_good or failures >= FAILURES_ALLOWED else "queued"
        values: dict[str, object] = {"status": status, "failures": failures, "error": reason}
        if status == "failed":
            values |= {"wish": None, "ended_at": time.time()}
        else:
            values["queue_position"] = _front(connection)
        connection.execute(_update(run_id, ("training",), of_attempt=attempt, **values))
        _log(connection, run_id, "error", reason)
        return status


def requeue(store: RunStore, run_id: str, attempt: int, reason: str) -> bool:
    """An attempt ended through no fault of the run's (its worker went): it waits again at the head of the queue."""
    return _interrupted(store, run_id, attempt, reason, waits=True)


def hold_for_storage(store: RunStore, run_id: str, attempt: int, reason: str) -> bool:
    """The disk failed under a run: it waits at the head of the queue with the reason, and so does the whole queue."""
    said = f"training pauses: {reason}; it goes on when there is room"
    return _interrupted(store, run_id, attempt, said, waits=True, storage=reason)


def pause_for_storage(store: RunStore, run_id: str, attempt: int, reason: str) -> bool:
    """The same for a run that a command trains: it is paused with the reason, until a person resumes it."""
    return _interrupted(store, run_id, attempt, f"training pauses: {reason}", waits=False, storage=reason)


def storage_works(store: RunStore) -> None:
    """Training goes on. Raises `StorageError` where even this cannot be written down."""
    with store.database.durable.begin() as connection:
        connection.execute(sa.delete(Setting).where(Setting.name == _STORAGE))


def _interrupted(
    store: RunStore, run_id: str, attempt: int, said: str, *, waits: bool, storage: str | None = None
) -> bool:
    with store.database.durable.begin() as connection:
        values: dict[str, object] = {"status": "queued", "queue_position": _front(connection)}
        if not waits:
            values = {"status": "paused", "wish": None}
        if storage is not None:
            values["error"] = storage
        changed = connection.execute(_update(run_id, ("training",), of_attempt=attempt, **values)).rowcount
        if changed:
            _log(connection, run_id, "warning", said)
        if storage is not None and waits:
            setting = sa.insert(Setting).prefix_with("OR REPLACE").values(name=_STORAGE, value=storage)
            connection.execute(setting)
        return bool(changed)


def training_runs(store: RunStore, trained_by: str) -> list[RunRow]:
    """Runs that are marked as training, by `worker` or by `command` (a foreground `lab train`)."""
    with store.database.reader.connect() as connection:
        query = sa.select(run_table).where(_c.status == "training", _c.trained_by == trained_by)
        return run_rows(connection, query.order_by(_c.id))


def waiting_runs(store: RunStore) -> list[RunRow]:
    """The queue, first to be trained first."""
    with store.database.reader.connect() as connection:
        query = sa.select(run_table).where(_c.status == "queued", _c.trashed_at.is_(None))
        return run_rows(connection, query.order_by(_c.queue_position, _c.id))


def _wish(store: RunStore, run_id: str, wish: str, *, but: str = "") -> bool:
    """Asks it of a run that trains, unless it is of some kind."""
    with store.database.durable.begin() as connection:
        update = _update(run_id, ("training",), wish=wish).where(_c.kind != but)
        return bool(connection.execute(update).rowcount)


def _take_back_wish(store: RunStore, run_id: str) -> bool:
    with store.database.durable.begin() as connection:
        update = _update(run_id, ("queued", "training"), wish=None).where(_c.wish.is_not(None))
        return bool(connection.execute(update).rowcount)


def _give_up(store: RunStore, run_id: str) -> bool:
    waits = ("queued", "paused")
    return _set(store, run_id, waits, status="cancelled", queue_position=None, wish=None, ended_at=time.time())


def _queue(store: RunStore, run_id: str, from_statuses: Sequence[str], *, front: bool) -> bool:
    with store.database.writer.begin() as connection:
        position = _front(connection) if front else _back(connection)
        changed = connection.execute(
            _update(
                run_id,
                from_statuses,
                status="queued",
                queue_position=position,
                trained_by="worker",
                wish=None,
                failures=0,
                error=None,
                ended_at=None,
            ).where(_c.kind != EXTERNAL)
        )
        return bool(changed.rowcount)


def _as_ended(status: str, error: str | None = None) -> dict[str, object]:
    """What an attempt's end changes of its run."""
    ended: dict[str, object] = {"ended_at": time.time()} if status in ENDED else {}
    return {"status": status, "wish": None, "error": error, **ended}


def _set(
    store: RunStore, run_id: str, from_statuses: Sequence[str], *, of_attempt: int | None = None, **values: object
) -> bool:
    with store.database.durable.begin() as connection:
        return bool(connection.execute(_update(run_id, from_statuses, of_attempt=of_attempt, **values)).rowcount)


def _update(run_id: str, from_statuses: Sequence[str], *, of_attempt: int | None = None, **values: object) -> sa.Update:
    update = sa.update(run_table).where(_c.id == run_id, _c.status.in_(from_statuses))
    if of_attempt is not None:
        update = update.where(_c.attempt == of_attempt)
    return update.values(**values)


def _front(connection: sa.Connection) -> float:
    first = connection.scalar(sa.select(sa.func.min(_c.queue_position)).where(_c.status == "queued"))
    return float(first) - 1.0 if first is not None else 0.0


def _back(connection: sa.Connection) -> float:
    return float(connection.scalar(sa.select(sa.func.max(_c.queue_position)).where(_c.status == "queued")) or 0.0) + 1.0


def _free_position(connection: sa.Connection, wanted: float) -> float:
    """The wanted place in the queue, or one right before it where another run has taken it meanwhile."""
    waiting = sa.select(_c.queue_position).where(_c.status == "queued", _c.queue_position <= wanted)
    taken = list(connection.scalars(waiting.order_by(_c.queue_position.desc()).limit(2)))
    if not taken or taken[0] != wanted:
        return wanted
    return (taken[1] + wanted) / 2 if len(taken) > 1 else wanted - 1.0


def _log(connection: sa.Connection, run_id: str, level: str, text: str) -> None:
    step = connection.scalar(sa.select(_c.step).where(_c.id == run_id))
    connection.execute(sa.insert(Event).values(run_id=run_id, at=time.time(), step=step or 0, level=level, text=text))
