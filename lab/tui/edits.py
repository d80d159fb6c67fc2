"""Changes to the runs that a person asks for, of one run or of many at once, and how each is taken back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

    Where a change applies to some of the runs only, it is made to those. Raises `UsageError` where the status of none
    allows it, or another process was first. `lock` is for who calls: one change after another, in the order of asking.
    """

    def __init__(self) -> None:
        self._undos: list[Undo] = []
        self.lock = threading.Lock()

    @property
    def next_undo(self) -> str:
        """What `undo` would take back; empty where there is nothing."""
        return self._undos[-1].label if self._undos else ""

    def undo(self, store: RunStore) -> str:
        """Takes the last change back."""
        if not self._undos:
            raise UsageError("there is nothing to undo")
        last = self._undos.pop()
        if not last.apply(store):
            raise UsageError(f"too late to undo: {last.label}")
        return f"undone: {last.label}"

    # What becomes of a run

    def pause_or_resume(self, store: RunStore, runs: Sequence[RunRow]) -> str:
        """Pauses those that wait or train; where none does, lets the paused ones, or those about to be, go on."""
        from lab.store import lifecycle

        runs = _as_they_are(store, runs)
        resting = [run for run in runs if run.status == "paused" or (run.status == "training" and run.wish == "pause")]
        going = [run for run in runs if run.status in ("queued", "training") and run not in resting]
        if going:
            said = "pauses at a checkpoint" if any(run.status == "training" for run in going) else "is paused"
            return self._change(store, going, lifecycle.pause, "pause", said, left_out=len(runs) - len(going))
        _check(resting, runs, "only runs that wait or train can be paused")
        waits = any(run.status == "paused" for run in resting)
        said = "waits at the head of the queue" if waits else "goes on"
        resting = sorted(resting, key=lambda run: run.id, reverse=True)  # each goes before those resumed until then
        return self._change(store, resting, lifecycle.resume, "resume", said, left_out=len(runs) - len(resting))

    def stop(self, store: RunStore, runs: Sequence[RunRow]) -> str:
        """Has training runs end where they are, to be scored; gives up those that wait or are paused."""
        from lab.store import lifecycle

        return self._give_up(store, runs, lifecycle.stop, "stop", "stops and is scored")

    def cancel(self, store: RunStore, runs: Sequence[RunRow]) -> str:
        """Gives runs up: training ones end without being scored."""
        from lab.store import lifecycle

        return self._give_up(store, runs, lifecycle.cancel, "cancel", "ends without being scored")

    def _give_up(
        self,
        store: RunStore,
        runs: Sequence[RunRow],
        do: Callable[[RunStore, str], bool],
        label: str,
        of_training: str,
    ) -> str:
        runs = _as_they_are(store, runs)
        active = [run for run in runs if run.status in ("queued", "training", "paused")]
        _check(active, runs, f"there is nothing to {label}")
        said = of_training if any(run.status == "training" for run in active) else "is given up"
        return self._change(store, active, do, label, said, left_out=len(runs) - len(active))

    def retry(self, store: RunStore, runs: Sequence[RunRow]) -> str:
        """Queues again what ended without finishing."""
        from lab.store import lifecycle

        runs = _as_they_are(store, runs)
        ended = [run for run in runs if run.status in lifecycle.RETRYABLE]
        _check(ended, runs, "there is nothing to retry")
        return self._change(store, ended, lifecycle.retry, "retry", "waits again", left_out=len(runs) - len(ended))

    def _change(
        self,
        store: RunStore,
        runs: Sequence[RunRow],
        do: Callable[[RunStore, str], bool],
        label: str,
        said: str,
        *,
        left_out: int,
    ) -> str:
        """Makes one change of status to each, remembers how they stood, and says how it went."""
        from lab.store import lifecycle

        changed = [run for run in runs if do(store, run.id)]
        if not changed:
            raise UsageError(f"could not {label} {_named(runs)}: another process was first")
        self._remember(f"{label} {_named(changed)}", lambda store: _all(lifecycle.take_back, store, changed))
        left_out += len(runs) - len(changed)
        return f"{_named(changed)}: {said}" + (f"; {left_out} others could not" if left_out else "")

    # The queue

    def move(self, store: RunStore, runs: Sequence[RunRow], by: int | None) -> str:
        """Moves waiting runs by so many places in the queue, to its head where `by` is None."""
        from lab.store import lifecycle

        order = [run.id for run in lifecycle.waiting_runs(store)]
        moved = {run.id for run in runs} & set(order)
        _check(moved, runs, "only runs that wait have a place in the queue")
        if not lifecycle.arrange(store, _moved(order, moved, by)):
            raise UsageError("the queue has changed meanwhile: look, and move again")
        chosen = [run for run in runs if run.id in moved]
        self._remember(f"move {_named(chosen)}", lambda store: lifecycle.arrange(store, order))
        now = [run.id for run in lifecycle.waiting_runs(store)]
        return f"{_named(chosen)}: place {now.index(chosen[0].id) + 1} of {len(now)} in the queue"

    def pause_queue(self, store: RunStore) -> str:
        """Lets nothing that waits start, or lets it again."""
        from lab.store import lifecycle

        if lifecycle.resume_queue(store):
            self._remember("let the queue go on", lifecycle.pause_queue)
            return "the queue goes on"
        lifecycle.pause_queue(store)
        self._remember("pause the queue", lifecycle.resume_queue)
        return "the queue is paused: what trains goes on, nothing else starts"

    def again(self, store: RunStore, runs: Sequence[RunRow], seeds: Callable[[RunRow], Sequence[int]]) -> str:
        """Queues each of the runs again, once for each of its new seeds."""
        from lab.queue.requests import dataset_facts, dataset_of
        from lab.store.run_store import NewRun

        new = []
        for run in runs:
            facts = dataset_facts(dataset_of(run, store.database.path))
            new += [
                NewRun(run.config.replace(seed=seed), facts, tags=run.tags, experiment=run.experiment,
                       parent_id=run.parent_id, parent_step=run.parent_step)
                for seed in seeds(run)
            ]  # fmt: skip
        added = store.add_runs(new)
        self._remember(f"queue {_named(added)}", lambda store: _take_away(store, [run.id for run in added]))
        return f"{_named(added)}: queued"

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
            given_up = _take_away(store, adopted.added)
            paused = [run_id for run_id in adopted.resumed if lifecycle.pause(store, run_id)]
            return given_up or bool(paused)

        self._remember(f"climb the ladder ({plural(len(queued), 'run')})", take_back)
        return f"{plural(len(queued), 'run')} of the ladder queued; quit any time, they train in the background"

    def queue_experiment(self, store: RunStore, name: str, planned: Plan, *, again: bool = False) -> str:
        """Queues what an experiment's plan has that is not stored yet, or with `again` all of it."""
        from lab.queue.experiment_requests import queue_plan

        queued = [row.id for row in queue_plan(store, planned, again=again)]
        if not queued:
            raise UsageError(f"nothing of {name} is missing: all of it is stored or under way")

        self._remember(f"queue {name} ({plural(len(queued), 'run')})", lambda store: _take_away(store, queued))
        return f"{plural(len(queued), 'run')} of {name} queued"

    # What is written about a run

    def tag(self, store: RunStore, runs: Sequence[RunRow], tags_of: Callable[[RunRow], Iterable[str]]) -> str:
        """Gives runs other tags."""
        runs = _as_they_are(store, runs)
        for run in runs:
            store.set_tags(run.id, tags_of(run))
        self._remember(f"tag {_named(runs)}", lambda store: _each(lambda run: store.set_tags(run.id, run.tags), runs))
        if len(runs) > 1:
            return f"{_named(runs)}: tagged"
        tags = " ".join(f"#{tag}" for tag in store.run(runs[0].id).tags)
        return f"{_named(runs)}: {literal(tags) or 'no tags'}"

    def note(self, store: RunStore, run: RunRow, notes: str) -> str:
        """Gives a run other notes."""
        (run,) = _as_they_are(store, [run])
        store.set_notes(run.id, notes)
        self._remember(
            f"notes of {_named([run])}", lambda store: _each(lambda r: store.set_notes(r.id, r.notes), [run])
        )
        return f"{_named([run])}: notes kept" if notes else f"{_named([run])}: no notes"

    # The trash

    def trash(self, store: RunStore, runs: Sequence[RunRow]) -> str:
        """Hides runs; their data stays."""
        runs = _as_they_are(store, runs)
        put_away = [run for run in runs if run.status != "training"]
        _check(put_away, runs, "stop it first (K)")
        ids = [run.id for run in put_away]
        store.trash(ids)
        self._remember(f"trash {_named(put_away)}", lambda store: _each(store.restore, [ids]))
        left_out = len(runs) - len(put_away)
        return f"{_named(put_away)}: in the trash" + (f"; {left_out} others train" if left_out else "")

    def restore(self, store: RunStore, runs: Sequence[RunRow]) -> str:
        """Takes runs back out of the trash."""
        ids = [run.id for run in runs]
        store.restore(ids)
        self._remember(f"restore {_named(runs)}", lambda store: _each(store.trash, [ids]))
        return f"{_named(runs)}: back from the trash"

    def delete_for_good(self, store: RunStore, runs: Sequence[RunRow]) -> str:
        """Deletes runs of the trash with their files; this is not taken back."""
        from lab.store import trash

        trash.delete_for_good(store, [run.id for run in runs])
        return f"{_named(runs)}: deleted for good"

    def _remember(self, label: str, apply: Callable[[RunStore], bool]) -> None:
        self._undos = [*self._undos[1 - UNDO_DEPTH :], Undo(label, apply)]


