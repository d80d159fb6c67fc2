"""Changes to the runs that a person asks for, and how each is taken back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import UsageError
from lab.text import literal, plural

if TYPE_CHECKING:
    from lab.queue.experiment_requests import Plan
    from lab.store.run_store import NewRun, RunRow, RunStore

UNDO_DEPTH = 50


@dataclass(frozen=True)
class Undo:
    """How to take one change back."""

    label: str
    apply: Callable[[RunStore], bool]


class Edits:
    """The changes of this session. Every method but `next_undo` runs on a thread and says in a line what it did.

    Raises `UsageError` where the run's status does not allow the change, or another process was first.
    """

    def __init__(self) -> None:
        self._undos: list[Undo] = []

    @property
    def next_undo(self) -> str:
        """What `undo` would take back; empty where there is nothing."""
        return self._undos[-1].label if self._undos else ""

    def pause_or_resume(self, store: RunStore, run: RunRow) -> str:
        """Pauses a run that waits or trains; lets a paused one, or one that is asked to pause, go on."""
        from lab.store import lifecycle

        name = literal(run.name)
        if run.status == "paused" or (run.status == "training" and run.wish == "pause"):
            _check(lifecycle.resume(store, run.id), f"{name} is {run.status} and could not go on")
            self._remember(f"resume {name}", lambda store: lifecycle.pause(store, run.id))
            return f"{name} goes on" if run.status == "training" else f"{name} waits at the head of the queue"
        if run.status not in ("queued", "training"):
            raise UsageError(f"{name} is {run.status}: only runs that wait or train can be paused")
        place = _place(store, run)
        _check(lifecycle.pause(store, run.id), f"{name} could not be paused")
        self._remember(f"pause {name}", lambda store: lifecycle.resume(store, run.id) and _put_back(store, run, place))
        return f"{name} pauses at a checkpoint" if run.status == "training" else f"{name} is paused"

    def stop(self, store: RunStore, run: RunRow) -> str:
        """Has a training run end where it is; gives up one that waits or is paused."""
        from lab.store import lifecycle

        name = literal(run.name)
        if run.status not in ("queued", "training", "paused"):
            raise UsageError(f"{name} is {run.status} already")
        place = _place(store, run)
        _check(lifecycle.stop(store, run.id), f"{name} could not be stopped")

        def take_back(store: RunStore) -> bool:
            if store.run(run.id).status == "training":
                return lifecycle.resume(store, run.id)
            again = lifecycle.retry(store, run.id) and _put_back(store, run, place)
            return again and (run.status != "paused" or lifecycle.pause(store, run.id))

        self._remember(f"stop {name}", take_back)
        return f"{name} stops and is scored" if run.status == "training" else f"{name} is given up"

    def retry(self, store: RunStore, run: RunRow) -> str:
        """Queues again what ended without finishing."""
        from lab.store import lifecycle

        name = literal(run.name)
        if run.status not in lifecycle.RETRYABLE:
            raise UsageError(f"{name} is {run.status}: there is nothing to retry")
        _check(lifecycle.retry(store, run.id), f"{name} could not be queued again")
        self._remember(f"retry {name}", lambda store: lifecycle.cancel(store, run.id))
        return f"{name} waits again"

    def trash(self, store: RunStore, run: RunRow) -> str:
        """Hides a run; its data stays."""
        name = literal(run.name)
        if run.status == "training":
            raise UsageError(f"{name} is training: stop it first (K)")
        store.trash([run.id])

        def take_back(store: RunStore) -> bool:
            store.restore([run.id])
            return True

        self._remember(f"trash {name}", take_back)
        return f"{name} is in the trash"

    def add_child(self, store: RunStore, child: NewRun) -> RunRow:
        """Queues a run that goes on from another."""
        from lab.store import lifecycle

        (run,) = store.add_runs([child])

        def take_back(store: RunStore) -> bool:
            given_up = lifecycle.cancel(store, run.id)
            if given_up and not store.run(run.id).seconds:
                store.trash([run.id])
            return given_up

        self._remember(f"queue {literal(run.name)}", take_back)
        return run

    def climb(self, store: RunStore, database: Path, stages: Sequence[str]) -> str:
        """Queues what is missing of these rungs, from the foot up."""
        from lab.queue.ladder_requests import adopt_or_add, compose_rung
        from lab.queue.requests import RunRequest
        from lab.queue.slots import cores
        from lab.store import lifecycle

        wanted = {name: compose_rung(RunRequest(name), database) for name in stages}
        # The foot first, so that there is something to see at once; then, with two to train side by side, the longest.
        adopted = adopt_or_add(store, wanted, longest_at=1 if cores() > 1 else None)
        queued = (*adopted.added, *adopted.resumed)
        if not queued:
            raise UsageError("nothing of the ladder is missing")

        def take_back(store: RunStore) -> bool:
            given_up = [run_id for run_id in adopted.added if lifecycle.cancel(store, run_id)]
            rows = [store.run(run_id) for run_id in given_up]
            store.trash([row.id for row in rows if row.status == "cancelled" and not row.step])
            paused = [run_id for run_id in adopted.resumed if lifecycle.pause(store, run_id)]
            return bool(given_up or paused)

        self._remember(f"climb the ladder ({plural(len(queued), 'run')})", take_back)
        return f"{plural(len(queued), 'run')} of the ladder queued; quit any time, they train in the background"

    def queue_experiment(self, store: RunStore, name: str, planned: Plan) -> str:
        """Queues what an experiment's plan has that is not stored yet."""
        from lab.queue.experiment_requests import queue_plan
        from lab.store import lifecycle

        queued = [row.id for row in queue_plan(store, planned)]
        if not queued:
            raise UsageError(f"nothing of {name} is missing: all of it is stored or under way")

        def take_back(store: RunStore) -> bool:
            given_up = [run_id for run_id in queued if lifecycle.cancel(store, run_id)]
            rows = [store.run(run_id) for run_id in given_up]
            store.trash([row.id for row in rows if row.status == "cancelled" and not row.step])
            return bool(given_up)

        self._remember(f"queue {name} ({plural(len(queued), 'run')})", take_back)
        return f"{plural(len(queued), 'run')} of {name} queued"

    def undo(self, store: RunStore) -> str:
        """Takes the last change back."""
        if not self._undos:
            raise UsageError("there is nothing to undo")
        last = self._undos.pop()
        _check(last.apply(store), f"too late to undo: {last.label}")
        return f"undone: {last.label}"

    def _remember(self, label: str, apply: Callable[[RunStore], bool]) -> None:
        self._undos = [*self._undos[1 - UNDO_DEPTH :], Undo(label, apply)]


def _check(applied: bool, otherwise: str) -> None:
    if not applied:
        raise UsageError(otherwise)


def _place(store: RunStore, run: RunRow) -> int | None:
    """Where a waiting run stands in the queue, counted from 1."""
    from lab.store import lifecycle

    if run.status != "queued":
        return None
    order = [waiting.id for waiting in lifecycle.waiting_runs(store)]
    return order.index(run.id) + 1 if run.id in order else None


def _put_back(store: RunStore, run: RunRow, place: int | None) -> bool:
    from lab.store import lifecycle

    return place is None or lifecycle.move(store, run.id, place)