def _check(fitting: object, runs: Sequence[RunRow], otherwise: str) -> None:
    """Raises `UsageError` where no run is fitting."""
    if fitting:
        return
    if len(runs) == 1:
        raise UsageError(f"{_named(runs)} is {runs[0].status}: {otherwise}")
    raise UsageError(f"of {plural(len(runs), 'run')} none fits: {otherwise}")


def _named(runs: Sequence[RunRow]) -> str:
    return literal(runs[0].name) if len(runs) == 1 else plural(len(runs), "run")


def _as_they_are(store: RunStore, runs: Sequence[RunRow]) -> list[RunRow]:
    """The runs as they stand now: what a person saw may be a moment old."""
    return [store.run(run.id) for run in runs]


def _all(do: Callable[[RunStore, RunRow], bool], store: RunStore, runs: Sequence[RunRow]) -> bool:
    """Does it to each; whether it applied to any."""
    applied = [do(store, run) for run in runs]
    return any(applied)


def _each(do: Callable[[Any], None], values: Iterable[Any]) -> bool:
    for value in values:
        do(value)
    return True


def _take_away(store: RunStore, run_ids: Sequence[str]) -> bool:
    """Gives up runs that were added; those that have not begun vanish into the trash."""
    from lab.store import lifecycle

    given_up = [run_id for run_id in run_ids if lifecycle.cancel(store, run_id)]
    rows = [store.run(run_id) for run_id in given_up]
    store.trash([row.id for row in rows if row.status == "cancelled" and not row.step])
    return bool(given_up)


def _moved(order: Sequence[str], moved: set[str], by: int | None) -> list[str]:
    """An order in which some have gone so many places up or down, or to the head, without overtaking each other."""
    if by is None:
        return [each for each in order if each in moved] + [each for each in order if each not in moved]
    step = 1 if by > 0 else -1
    places = list(order)
    for _ in range(abs(by)):
        for place in range(len(places))[::-step]:
            to = place + step
            if places[place] in moved and 0 <= to < len(places) and places[to] not in moved:
                places[place], places[to] = places[to], places[place]
    return places
